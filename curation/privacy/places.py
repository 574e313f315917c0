"""Places: the rows of findings, each where a value stands in the words of an example or a candidate.

Owns how a new scan meets what is kept: what nobody decided about and is not found any more goes, what was decided stays
for as long as the value stands where it stood. Decides nothing and scans nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple, TypeVar

from sqlalchemy import delete, insert
from sqlmodel import Session, col, select

from curation.privacy import values
from curation.privacy.spans import Kind, Span
from curation.privacy.treatment import Decision, Words
from curation.privacy.values import UNDECIDED, Ruling
from curation.store.tables import PrivacyFinding

_MANY = 500
_Item = TypeVar("_Item")


class Owner(StrEnum):
    """Whose words a finding is in, as the column that holds its key."""

    EXAMPLE = "example_id"
    CANDIDATE = "candidate_id"


class Place(NamedTuple):
    """Where a value stands, as the columns of its row: the passage, the characters, the kind, the value's mark."""

    turn: int
    start_index: int
    end_index: int
    kind: str
    mark: str


def place_of(turn: int, span: Span, key: bytes) -> Place:
    """The place of a span in the passage ``turn``."""
    return Place(turn, span.start, span.end, span.kind.value, values.mark(span, key))


def place(row: PrivacyFinding) -> Place:
    """Where a finding was made."""
    return Place(row.turn, row.start_index, row.end_index, row.kind, row.mark)


def span_at(row: PrivacyFinding | Place, texts: Mapping[int, str], key: bytes) -> Span | None:
    """What a finding is about; None where another value stands there by now, or none.

    Args:
        texts: the passages of whose it is.
        key: of the marks.
    """
    text = texts.get(row.turn, "")[row.start_index : row.end_index]
    span = Span(Kind(row.kind), row.start_index, row.end_index, text)
    return span if text and values.mark(span, key) == row.mark else None


def keep(
    session: Session,
    owner: Owner,
    words: Mapping[int, Words],
    found: Mapping[int, Sequence[Place]],
    inherited: Mapping[int, Mapping[Place, Ruling]],
) -> int:
    """Have the rows of these owners say what was found in their words; how many of them are new.

    Args:
        words: of everybody who was looked at.
        found: where something is, for the same ones.
        inherited: what was decided about some of it before it was theirs.
    """
    key, everywhere = values.key_of(session), values.rulings(session)
    before = of(session, owner, words)
    gone: list[int] = []
    fresh: list[tuple[int, Place, Ruling]] = []
    for one, places in found.items():
        texts = dict(words[one].passages())
        there = {place(row): row for row in before.get(one, ())}
        decided = {at for at, row in there.items() if row.decision is not None and span_at(row, texts, key) is not None}
        staying = decided.union(places)
        gone += [row.key for at, row in there.items() if at not in staying]
        # A part of what goes anyhow, as the surname of somebody whose whole name was redacted, is nothing to decide.
        going = [at for at in decided if there[at].decision != Decision.KEEP.value]
        handed = inherited.get(one, {})
        known = set(places)
        # What no scan finds any more, as the name of an erased customer, is handed on for as long as it stands there.
        for at in (*places, *(at for at in handed if at not in known and span_at(at, texts, key) is not None)):
            if at not in there and not any(_covers(wider, at) for wider in going):
                ruling = handed.get(at) or everywhere.get((at.kind, at.mark)) or UNDECIDED
                fresh.append((one, at, ruling))
    for some in portions(gone):
        session.execute(delete(PrivacyFinding).where(col(PrivacyFinding.id).in_(some)))
    _add(session, owner, fresh)
    return len(fresh)


def rule(session: Session, owner: Owner, found: Mapping[int, Sequence[Place]], ruling: Ruling) -> None:
    """Have it decided at these places, whether or not a scan finds them again; what was decided there stays."""
    before, everywhere = of(session, owner, found), values.rulings(session)
    fresh = []
    for one, places in found.items():
        there = {place(row)[:4]: row for row in before.get(one, ())}
        for at in places:
            row = there.get(at[:4])
            of_value = everywhere.get((at.kind, at.mark)) or ruling
            if row is None:
                fresh.append((one, at, of_value))
            elif row.decision is None or row.mark != at.mark:
                for name, value in {**of_value, "mark": at.mark}.items():
                    setattr(row, name, value)
                session.add(row)
    session.flush()
    _add(session, owner, fresh)


def of(session: Session, owner: Owner, keys: Iterable[int]) -> dict[int, list[PrivacyFinding]]:
    """The rows of these owners, by owner, in the order of their text."""
    column = col(getattr(PrivacyFinding, owner.value))
    order = (column, col(PrivacyFinding.turn), col(PrivacyFinding.start_index), col(PrivacyFinding.id))
    found: dict[int, list[PrivacyFinding]] = defaultdict(list)
    for some in portions(list(keys)):
        for row in session.exec(select(PrivacyFinding).where(column.in_(some)).order_by(*order)):
            found[getattr(row, owner.value)].append(row)
    return dict(found)


def portions(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    """Some at a time: as many as one statement takes in any database, and a scan keeps in memory."""
    for start in range(0, len(items), _MANY):
        yield items[start : start + _MANY]


def _covers(wider: Place, at: Place) -> bool:
    return wider.turn == at.turn and wider.start_index <= at.start_index and at.end_index <= wider.end_index


def _add(session: Session, owner: Owner, fresh: Sequence[tuple[int, Place, Ruling]]) -> None:
    if fresh:
        rows = [{owner.value: one, **at._asdict(), **ruling} for one, at, ruling in fresh]
        session.execute(insert(PrivacyFinding), rows)
