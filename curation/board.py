"""What a channel's message about its queue tells besides numbers: whose turn is next, and how much was done lately.

Owns these two looks, each answered from an index. How much waits is ``curation.queue``'s; what a reviewer is shown
next, which depends on who it is, is ``curation.claims``'s.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import func
from sqlalchemy import select as select_columns
from sqlmodel import Session, col, select

from curation.candidates import CandidateStatus
from curation.store.rows import table_of
from curation.store.tables import Candidate, Review
from curation.urgency import Urgency

LATELY = timedelta(hours=24)
"""A day by the clock: people of one channel live in several time zones, so none of their midnights will do."""

_CANDIDATES, _REVIEWS = table_of(Candidate), table_of(Review)


def first(session: Session, place: str, limit: int) -> list[Candidate]:
    """The candidates that wait in a place, the most urgent first and of those the oldest."""
    waiting = select(Candidate).where(Candidate.status == CandidateStatus.PENDING.value, Candidate.place == place)
    found: list[Candidate] = []
    for urgency in sorted(Urgency, reverse=True):  # one walk along the index for each, as ``curation.claims`` does
        of_these = waiting.where(Candidate.urgency == int(urgency)).order_by(col(Candidate.id))
        found += session.exec(of_these.limit(limit - len(found))).all()
        if len(found) == limit:
            break
    return found


def decided_lately(session: Session, now: datetime, place: str) -> int:
    """How many verdicts were given in a place within ``LATELY``; what was undone is not counted."""
    # Reviews are numbered in the order of their time: a walk back from the newest ends at the first that is too old.
    earlier = select_columns(_REVIEWS.c.id).where(_REVIEWS.c.decided_at < now - LATELY)
    last = session.execute(earlier.order_by(_REVIEWS.c.id.desc()).limit(1)).scalar_one_or_none() or 0
    counted = select_columns(func.count()).select_from(_REVIEWS)
    counted = counted.join(_CANDIDATES, _CANDIDATES.c.id == _REVIEWS.c.candidate_id)
    counted = counted.where(_REVIEWS.c.id > last, _REVIEWS.c.undone_at.is_(None), _CANDIDATES.c.place == place)
    return int(session.execute(counted).scalar_one())
