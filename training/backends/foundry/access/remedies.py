"""The exact ``az`` command for each thing that an administrator of Azure may have to mend.

Owns the commands, filled in with the place's names where it has them; in capitals stand those that it has not.
"""

from __future__ import annotations

from training.backends.foundry.place import AzurePlace

DEVELOPER, DEVELOPER_ID = "Azure AI Developer", "64702f94-c441-49e6-a78b-ef80e0188fee"
BLOB_ROLE = "Storage Blob Data Contributor"
USAGES_ROLE = "Cognitive Services Usages Reader"
OPENAI_ROLE = "Cognitive Services OpenAI Contributor"
READER = "Reader"

LOGIN = "az login"
LIST_SUBSCRIPTIONS = "az account list --output table"
SHOW_SUBSCRIPTION = "az account show --query id --output tsv"
LIST_GROUPS = "az group list --output table"
INIT = "errata foundry init"
DOCTOR = "errata doctor --foundry"
INSTALL = "pip install 'errata[azure]'"


def subscription_scope(place: AzurePlace) -> str:
    """``/subscriptions/…``."""
    return f"/subscriptions/{place.subscription or 'SUBSCRIPTION'}"


def group_scope(place: AzurePlace) -> str:
    """``/subscriptions/…/resourceGroups/…``."""
    return f"{subscription_scope(place)}/resourceGroups/{place.group or 'GROUP'}"


def workspace_scope(place: AzurePlace, name: str | None) -> str:
    """The id of a hub or a project."""
    return f"{group_scope(place)}/providers/Microsoft.MachineLearningServices/workspaces/{name or 'NAME'}"


def account_scope(place: AzurePlace) -> str:
    """The id of the account."""
    return f"{group_scope(place)}/providers/Microsoft.CognitiveServices/accounts/{place.account or 'ACCOUNT'}"


def grant(role: str, scope: str, who: str | None = None) -> str:
    """Give a role; ``who`` is an object id."""
    return f'az role assignment create --assignee {who or "WHO"} --role "{role}" --scope {scope}'


def grant_developer(place: AzurePlace, who: str | None = None) -> str:
    """Let somebody use the project, and all else in the group."""
    return grant(DEVELOPER, group_scope(place), who)


def grant_usages(place: AzurePlace, who: str | None = None) -> str:
    """Let somebody read the subscription's quota."""
    return grant(USAGES_ROLE, subscription_scope(place), who)


def grant_blobs(place: AzurePlace, account: str | None = None, who: str | None = None) -> str:
    """Let somebody upload into a storage account."""
    scope = f"{group_scope(place)}/providers/Microsoft.Storage/storageAccounts/{account or 'STORAGE_ACCOUNT'}"
    return grant(BLOB_ROLE, scope, who)


def register(place: AzurePlace, namespace: str) -> str:
    """Register a resource provider."""
    return f"az provider register --namespace {namespace} --subscription {place.subscription or 'SUBSCRIPTION'}"


def create_group(place: AzurePlace) -> str:
    """Make the resource group."""
    return f"az group create --name {place.group or 'GROUP'} --location {place.region or 'REGION'} {_under(place)}"


def create_hub(place: AzurePlace) -> str:
    """Make the hub."""
    return (
        f"az ml workspace create --kind hub --name {place.hub or 'HUB'} --location {place.region or 'REGION'} "
        f"--resource-group {place.group or 'GROUP'} {_under(place)}"
    )


def create_project(place: AzurePlace) -> str:
    """Make the project in the hub."""
    return (
        f"az ml workspace create --kind project --name {place.project or 'PROJECT'} "
        f"--hub-id {workspace_scope(place, place.hub or 'HUB')} --resource-group {place.group or 'GROUP'} "
        f"{_under(place)}"
    )


def list_projects(place: AzurePlace) -> str:
    """Show the hubs and projects of the group."""
    return f"az ml workspace list --resource-group {place.group or 'GROUP'} {_under(place)} --output table"


def list_stores(place: AzurePlace) -> str:
    """Show where the project keeps its data."""
    return (
        f"az ml datastore list --workspace-name {place.project or 'PROJECT'} "
        f"--resource-group {place.group or 'GROUP'} {_under(place)} --output table"
    )


def list_account_models(place: AzurePlace) -> str:
    """Show the models that can be tuned in the account."""
    return (
        f"az cognitiveservices account list-models --name {place.account or 'ACCOUNT'} "
        f"--resource-group {place.group or 'GROUP'} {_under(place)} "
        "--query \"[?capabilities.fineTune=='true'].name\" --output table"
    )


def show_account(place: AzurePlace) -> str:
    """Show the account."""
    return (
        f"az cognitiveservices account show --name {place.account or 'ACCOUNT'} "
        f"--resource-group {place.group or 'GROUP'} {_under(place)}"
    )


def show_deployment(place: AzurePlace, name: str = "DEPLOYMENT") -> str:
    """Show how a deployment of the account stands."""
    return (
        f"az cognitiveservices account deployment show --name {place.account or 'ACCOUNT'} "
        f"--resource-group {place.group or 'GROUP'} {_under(place)} --deployment-name {name}"
    )


def delete_deployment(place: AzurePlace, name: str) -> str:
    """Take a deployment of the account away."""
    return (
        f"az cognitiveservices account deployment delete --name {place.account or 'ACCOUNT'} "
        f"--resource-group {place.group or 'GROUP'} {_under(place)} --deployment-name {name}"
    )


def show_key(place: AzurePlace, endpoint: str) -> str:
    """Print the key of a serverless endpoint."""
    return (
        f"az ml serverless-endpoint get-credentials --name {endpoint} --workspace-name {place.project or 'PROJECT'} "
        f"--resource-group {place.group or 'GROUP'} {_under(place)} --query primaryKey --output tsv"
    )


SHOW_BEARER = (
    "az account get-access-token --resource https://cognitiveservices.azure.com --query accessToken --output tsv"
)
"""What prints a token, in the place of a key, for a deployment of an account."""


def list_machine_usage(place: AzurePlace, region: str | None = None) -> str:
    """Show quota and use of machines."""
    return f"az ml compute list-usage --location {region or place.region or 'REGION'} {_under(place)} --output table"


def search_models(name: str) -> str:
    """Show what is offered of a model."""
    return f"errata models --search {name}"


def consent(region: str) -> str:
    """Let data go to a region."""
    return f"errata --as PERSON foundry consent {region}"


def move(region: str) -> str:
    """Make a project in a region where the model can be tuned."""
    return f"errata foundry init --region {region} --hub HUB --project PROJECT"


def list_account_usage(place: AzurePlace, region: str | None = None) -> str:
    """Show quota and use of models."""
    where = region or place.region or "REGION"
    return f"az cognitiveservices usage list --location {where} {_under(place)} --output table"


def _under(place: AzurePlace) -> str:
    return f"--subscription {place.subscription or 'SUBSCRIPTION'}"
