"""Visits: what is done about a deployment at whoever serves it, each on a thread of its own.

Owns that nobody waits for somebody else's provider, which may be silent for a minute; that there is one visit at a time
for each key, so that nothing is asked for twice at once; and their end. A visit is safe to repeat and to be killed in:
what it does not come to is left to the next one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol, Self

from curation.errors import Overtaken, StoreUnavailable

log = logging.getLogger("errata.visits")

DRAIN_SECONDS = 3.0
SELDOM_SECONDS = 5.0
"""Between two visits where nothing is known to be due: whatever stands at an endpoint may have died meanwhile."""


class Start(Protocol):
    """Whoever begins visits."""

    def __call__(self, key: str, visit: Callable[[], object], *, due: bool = True) -> None:
        """See to it that this visit is made, unless one of this key is being made.

        Args:
            due: whether something is known to be due; else the visit is made now and then.
        """


def at_once(key: str, visit: Callable[[], object], *, due: bool = True) -> None:  # noqa: ARG001 (the port's)
    """Make the visit here and now: for a worker that lasts as long as one command."""
    visit()


class Visits:
    """Visits in the background, between ``__enter__`` and ``__exit__``."""

    def __init__(self, drain_seconds: float = DRAIN_SECONDS, seldom_seconds: float = SELDOM_SECONDS) -> None:
        self._drain_seconds, self._seldom_seconds = drain_seconds, seldom_seconds
        self._changed = threading.Condition()
        self._under_way: set[str] = set()
        self._made: dict[str, float] = {}
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Start no other, and wait a while for those under way; what is silent for longer is left behind."""
        end = time.monotonic() + self._drain_seconds
        with self._changed:
            self._closed = True
            while self._under_way and (left := end - time.monotonic()) > 0:
                self._changed.wait(left)

    def start(self, key: str, visit: Callable[[], object], *, due: bool = True) -> None:
        """Make the visit on a thread of its own, unless one of this key is under way or nothing is due yet."""
        now = time.monotonic()
        with self._changed:
            if self._closed or key in self._under_way:
                return
            if not due and now - self._made.get(key, float("-inf")) < self._seldom_seconds:
                return
            self._made[key] = now
            self._under_way.add(key)
        # A daemon: a provider that is silent does not keep the process from ending.
        threading.Thread(target=self._make, args=(key, visit), name="errata-visit", daemon=True).start()

    def _make(self, key: str, visit: Callable[[], object]) -> None:
        try:
            visit()
        except (StoreUnavailable, Overtaken) as error:
            log.warning("a visit could not be made, the next one is: name=%s error=%s", key, type(error).__name__)
        except Exception:  # a thread's edge: one deployment's surprise must not end the visits to it
            log.exception("a visit met a surprise, the next one goes on: name=%s", key)
        finally:
            with self._changed:
                self._under_way.discard(key)
                self._changed.notify_all()
