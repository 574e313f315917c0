"""The doctor's look at who Errata is to Azure, and what it may do there.

Each takes the scene and says what it saw; whoever cannot be asked raises, which ``diagnosis`` says.
"""

from __future__ import annotations

from curation.prerequisites import State
from curation.wording import phrase
from training.backends.errors import Missing
from training.backends.foundry.access import arm, remedies
from training.backends.foundry.access.clients import arm as manager
from training.backends.foundry.access.credentials import fetch_token, principal
from training.backends.foundry.access.permissions import (
    ACCOUNT_ACTIONS,
    ACCOUNT_DATA_ACTIONS,
    BLOB_WRITE,
    PROJECT_ACTIONS,
    Allowed,
)
from training.backends.foundry.doctor.scene import Scene, Seen

PROVIDERS = (
    "Microsoft.Network",
    "Microsoft.MachineLearningServices",
    "Microsoft.CognitiveServices",
    "Microsoft.Storage",
    "Microsoft.KeyVault",
)
"""What a hub, a project and a serverless endpoint are made of; the network is the one that is forgotten."""


def credential(scene: Scene) -> Seen:
    """Whether Azure gives a token."""
    scene.who, scene.signed_in = principal(fetch_token()), True
    if scene.who is None:
        return Seen(State.OK, phrase("Azure gives a token."))
    return Seen(State.OK, phrase("Azure gives a token to {who}.", who=scene.who))


def subscription(scene: Scene) -> Seen:
    """Whether it is there and switched on."""
    if scene.place.subscription is None:
        return Seen(
            State.FAILED, phrase("{name} is not set.", name="AZURE_SUBSCRIPTION_ID"), remedies.SHOW_SUBSCRIPTION
        )
    found = manager().get(remedies.subscription_scope(scene.place), arm.SUBSCRIPTIONS)
    state = str(found.get("state") or "unknown")
    if state == "Enabled":
        return Seen(State.OK, phrase("The subscription {name} is enabled.", name=found.get("displayName") or "here"))
    return Seen(State.FAILED, phrase("The subscription is {state}.", state=state), remedies.LIST_SUBSCRIPTIONS)


def group(scene: Scene) -> Seen:
    """Whether the resource group is there."""
    if scene.place.group is None:
        return Seen(State.FAILED, phrase("{name} is not set.", name="ERRATA_AZURE_GROUP"), remedies.LIST_GROUPS)
    try:
        manager().get(remedies.group_scope(scene.place), arm.RESOURCE_GROUPS)
    except Missing:
        evidence = phrase("There is no resource group {name} in the subscription.", name=scene.place.group)
        return Seen(State.FAILED, evidence, remedies.create_group(scene.place))
    return Seen(State.OK, phrase("The resource group {name} is there.", name=scene.place.group))


def providers(scene: Scene) -> Seen:
    """Whether the subscription has registered what a project is made of."""
    root = remedies.subscription_scope(scene.place)
    states = {
        name: str(manager().get(f"{root}/providers/{name}", arm.PROVIDERS).get("registrationState"))
        for name in PROVIDERS
    }
    missing = [name for name, state in states.items() if state != "Registered"]
    if not missing:
        return Seen(State.OK, phrase("{names:and} are registered.", names=PROVIDERS))
    return Seen(
        State.FAILED,
        phrase("Not registered in this subscription: {names:and}.", names=missing),
        " && ".join(remedies.register(scene.place, name) for name in missing),
    )


def role(scene: Scene) -> Seen:
    """Whether whoever Errata runs as may do what a run takes, by whichever role."""
    rows = manager().listed(f"{remedies.group_scope(scene.place)}{_PERMISSIONS}", arm.PERMISSIONS)
    scene.allowed = Allowed.of(rows)
    missing = scene.allowed.missing(PROJECT_ACTIONS) if scene.place.project or not scene.place.account else []
    if missing:
        return Seen(
            State.FAILED,
            phrase(
                "Whoever Errata runs as may not do this in {group}: {what}.", group=scene.place.group, what=missing[0]
            ),
            remedies.grant_developer(scene.place, scene.who),
        )
    if scene.place.account and (missing := scene.allowed.missing(ACCOUNT_ACTIONS, ACCOUNT_DATA_ACTIONS)):
        return Seen(
            State.FAILED,
            phrase(
                "Whoever Errata runs as may not do this in {group}: {what}.", group=scene.place.group, what=missing[0]
            ),
            remedies.grant(remedies.OPENAI_ROLE, remedies.group_scope(scene.place), scene.who),
        )
    return Seen(State.OK, phrase("Whoever Errata runs as may do in {group} what a run takes.", group=scene.place.group))


def storage(scene: Scene) -> Seen:
    """Whether rows can be uploaded: by the storage account's key, or by a role where it takes none."""
    account = str((scene.project.get("properties") or {}).get("storageAccount") or "")
    name = account.rpartition("/")[2]
    if not account.startswith("/subscriptions/"):
        return Seen(
            State.WARNING, phrase("The project does not say where its storage is."), remedies.list_stores(scene.place)
        )
    found = manager().get(account, arm.STORAGE)
    if (found.get("properties") or {}).get("allowSharedKeyAccess") is not False:
        return Seen(State.OK, phrase("The storage account {name} takes uploads by its key.", name=name))
    rows = manager().listed(f"{account}{_PERMISSIONS}", arm.PERMISSIONS)
    if Allowed.of(rows).data_action(BLOB_WRITE):
        return Seen(State.OK, phrase("The storage account {name} takes uploads by a role.", name=name))
    return Seen(
        State.FAILED,
        phrase("The storage account {name} takes no keys, and whoever Errata runs as may not write there.", name=name),
        remedies.grant(remedies.BLOB_ROLE, account, scene.who),
    )


def usages(scene: Scene) -> Seen:
    """Whether capacity can be read and some is left; deployments of an account need both."""
    if scene.place.account is None:
        return Seen(State.OK, phrase("No account is named, so no deployment of one needs capacity."))
    region = scene.account.get("location") or scene.region
    path = f"{remedies.subscription_scope(scene.place)}/providers/Microsoft.CognitiveServices/locations/{region}/usages"
    rows = manager().listed(path, arm.COGNITIVE)  # of the subscription: no role in the group allows it
    left = {str((row.get("name") or {}).get("value")): _left(row) for row in rows}
    free = {name: amount for name, amount in left.items() if amount > 0}
    if left and not free:
        return Seen(
            State.FAILED,
            phrase("The capacity for models in {region} is used up.", region=region),
            remedies.list_account_usage(scene.place, str(region)),
        )
    return Seen(State.OK, phrase("Capacity for models is left in {region}.", region=region))


def _left(row: dict[str, object]) -> float:
    used, most = row.get("currentValue"), row.get("limit")
    return float(most) - float(used) if isinstance(used, int | float) and isinstance(most, int | float) else 0.0


_PERMISSIONS = "/providers/Microsoft.Authorization/permissions"
