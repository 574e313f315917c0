"""The refusals that people run into, each with its one sentence and the command that mends it.

Owns the table: what is said of each. How each is recognised is ``recognised``'s. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from curation.wording import Phrase, phrase
from training.backends.foundry.access import recognised, remedies
from training.backends.foundry.access.shapes import Said
from training.backends.foundry.place import AzurePlace


@dataclass(frozen=True, slots=True)
class Pain:
    """A refusal that is known.

    Attributes:
        id: what it is called here.
        recognised: whether what was said is this.
        template: what is said of it; ``{command}`` and ``{code}`` are filled in.
        command: the command of ``az`` that mends it, given the place.
        again: whether asking again later may help by itself.
    """

    id: str
    recognised: Callable[[Said], bool]
    template: Phrase
    command: Callable[[AzurePlace], str] = lambda _place: ""
    again: bool = False

    def sentence(self, place: AzurePlace, said: Said) -> Phrase:
        """What to say of it here."""
        return phrase(str(self.template), command=self.command(place), code=said.code or self.id)


NO_CREDENTIAL = Pain(
    "credential",
    lambda said: said.credential,
    # The chain tries ten ways, in up to 13 s, and tells of each.
    phrase(
        "Errata finds no credential for Azure on this machine: run {command}; in a container set AZURE_TENANT_ID, "
        "AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, or give it a managed identity, and set AZURE_TOKEN_CREDENTIALS=prod."
    ),
    lambda _place: remedies.LOGIN,
)

EXPIRED = Pain(
    "expired",
    recognised.expired,
    phrase("Azure no longer takes the token that it gave ({code}): Errata fetches another and asks again."),
    again=True,
)

NO_NETWORK = Pain(
    "network",
    lambda said: said.silent or recognised.no_network(said),
    phrase("Azure does not answer. Check the network and the proxy of this machine; Errata asks again."),
    again=True,
)

ROLE = Pain(
    "role",
    recognised.role,
    # azure-docs #114370
    phrase("Whoever Errata runs as lacks a role in Azure ({code}): {command}"),
    remedies.grant_developer,
)

NO_VALIDATION = Pain(
    "validation",
    recognised.validation,
    # azure-sdk-for-python #45770
    phrase(
        "Azure tunes nothing without validation rows, and this dataset has none: freeze it again with a validation "
        "side."
    ),
)

PAINS: tuple[Pain, ...] = (
    Pain(
        "retired",
        recognised.retired,
        # azureml-assets #5103
        phrase(
            "Azure has retired or archived this model, so it cannot be tuned there: choose another from errata models "
            "--search phi, or tune it on a GPU of your own with --backend local."
        ),
    ),
    Pain(
        "not-tunable",
        recognised.not_tunable,
        # azure-docs #116776, litellm #24687: also said where the training type is missing or not offered.
        phrase(
            "Azure says that this base model does not support fine-tuning, which it also says of a training type or a "
            "version that this region does not offer: choose one that is listed by {command}"
        ),
        remedies.list_account_models,
    ),
    Pain(
        "region",
        recognised.region,
        # azureai-foundry-finetuning-raft #26
        phrase(
            "This model cannot be tuned in the region of your project: errata models --search phi names its regions; "
            "set ERRATA_AZURE_REGION to one of them and make a project there with errata foundry init."
        ),
    ),
    Pain(
        "country",
        recognised.coded("MarketplacePurchaseEligibilityFailed", "MarketplaceSubscriptionNotEligible"),
        # azure-docs #120449
        phrase(
            "This model is not sold in the country of your subscription's billing account: choose a model of "
            "Microsoft's own such as Phi-4-mini-instruct, or a subscription that is billed elsewhere: {command}"
        ),
        lambda _place: remedies.LIST_SUBSCRIPTIONS,
    ),
    NO_VALIDATION,
    Pain(
        "key-auth",
        recognised.key_auth,
        # azure-sdk-for-python #39813
        phrase(
            "The upload was refused: the project's storage takes no keys, and whoever Errata runs as may not write "
            "there. Give them the role: {command}"
        ),
        remedies.grant_blobs,
    ),
    Pain(
        "usages",
        recognised.usages,
        # azure-docs #112686
        phrase(
            "To deploy, whoever Errata runs as must be allowed to read the quota of the whole subscription: {command}"
        ),
        remedies.grant_usages,
    ),
    Pain(
        "subscription",
        recognised.coded("SubscriptionNotFound", "InvalidSubscriptionId", "ReadOnlyDisabledSubscription"),
        phrase(
            "Azure lets nobody work in this subscription ({code}): check AZURE_SUBSCRIPTION_ID against {command}",
        ),
        lambda _place: remedies.LIST_SUBSCRIPTIONS,
    ),
    Pain(
        "group",
        recognised.coded("ResourceGroupNotFound"),
        phrase(
            "There is no such resource group in this subscription: check ERRATA_AZURE_GROUP, or make it with {command}"
        ),
        remedies.create_group,
    ),
    Pain(
        "unregistered",
        recognised.coded("MissingSubscriptionRegistration", "SubscriptionNotRegistered"),
        phrase("A resource provider is not registered in this subscription: {command}"),
        lambda place: remedies.register(place, "Microsoft.Network"),
    ),
    Pain(
        "quota",
        recognised.quota,
        phrase(
            "The quota of this subscription is used up ({code}): take down what you do not need, or ask Azure for "
            "more. See {command}"
        ),
        remedies.list_account_usage,
    ),
    Pain(
        "filtered",
        recognised.coded("content_filter", "ResponsibleAIPolicyViolation"),
        # It takes personal data for harm now and then.
        phrase(
            "Azure's content filter held this exchange back, as it also does by mistake, often over personal data: "
            "look at the row. Of a model that foundry tuned an owner may switch it off: errata foundry filter RUN off "
            "--reason TEXT"
        ),
    ),
    Pain(
        "not-ready",
        recognised.coded("DeploymentNotFound", "DeploymentNotReady"),
        # Said for minutes after the resource manager has reported success.
        phrase(
            "The deployment is made but does not answer yet, which may take 15 minutes: Errata asks again. See "
            "{command}"
        ),
        remedies.show_deployment,
        again=True,
    ),
    Pain(
        "throttled",
        lambda said: said.status == recognised.TOO_MANY,
        phrase(
            "Azure takes no more requests this minute, of which a deployment with a capacity of 1 takes about one: "
            "Errata asks again. Look at the quota with {command}"
        ),
        remedies.list_account_usage,
        again=True,
    ),
    NO_NETWORK,
    EXPIRED,
    Pain(
        "rejected",
        recognised.rejected,
        phrase(
            "Azure does not accept the credential of this machine: check AZURE_TENANT_ID, AZURE_CLIENT_ID and "
            "AZURE_CLIENT_SECRET, which may have expired, or sign in again with {command}"
        ),
        lambda _place: remedies.LOGIN,
    ),
    NO_CREDENTIAL,
    ROLE,
)
"""In the order in which they are tried: what is special comes before what is general."""
