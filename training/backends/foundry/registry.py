"""The provider's registry of models: which there are, and what it says of each.

Owns the requests, as few as the words that are looked for allow: two lists of names, then one model after another.
What a model's tags mean is ``training.offers``'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from curation.wording import phrase
from training import offers
from training.backends.errors import Missing
from training.backends.foundry.access.apart import apart
from training.backends.foundry.access.clients import registry_client
from training.backends.foundry.access.refusals import provider_errors
from training.offers import Offer, matches, read_offer

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

_LOOKING = phrase("Looking for models in the registry")


def search(words: str, *, tell: Callable[[str, int, int], None] = lambda _what, _done, _total: None) -> list[Offer]:
    """The models whose names have these words in them, archived ones among them, by name.

    Args:
        tell: hears what is being done, how much of it is done, and of how much.

    Raises:
        Refused, Unreached: the provider says no, or nothing.
    """
    client = registry_client()
    with provider_errors(_LOOKING):
        standing, every = _names(client, words, everything=False), _names(client, words, everything=True)
        wanted = sorted((every | standing).items(), key=lambda one: one[0].lower())
        found = []
        for number, (name, version) in enumerate(wanted):
            tell("Models", number, len(wanted))
            try:
                with provider_errors(_LOOKING):
                    model = client.models.get(name, version=version)
            except Missing:
                continue  # taken away since it was listed; the others are what somebody waits for
            found.append(
                read_offer(name, version, model.tags or {}, model.properties or {}, archived=name not in standing)
            )
    return found


def refresh(home: Path, clock: Callable[[], datetime]) -> None:
    """Read anew what the copy in the home folder has not been told for a day; a worker's, on a thread of its own.

    Raises:
        Refused, Unreached: the provider says no, or nothing; what was read until then is kept.
    """
    for words in offers.load(home).stale(clock()):
        if words in offers.load(home).stale(clock()):  # not found already by shorter ones, or by somebody's command
            found = _read(words)
            offers.save(home, offers.load(home).with_(words, clock(), found))


@apart
def _read(words: str) -> list[Offer]:
    return search(words)


def _names(client: MLClient, words: str, *, everything: bool) -> dict[str, str]:
    """Names with their newest versions. The library tells of no model whether it is archived: two lists tell it."""
    return dict(_matching(client, words, "All" if everything else "ActiveOnly"))


def _matching(client: MLClient, words: str, view: str) -> Iterator[tuple[str, str]]:
    # As a string: azure-ai-ml 1.35 sends its own enum to a registry as "ListViewType.ALL", which no registry knows.
    for model in client.models.list(list_view_type=view):
        if model.name is not None and matches(model.name, words):
            yield model.name, str(model.latest_version)
