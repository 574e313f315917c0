"""The queue as people look at it: a page at a time, by what they look for, and counted.

Owns the order of the queue (oldest first) and its pages, which go on after the last candidate seen: a page deep
in costs what the first one does, and no candidate is skipped or seen twice because others came or went. Every
question here is answered from an index, with a million candidates in the store.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, func, not_, text
from sqlalchemy import select as select_columns
from sqlmodel import Session, col, select

from curation.candidates import CandidateKind, CandidateStatus
from curation.search import Terms, terms
from curation.store.rows import table_of
from curation.store.tables import Candidate, Correction, Review

PAGE = 25
"""Candidates on a page, where nobody says how many."""

_CANDIDATES, _CORRECTIONS, _REVIEWS = (table_of(model) for model in (Candidate, Correction, Review))
_NOT_BY = "NOT EXISTS (SELECT 1 FROM corrections WHERE candidate_id = {key} AND author = :not_by)"
_NEAR = 10_000
"""How many candidates PostgreSQL looks through in the queue's order before it asks its index for all at once."""


@dataclass(frozen=True, slots=True)
class Filters:
    """What of the queue is looked at; None where it does not matter.

    Attributes:
        not_by: the id of a person whose own corrections are left out: a second person decides about those.
    """

    status: CandidateStatus | None = CandidateStatus.PENDING
    topic: str | None = None
    language: str | None = None
    kind: CandidateKind | None = None
    assistant_id: int | None = None
    not_by: str | None = None

    def labels(self) -> dict[str, str]:
        """The filters that the search index answers."""
        given = {
            "status": self.status.value if self.status is not None else None,
            "topic": self.topic,
            "language": self.language,
            "kind": self.kind.value if self.kind is not None else None,
            "assistant": str(self.assistant_id) if self.assistant_id is not None else None,
        }
        return {kind: value for kind, value in given.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the queue, oldest first.

    Attributes:
        following: what to give as ``after`` for the next page; None where this is the last one.
    """

    candidates: tuple[Candidate, ...]
    following: int | None


@dataclass(frozen=True, slots=True)
class Count:
    """How many candidates there are of one status, topic and language."""

    status: str
    topic: str | None
    language: str | None
    candidates: int


@dataclass(frozen=True, slots=True)
class Share:
    """What one person did: versions of corrections written, and verdicts given by their name."""

    person: str
    written: int
    verdicts: dict[str, int]


def page(session: Session, filters: Filters, *, after: int = 0, limit: int = PAGE) -> Page:
    """The first ``limit`` candidates behind the candidate ``after``."""
    statuses = [filters.status] if filters.status is not None else list(CandidateStatus)
    keys: list[int] = []
    for status in statuses:  # one walk along the index for each, for it begins with the status
        wanted = select_columns(_CANDIDATES.c.id).where(_CANDIDATES.c.status == status.value, *_conditions(filters))
        wanted = wanted.where(_CANDIDATES.c.id > after).order_by(_CANDIDATES.c.id).limit(limit + 1)
        keys.extend(session.execute(wanted).scalars())
    return _page(session, sorted(keys), limit)


def search(session: Session, typed: str, filters: Filters, *, after: int = 0, limit: int = PAGE) -> Page:
    """The first ``limit`` candidates behind ``after`` that hold every word that was typed.

    Words are looked for in the turns, the reply, its newest correction and the note; see ``curation.search``.

    Raises:
        Invalid: there is nothing to look for, or too much.
    """
    found = _matching(session, terms(typed, filters.labels()), filters.not_by, after, limit + 1)
    return _page(session, found, limit)


def waiting(session: Session, filters: Filters) -> int:
    """How many candidates pass the filters."""
    counted = select_columns(func.count()).select_from(_CANDIDATES).where(*_conditions(filters))
    if filters.status is not None:
        counted = counted.where(_CANDIDATES.c.status == filters.status.value)
    return int(session.execute(counted).scalar_one())


def stats(session: Session) -> list[Count]:
    """How many candidates there are of each status, topic and language, in this order."""
    labels = (_CANDIDATES.c.status, _CANDIDATES.c.topic, _CANDIDATES.c.language)
    counted = session.execute(select_columns(*labels, func.count()).group_by(*labels)).all()
    counts = [Count(status, topic, language, number) for status, topic, language, number in counted]
    return sorted(counts, key=lambda one: (one.status, one.topic or "", one.language or ""))


def shares(session: Session) -> list[Share]:
    """What each person wrote and decided, the busiest first."""
    author, reviewer, verdict = _CORRECTIONS.c.author, _REVIEWS.c.reviewer, _REVIEWS.c.verdict
    wrote = select_columns(author, func.count()).group_by(author)
    written: dict[str, int] = {row[0]: row[1] for row in session.execute(wrote)}
    verdicts: dict[str, Counter[str]] = {}
    for person, given, number in session.execute(
        select_columns(reviewer, verdict, func.count()).group_by(reviewer, verdict)
    ):
        verdicts.setdefault(person, Counter())[given] = number
    everybody = [
        Share(person, written.get(person, 0), dict(verdicts.get(person, {}))) for person in {*written, *verdicts}
    ]
    return sorted(everybody, key=lambda one: (-one.written - sum(one.verdicts.values()), one.person))


def _conditions(filters: Filters) -> list[ColumnElement[bool]]:
    """All but the status, which each walk along the index begins with."""
    columns = _CANDIDATES.c
    conditions: list[ColumnElement[bool]] = []
    for column, value in (
        (columns.topic, filters.topic),
        (columns.language, filters.language),
        (columns.kind, filters.kind.value if filters.kind is not None else None),
        (columns.assistant_id, filters.assistant_id),
    ):
        if value is not None:
            conditions.append(column == value)
    if filters.not_by is not None:
        # Who flags a reply writes the first correction; asked first, because the index holds it.
        conditions.append(columns.flagged_by != filters.not_by)
        wrote = and_(_CORRECTIONS.c.candidate_id == columns.id, _CORRECTIONS.c.author == filters.not_by)
        conditions.append(not_(exists().where(wrote)))
    return conditions


def _page(session: Session, keys: Sequence[int], limit: int) -> Page:
    shown = keys[:limit]
    loaded = session.exec(select(Candidate).where(col(Candidate.id).in_(shown)).order_by(col(Candidate.id))).all()
    return Page(tuple(loaded), shown[-1] if len(keys) > limit else None)


def _matching(session: Session, wanted: Terms, not_by: str | None, after: int, limit: int) -> list[int]:
    values: dict[str, Any] = {"after": after, "limit": limit, "not_by": not_by}
    if session.connection().dialect.name == "sqlite":
        statement = "SELECT rowid FROM candidate_search WHERE candidate_search MATCH :terms AND rowid > :after"
        if not_by is not None:
            statement += " AND " + _NOT_BY.format(key="candidate_search.rowid")
        return _keys(session, f"{statement} ORDER BY rowid LIMIT :limit", values | {"terms": wanted.for_fts5()})
    values |= {"terms": wanted.for_tsquery(), "near": after + _NEAR}
    others = " AND " + _NOT_BY.format(key="found.candidate_id") if not_by is not None else ""
    matches = (
        "SELECT candidate_id FROM candidate_search WHERE words @@ CAST(:terms AS tsquery) AND candidate_id > :after"
    )
    ordered = f"SELECT candidate_id FROM found WHERE true{others} ORDER BY candidate_id LIMIT :limit"  # noqa: S608 (all of it is ours)
    # Its index gives matches in no order. Of a frequent word the first ones are near, and of a rare one all are
    # soon sorted; left to choose, PostgreSQL walks the whole table for two frequent words that never meet.
    near = f"{matches} AND candidate_id <= :near ORDER BY candidate_id LIMIT 4 * :limit"
    for some in (near, matches):
        keys = _keys(session, f"WITH found AS MATERIALIZED ({some}) {ordered}", values)
        if len(keys) == limit:
            break
    return keys


def _keys(session: Session, statement: str, values: dict[str, Any]) -> list[int]:
    return list(session.execute(text(statement), values).scalars())
