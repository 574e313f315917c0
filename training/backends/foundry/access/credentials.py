"""Who Errata is to Azure: one credential per process, the tokens it gives, and what they may be used for.

Owns the scopes and the one ``DefaultAzureCredential``. Building it sends nothing; asking for a token does, so it never
happens while Slack waits for an answer. Tokens stay in memory.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import threading
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

from curation.wording import phrase
from training.backends.errors import Refused
from training.backends.foundry.access.apart import is_kept_apart
from training.backends.foundry.access.refusals import no_answer_in_time, no_credential_in_time, provider_errors
from training.backends.foundry.access.sdks import azure_identity

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

ARM_SCOPE = "https://management.azure.com/.default"
COGNITIVE_SCOPE = "https://cognitiveservices.azure.com/.default"

SIGNS = ("AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE", "IDENTITY_ENDPOINT", "MSI_ENDPOINT", "AZURE_USERNAME")
"""Variables of which one is set wherever there is a credential that is no signed-in person's."""

PROGRAMS = ("az", "azd", "pwsh")
"""Programs that a person has signed in with."""

PATIENCE_SECONDS, SHORT_PATIENCE_SECONDS = 15.0, 2.0
"""How long a token is waited for: with a sign of a credential, and without. A managed identity on a machine of Azure
answers within milliseconds; elsewhere its library tries for 13 s and more."""

_SURROUNDINGS = ("HTTPS_PROXY", "https_proxy", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
_renewals = 0


def surroundings() -> tuple[tuple[str, str], ...]:
    """What of the environment decides about the credential and the way to the provider; a key for what is kept."""
    chosen = (item for item in os.environ.items() if item[0].startswith("AZURE_") or item[0] in _SURROUNDINGS)
    return (*sorted(chosen), ("", str(_renewals)))


def renew() -> None:
    """Let everything be built anew: what was given before is no longer taken."""
    global _renewals  # noqa: PLW0603 (it belongs to the process, like the credential)
    _renewals += 1


def credential() -> TokenCredential:
    """The credential of this process, built on first use; of one that has a process apart, what asks that one."""
    return _elsewhere(surroundings()) if is_kept_apart() else _credential(surroundings())


def own_credential(renewals: int = 0) -> TokenCredential:
    """The credential itself, built anew where somebody else had to renew more often."""
    global _renewals  # noqa: PLW0603 (as above)
    _renewals = max(_renewals, renewals)
    return _credential(surroundings())


def token_provider(scope: str) -> Callable[[], str]:
    """A function that gives a valid token each time, for clients that ask per request."""
    provider: Callable[[], str] = azure_identity().get_bearer_token_provider(credential(), scope)
    return provider


def fetch_token(scope: str = ARM_SCOPE) -> str:
    """A token, or why there is none, within ``PATIENCE_SECONDS`` (2 s where nothing here hints at a credential).

    Raises:
        Refused, Unreached: one sentence, without the credential's own story.
    """
    got: list[str] = []
    failed: list[Exception] = []

    def fetch() -> None:
        try:
            with provider_errors():
                got.append(credential().get_token(scope).token)
        except Exception as error:  # noqa: BLE001 (handed over to whoever waits)
            failed.append(error)

    asking = threading.Thread(target=fetch, name="token", daemon=True)
    asking.start()
    asking.join(PATIENCE_SECONDS if hinted() else SHORT_PATIENCE_SECONDS)
    if failed:
        raise failed[0]
    if not got:
        raise no_answer_in_time() if _signed() else no_credential_in_time()
    return got[0]


def hinted() -> bool:
    """Whether anything here hints at a credential: a variable, or a program that one signs in with."""
    return _signed() or any(shutil.which(name) for name in PROGRAMS)


def principal(token: str) -> str | None:
    """The object id of whom the token stands for; None where it does not say.

    Example:
        the token of a service principal → ``7f6c…``, as ``az role assignment create --assignee-object-id`` takes it
    """
    parts = token.split(".")
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (IndexError, ValueError):
        return None
    found = claims.get("oid") if isinstance(claims, dict) else None
    return found if isinstance(found, str) else None


def _signed() -> bool:
    return any(os.environ.get(name) for name in SIGNS)


@lru_cache(maxsize=4)
def _elsewhere(key: tuple[tuple[str, str], ...]) -> TokenCredential:  # noqa: ARG001 (what the cache goes by)
    from training.backends.foundry.access.tokens import Elsewhere  # noqa: PLC0415 (it imports this module)

    return Elsewhere(_renewals)


@lru_cache(maxsize=4)
def _credential(key: tuple[tuple[str, str], ...]) -> TokenCredential:  # noqa: ARG001 (what the cache goes by)
    identity = azure_identity()
    try:
        # A broker would open a window on a server.
        built: TokenCredential = identity.DefaultAzureCredential(exclude_broker_credential=True, process_timeout=10)
    except ValueError:
        raise Refused(
            phrase(
                "AZURE_TOKEN_CREDENTIALS names no kind of credential: set it to prod in a container, to dev where "
                "somebody has signed in with az login, or take it away."
            )
        ) from None
    return built
