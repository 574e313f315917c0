"""Sanity: whether replies end, say anything and do not go round in circles, whatever they say.

Owns the counts. A model that was tuned without its stop token passes every test of likelihood and never stops talking.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Protocol

from curation.measures.diversity import words

_GRAM = 4
_TIMES = 5


class Reply(Protocol):
    """A reply as a backend drew it; ``ids`` are its tokens without the stop token."""

    @property
    def text(self) -> str:
        """Its words."""

    @property
    def ids(self) -> Sequence[int]:
        """Its tokens."""

    @property
    def stopped(self) -> bool:
        """Whether it ended by itself."""


def counts(replies: Sequence[Reply], expected_tokens: Sequence[int]) -> dict[str, Any]:
    """How these replies ended, beside the length of the wanted ones; means are None of none.

    ``{"replies": 2, "stopped": 1, "empty": 0, "repetitive": 1, "mean_tokens": 210.5, "expected_mean_tokens": 18.0}``
    """
    return {
        "replies": len(replies),
        "stopped": sum(reply.stopped for reply in replies),
        "empty": sum(not reply.text.strip() for reply in replies),
        "repetitive": sum(in_circles(reply.ids) for reply in replies),
        "mean_tokens": _mean([len(reply.ids) for reply in replies]),
        "expected_mean_tokens": _mean(expected_tokens),
    }


def counts_of_texts(replies: Sequence[str]) -> dict[str, Any]:
    """The same of replies of which only the words are known: not how they ended, nor their tokens."""
    known: dict[str, int] = {}
    told = [[known.setdefault(word, len(known)) for word in words(reply)] for reply in replies]
    return {
        "replies": len(replies),
        "stopped": None,
        "empty": sum(not reply.strip() for reply in replies),
        "repetitive": sum(map(in_circles, told)),
        "mean_tokens": None,
        "expected_mean_tokens": None,
    }


def in_circles(reply: Sequence[int]) -> bool:
    """Whether some four tokens in a row stand there more than five times and fill more than half of the reply.

    ``[1, 2, 3, 4] * 6`` goes in circles; ``[7] * 8`` does not yet, for four in a row stand there five times.
    """
    places: dict[tuple[int, ...], list[int]] = {}
    for start in range(len(reply) - _GRAM + 1):
        places.setdefault(tuple(reply[start : start + _GRAM]), []).append(start)
    return any(len(starts) > _TIMES and 2 * _covered(starts) > len(reply) for starts in places.values())


def _covered(starts: Sequence[int]) -> int:
    """Tokens that lie in at least one of these stretches, which may lie over each other."""
    return sum(min(_GRAM, after - start) for start, after in pairwise(starts)) + _GRAM


def _mean(figures: Sequence[int]) -> float | None:
    return sum(figures) / len(figures) if figures else None
