"""The queue as people look at it: a page at a time, by what they look for, and counted.

Owns the order of the list (oldest first) and its pages, which go on after the last candidate seen: a page deep
in costs what the first one does, and no candidate is skipped or seen twice because others came or went. Every
question here is answered from an index, with a million candidates in the store. In which order a reviewer is shown
what waits is ``curation.claims``'s, and how much of it there is for whom ``curation.tallies``'s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, bindparam, cast, column, exists, func, not_, table, text
from sqlalchemy import select as select_columns
from sqlalchemy.dialects.postgresql import TSQUERY
from sqlmodel import Session, col, select

from curation.candidates import CandidateKind, CandidateStatus
from curation.eligibility import at_home
from curation.people import LOCAL_TEAM, team_of
from curation.search import Terms, terms
from curation.store.counted import counts
from curation.store.rows import table_of
from curation.store.tables import Candidate, Correction, Review
from curation.tallies import PlaceTally, Tally, tally, tally_of

__all__ = [
    "PAGE",
    "Count",
    "Filters",
    "Page",
    "PlaceTally",
    "Share",
    "Tally",
    "page",
    "search",
    "shares",
    "stats",
    "tally",
    "tally_of",
    "waiting",
]

PAGE = 25
"""Candidates on a page, where nobody says how many."""

_CANDIDATES, _CORRECTIONS, _REVIEWS = (table_of(model) for model in (Candidate, Correction, Review))
_WORDS = table("candidate_search", column("rowid"), column("candidate_id"), column("words"))
_ATTEMPTS: tuple[tuple[int, int | None], ...] = ((500, 2_000), (20_000, None))
"""How many candidates PostgreSQL looks at in the queue's order, and how many matches it then takes from its index."""


@dataclass(frozen=True, slots=True)
class Filters:
    """What of the queue is looked at; None where it does not matter.

    Attributes:
        not_by: the id of a person whose own corrections are left out: a second person decides about those.
        seen_by: the id of whoever looks: what belongs to another workspace than theirs is left out.
    """

    status: CandidateStatus | None = CandidateStatus.PENDING
    topic: str | None = None
    language: str | None = None
    kind: CandidateKind | None = None
    assistant_id: int | None = None
    not_by: str | None = None
    seen_by: str | None = None

    def labels(self) -> dict[str, str]:
        """The filters that the search index answers: all that a decision does not change."""
        given = {
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
    wanted = terms(typed, filters.labels())
    sqlite = session.connection().dialect.name == "sqlite"
    found = (_streamed if sqlite else _matching)(session, wanted, filters, after, limit + 1)
    return _page(session, found, limit)


def waiting(session: Session, filters: Filters) -> int:
    """How many candidates pass the filters."""
    counted = select_columns(func.count()).select_from(_CANDIDATES).where(*_conditions(filters))
    if filters.status is not None:
        counted = counted.where(_CANDIDATES.c.status == filters.status.value)
    return int(session.execute(counted).scalar_one())


def stats(session: Session) -> list[Count]:
    """How many candidates there are of each status, topic and language, in this order."""
    columns = _CANDIDATES.c
    counted = [Count(*one) for one in counts(session, columns.status, columns.topic, columns.language)]
    return sorted(counted, key=lambda one: (one.status, one.topic or "", one.language or ""))


def shares(session: Session) -> list[Share]:
    """What each person wrote and decided, the busiest first."""
    written: dict[str, int] = dict(counts(session, _CORRECTIONS.c.author))
    verdicts: dict[str, Counter[str]] = {}
    for person, given, number in counts(session, _REVIEWS.c.reviewer, _REVIEWS.c.verdict):
        verdicts.setdefault(person, Counter())[given] = number
    everybody = [
        Share(person, written.get(person, 0), dict(verdicts.get(person, {}))) for person in {*written, *verdicts}
    ]
    return sorted(everybody, key=lambda one: (-one.written - sum(one.verdicts.values()), one.person))


def _conditions(filters: Filters) -> list[ColumnElement[bool]]:
    """All but the status, which each walk along the index begins with."""
    conditions = _labels(filters)
    if (of_theirs := _of_theirs(filters)) is not None:
        conditions.append(of_theirs)
    if filters.not_by is not None:
        # Who flags a reply writes the first correction; asked first, because the index holds it.
        conditions.append(_CANDIDATES.c.flagged_by != filters.not_by)
        wrote = and_(_CORRECTIONS.c.candidate_id == _CANDIDATES.c.id, _CORRECTIONS.c.author == filters.not_by)
        conditions.append(not_(exists().where(wrote)))
    return conditions


def _of_theirs(filters: Filters) -> ColumnElement[bool] | None:
    """That a candidate is of the workspace of whoever looks, or of none; None where they see those of all."""
    if filters.seen_by is None or team_of(filters.seen_by) == LOCAL_TEAM:
        return None
    return at_home(filters.seen_by)


def _labels(filters: Filters) -> list[ColumnElement[bool]]:
    columns = _CANDIDATES.c
    given: list[tuple[ColumnElement[Any], Any]] = [
        (columns.topic, filters.topic),
        (columns.language, filters.language),
        (columns.kind, filters.kind.value if filters.kind is not None else None),
        (columns.assistant_id, filters.assistant_id),
    ]
    return [column == value for column, value in given if value is not None]


def _page(session: Session, keys: Sequence[int], limit: int) -> Page:
    shown = keys[:limit]
    loaded = session.exec(select(Candidate).where(col(Candidate.id).in_(shown)).order_by(col(Candidate.id))).all()
    return Page(tuple(loaded), shown[-1] if len(keys) > limit else None)


def _streamed(session: Session, wanted: Terms, filters: Filters, after: int, limit: int) -> list[int]:
    """SQLite's index gives its matches one by one in the queue's order: looked at until there are enough."""
    key = _WORDS.c.rowid
    matching = select_columns(key).where(text("candidate_search MATCH :terms"), key > after).order_by(key).limit(limit)
    passing = _of_others(_standing(matching, filters, key), filters, key)
    return list(session.execute(passing, {"terms": wanted.for_fts5()}).scalars())


def _matching(session: Session, wanted: Terms, filters: Filters, after: int, limit: int) -> list[int]:
    """PostgreSQL's index gives matches in no order, all at once.

    The first matches of a frequent word are near: found by walking along the queue and reading each candidate's
    words. All those of a rare one are soon fetched and sorted. Which it is shows as it is tried, a little of each.
    """
    values = {"terms": wanted.for_tsquery()}
    keys: list[int] = []
    for near, most in _ATTEMPTS:
        keys = list(session.execute(_near(filters, after, near).limit(limit), values).scalars())
        if len(keys) == limit:
            break
        # Left to choose, PostgreSQL reads the whole table for two frequent words that never meet.
        session.execute(text("SET LOCAL enable_seqscan = off"))
        number, keys = session.execute(_everywhere(filters, after, limit, most), values).one()
        session.execute(text("SET LOCAL enable_seqscan = on"))
        if most is None or number < most:
            break
    return keys


def _near(filters: Filters, after: int, near: int) -> Select[tuple[int]]:
    """Matches among the next ``near`` candidates that the filters leave, in the queue's order."""
    if filters.status is None:  # the queue's index is of no use: it begins with the status
        following = select_columns(_WORDS.c.candidate_id.label("id"), _WORDS.c.words)
        following = following.where(_WORDS.c.candidate_id > after).order_by(_WORDS.c.candidate_id)
        walked = following.limit(near).subquery()
        holds: ColumnElement[bool] = _holds(walked.c.words)
    else:
        following = select_columns(_CANDIDATES.c.id).where(_CANDIDATES.c.status == filters.status.value)
        following = following.where(_CANDIDATES.c.id > after, *_labels(filters)).order_by(_CANDIDATES.c.id)
        walked = following.limit(near).subquery()
        # A subquery, not a join: it is asked for one candidate after the other, until there are enough.
        holds = select_columns(_holds(_WORDS.c.words)).where(_WORDS.c.candidate_id == walked.c.id).scalar_subquery()
    return _of_others(select_columns(walked.c.id).where(holds).order_by(walked.c.id), filters, walked.c.id)


def _everywhere(filters: Filters, after: int, limit: int, most: int | None) -> Select[tuple[int, list[int]]]:
    """How many of at most ``most`` matches the index of words gives, and the first ones that pass the filters."""
    found = select_columns(_WORDS.c.candidate_id).where(_holds(_WORDS.c.words)).limit(most).cte("found")
    found = found.prefix_with("MATERIALIZED")
    key = found.c.candidate_id
    matching = _standing(select_columns(key).where(key > after).order_by(key).limit(limit), filters, key)
    number = select_columns(func.count()).select_from(found).scalar_subquery()
    return select_columns(number, func.array(_of_others(matching, filters, key).scalar_subquery()))


def _standing(matching: Select[tuple[int]], filters: Filters, candidate: ColumnElement[int]) -> Select[tuple[int]]:
    """Those with the status that is looked at, which a decision changes and the index of words therefore leaves out."""
    if filters.status is None:
        return matching
    stands = and_(_CANDIDATES.c.id == candidate, _CANDIDATES.c.status == filters.status.value)
    return matching.where(exists().where(stands))


def _of_others(matching: Select[tuple[int]], filters: Filters, candidate: ColumnElement[int]) -> Select[tuple[int]]:
    """Those of other authors and of the right workspace, as far as that is asked for."""
    if (of_theirs := _of_theirs(filters)) is not None:
        matching = matching.where(exists().where(_CANDIDATES.c.id == candidate, of_theirs))
    if filters.not_by is None:
        return matching
    # With the offset PostgreSQL asks for one match after the other, instead of reading all that the person wrote.
    wrote = select_columns(_CORRECTIONS.c.id).where(_CORRECTIONS.c.candidate_id == candidate)
    return matching.where(not_(exists(wrote.where(_CORRECTIONS.c.author == filters.not_by).offset(0))))


def _holds(words: ColumnElement[Any]) -> ColumnElement[bool]:
    return words.bool_op("@@")(cast(bindparam("terms"), TSQUERY))
