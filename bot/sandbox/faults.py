"""What goes wrong on purpose: the next call of a method, or a steady share of all calls.

Owns which call meets which fault. Chance comes from a seed, so that a bad day can be had again.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

EFFECTIVE_SHARE = 0.5  # of the 500s: the call took effect, and Slack failed at saying so
CHAOS_RETRY_AFTER_SECONDS = 1


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong at one call.

    Attributes:
        error: ``ratelimited``, a status such as 500, ``drop_answer``, ``timeout`` or one of Slack's error words.
        retry_after_seconds: what a 429 asks for.
        seconds: how late the answer of a ``timeout`` comes.
        effective: whether the call takes effect all the same.
    """

    error: str | int
    retry_after_seconds: int = 1
    seconds: float = 0.0
    effective: bool = False


class Faults:
    """The faults still to come; guarded by the state's lock."""

    def __init__(self) -> None:
        self._next: dict[str, list[Fault]] = {}
        self._shares: list[tuple[float, Fault]] = []
        self._rng = random.Random(0)
        self.met = 0

    def queue(self, method: str, fault: Fault, *, times: int) -> None:
        """Let the next ``times`` calls of the method go wrong."""
        self._next.setdefault(method, []).extend([fault] * times)

    def set_shares(self, seed: int, *, share_429: float, share_500: float, share_lost: float) -> None:
        """Let these shares of all calls go wrong from now on; zeros end it. Half of the 500s take effect.

        Raises ValueError for shares that are none.
        """
        shares = (share_429, share_500, share_lost)
        if min(shares) < 0 or sum(shares) > 1:
            raise ValueError(f"{shares} are no shares of all calls")
        self._rng = random.Random(seed)
        self._shares = [
            (share_429, Fault("ratelimited", CHAOS_RETRY_AFTER_SECONDS)),
            (share_500 * (1 - EFFECTIVE_SHARE), Fault(500)),
            (share_500 * EFFECTIVE_SHARE, Fault(500, effective=True)),
            (share_lost, Fault("drop_answer", effective=True)),
        ]

    def take(self, method: str) -> Fault | None:
        """The fault that this call meets, if any; ``met`` counts them."""
        fault = self._next[method].pop(0) if self._next.get(method) else self._drawn()
        self.met += fault is not None
        return fault

    def _drawn(self) -> Fault | None:
        if not any(share for share, _ in self._shares):
            return None
        drawn = self._rng.random()
        for share, fault in self._shares:
            if drawn < share:
                return fault
            drawn -= share
        return None
