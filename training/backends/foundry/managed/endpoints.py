"""Serverless endpoints: a tuned model answers at an address of Azure's, paid by the hour whether it is asked or not.

Owns their names, and what the resource manager tells of them and is asked to do. How a model there is asked is
``scoring``'s, when an endpoint is put up and taken down ``hosting``'s.

https://learn.microsoft.com/rest/api/azureml/serverless-endpoints
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from curation.wording import phrase
from training.backends.errors import Missing
from training.backends.foundry.access import arm as resources
from training.backends.foundry.access import remedies
from training.backends.foundry.access.apart import apart
from training.backends.foundry.access.clients import arm, ml_client
from training.backends.foundry.access.moments import moment
from training.backends.foundry.access.refusals import provider_errors
from training.backends.foundry.access.sdks import azure_ml
from training.backends.foundry.managed.endpoint_keys import KEYS
from training.backends.foundry.place import AzurePlace

MOST_CHARACTERS = 32
"""Of an endpoint's name."""

_DIGITS = 6
_PUTTING_UP = phrase("Putting up the endpoint")


@dataclass(frozen=True, slots=True)
class Standing:
    """An endpoint as the resource manager sees it.

    Attributes:
        name: what it is called there.
        model: the id of the model that answers.
        state: ``Succeeded``, ``Creating``, ``Deleting``, ``Failed`` …, of the resource.
        serving: ``Online``, ``Suspended``, ``CreationFailed`` …, of what answers; empty where it does not say.
        url: where it is asked; None until it has an address.
        filtered: whether Azure's content safety stands before it.
        since: when it was made; None where nobody says.
        run_id: the run whose model answers; None where Errata did not put it up.
        region: where it stands.
    """

    name: str
    model: str
    state: str
    serving: str
    url: str | None
    filtered: bool
    since: datetime | None
    run_id: str | None
    region: str

    @property
    def made(self) -> bool:
        """Whether the resource manager takes it for done, which is not yet that it answers."""
        return self.state == "Succeeded" and self.serving in {"", "Online", "Unknown"} and self.url is not None

    @property
    def going(self) -> bool:
        """Whether it is being taken down."""
        return "Deleting" in {self.state, self.serving}

    @property
    def failed(self) -> bool:
        """Whether it will not come up by itself."""
        broken = {"Failed", "Canceled", "CreationFailed", "DeletionFailed", "Suspended", "Suspending"}
        return not self.going and bool(broken & {self.state, self.serving})


def name_of(place: AzurePlace, model_name: str) -> str:
    """What the endpoint is called, made of the model's name: addresses are shared by everybody in a region.

    Example:
        ``run-1a2b3c4d`` → ``run-1a2b3c4d-9f86d0``
    """
    whose = f"{place.subscription}/{place.group}/{place.project}".lower()
    tail = hashlib.sha256(whose.encode()).hexdigest()[:_DIGITS]
    return f"{model_name[: MOST_CHARACTERS - _DIGITS - 1]}-{tail}"


def find(place: AzurePlace, name: str) -> Standing | None:
    """The endpoint of this name; None where there is none. Raises Refused, Unreached."""
    try:
        return _standing(arm().get(_path(place, name), resources.SERVERLESS))
    except Missing:
        return None


def listed(place: AzurePlace) -> list[Standing]:
    """Every endpoint of the project. Raises Refused, Unreached."""
    return [_standing(row) for row in arm().listed(_path(place), resources.SERVERLESS)]


@apart
def ask_for(place: AzurePlace, name: str, model: str, run_id: str) -> None:
    """Ask for an endpoint with content safety before it, and do not wait for it. Raises Refused, Unreached."""
    azure_ml()
    from azure.ai.ml.entities import ServerlessEndpoint  # noqa: PLC0415 (azure is loaded once something is put up)

    endpoint = ServerlessEndpoint(name=name, model_id=model, tags={_RUN: run_id})
    with provider_errors(_PUTTING_UP, place):
        ml_client(place).serverless_endpoints.begin_create_or_update(endpoint, polling=False)


def begin_filter(place: AzurePlace, name: str, model: str, run_id: str, *, region: str, filtered: bool) -> None:
    """Ask for an endpoint with or without content safety, whether it stands already or not.

    By the resource manager itself: azure-ai-ml has no field for it. Raises Refused, Unreached.
    """
    body = {
        "location": region,
        "sku": {"name": "Consumption"},
        "tags": {_RUN: run_id},
        "properties": {
            "authMode": "Key",
            "modelSettings": {"modelId": model},
            "contentSafety": {"contentSafetyStatus": "Enabled" if filtered else "Disabled"},
        },
    }
    arm().put(_path(place, name), resources.SERVERLESS, body)


def begin_removal(place: AzurePlace, name: str) -> None:
    """Ask for the endpoint to go, without waiting; nothing happens where it is gone. Raises Refused, Unreached."""
    KEYS.forget(name)
    arm().delete(_path(place, name), resources.SERVERLESS)


_RUN = "errata.run"


def _path(place: AzurePlace, name: str | None = None) -> str:
    whole = f"{remedies.workspace_scope(place, place.project)}/serverlessEndpoints"
    return whole if name is None else f"{whole}/{name}"


def _standing(row: dict[str, Any]) -> Standing:
    told = row.get("properties") or {}
    safety = (told.get("contentSafety") or {}).get("contentSafetyStatus") or "Enabled"
    address = (told.get("inferenceEndpoint") or {}).get("uri")
    return Standing(
        name=str(row.get("name") or ""),
        model=str((told.get("modelSettings") or {}).get("modelId") or ""),
        state=str(told.get("provisioningState") or ""),
        serving=str(told.get("endpointState") or ""),
        url=str(address).rstrip("/") if address else None,
        filtered=safety != "Disabled",
        since=moment((row.get("systemData") or {}).get("createdAt")),
        run_id=(row.get("tags") or {}).get(_RUN),
        region=str(row.get("location") or ""),
    )
