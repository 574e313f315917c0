"""When a provider may be asked again: it counts requests, and what it is asked about takes minutes to hours.

Owns the pause between two looks at the same thing, which grows while nothing changes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

FIRST_SECONDS, LONGEST_SECONDS = 5.0, 60.0
_GROWTH = 1.25


@dataclass
class Looks:
    """The looks of one process at any number of things, each known by a key.

    Attributes:
        clock: seconds that only grow.
    """

    clock: Callable[[], float] = time.monotonic
    first: float = FIRST_SECONDS
    longest: float = LONGEST_SECONDS
    _next: dict[str, tuple[float, float]] = field(default_factory=dict)

    @classmethod
    def always(cls) -> Self:
        """For whoever asks as often as it likes, such as a test."""
        return cls(first=0.0, longest=0.0)

    def due(self, key: str) -> bool:
        """Whether it is time to ask; if so, the next time is a little further away."""
        at, pause = self._next.get(key, (float("-inf"), self.first))
        now = self.clock()
        if now < at:
            return False
        self._next[key] = now + pause, min(pause * _GROWTH, self.longest)
        return True

    def later(self, key: str, seconds: float | None) -> None:
        """Whoever was asked wants to be left alone for so long; None where it does not say."""
        if seconds is not None and self.longest:
            at, pause = self._next.get(key, (float("-inf"), self.first))
            self._next[key] = max(at, self.clock() + seconds), pause

    def again(self, key: str) -> None:
        """Something has changed: it may be asked at once, and often at first."""
        self._next.pop(key, None)
