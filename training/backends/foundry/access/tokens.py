"""Tokens from the process apart, for one that lasts: azure-identity would keep 10 MB of it for a token an hour.

Owns the credential that stands in for theirs there, and when it fetches another: five minutes before the end, as they
do. Tokens stay in memory.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from training.backends.foundry.access import credentials
from training.backends.foundry.access.apart import apart
from training.backends.foundry.access.refusals import provider_errors

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken

EARLY_SECONDS = 300.0


class Elsewhere:
    """A credential whose tokens another process fetches. Safe for threads.

    Args:
        renewals: how often what was given before was no longer taken; the other process has to know.
    """

    def __init__(self, renewals: int) -> None:
        self._renewals = renewals
        self._fetching = threading.Lock()
        self._held: dict[tuple[str, ...], tuple[str, int]] = {}

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        """A token for these scopes, good for a while yet.

        Raises:
            Refused, Unreached: there is none, in one sentence.
        """
        from azure.core.credentials import AccessToken  # noqa: PLC0415 (the bot reads this module)

        with self._fetching:
            token, until = self._held.get(scopes, ("", 0))
            if until - time.time() < EARLY_SECONDS:
                token, until = self._held[scopes] = _fetched(scopes, self._renewals)
        return AccessToken(token, until)


@apart
def _fetched(scopes: tuple[str, ...], renewals: int) -> tuple[str, int]:
    with provider_errors():
        token = credentials.own_credential(renewals).get_token(*scopes)
    return token.token, token.expires_on
