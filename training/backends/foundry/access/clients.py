"""The clients through which everything is asked, each built once per process and place. Building one sends nothing.

Owns timeouts, retries and API versions; refuses the libraries' telemetry. What retries a request by itself must be
safe to repeat: whoever creates something without a name of its own asks ``openai_client(place, retries=0)``.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from curation.errors import Invalid
from training.backends.foundry.access.arm import Arm
from training.backends.foundry.access.credentials import COGNITIVE_SCOPE, credential, surroundings, token_provider
from training.backends.foundry.access.patience import CONNECT_SECONDS, READ_SECONDS, RETRIES, retry_policy
from training.backends.foundry.access.refusals import provider_errors
from training.backends.foundry.access.sdks import azure_ml, openai_sdk, quieten
from training.backends.foundry.place import AzurePlace

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from openai import OpenAI

    Key = tuple[tuple[str, str], ...]

REGISTRY = "azureml"

_VARIABLES = {
    "subscription": "AZURE_SUBSCRIPTION_ID",
    "group": "ERRATA_AZURE_GROUP",
    "project": "ERRATA_AZURE_PROJECT",
    "account": "ERRATA_AZURE_ACCOUNT",
}


def ml_client(place: AzurePlace) -> MLClient:
    """The client of the place's project.

    Raises:
        Invalid: the place does not name subscription, group and project.
        Unavailable: azure-ai-ml is not installed.
    """
    subscription, group, project = named(place, "subscription", "group", "project")
    return _workspace_client(surroundings(), subscription, group, project)


def group_client(place: AzurePlace) -> MLClient:
    """The client of the place's resource group, for what is made before there is a project; raises as ``ml_client``."""
    subscription, group = named(place, "subscription", "group")
    return _workspace_client(surroundings(), subscription, group, None)


def workspace_client(place: AzurePlace, name: str) -> MLClient:
    """The client of another workspace of the group, such as the hub; raises as ``ml_client``."""
    subscription, group = named(place, "subscription", "group")
    return _workspace_client(surroundings(), subscription, group, name)


def registry_client(name: str = REGISTRY) -> MLClient:
    """The client of a registry. Unlike the others it asks, the first time, where the registry is.

    Raises:
        Refused, Unreached: the provider says no, or nothing.
    """
    with provider_errors():
        return _registry_client(surroundings(), name)


def openai_client(place: AzurePlace, *, retries: int = RETRIES) -> OpenAI:
    """The client of the place's account; ``retries=0`` for what must not be asked twice.

    Raises:
        Invalid: the place names neither an account nor an address.
        Unavailable: openai is not installed.
    """
    client = _openai_client(surroundings(), openai_url(place))
    return client if retries == RETRIES else client.with_options(max_retries=retries)


def openai_url(place: AzurePlace) -> str:
    """The base of the account's API, such as ``https://contoso.openai.azure.com/openai/v1/``."""
    if place.openai_url is not None:
        return f"{place.openai_url.rstrip('/')}/"
    (account,) = named(place, "account")
    return f"https://{account}.openai.azure.com/openai/v1/"


def arm() -> Arm:
    """Azure's resource manager, with the credential of this process."""
    return _arm(surroundings())


def named(place: AzurePlace, *attributes: str) -> list[str]:
    """Those names of the place.

    Raises:
        Invalid: one is missing; the sentence names its variable.
    """
    missing = [_VARIABLES[one] for one in attributes if not getattr(place, one)]
    if missing:
        raise Invalid("Set {names:and} in .env; errata doctor --foundry looks at them.", names=missing)
    return [str(getattr(place, one)) for one in attributes]


@lru_cache(maxsize=8)
def _workspace_client(key: Key, subscription: str, group: str, project: str | None) -> MLClient:  # noqa: ARG001 (what the cache goes by)
    client: MLClient = azure_ml().MLClient(
        credential(),
        subscription,
        group,
        project,
        show_progress=False,
        enable_telemetry=False,
        connection_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retry_policy=retry_policy(),
    )
    quieten()
    return client


@lru_cache(maxsize=4)
def _registry_client(key: Key, name: str) -> MLClient:  # noqa: ARG001 (as above)
    client: MLClient = azure_ml().MLClient(
        credential(),
        registry_name=name,
        show_progress=False,
        enable_telemetry=False,
        connection_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retry_policy=retry_policy(),
    )
    quieten()
    return client


@lru_cache(maxsize=4)
def _openai_client(key: Key, url: str) -> OpenAI:  # noqa: ARG001 (as above)
    sdk = openai_sdk()
    client: OpenAI = sdk.OpenAI(
        base_url=url,
        api_key=token_provider(COGNITIVE_SCOPE),
        timeout=sdk.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
        max_retries=RETRIES,
    )
    return client


@lru_cache(maxsize=4)
def _arm(key: Key) -> Arm:  # noqa: ARG001 (as above)
    return Arm(credential())
