"""Reviews: a second person approves, edits and approves, returns or rejects.

Owns the verdicts, the two-person rule at the moment of decision, and that exactly one reviewer
wins. An approval makes the example in the same commit.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import bindparam
from sqlalchemy import select as select_columns
from sqlmodel import Session

from curation import audit, candidates, corrections, examples, notices
from curation.candidates import CandidateKind, CandidateStatus, Standing, Step
from curation.corrections import Version, authors
from curation.errors import AlreadyDecided, Invalid, NotAllowed
from curation.formats.unseen import is_blank
from curation.notices import NoticeKind
from curation.people import Actor, name_of, require
from curation.policies import Permission, approver_is_independent
from curation.store.rows import Prepared, columns_of, insert_row, table_of
from curation.store.tables import Review

if TYPE_CHECKING:  # its scan of telephone numbers takes a twentieth of a second to load
    from curation.checking.inspection import Inspection


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


class Given(NamedTuple):
    """A verdict that was given."""

    id: int
    reviewer: str
    verdict: str
    comment: str | None
    self_approved: bool


_LATEST = Prepared(
    select_columns(*columns_of(Review, Given))
    .where(table_of(Review).c.candidate_id == bindparam("candidate"))
    .order_by(table_of(Review).c.id.desc())
    .limit(1),
    Given,
)


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
    inspection: Inspection | None = None,
) -> Given:
    """Give the verdict. The same reviewer giving the same verdict twice decides once.

    Args:
        comment: what to change (required with return) or why not (required with reject).
        edited: the reply as the reviewer rewrote it, with edit and approve.
        seen: the id of the correction's version that the reviewer looked at, where known.
        inspection: looks at an edited reply before it is written, as at every correction.

    Raises:
        NotAllowed: no reviewer, or one of the correction's authors (two-person rule).
        AlreadyDecided: somebody was faster; the sentence says who and what.
        Invalid: a comment or an edited text is missing.
        OverWindow: with the edited text the conversation surely does not fit the model that will be tuned.
        Conflict: the candidate waits for its author, or the correction changed since it was seen.
    """
    require(session, actor, Permission.REVIEW)
    candidate = candidates.standing(session, candidate_id)
    if (repeated := _decided(session, actor, candidate, verdict)) is not None:
        return repeated
    comment = comment.strip() if comment else None
    if verdict is Verdict.RETURN and not comment:
        raise Invalid("Say what should change, so that the author can: the comment is empty.")
    if verdict is Verdict.REJECT and not comment:
        raise Invalid("Say why it is rejected, so that the author learns from it: the reason is empty.")
    versions = corrections.versions(session, candidate_id)
    if seen is not None and versions[-1].id != seen:
        raise AlreadyDecided(
            f"{name_of(session, versions[-1].author)} changed the correction in between; read the new one first."
        )
    self_approved = _independence(session, actor, candidate, versions, verdict)
    candidates.take(session, candidate, STEP[verdict])  # first: whoever is overtaken there writes nothing
    if verdict is Verdict.EDIT_AND_APPROVE:
        versions.append(_edited(session, actor, now, candidate, edited, inspection))
    given = _written(session, actor, now, candidate_id, verdict, comment, self_approved=self_approved)
    if STEP[verdict] is Step.APPROVE:
        examples.from_candidate(session, actor, now, candidate, versions, self_approved=self_approved)
    _tell(session, actor, now, candidate_id, versions, given)
    return given


def latest(session: Session, candidate_id: int) -> Given | None:
    """The newest verdict on a candidate."""
    return _LATEST.first(session, candidate=candidate_id)


def _decided(session: Session, actor: Actor, candidate: Standing, verdict: Verdict) -> Given | None:
    """The actor's own equal verdict, if that is how the candidate was decided; else raise where it was."""
    if CandidateStatus(candidate.status) is CandidateStatus.PENDING:
        return None
    given = latest(session, candidate.id)
    if given is None:
        return None
    if given.reviewer == actor.person_id and given.verdict == verdict.value:
        return given
    if CandidateStatus(candidate.status) is CandidateStatus.RETURNED and verdict is Verdict.REJECT:
        return None
    raise AlreadyDecided(
        f"{name_of(session, given.reviewer)} was faster: candidate {candidate.id} is {candidate.status}."
    )


def _written(
    session: Session,
    actor: Actor,
    now: datetime,
    candidate_id: int,
    verdict: Verdict,
    comment: str | None,
    *,
    self_approved: bool,
) -> Given:
    key = insert_row(
        session,
        Review,
        candidate_id=candidate_id,
        reviewer=actor.person_id,
        verdict=verdict.value,
        comment=comment,
        self_approved=self_approved,
        decided_at=now,
    )
    return Given(key, actor.person_id, verdict.value, comment, self_approved)


def _independence(
    session: Session, actor: Actor, candidate: Standing, versions: list[Version], verdict: Verdict
) -> bool:
    """Apply the two-person rule; true where solo mode let an author approve."""
    if STEP[verdict] is not Step.APPROVE:
        return False
    if approver_is_independent(actor.person_id, set(authors(versions))):
        return False
    if actor.solo:
        return True
    what = "endorsement" if candidate.kind == CandidateKind.ENDORSEMENT.value else "correction"
    raise NotAllowed(
        f"{name_of(session, actor.person_id)} wrote this {what}: a second person approves it. "
        "To try Errata alone, set ERRATA_SOLO=true or start it with errata serve --solo."
    )


def _edited(
    session: Session,
    actor: Actor,
    now: datetime,
    candidate: Standing,
    text: str | None,
    inspection: Inspection | None,
) -> Version:
    """The reviewer's own version; writing it makes the reviewer a co-author."""
    if not text or is_blank(text):
        raise Invalid("The edited reply is empty: write the reply that the assistant should have given.")
    corrections.inspect(session, inspection, candidate, text)
    return corrections.write(session, now, candidate.id, text=text, author=actor.person_id)


def _tell(
    session: Session, actor: Actor, now: datetime, candidate_id: int, versions: list[Version], given: Given
) -> None:
    key = f"candidate:{candidate_id}"
    audit.record(session, actor, now, f"candidate.{given.verdict}", subject=key, details={"review": given.id})
    notices.owe_again(session, now, key)
    if given.verdict == Verdict.RETURN.value:
        author = authors(versions)[-1]
        notices.owe(session, now, NoticeKind.RETURNED, subject=f"review:{given.id}", destination=f"person:{author}")
