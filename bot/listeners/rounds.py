"""A round of review: what its modal carries from one candidate to the next, as ids in ``private_metadata``.

Owns the reading and writing of these. Slack signs what it sends back, so what cannot be read comes from an older
Errata: it is refused with a sentence. Whether somebody may decide is never taken from here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bot.listeners.entries import from_another_version, named
from curation.reviews import Verdict

MOST_PASSED = 100
"""Candidates that a round remembers to have skipped: 3,000 characters hold them with ids of twenty digits."""

_LARGEST_ID = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Round:
    """Where one reviewer stands.

    Attributes:
        place: the destination key of the channel whose queue it is; None: every queue.
        candidate, seen: what is shown, and which version of its correction.
        verdict: what the form that is open asks about; None while the candidate itself is shown.
        passed: candidates that were skipped, the latest last.
        given: verdicts of this round, by how often.
        review: the latest of them, to take back.
    """

    place: str | None = None
    candidate: int | None = None
    seen: int | None = None
    verdict: Verdict | None = None
    passed: tuple[int, ...] = ()
    given: Mapping[Verdict, int] = field(default_factory=dict)
    review: int | None = None

    @property
    def position(self) -> int:
        """Which candidate of the round is next, from 1."""
        return sum(self.given.values()) + len(self.passed) + 1

    def showing(self, candidate: int | None, seen: int | None, verdict: Verdict | None = None) -> Round:
        """The same round with another candidate in front, or none."""
        return replace(self, candidate=candidate, seen=seen, verdict=verdict)

    def after(self, verdict: Verdict, review: int, number: int) -> Round:
        """The round after a decision about so many candidates."""
        return replace(self, given={**self.given, verdict: self.given.get(verdict, 0) + number}, review=review)

    def without(self, verdict: Verdict, number: int) -> Round:
        """The round after so many decisions were taken back."""
        return replace(self, given={**self.given, verdict: max(self.given.get(verdict, 0) - number, 0)}, review=None)

    def passing(self, candidate: int) -> Round:
        """The round after a candidate was skipped."""
        others = tuple(one for one in self.passed if one != candidate)
        return replace(self, passed=(*others, candidate)[-MOST_PASSED:])

    def anew(self) -> Round:
        """The round with everything that was skipped to be looked at again."""
        return replace(self, passed=())

    def packed(self) -> str:
        """For ``private_metadata``: at most 3,000 characters."""
        held: dict[str, Any] = {
            "place": self.place,
            "candidate": self.candidate,
            "seen": self.seen,
            "verdict": self.verdict.value if self.verdict is not None else None,
            "passed": self.passed,
            "given": {verdict.value: number for verdict, number in self.given.items() if number},
            "review": self.review,
        }
        return json.dumps({name: value for name, value in held.items() if value}, separators=(",", ":"))


def unpacked(view: Mapping[str, Any]) -> Round:
    """The round of a view.

    Raises:
        Invalid: the view carries something else.
    """
    try:
        held = json.loads(view["private_metadata"])
        place, passed, given = held.get("place"), held.get("passed", []), held.get("given", {})
        if not (isinstance(place, str | None) and isinstance(passed, list) and len(passed) <= MOST_PASSED):
            raise from_another_version()
        return Round(
            place,
            _id(held.get("candidate")),
            _id(held.get("seen")),
            Verdict(held["verdict"]) if held.get("verdict") is not None else None,
            tuple(one for one in map(_id, passed) if one is not None),
            {Verdict(verdict): _id(number) or 0 for verdict, number in given.items()},
            _id(held.get("review")),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise from_another_version() from error


def shown(view: Mapping[str, Any]) -> tuple[Round, int, int]:
    """The round of a view that shows a candidate, with its id and the version of its correction.

    Raises:
        Invalid: it shows none.
    """
    found = unpacked(view)
    if found.candidate is None or found.seen is None:
        raise from_another_version()
    return found, found.candidate, found.seen


def chosen(view: Mapping[str, Any], block_id: str) -> dict[int, int]:
    """Which candidates are ticked in a block of checkboxes, with the versions that were shown; none without a block.

    Raises:
        Invalid: they are none.
    """
    try:
        return {
            candidate: seen
            for element in view["state"]["values"].get(block_id, {}).values()
            for option in element.get("selected_options") or []
            for candidate, seen in [named(option)]
        }
    except (TypeError, AttributeError) as error:
        raise from_another_version() from error


def _id(held: Any) -> int | None:
    if held is None:
        return None
    if not isinstance(held, int) or isinstance(held, bool) or not 0 <= held <= _LARGEST_ID:
        raise from_another_version()
    return held
