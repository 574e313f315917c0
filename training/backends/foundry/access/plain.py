"""Plain requests to what Azure serves beside its resource manager: metrics, and models that answer.

Owns the one client of the process: reading the certificates anew for each request would cost more than the request.
Refuses redirects, which would take a key or a token along. A proxy is taken from the environment.
"""

from __future__ import annotations

from functools import lru_cache

import httpx

from training.backends.foundry.access.credentials import surroundings
from training.backends.foundry.access.patience import CONNECT_SECONDS, READ_SECONDS


def client() -> httpx.Client:
    """The client, safe for threads; it keeps its connections open for a while."""
    return _client(surroundings())


@lru_cache(maxsize=4)
def _client(key: tuple[tuple[str, str], ...]) -> httpx.Client:  # noqa: ARG001 (what the cache goes by)
    timeout = httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
    return httpx.Client(timeout=timeout, follow_redirects=False, trust_env=True)
