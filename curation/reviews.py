"""Reviews: a second person approves, edits and approves, returns or rejects.

Owns the verdicts, the two-person rule at the moment of decision, and that exactly one reviewer
wins. An approval makes the example in the same commit.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlmodel import Session, col, select

from curation import audit, candidates, examples, notices
from curation.candidates import CandidateKind, CandidateStatus, Step
from curation.errors import AlreadyDecided, Invalid, NotAllowed
from curation.notices import NoticeKind
from curation.people import Actor, name_of, require
from curation.policies import Permission, approver_is_independent
from curation.store.rows import insert_row
from curation.store.tables import Candidate, Correction, Review


class Verdict(StrEnum):
    """A reviewer's judgement."""

    APPROVE = "approve"
    EDIT_AND_APPROVE = "edit_and_approve"
    RETURN = "return"
    REJECT = "reject"


STEP: dict[Verdict, Step] = {
    Verdict.APPROVE: Step.APPROVE,
    Verdict.EDIT_AND_APPROVE: Step.APPROVE,
    Verdict.RETURN: Step.RETURN,
    Verdict.REJECT: Step.REJECT,
}


def decide(
    session: Session,
    actor: Actor,
    now: datetime,
    *,
    candidate_id: int,
    verdict: Verdict,
    comment: str | None = None,
    edited: str | None = None,
    seen: int | None = None,
) -> Review:
    """Give the verdict. The same reviewer giving the same verdict twice decides once.

    Args:
        comment: what to change (required with return) or why not (required with reject).
        edited: the reply as the reviewer rewrote it, with edit and approve.
        seen: the id of the correction's version that the reviewer looked at, where known.

    Raises:
        NotAllowed: no reviewer, or one of the correction's authors (two-person rule).
        AlreadyDecided: somebody was faster; the sentence says who and what.
        Invalid: a comment or an edited text is missing.
        Conflict: the candidate waits for its author, or the correction changed since it was seen.
    """
    require(session, actor, Permission.REVIEW)
    candidate = candidates.find(session, candidate_id)
    if (repeated := _decided(session, actor, candidate, verdict)) is not None:
        return repeated
    comment = comment.strip() if comment else None
    if verdict is Verdict.RETURN and not comment:
        raise Invalid("Say what should change, so that the author can: the comment is empty.")
    if verdict is Verdict.REJECT and not comment:
        raise Invalid("Say why it is rejected, so that the author learns from it: the reason is empty.")
    correction = candidates.versions(session, candidate.key)[-1]
    if seen is not None and correction.id != seen:
        raise AlreadyDecided(
            f"{name_of(session, correction.author)} changed the correction in between; read the new one first."
        )
    self_approved = _independence(session, actor, candidate, verdict)
    candidates.take(candidate, STEP[verdict])
    if verdict is Verdict.EDIT_AND_APPROVE:
        correction = _edited(session, actor, now, candidate, edited)
    given: dict[str, Any] = {
        "candidate_id": candidate.key,
        "reviewer": actor.person_id,
        "verdict": verdict.value,
        "comment": comment,
        "self_approved": self_approved,
        "decided_at": now,
    }
    session.flush()  # the candidate first: whoever is overtaken there writes nothing
    review = Review(id=insert_row(session, Review, **given), **given)
    if STEP[verdict] is Step.APPROVE:
        examples.from_candidate(session, actor, now, candidate, correction.text, self_approved=self_approved)
    _tell(session, actor, now, candidate, review)
    return review


def latest(session: Session, candidate_id: int) -> Review | None:
    """The newest review of a candidate."""
    given = select(Review).where(Review.candidate_id == candidate_id)
    return session.exec(given.order_by(col(Review.id).desc())).first()


def _decided(session: Session, actor: Actor, candidate: Candidate, verdict: Verdict) -> Review | None:
    """The actor's own equal verdict, if that is how the candidate was decided; else raise where it was."""
    if CandidateStatus(candidate.status) is CandidateStatus.PENDING:
        return None
    review = latest(session, candidate.key)
    if review is None:
        return None
    if review.reviewer == actor.person_id and review.verdict == verdict.value:
        return review
    if CandidateStatus(candidate.status) is CandidateStatus.RETURNED and verdict is Verdict.REJECT:
        return None
    raise AlreadyDecided(
        f"{name_of(session, review.reviewer)} was faster: candidate {candidate.id} is {candidate.status}."
    )


def _independence(session: Session, actor: Actor, candidate: Candidate, verdict: Verdict) -> bool:
    """Apply the two-person rule; true where solo mode let an author approve."""
    if STEP[verdict] is not Step.APPROVE:
        return False
    if approver_is_independent(actor.person_id, set(candidates.authors(session, candidate.key))):
        return False
    if actor.solo:
        return True
    what = "endorsement" if candidate.kind == CandidateKind.ENDORSEMENT.value else "correction"
    raise NotAllowed(
        f"{name_of(session, actor.person_id)} wrote this {what}: a second person approves it. "
        "To try Errata alone, set ERRATA_SOLO=true or start it with errata serve --solo."
    )


def _edited(session: Session, actor: Actor, now: datetime, candidate: Candidate, text: str | None) -> Correction:
    """The reviewer's own version; writing it makes the reviewer a co-author."""
    if not text or not text.strip():
        raise Invalid("The edited reply is empty: write the reply that the assistant should have given.")
    correction = Correction(candidate_id=candidate.key, text=text.strip(), author=actor.person_id, written_at=now)
    session.add(correction)
    session.flush()
    return correction


def _tell(session: Session, actor: Actor, now: datetime, candidate: Candidate, review: Review) -> None:
    key = f"candidate:{candidate.key}"
    audit.record(session, actor, now, f"candidate.{review.verdict}", subject=key, details={"review": review.key})
    notices.owe_again(session, now, key)
    if review.verdict == Verdict.RETURN.value:
        author = candidates.authors(session, candidate.key)[-1]
        notices.owe(session, now, NoticeKind.RETURNED, subject=f"review:{review.key}", destination=f"person:{author}")
