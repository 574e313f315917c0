"""Tallies: how much waits for review, how much of it is for whom, and who is at it.

Owns the few figures under which a queue is announced. Of a long queue they are read from one index alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import and_, bindparam, func, not_, true
from sqlalchemy import select as select_columns
from sqlmodel import Session

from curation import eligibility
from curation.candidates import CandidateStatus
from curation.eligibility import PENDING, Shape, shape_of, values_of
from curation.people import Actor, name_of, reads_of, require
from curation.policies import Permission
from curation.store.rows import Prepared, table_of
from curation.store.tables import Candidate, Claim

_CANDIDATES, _CLAIMS = table_of(Candidate), table_of(Claim)
_EXACT = 2_000
"""Of more that wait, whose they are is told by who put them forward alone, which an index holds."""

_HERE = _CANDIDATES.c.place == bindparam("place")
_RETURNED = Prepared(
    select_columns(func.count().label("returned"))
    .select_from(_CANDIDATES)
    .where(_CANDIDATES.c.status == CandidateStatus.RETURNED.value, _HERE)
)
_AT_IT = Prepared(
    select_columns(_CLAIMS.c.person_id)
    .join(_CANDIDATES, _CANDIDATES.c.id == _CLAIMS.c.candidate_id)
    .where(_CLAIMS.c.until > bindparam("present"), PENDING, _HERE)
    .distinct()
)
_SINCE = Prepared(select_columns(_CANDIDATES.c.flagged_at).where(_CANDIDATES.c.id == bindparam("candidate")))


@dataclass(frozen=True, slots=True)
class Tally:
    """What waits, as one reviewer sees it.

    Attributes:
        waiting: all of it.
        for_you: what the reviewer may decide about now: not theirs, in a language that they read, claimed by nobody.
        yours: what they wrote, in part at least: others decide about that.
        claimed: what somebody else is looking at.
        other_languages: what they could decide about if they read its language.
        risky: what is urgent (``curation.urgency``).
        oldest_at: since when the oldest waits.
    """

    waiting: int
    for_you: int
    yours: int
    claimed: int
    other_languages: int
    risky: int
    oldest_at: datetime | None


@dataclass(frozen=True, slots=True)
class PlaceTally:
    """What waits in a channel.

    Attributes:
        returned: what waits for its author instead.
        reviewers: the names of those who are at it now.
    """

    waiting: int
    risky: int
    returned: int
    oldest_at: datetime | None
    reviewers: tuple[str, ...]


def tally(session: Session, actor: Actor, now: datetime, *, place: str | None = None) -> Tally:
    """What waits, and how much of it is for this reviewer.

    Args:
        place: only what is reviewed there; None: everything.

    Raises:
        NotAllowed: the actor may not review.
    """
    require(session, actor, Permission.REVIEW)
    return _tally(session, actor, now, place)


def tally_of(session: Session, now: datetime, place: str) -> PlaceTally:
    """What waits in a channel, for everybody who reads it there."""
    number, risky, oldest = _counting(in_place=True).rows(session, place=place)[0]
    names = [name_of(session, row.person_id) for row in _AT_IT.rows(session, present=now, place=place)]
    return PlaceTally(
        waiting=number,
        risky=risky,
        returned=_RETURNED.rows(session, place=place)[0].returned,
        oldest_at=_since(session, oldest),
        reviewers=tuple(sorted(names)),
    )


def _tally(session: Session, actor: Actor, now: datetime, place: str | None) -> Tally:
    reads = reads_of(session, actor.person_id)
    shape, values = shape_of(actor, place, reads), values_of(actor, now, place, reads)
    number, risky, oldest = _counting(in_place=place is not None).rows(session, place=place)[0]
    parts = _parts(shape, exact=number <= _EXACT).rows(session, **values)[0]
    return Tally(number, **parts._asdict(), risky=risky, oldest_at=_since(session, oldest))


@cache
def _counting(*, in_place: bool) -> Prepared[Any]:
    """How many there are, how many of them are risky, and the oldest: a walk along one index."""
    columns = _CANDIDATES.c
    counted = select_columns(
        func.count().label("number"),
        func.count().filter(columns.urgency > 0).label("risky"),
        func.min(columns.id).label("oldest"),
    )
    return Prepared(counted.select_from(_CANDIDATES).where(PENDING, *([_HERE] if in_place else [])))


@cache
def _parts(shape: Shape, *, exact: bool) -> Prepared[Any]:
    """For whom they are; each condition is looked at once for each candidate, however many figures need it."""
    looked_at = {
        "mine": eligibility.wrote() if exact else eligibility.flagged(),
        "claimed": eligibility.claimed(),
        "understood": eligibility.readable(shape),
    }
    if exact:
        looked_at["home"] = eligibility.of_home(shape)
        looked_at["approved"] = eligibility.approved()
    each = select_columns(*(condition.label(name) for name, condition in looked_at.items()))
    seen = each.where(*eligibility.here(shape)).cte("seen").prefix_with("MATERIALIZED").c
    may = true() if shape.solo else not_(seen.mine)
    free = [may, not_(seen.claimed)]
    if exact:
        free += [seen.home] if shape.solo else [seen.home, not_(seen.approved)]
    parts = {
        "for_you": and_(*free, seen.understood),
        "yours": seen.mine,
        "claimed": seen.claimed,
        "other_languages": and_(may, not_(seen.understood)),
    }
    return Prepared(select_columns(*(func.count().filter(part).label(name) for name, part in parts.items())))


def _since(session: Session, candidate_id: int | None) -> datetime | None:
    if candidate_id is None:
        return None
    oldest = _SINCE.first(session, candidate=candidate_id)
    return oldest.flagged_at if oldest is not None else None
