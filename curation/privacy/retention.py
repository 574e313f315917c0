"""Retention: what nobody decided about, or decided against, does not stay for ever.

Owns what is old enough to go: captures, and candidates that are undecided or rejected. Approved examples stay; of an
approved candidate's capture only the words go, since it says who the customer was.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, null, or_, select, update
from sqlmodel import Session

from curation import audit
from curation.candidates import CandidateStatus
from curation.errors import Invalid
from curation.people import WORKER, Actor, require
from curation.policies import Permission
from curation.privacy.removal import remove_candidates, remove_captures
from curation.store.rows import table_of
from curation.store.tables import Candidate, Capture

MOST_DAYS = 36_500
_GOING = (CandidateStatus.PENDING.value, CandidateStatus.RETURNED.value, CandidateStatus.REJECTED.value)


@dataclass(frozen=True, slots=True)
class Swept:
    """How many candidates and captures went, and of how many captures the words did."""

    candidates: int
    captures: int
    emptied: int

    def __bool__(self) -> bool:
        """Whether anything went."""
        return bool(self.candidates or self.captures or self.emptied)

    def as_json(self) -> dict[str, int]:
        """``{"candidates": 3, "captures": 5, "emptied": 1}``."""
        return asdict(self)


def sweep(session: Session, actor: Actor, now: datetime, *, days: int, dry_run: bool = False) -> Swept:
    """Remove what is older than so many days; the worker may, and owners may.

    Raises:
        NotAllowed: the actor is neither.
        Invalid: fewer than 1 day, or more than ``MOST_DAYS``.
    """
    if actor != WORKER:
        require(session, actor, Permission.ERASE)
    if not 1 <= days <= MOST_DAYS:
        raise Invalid("Give a number of days from 1 on, to {most:,} at most: that is a hundred years.", most=MOST_DAYS)
    limit = now - timedelta(days=days)
    candidates, captures = table_of(Candidate), table_of(Capture)
    connection = session.connection()
    going = list(
        connection.execute(
            select(candidates.c.id).where(candidates.c.status.in_(_GOING), candidates.c.flagged_at < limit)
        ).scalars()
    )
    old = captures.c.captured_at < limit
    staying = select(candidates.c.capture_id).where(
        candidates.c.capture_id.is_not(None), or_(candidates.c.status.not_in(_GOING), candidates.c.flagged_at >= limit)
    )
    unused = list(connection.execute(select(captures.c.id).where(old, captures.c.id.not_in(staying))).scalars())
    approved = select(candidates.c.capture_id).where(
        candidates.c.capture_id.is_not(None), candidates.c.status == CandidateStatus.APPROVED.value
    )
    full = old & captures.c.id.in_(approved) & (captures.c.reply != "")
    swept = Swept(len(going), len(unused), connection.execute(select(func.count()).where(full)).scalar_one())
    if dry_run or not swept:
        return swept
    remove_candidates(session, now, going)
    remove_captures(session, unused)
    words = {"reply": "", "staff_reply": None, "turns": null(), "context": null(), "choices": null()}
    connection.execute(update(captures).where(full).values(words))
    audit.record(session, actor, now, "retention.swept", subject="captures", details={"days": days, **swept.as_json()})
    session.expire_all()
    return swept
