"""The cases of an evaluation in groups: fixed, kept and won by reason, topic, language and side.

Owns the grouping and when a group is too small to stand by itself. Pure. It shows where to look next; the verdict rests
on all cases together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from training.evaluation.evaluations import Case, score
from training.evaluation.intervals import wilson_interval

LEAST = 5
"""Cases in a group; smaller ones are counted together as ``other``."""

WAYS = ("side", "reason", "topic", "language")
"""What cases are grouped by, in the order in which reports show it."""

OTHER = "other"


@dataclass(frozen=True, slots=True)
class Share:
    """Some of all, with the 95 % Wilson interval of the share."""

    some: int
    all: int

    @property
    def share(self) -> float:
        """0 to 1; 0 of nothing."""
        return self.some / self.all if self.all else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Both ends 0 to 1."""
        return wilson_interval(self.some, self.all)

    def as_json(self) -> dict[str, Any]:
        """``{"some": 9, "all": 10, "low": 0.596, "high": 0.982}``."""
        low, high = self.interval
        return {"some": self.some, "all": self.all, "low": round(low, 3), "high": round(high, 3)}


@dataclass(frozen=True, slots=True)
class Group:
    """What became of one group of cases.

    Attributes:
        way: what is grouped by, such as ``reason``.
        name: the group's, ``other`` for the small ones together, ``–`` where a case has none.
        fixed: of its corrections, those wrong before and right after.
        kept: of its endorsements that were right before, those that still are.
        won_before: of its corrections with both log-probabilities, those whose corrected reply the model before
            preferred to the flagged one.
        won_after: the same of the tuned model.
    """

    way: str
    name: str
    fixed: Share
    kept: Share
    won_before: Share
    won_after: Share

    def as_json(self) -> dict[str, Any]:
        """Every attribute, as ``--json`` prints it."""
        shares = {name: getattr(self, name).as_json() for name in SHARES}
        return {"by": self.way, "group": self.name, **shares}


SHARES = ("fixed", "kept", "won_before", "won_after")


def cases_of(report: Mapping[str, Any]) -> list[Case]:
    """The cases of a report as a database keeps it."""
    return [Case.from_json(case) for case in report.get("cases", ())]


def whole(cases: Sequence[Case]) -> Group:
    """All cases as one group."""
    return _group("all", "all", cases)


def groups(cases: Sequence[Case], way: str, *, least: int = LEAST) -> list[Group]:
    """The cases by one of ``WAYS``, largest group first, small ones together at the end; empty where all are alike.

    Reasons are a correction's alone, so of the other cases none is counted there.
    """
    members: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        if way != "reason" or case.kind == "correction":
            members[getattr(case, way) or "–"].append(case)
    large = {name: found for name, found in members.items() if len(found) >= least or way == "side"}
    if not large or len(members) < len(("one", "another")):
        return []
    small = [case for name, found in members.items() if name not in large for case in found]
    ordered = sorted(large.items(), key=lambda item: (-len(item[1]), item[0]))
    made = [_group(way, name, found) for name, found in ordered]
    return [*made, _group(way, OTHER, small)] if small else made


def standing_out(cases: Sequence[Case], *, least: int = LEAST) -> Group | None:
    """The reason or topic whose corrections were fixed less often than the others', beyond chance; None where none was.

    Beyond chance: the whole interval of its share lies below the share of all. Of several the lowest.
    """
    usual = whole(cases).fixed.share
    found = [
        group
        for way in ("reason", "topic")
        for group in groups(cases, way, least=least)
        if group.name not in {OTHER, "–"} and group.fixed.all >= least and group.fixed.interval[1] < usual
    ]
    return min(found, key=lambda group: (group.fixed.share, group.name), default=None)


def _group(way: str, name: str, cases: Sequence[Case]) -> Group:
    counts = score(cases)
    pairs = [case for case in cases if case.won_before is not None and case.won_after is not None]
    return Group(
        way,
        name,
        Share(counts.fixed, counts.corrections),
        Share(counts.kept, counts.kept + counts.lost_endorsements),
        Share(sum(bool(case.won_before) for case in pairs), len(pairs)),
        Share(sum(bool(case.won_after) for case in pairs), len(pairs)),
    )
