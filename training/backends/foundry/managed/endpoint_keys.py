"""The keys of serverless endpoints: fetched when they are needed, and in memory only, for minutes.

Owns that no file, log, message or representation ever shows one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from curation.wording import phrase
from training.backends.foundry.access.apart import apart
from training.backends.foundry.access.clients import ml_client
from training.backends.foundry.access.refusals import provider_errors
from training.backends.foundry.place import AzurePlace

KEY_SECONDS = 600.0
"""How long a key is remembered: one that was renewed is found out after so long at the latest."""


@dataclass
class Keys:
    """Keys by their endpoints' names, in memory.

    Attributes:
        clock: seconds that only grow.
    """

    clock: Callable[[], float] = time.monotonic
    _held: dict[str, tuple[str, float]] = field(default_factory=dict, repr=False)

    def of(self, place: AzurePlace, name: str) -> str:
        """The key of an endpoint, fetched unless it was a short while ago.

        Raises:
            Refused, Unreached: the provider says no, or nothing.
        """
        key, until = self._held.get(name, ("", float("-inf")))
        if self.clock() >= until:
            key = _fetched(place, name)
            self._held[name] = key, self.clock() + KEY_SECONDS
        return key

    def forget(self, name: str) -> None:
        """Fetch it anew when it is needed next."""
        self._held.pop(name, None)


KEYS = Keys()
"""Of this process."""


@apart
def _fetched(place: AzurePlace, name: str) -> str:
    with provider_errors(phrase("Reading the endpoint's key"), place):
        return str(ml_client(place).serverless_endpoints.get_keys(name).primary_key)
