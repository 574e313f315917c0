"""What ``errata foundry init`` makes: resource group, account, hub, its connection to the account, and project.

Owns the order, and that everything which is there stays as it is: a second run makes nothing. No search service is
made or connected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from curation.errors import Conflict, Invalid
from training.backends.errors import Missing
from training.backends.foundry.access import arm, remedies
from training.backends.foundry.access.clients import arm as manager
from training.backends.foundry.access.clients import group_client, workspace_client
from training.backends.foundry.access.refusals import provider_errors
from training.backends.foundry.access.sdks import azure_ml
from training.backends.foundry.place import AzurePlace

WAIT_SECONDS = 1800.0
_NEEDED = {
    "subscription": "AZURE_SUBSCRIPTION_ID",
    "group": "ERRATA_AZURE_GROUP",
    "hub": "ERRATA_AZURE_HUB",
    "project": "ERRATA_AZURE_PROJECT",
    "region": "ERRATA_AZURE_REGION",
    "account": "ERRATA_AZURE_ACCOUNT",
}


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that has to be there.

    Attributes:
        kind: what it is, in words.
        name: what it is called.
        region: where it is; None where it is not there yet.
    """

    kind: str
    name: str
    region: str | None = None

    @property
    def there(self) -> bool:
        """Whether it has been made already."""
        return self.region is not None

    def as_json(self) -> dict[str, Any]:
        """``{"kind", "name", "region"}``."""
        return {"kind": self.kind, "name": self.name, "region": self.region}


def planned(place: AzurePlace) -> list[Part]:
    """The parts in the order in which they are made, and which of them are there.

    Raises:
        Invalid: the place lacks a name.
        Conflict: one is there in another region than the one asked for.
        Refused, Unreached: the provider says no, or nothing.
    """
    missing = [name for attribute, name in _NEEDED.items() if getattr(place, attribute) is None]
    if missing:
        raise Invalid("Set {names:and} in .env, or give the options of errata foundry init.", names=missing)
    manager().get(remedies.subscription_scope(place), arm.SUBSCRIPTIONS)
    parts = [_seen(kind, name, path, version) for kind, name, path, version in _paths(place)]
    for part in parts[1:]:  # a resource group's own region decides nothing
        if part.there and part.region != place.region:
            raise Conflict(
                "The {kind} {name} is in {there}, not in {region}: choose another name, or --region {there}.",
                kind=part.kind,
                name=part.name,
                there=part.region,
                region=place.region,
            )
    return parts


def make(place: AzurePlace, parts: list[Part]) -> Iterator[Part]:
    """Make those that are not there, one after the other; each is given before it is made.

    Raises:
        Refused, Unreached: the provider says no, or nothing; what was made stays, and a second run goes on from there.
    """
    makers: dict[str, Callable[[AzurePlace], None]] = {
        GROUP: _make_group,
        ACCOUNT: _make_account,
        HUB: _make_hub,
        PROJECT: _make_project,
    }
    for part in parts:
        if not part.there:
            yield part
            with provider_errors(place=place):
                makers[part.kind](place)
    if not _connected(place):
        yield Part(CONNECTION, str(place.account))
        with provider_errors(place=place):
            _connect(place)


GROUP, ACCOUNT, HUB, PROJECT, CONNECTION = "resource group", "AI Services account", "hub", "project", "connection"


def lines(place: AzurePlace) -> list[str]:
    """What belongs into ``.env``."""
    return [f"{variable}={getattr(place, attribute)}" for attribute, variable in _NEEDED.items()]


def _paths(place: AzurePlace) -> Iterator[tuple[str, str, str, str]]:
    yield GROUP, str(place.group), remedies.group_scope(place), arm.RESOURCE_GROUPS
    yield ACCOUNT, str(place.account), remedies.account_scope(place), arm.COGNITIVE
    yield HUB, str(place.hub), remedies.workspace_scope(place, place.hub), arm.WORKSPACES
    yield PROJECT, str(place.project), remedies.workspace_scope(place, place.project), arm.WORKSPACES


def _seen(kind: str, name: str, path: str, version: str) -> Part:
    try:
        found = manager().get(path, version)
    except Missing:
        return Part(kind, name)
    return Part(kind, name, "".join(str(found.get("location")).split()).lower())


def _make_group(place: AzurePlace) -> None:
    manager().put(remedies.group_scope(place), arm.RESOURCE_GROUPS, {"location": place.region})


def _make_account(place: AzurePlace) -> None:
    body = {
        "location": place.region,
        "kind": "AIServices",
        "sku": {"name": "S0"},
        "identity": {"type": "SystemAssigned"},
        # Tokens instead of keys are taken only under a name of its own.
        "properties": {"customSubDomainName": place.account, "publicNetworkAccess": "Enabled"},
    }
    answer = manager().put(remedies.account_scope(place), arm.COGNITIVE, body)
    manager().wait(answer, within_seconds=WAIT_SECONDS)


def _make_hub(place: AzurePlace) -> None:
    entities = azure_ml().entities
    made = entities.Hub(name=place.hub, location=place.region)
    group_client(place).workspaces.begin_create(
        made, endpoint_resource_id=remedies.account_scope(place), endpoint_kind="AIServices"
    ).result()


def _make_project(place: AzurePlace) -> None:
    entities = azure_ml().entities
    hub_id = remedies.workspace_scope(place, place.hub)
    made = entities.Project(name=place.project, hub_id=hub_id, location=place.region)
    group_client(place).workspaces.begin_create(made).result()


def _connected(place: AzurePlace) -> bool:
    """Whether the hub knows the account, which it mostly does from its making."""
    wanted = remedies.account_scope(place).lower()
    rows = manager().listed(f"{remedies.workspace_scope(place, place.hub)}/connections", arm.WORKSPACES)
    for row in rows:
        properties = row.get("properties") or {}
        metadata = {str(name).lower(): str(value).lower() for name, value in (properties.get("metadata") or {}).items()}
        if metadata.get("resourceid") == wanted:
            return True
    return False


def _connect(place: AzurePlace) -> None:
    account = manager().get(remedies.account_scope(place), arm.COGNITIVE)
    made = azure_ml().entities.AzureAIServicesConnection(
        name=str(place.account),
        endpoint=str((account.get("properties") or {}).get("endpoint")),
        ai_services_resource_id=remedies.account_scope(place),
    )
    workspace_client(place, str(place.hub)).connections.create_or_update(made)
