"""Where in Azure Errata works: the names from the environment, checked, before anything is sent.

Owns the variables' names and what a valid value is. Imports nothing of Azure: the bot reads this at its start. Whether
what is named exists, and whether one may use it, is the doctor's (``diagnosis``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

from curation.errors import Invalid
from curation.screening.harms import HIGHEST, Harm
from curation.wording import Phrase, phrase
from training.backends.names import BackendName

PREFIXES = ("ERRATA_AZURE_", "ERRATA_SPEND_", "AZURE_SUBSCRIPTION_ID")
"""Of the variables that are read here."""

_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.()-]{0,89}")
_REGION = re.compile(r"[a-z]+[a-z0-9]*")
_MOST_NODES = 100


@dataclass(frozen=True, slots=True)
class AzurePlace:
    """The names that lead to a project; each is None where nobody gave it.

    Attributes:
        subscription: id of the subscription; AZURE_SUBSCRIPTION_ID.
        group: its resource group; ERRATA_AZURE_GROUP.
        hub: the hub that ``errata foundry init`` makes the project in; ERRATA_AZURE_HUB.
        project: the project, an Azure ML workspace of kind project; ERRATA_AZURE_PROJECT.
        region: where ``errata foundry init`` makes them, such as ``eastus2``; a project knows its own;
            ERRATA_AZURE_REGION.
        geography: where customers' words may go without being asked for, such as ``us`` or ``europe``;
            ERRATA_AZURE_GEOGRAPHY.
        account: the AI Services or Azure OpenAI account of the backend ``openai``; ERRATA_AZURE_ACCOUNT.
        openai_url: base of its API where it is not ``https://ACCOUNT.openai.azure.com/openai/v1/``;
            ERRATA_AZURE_OPENAI_URL.
        compute: the cluster of the backend ``azureml``; None: serverless; ERRATA_AZURE_COMPUTE.
        instance: its kind of machine, such as ``Standard_NC24ads_A100_v4``; ERRATA_AZURE_INSTANCE.
        nodes: how many of them train together; ERRATA_AZURE_NODES.
        gpus: of each; ERRATA_AZURE_GPUS.
        spot: whether machines may be lent that Azure can take back; never of a cluster's; ERRATA_AZURE_SPOT.
        safety_url: the Content Safety resource that screens examples; ERRATA_AZURE_SAFETY_URL.
        safety_key: its key; ERRATA_AZURE_SAFETY_KEY.
        safety_thresholds: from which severity of 0 to 7 on each category is a warning, as pairs such as
            ``hate=2, violence=6``; ERRATA_AZURE_SAFETY_THRESHOLDS.
        spend_run: most US dollars of one run; ERRATA_SPEND_RUN.
        spend_month: most US dollars of a calendar month's runs; ERRATA_SPEND_MONTH.
    """

    subscription: str | None = None
    group: str | None = None
    hub: str | None = None
    project: str | None = None
    region: str | None = None
    geography: str | None = None
    account: str | None = None
    openai_url: str | None = None
    compute: str | None = None
    instance: str | None = None
    nodes: int = 1
    gpus: int = 1
    spot: bool = False
    safety_url: str | None = None
    safety_key: str | None = field(default=None, repr=False)
    safety_thresholds: tuple[tuple[Harm, int], ...] = ()
    spend_run: float | None = None
    spend_month: float | None = None

    @classmethod
    def read(cls, values: Mapping[str, str]) -> Self:
        """The place that the environment names.

        Raises:
            Invalid: a value that cannot be taken; the sentence names the variable, never the value.
        """
        given = {name: value.strip() for name, value in values.items() if value.strip()}
        return cls(
            subscription=_matching(
                given, "AZURE_SUBSCRIPTION_ID", _GUID, phrase("a subscription's id: az account show --query id")
            ),
            group=_matching(
                given, "ERRATA_AZURE_GROUP", _NAME, phrase("a resource group's name: az group list -o table")
            ),
            hub=_matching(given, "ERRATA_AZURE_HUB", _NAME, phrase("a hub's name")),
            project=_matching(
                given, "ERRATA_AZURE_PROJECT", _NAME, phrase("a project's name: az ml workspace list -o table")
            ),
            region=_matching(
                given, "ERRATA_AZURE_REGION", _REGION, phrase("a region such as eastus2: az account list-locations")
            ),
            geography=_geography(given, "ERRATA_AZURE_GEOGRAPHY"),
            account=_matching(
                given, "ERRATA_AZURE_ACCOUNT", _NAME, phrase("an account's name: az cognitiveservices account list")
            ),
            openai_url=_address(given, "ERRATA_AZURE_OPENAI_URL"),
            compute=_matching(
                given, "ERRATA_AZURE_COMPUTE", _NAME, phrase("a cluster's name: az ml compute list -o table")
            ),
            instance=_matching(
                given, "ERRATA_AZURE_INSTANCE", _NAME, phrase("a kind of machine such as Standard_NC24ads_A100_v4")
            ),
            nodes=_count(given, "ERRATA_AZURE_NODES"),
            gpus=_count(given, "ERRATA_AZURE_GPUS"),
            spot=_spot(given, "ERRATA_AZURE_SPOT"),
            safety_url=_address(given, "ERRATA_AZURE_SAFETY_URL"),
            safety_key=given.get("ERRATA_AZURE_SAFETY_KEY"),
            safety_thresholds=_thresholds(given, "ERRATA_AZURE_SAFETY_THRESHOLDS"),
            spend_run=_dollars(given, "ERRATA_SPEND_RUN"),
            spend_month=_dollars(given, "ERRATA_SPEND_MONTH"),
        )

    @classmethod
    def of_path(cls, path: str) -> Self:
        """What a path of the resource manager says of the place, for the commands in a sentence about it.

        Example:
            ``/subscriptions/1a…/resourceGroups/support/providers/…`` → ``subscription="1a…", group="support"``
        """
        names = path.partition("?")[0].split("/")
        told = dict(zip((name.lower() for name in names), names[1:], strict=False))
        return cls(
            subscription=told.get("subscriptions"), group=told.get("resourcegroups"), account=told.get("accounts")
        )

    def missing(self, backend: BackendName) -> list[str]:
        """The variables that the backend needs and nobody has given, in the order in which one would set them."""
        needs = {
            BackendName.LOCAL: {},
            BackendName.FOUNDRY: _PROJECT,
            BackendName.OPENAI: {"AZURE_SUBSCRIPTION_ID": "subscription", "ERRATA_AZURE_GROUP": "group"}
            | {"ERRATA_AZURE_ACCOUNT": "account"},
            BackendName.AZUREML: _PROJECT | {"ERRATA_AZURE_INSTANCE": "instance"},
        }[backend]
        return [name for name, attribute in needs.items() if getattr(self, attribute) is None]


NOWHERE = AzurePlace()
"""Of an environment that names nothing in Azure."""

_PROJECT = {
    "AZURE_SUBSCRIPTION_ID": "subscription",
    "ERRATA_AZURE_GROUP": "group",
    "ERRATA_AZURE_PROJECT": "project",
}

GEOGRAPHIES: Mapping[str, tuple[str, ...]] = {
    "us": ("eastus", "westus", "centralus", "northcentralus", "southcentralus", "westcentralus"),
    "europe": (
        "northeurope",
        "westeurope",
        "swedencentral",
        "francecentral",
        "germanywestcentral",
        "italynorth",
        "polandcentral",
        "spaincentral",
    ),
    "uk": ("uksouth", "ukwest"),
    "switzerland": ("switzerlandnorth", "switzerlandwest"),
    "norway": ("norwayeast", "norwaywest"),
    "canada": ("canadacentral", "canadaeast"),
    "australia": ("australiaeast", "australiasoutheast", "australiacentral"),
    "japan": ("japaneast", "japanwest"),
    "korea": ("koreacentral", "koreasouth"),
    "india": ("centralindia", "southindia", "westindia"),
    "asia": ("eastasia", "southeastasia"),
    "brazil": ("brazilsouth", "brazilsoutheast"),
    "africa": ("southafricanorth", "southafricawest"),
    "uae": ("uaenorth", "uaecentral"),
}
"""Regions by the geography in which Azure says that data at rest stays, newer numbers (``eastus2``) left out."""


def geography_of(region: str) -> str | None:
    """The geography of a region such as ``eastus2``; None for one that is not known here."""
    plain = region.lower().replace(" ", "").rstrip("0123456789")
    return next((name for name, regions in GEOGRAPHIES.items() if plain in regions), None)


def _matching(given: Mapping[str, str], name: str, shape: re.Pattern[str], what: Phrase) -> str | None:
    value = given.get(name)
    if value is not None and not shape.fullmatch(value):
        raise Invalid("{name} is not {what}.", name=name, what=what)
    return value


def _geography(given: Mapping[str, str], name: str) -> str | None:
    value = given.get(name, "").lower() or None
    if value is not None and value not in GEOGRAPHIES:
        raise Invalid("{name} is none of {known}.", name=name, known=tuple(GEOGRAPHIES))
    return value


def _address(given: Mapping[str, str], name: str) -> str | None:
    value = given.get(name)
    if value is None:
        return None
    parts = urlsplit(value)
    if parts.scheme != "https" or not parts.hostname:
        raise Invalid("{name} is not an address that begins with https://.", name=name)
    return value.rstrip("/")


def _thresholds(given: Mapping[str, str], name: str) -> tuple[tuple[Harm, int], ...]:
    found = []
    for pair in filter(None, (one.strip() for one in given.get(name, "").split(","))):
        harm, _, least = (part.strip() for part in pair.partition("="))
        if harm not in list(Harm) or least not in {str(one) for one in range(1, HIGHEST + 1)}:
            raise Invalid(
                "{name} is no list such as hate=2, violence=6: the categories are {harms:and}, the severities 1 to "
                "{highest}.",
                name=name,
                harms=[one.value for one in Harm],
                highest=HIGHEST,
            )
        found.append((Harm(harm), int(least)))
    return tuple(dict(found).items())


def _count(given: Mapping[str, str], name: str) -> int:
    value = given.get(name, "1")
    if not value.isascii() or not value.isdigit() or not 1 <= int(value) <= _MOST_NODES:
        raise Invalid("{name} is not a number from 1 to {most}.", name=name, most=_MOST_NODES)
    return int(value)


def _spot(given: Mapping[str, str], name: str) -> bool:
    value = given.get(name, "off").lower()
    if value not in {"on", "off", "true", "false"}:
        raise Invalid("{name} is neither on nor off.", name=name)
    if value in {"on", "true"} and "ERRATA_AZURE_COMPUTE" in given:
        raise Invalid(
            "{name} is for machines that Azure lends; those of a cluster are what it was made of. Take {name} or "
            "ERRATA_AZURE_COMPUTE away.",
            name=name,
        )
    return value in {"on", "true"}


def _dollars(given: Mapping[str, str], name: str) -> float | None:
    value = given.get(name)
    if value is None:
        return None
    try:
        dollars = float(value)
    except ValueError:
        dollars = -1.0
    if not 0 <= dollars < float("inf"):
        raise Invalid("{name} is not an amount in US dollars, such as 25 or 12.50.", name=name)
    return dollars
