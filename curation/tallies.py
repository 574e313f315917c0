"""Tallies: how much waits for review, how much of it is for whom, and who is at it.

Owns the few figures under which a queue is announced. Of a long queue they are read from one index alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, exists, func, not_, true
from sqlalchemy import select as select_columns
from sqlmodel import Session

from curation.candidates import CandidateStatus
from curation.claims import eligible, flagged, readable, wrote
from curation.people import Actor, name_of, reads_of, require
from curation.policies import Permission
from curation.store.rows import table_of
from curation.store.tables import Candidate, Claim

_CANDIDATES, _CLAIMS = table_of(Candidate), table_of(Claim)
_PENDING = _CANDIDATES.c.status == CandidateStatus.PENDING.value
_EXACT = 2_000
"""Of more that wait, whose they are is told by who put them forward alone, which an index holds."""


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
    here = _CANDIDATES.c.place == place
    number, risky, oldest = _counted(session, [_PENDING, here])
    returned = select_columns(func.count()).select_from(_CANDIDATES)
    returned = returned.where(_CANDIDATES.c.status == CandidateStatus.RETURNED.value, here)
    at_it = select_columns(_CLAIMS.c.person_id).join(_CANDIDATES, _CANDIDATES.c.id == _CLAIMS.c.candidate_id)
    at_it = at_it.where(_CLAIMS.c.until > now, _PENDING, here).distinct()
    names = [name_of(session, person) for person in session.execute(at_it).scalars()]
    return PlaceTally(
        waiting=number,
        risky=risky,
        returned=session.execute(returned).scalar_one(),
        oldest_at=_since(session, oldest),
        reviewers=tuple(sorted(names)),
    )


def _tally(session: Session, actor: Actor, now: datetime, place: str | None) -> Tally:
    here = [_PENDING] if place is None else [_PENDING, _CANDIDATES.c.place == place]
    reads = readable(reads_of(session, actor.person_id))
    number, risky, first = _counted(session, here)
    mine = wrote(actor.person_id) if number <= _EXACT else flagged(actor.person_id)
    may = true() if actor.solo else not_(mine)
    understood = true() if reads is None else reads
    claimed = exists().where(
        _CLAIMS.c.candidate_id == _CANDIDATES.c.id, _CLAIMS.c.person_id != actor.person_id, _CLAIMS.c.until > now
    )
    free = and_(*eligible(actor, now)) if number <= _EXACT else and_(may, not_(claimed))
    parts = select_columns(
        func.count().filter(and_(free, understood)),
        func.count().filter(mine),
        func.count().filter(claimed),
        func.count().filter(and_(may, not_(understood))),
    )
    for_you, yours, taken, others = session.execute(parts.select_from(_CANDIDATES).where(*here)).one()
    return Tally(number, for_you, yours, taken, others, risky, _since(session, first))


def _counted(session: Session, here: Sequence[ColumnElement[bool]]) -> tuple[int, int, int | None]:
    """How many there are, how many of them are risky, and the oldest: a walk along one index."""
    columns = _CANDIDATES.c
    counted = select_columns(func.count(), func.count().filter(columns.urgency > 0), func.min(columns.id))
    number, risky, oldest = session.execute(counted.select_from(_CANDIDATES).where(*here)).one()
    return number, risky, oldest


def _since(session: Session, candidate_id: int | None) -> datetime | None:
    flagged_at = select_columns(_CANDIDATES.c.flagged_at).where(_CANDIDATES.c.id == candidate_id)
    return None if candidate_id is None else session.execute(flagged_at).scalar_one()
