"""How long anybody waits for Azure: to be connected, to be answered, and between a request and its repetition.

Owns these figures, and that nobody sleeps through a long pause that a provider asks for: a worker has other runs to
look after. What asks for one is *later* at once (``Unreached.wait_seconds``), and whoever asked keeps away for so long.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from azure.core.pipeline.policies import RetryPolicy

CONNECT_SECONDS, READ_SECONDS = 10.0, 60.0
RETRIES = 4
LONGEST_SECONDS = 30.0
"""Before a repetition."""


def retry_policy(retries: int = RETRIES) -> RetryPolicy[Any, Any]:
    """What repeats a request that met trouble, of azure-core; for any client of Microsoft's."""
    policy: RetryPolicy[Any, Any] = _kind()(retry_total=retries, retry_backoff_max=LONGEST_SECONDS)
    return policy


@cache
def _kind() -> Any:
    from azure.core.pipeline.policies import RetryPolicy  # noqa: PLC0415 (loaded with the first client)

    class Awake(RetryPolicy[Any, Any]):  # type: ignore[misc]  # mypy reads none of its types
        """As its parent, which sleeps for as long as a provider asks for: an hour is nothing to it."""

        def is_retry(self, settings: dict[str, Any], response: Any) -> bool:
            wait = self.get_retry_after(response)
            return bool(super().is_retry(settings, response)) and (wait is None or wait <= LONGEST_SECONDS)

    return Awake
