"""What people read when Azure says no: one sentence of ours each, made from what its libraries really raise."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import openai
import pytest
import requests
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseTimeoutError,
)
from azure.core.pipeline.transport import HttpRequest, RequestsTransportResponse

from training.backends.errors import Forbidden, Missing, Unreached
from training.backends.foundry.access.refusals import meant, provider_errors, refused
from training.backends.foundry.access.shapes import Said
from training.backends.foundry.place import AzurePlace

PLACE = AzurePlace(
    subscription="11111111-2222-3333-4444-555555555555",
    group="support",
    project="errata",
    region="eastus2",
    account="contoso",
)
GROUP = "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/support"
SECRET = "sv=2024&sig=aGVsbG8"

CHAIN = """DefaultAzureCredential failed to retrieve a token from the included credentials.
Attempted credentials:
\tEnvironmentCredential: EnvironmentCredential authentication unavailable. Environment variables are not fully \
configured.
\tManagedIdentityCredential: ManagedIdentityCredential authentication unavailable, no response from the IMDS endpoint.
\tAzureCliCredential: Azure CLI not found on path"""


def from_azure(status: int, code: str, message: str = "", *, inner: str | None = None) -> HttpResponseError:
    """As azure-core raises it for an answer of the resource manager."""
    error: dict[str, Any] = {"code": code, "message": f"{message} {SECRET}"}
    if inner is not None:
        error["innererror"] = {"code": inner}
    return HttpResponseError(response=_answer(status, json.dumps({"error": error})))


def from_storage(status: int, code: str) -> HttpResponseError:
    """As azure-storage-blob meets it: XML, and the code in a header."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{SECRET}</Message></Error>"
    return HttpResponseError(message=code, response=_answer(status, body, {"x-ms-error-code": code}))


def from_openai(status: int, code: str, message: str = "") -> openai.APIStatusError:
    """As the openai library raises it."""
    body = {"error": {"code": code, "message": f"{message} {SECRET}"}}
    answering = httpx2.MockTransport(lambda _request: httpx2.Response(status, json=body))
    with httpx2.Client(transport=answering) as http:
        client = openai.OpenAI(base_url="https://contoso.test/", api_key="x", http_client=http, max_retries=0)
        with pytest.raises(openai.APIStatusError) as raised:
            client.models.list()
    return raised.value


def _answer(status: int, body: str, headers: dict[str, str] | None = None) -> RequestsTransportResponse:
    made = requests.Response()
    made.status_code, made._content = status, body.encode()
    made.headers.update(headers or {"Content-Type": "application/json"})
    return RequestsTransportResponse(HttpRequest("GET", "https://management.azure.com/"), made)


PAINS = [
    pytest.param(
        from_azure(400, "UserError", "The model azureml://registries/azureml/models/Phi-3 is archived."),
        "Azure has retired or archived this model, so it cannot be tuned there: choose another from errata models "
        "--search phi, or tune it on a GPU of your own with --backend local.",
        id="1: retired or archived",
    ),
    pytest.param(
        from_azure(400, "BadRequest", "Model is not supported in this region."),
        "This model cannot be tuned in the region of your project: errata models --search phi names its regions; set "
        "ERRATA_AZURE_REGION to one of them and make a project there with errata foundry init.",
        id="2: wrong region",
    ),
    pytest.param(
        from_azure(400, "BadRequest", "Purchase has failed.", inner="MarketplacePurchaseEligibilityFailed"),
        "This model is not sold in the country of your subscription's billing account: choose a model of Microsoft's "
        "own such as Phi-4-mini-instruct, or a subscription that is billed elsewhere: az account list --output table",
        id="3: billing country",
    ),
    pytest.param(
        from_azure(400, "ValidationError", "validationData is required."),
        "Azure tunes nothing without validation rows, and this dataset has none: freeze it again with a validation "
        "side.",
        id="4: no validation set",
    ),
    pytest.param(
        from_openai(400, "invalidPayload", "The specified base model does not support fine-tuning."),
        "Azure says that this base model does not support fine-tuning, which it also says of a training type or a "
        "version that this region does not offer: choose one that is listed by az cognitiveservices account "
        "list-models --name contoso --resource-group support --subscription 11111111-2222-3333-4444-555555555555 "
        "--query \"[?capabilities.fineTune=='true'].name\" --output table",
        id="5: base model does not support fine-tuning",
    ),
    pytest.param(
        from_storage(403, "KeyBasedAuthenticationNotPermitted"),
        "The upload was refused: the project's storage takes no keys, and whoever Errata runs as may not write there. "
        'Give them the role: az role assignment create --assignee WHO --role "Storage Blob Data Contributor" --scope '
        f"{GROUP}/providers/Microsoft.Storage/storageAccounts/STORAGE_ACCOUNT",
        id="6: key authentication disabled",
    ),
    pytest.param(
        from_openai(401, "PermissionDenied", "Principal does not have access to API/Operation."),
        "Whoever Errata runs as lacks a role in Azure (PermissionDenied): az role assignment create --assignee WHO "
        f'--role "Azure AI Developer" --scope {GROUP}',
        id="7: role missing",
    ),
    pytest.param(
        from_azure(
            403, "AuthorizationFailed", "… to perform action 'Microsoft.CognitiveServices/locations/usages/read' …"
        ),
        "To deploy, whoever Errata runs as must be allowed to read the quota of the whole subscription: az role "
        'assignment create --assignee WHO --role "Cognitive Services Usages Reader" --scope '
        "/subscriptions/11111111-2222-3333-4444-555555555555",
        id="8: usages reader",
    ),
    pytest.param(
        from_openai(404, "DeploymentNotFound", "The API deployment for this resource does not exist."),
        "The deployment is made but does not answer yet, which may take 15 minutes: Errata asks again. See az "
        "cognitiveservices account deployment show --name contoso --resource-group support --subscription "
        "11111111-2222-3333-4444-555555555555 --deployment-name DEPLOYMENT",
        id="9: succeeded but not ready",
    ),
    pytest.param(
        from_openai(429, "429", "Requests to the ChatCompletions_Create Operation have exceeded rate limit."),
        "Azure takes no more requests this minute, of which a deployment with a capacity of 1 takes about one: Errata "
        "asks again. Look at the quota with az cognitiveservices usage list --location eastus2 --subscription "
        "11111111-2222-3333-4444-555555555555 --output table",
        id="9: capacity 1",
    ),
    pytest.param(
        from_openai(400, "content_filter", "The response was filtered."),
        "Azure's content filter held this exchange back, as it also does by mistake, often over personal data: look at "
        "the row. Of a model that foundry tuned an owner may switch it off: errata foundry filter RUN off --reason "
        "TEXT",
        id="9: content filter by mistake",
    ),
    pytest.param(
        ClientAuthenticationError(message=CHAIN),
        "Errata finds no credential for Azure on this machine: run az login; in a container set AZURE_TENANT_ID, "
        "AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, or give it a managed identity, and set AZURE_TOKEN_CREDENTIALS=prod.",
        id="10: the chain of credentials",
    ),
]


@pytest.mark.parametrize(("error", "sentence"), PAINS)
def test_each_known_pain_is_one_sentence_with_its_remedy(error: Exception, sentence: str) -> None:
    """The exact words, and nothing of what Azure wrote."""
    said = refused(error, place=PLACE)

    assert str(said) == sentence
    assert SECRET not in repr(said)
    assert said.exit_code == 3


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        pytest.param(
            from_azure(404, "ResourceGroupNotFound"),
            "There is no such resource group in this subscription: check ERRATA_AZURE_GROUP, or make it with az group "
            "create --name support --location eastus2 --subscription 11111111-2222-3333-4444-555555555555",
        ),
        pytest.param(
            from_azure(404, "SubscriptionNotFound"),
            "Azure lets nobody work in this subscription (SubscriptionNotFound): check AZURE_SUBSCRIPTION_ID against "
            "az account list --output table",
        ),
        pytest.param(
            from_azure(409, "MissingSubscriptionRegistration"),
            "A resource provider is not registered in this subscription: az provider register --namespace "
            "Microsoft.Network --subscription 11111111-2222-3333-4444-555555555555",
        ),
        pytest.param(
            from_azure(400, "InsufficientQuota"),
            "The quota of this subscription is used up (InsufficientQuota): take down what you do not need, or ask "
            "Azure for more. See az cognitiveservices usage list --location eastus2 --subscription "
            "11111111-2222-3333-4444-555555555555 --output table",
        ),
        pytest.param(
            ClientAuthenticationError(message="EnvironmentCredential: AADSTS7000222: The provided client secret …"),
            "Azure does not accept the credential of this machine: check AZURE_TENANT_ID, AZURE_CLIENT_ID and "
            "AZURE_CLIENT_SECRET, which may have expired, or sign in again with az login",
        ),
        pytest.param(
            from_azure(418, "TeapotBusy", "Some words of Azure's."),
            "The upload was refused by Azure (TeapotBusy, 418). Look with errata doctor --foundry.",
        ),
        pytest.param(from_azure(503, "ServerBusy"), "Azure says: later (ServerBusy, 503). Errata asks again."),
    ],
    ids=["group", "subscription", "provider", "quota", "secret expired", "unknown", "busy"],
)
def test_other_refusals_are_one_sentence_too(error: Exception, sentence: str) -> None:
    """What nobody knows names the provider's code and status, never its text."""
    assert str(refused(error, "The upload", PLACE)) == sentence


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ServiceRequestError(message="Failed to resolve host"), Unreached),
        (ServiceResponseTimeoutError(message="Read timed out"), Unreached),
        (openai.APITimeoutError(httpx2.Request("POST", "https://contoso.test/")), Unreached),
        (requests.exceptions.ConnectionError("refused"), Unreached),
        (from_azure(429, "TooManyRequests"), Unreached),
        (from_azure(500, "InternalServerError"), Unreached),
        (from_azure(401, "ExpiredAuthenticationToken"), Unreached),
        (from_azure(404, "ResourceNotFound"), Missing),
        (from_azure(403, "AuthorizationFailed"), Forbidden),
        (from_azure(401, "PermissionDenied"), Forbidden),
    ],
    ids=["no host", "slow", "slow openai", "requests", "429", "500", "expired", "404", "403", "401"],
)
def test_what_may_pass_by_itself_is_told_from_what_somebody_has_to_mend(error: Exception, kind: type) -> None:
    """A run goes on asking after the former and ends with the latter."""
    with pytest.raises(kind) as raised, provider_errors(place=PLACE):
        raise error

    assert type(raised.value) is kind
    assert raised.value.__suppress_context__, "a traceback would show the provider's own words"


def test_a_credential_that_cannot_be_proven_for_want_of_a_network_is_no_missing_credential() -> None:
    """A run that is polled through an outage must not end with *no credential*."""
    text = "EnvironmentCredential: Authentication failed: ('Unable to connect to proxy', NewConnectionError('…'))"

    assert type(refused(ClientAuthenticationError(message=text))) is Unreached


def test_a_mistake_of_our_own_is_not_taken_for_a_refusal() -> None:
    """It reaches the log as what it is."""
    with pytest.raises(KeyError), provider_errors():
        raise KeyError("mine")


def test_the_error_of_a_job_is_recognised_by_its_innermost_code() -> None:
    """Jobs and operations carry the same shape in their bodies."""
    body = {"code": "UserError", "message": "…", "details": [{"code": "QuotaExceeded", "message": "…"}]}

    assert "(QuotaExceeded)" in str(meant(Said.of_body(body)))


def test_what_stands_in_the_place_of_a_code_is_not_said_on() -> None:
    """A code is a word; anything else may be a customer's."""
    said = refused(from_azure(418, "Ana Berg wrote: my card is 4111", "x"))

    assert "Ana" not in str(said)
