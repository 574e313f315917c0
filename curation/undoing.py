"""Undoing: for a few minutes a reviewer can take a decision back.

Owns whether that is still possible and what becomes of what was decided: it waits for review again, as its author wrote
it. Everything stays in the history: the verdict, which counts no more, and what the reviewer had written.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import bindparam, update
from sqlmodel import Session

from curation import audit, candidates, corrections, feedback, rolling, verdicts, withdrawal
from curation.candidates import TRANSITIONS, CandidateStatus, Standing, Step
from curation.errors import Conflict, NotAllowed, NotFound
from curation.people import Actor, name_of, require
from curation.policies import Permission
from curation.store.rows import Prepared, table_of
from curation.store.tables import Review
from curation.verdicts import STEP, Given, Verdict
from curation.wording import called

UNDO = timedelta(minutes=10)
"""For how long a decision can be undone."""

_REVIEWS = table_of(Review)
_UNDONE = Prepared(update(_REVIEWS).where(_REVIEWS.c.id == bindparam("review")).values(undone_at=bindparam("present")))


def undo(session: Session, actor: Actor, now: datetime, *, review_id: int) -> list[int]:
    """Take a decision back, with all that were given together: their candidates, which wait for review again.

    An example that it made is removed. What the reviewer wrote stays in the history; shown is what stood there before,
    so that the reviewer may decide anew. Undoing twice undoes once.

    Args:
        review_id: as the decision gave it.

    Raises:
        NotFound, NotAllowed: no such decision; it is somebody else's, or the actor may not review any more.
        Conflict: it is too late, what was decided has moved on, or its example is in use.
    """
    require(session, actor, Permission.REVIEW)
    given = verdicts.find(session, review_id)
    if given is None:
        raise NotFound("There is no decision {review} to undo.", review=review_id)
    if given.reviewer != actor.person_id:
        raise NotAllowed("{person} decided that: nobody else can undo it.", person=name_of(session, given.reviewer))
    batch = verdicts.together(session, given)
    keys = [one.candidate_id for one in batch]
    if all(one.undone_at is not None for one in batch):
        return keys
    if now - given.decided_at > UNDO:
        raise Conflict(
            "That was decided more than {count} minutes ago and stands: it cannot be undone any more.",
            count=int(UNDO / timedelta(minutes=1)),
        )
    standing = [candidates.standing(session, key) for key in keys]
    for one, candidate in zip(batch, standing, strict=True):
        _require_undoable(session, candidate, one)
    for one, candidate in zip(batch, standing, strict=True):
        _undo_one(session, actor, now, candidate, one)
    return keys


def _require_undoable(session: Session, candidate: Standing, given: Given) -> None:
    newest = verdicts.latest(session, candidate.id)
    step = STEP[Verdict(given.verdict)]
    after = {TRANSITIONS[CandidateStatus.PENDING, step].value}
    if step is Step.APPROVE:
        after.add(CandidateStatus.PENDING.value)  # the first of two approvals
    if newest is None or newest.id != given.id or candidate.status not in after:
        raise Conflict(
            "Candidate {candidate} has moved on since and is {status}: that cannot be undone any more.",
            candidate=candidate.id,
            status=called(CandidateStatus(candidate.status)),
        )
    if candidate.status == CandidateStatus.APPROVED.value:
        withdrawal.require_possible(session, candidate.id, since=given.decided_at)


def _undo_one(session: Session, actor: Actor, now: datetime, candidate: Standing, given: Given) -> None:
    candidates.take(session, candidate, Step.UNDO)
    if candidate.status == CandidateStatus.APPROVED.value:
        withdrawal.withdraw(session, candidate.id)
    _UNDONE.change(session, review=given.id, present=now)
    if given.topic is not None or given.reason is not None:  # the reviewer's, not the author's
        candidates.label(
            session,
            candidate,
            topic=None if given.topic is not None else candidate.topic,
            reason=None if given.reason is not None else candidate.reason,
        )
    versions = corrections.versions(session, candidate.id)
    edited = given.verdict == Verdict.EDIT_AND_APPROVE.value and versions[-1].id == given.correction_id
    if edited and len(versions) > 1:
        before = versions[-2]
        corrections.write(session, now, candidate.id, text=before.text, author=before.author)
    details = {"review": given.id}
    audit.record(session, actor, now, "candidate.undone", subject=f"candidate:{candidate.id}", details=details)
    rolling.owe_queue(session, now, candidate.place, new=candidate.id)
    feedback.changed(session, now, candidate.id)
