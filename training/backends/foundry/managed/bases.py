"""What a fine-tuning job starts from: a model of Azure's registry, or one that an earlier run has registered.

Owns the way from a name as people type it to the id that the service takes, newest version first. Refuses a name that
the registry does not have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from curation.wording import phrase
from training import catalogue
from training.backends.errors import Missing
from training.backends.foundry.access.clients import registry_client
from training.backends.foundry.access.refusals import provider_errors

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

SCHEME = "azureml://"
_LOOKING = phrase("Looking for the base model in the registry")


def address_of(name: str) -> str:
    """The id of a base model.

    Example:
        ``phi-4-mini-instruct`` → ``azureml://registries/azureml/models/Phi-4-mini-instruct/versions/1``; an id is
        returned as it is

    Raises:
        Missing: the registry has no model of this name, in any case.
        Refused, Unreached: the provider says no, or nothing.
    """
    if name.startswith(SCHEME):
        return name
    client = registry_client()
    for candidate in _candidates(name):
        if (found := _newest(client, candidate)) is not None:
            return found
    spelled = _spelled(client, name)
    if spelled is None or (found := _newest(client, spelled)) is None:
        raise Missing(
            phrase("There is no model {name} in Azure's registry: errata models --search phi lists them.", name=name)
        )
    return found


def _candidates(name: str) -> list[str]:
    """The registry spells names as Hugging Face does, mostly; asking for one is cheaper than for the whole list."""
    known = catalogue.known(name)
    hub_name = (known.hub_id or "").rpartition("/")[2] if known is not None else ""
    return list(dict.fromkeys(one for one in (hub_name, name) if one))


def _newest(client: MLClient, name: str) -> str | None:
    try:
        with provider_errors(_LOOKING):
            model = client.models.get(name, label="latest")
    except Missing:
        return None
    return f"{SCHEME}registries/azureml/models/{model.name}/versions/{model.version}"


def _spelled(client: MLClient, name: str) -> str | None:
    """The name as the registry spells it; None where it has none like it."""
    with provider_errors(_LOOKING):
        return next((one.name for one in client.models.list() if str(one.name).lower() == name.lower()), None)
