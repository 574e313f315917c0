"""Candidates: a flagged or endorsed reply on its way to a decision.

Owns the lifecycle (one transition table), proposing, endorsing and amending. How a thread becomes a
capture is ``curation.captures``'s; the decision is a review's: see ``curation.reviews``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import bindparam
from sqlalchemy import select as select_columns
from sqlmodel import Session, col, select

from curation import audit, captures, notices
from curation.conversation import Conversation, Message, Role
from curation.errors import Conflict, Invalid, NotFound
from curation.language import detect
from curation.notices import NoticeKind
from curation.people import Actor, name_of, require
from curation.policies import Permission
from curation.store.rows import found, insert_row, table_of
from curation.store.tables import Candidate, Correction


class CandidateKind(StrEnum):
    """Why the reply is a candidate."""

    CORRECTION = "correction"
    ENDORSEMENT = "endorsement"
    IMPORTED = "imported"


class CandidateStatus(StrEnum):
    """Where a candidate stands."""

    PENDING = "pending"
    RETURNED = "returned"
    APPROVED = "approved"
    REJECTED = "rejected"


class Step(StrEnum):
    """What can happen to a candidate."""

    AMEND = "amend"
    APPROVE = "approve"
    RETURN = "return"
    REJECT = "reject"


TRANSITIONS: dict[tuple[CandidateStatus, Step], CandidateStatus] = {
    (CandidateStatus.PENDING, Step.AMEND): CandidateStatus.PENDING,
    (CandidateStatus.PENDING, Step.APPROVE): CandidateStatus.APPROVED,
    (CandidateStatus.PENDING, Step.RETURN): CandidateStatus.RETURNED,
    (CandidateStatus.PENDING, Step.REJECT): CandidateStatus.REJECTED,
    (CandidateStatus.RETURNED, Step.AMEND): CandidateStatus.PENDING,
    (CandidateStatus.RETURNED, Step.REJECT): CandidateStatus.REJECTED,
}

OPEN = (CandidateStatus.PENDING.value, CandidateStatus.RETURNED.value)


_CANDIDATES, _CORRECTIONS = table_of(Candidate), table_of(Correction)
_OF_CAPTURE = select_columns(_CANDIDATES.c.id).where(_CANDIDATES.c.capture_id == bindparam("capture"))
_ON_REPLY = select_columns(_CANDIDATES.c.id, _CANDIDATES.c.kind, _CANDIDATES.c.status, _CANDIDATES.c.flagged_by).where(
    _CANDIDATES.c.source == bindparam("reply")
)
_AUTHORS = (
    select_columns(_CORRECTIONS.c.author)
    .where(_CORRECTIONS.c.candidate_id == bindparam("candidate"))
    .order_by(_CORRECTIONS.c.id)
)


class Reason(StrEnum):
    """What is wrong with the flagged reply."""

    WRONG_FACT = "wrong_fact"
    MISSING_STEP = "missing_step"
    TONE = "tone"
    POLICY = "policy"
    UNSAFE = "unsafe"
    LANGUAGE = "language"
    OTHER = "other"


def take(candidate: Candidate, step: Step) -> None:
    """Move the candidate along its lifecycle.

    Raises:
        Conflict: its status does not permit the step.
    """
    status = CandidateStatus(candidate.status)
    following = TRANSITIONS.get((status, step))
    if following is None:
        raise Conflict(f"Candidate {candidate.id} is {status.value}; you cannot {step.value} it any more.")
    candidate.status = following.value


def propose(
    session: Session,
    actor: Actor,
    now: datetime,
    *,
    capture_id: int,
    correction: str,
    reason: Reason | None = None,
    topic: str | None = None,
    note: str | None = None,
    question: str | None = None,
    review_in: str | None,
) -> Candidate:
    """Store a correction beside the original and owe a review card; the same capture gives one candidate.

    Args:
        question: what the customer asked, where the thread could not be read.
        review_in: the destination of the review card; None where nobody reviews in a channel.

    Raises:
        NotAllowed, NotFound, Invalid, Conflict: may not flag; no such capture; the correction is
            empty or the question unknown; somebody else's candidate stands on the reply.
    """
    if not correction.strip():
        raise Invalid("The correction is empty: write the reply that the assistant should have given.")
    said: dict[str, Any] = {
        "reason": reason.value if reason is not None else None,
        "topic": topic or None,
        "note": note or None,
    }
    candidate, fresh = _from_capture(session, actor, now, capture_id, CandidateKind.CORRECTION, question, said)
    if not fresh:
        return candidate
    _write(session, actor, now, candidate, correction)
    _announce(session, actor, now, candidate, "candidate.proposed", review_in)
    return candidate


def endorse(
    session: Session,
    actor: Actor,
    now: datetime,
    *,
    capture_id: int,
    topic: str | None = None,
    question: str | None = None,
    review_in: str | None,
) -> Candidate:
    """Put a good reply forward, unchanged; a second person approves it like a correction.

    Raises:
        As ``propose``.
    """
    said = {"topic": topic or None}
    candidate, fresh = _from_capture(session, actor, now, capture_id, CandidateKind.ENDORSEMENT, question, said)
    if fresh:
        _write(session, actor, now, candidate, candidate.reply)
        _announce(session, actor, now, candidate, "candidate.endorsed", review_in)
    return candidate


def amend(session: Session, actor: Actor, now: datetime, *, candidate_id: int, correction: str) -> Candidate:
    """Write a new version of the correction; whoever does becomes one of its authors.

    Raises:
        NotAllowed, NotFound, Conflict, Invalid: may not flag; no such candidate; decided already; empty.
    """
    require(session, actor, Permission.FLAG)
    if not correction.strip():
        raise Invalid("The correction is empty: write the reply that the assistant should have given.")
    candidate = find(session, candidate_id)
    if CandidateStatus(candidate.status) is CandidateStatus.PENDING and correction.strip() == current_text(
        session, candidate.key
    ):
        return candidate  # pressed twice: the text already stands
    take(candidate, Step.AMEND)
    _write(session, actor, now, candidate, correction)
    audit.record(session, actor, now, "candidate.amended", subject=f"candidate:{candidate.key}")
    notices.owe_again(session, now, f"candidate:{candidate.key}")
    return candidate


def find(session: Session, candidate_id: int) -> Candidate:
    """The candidate, or NotFound with the command that lists them."""
    candidate = session.get(Candidate, candidate_id)
    if candidate is None:
        raise NotFound(f"There is no candidate {candidate_id}; list them with: errata queue")
    return candidate


def queue(session: Session, *, status: CandidateStatus = CandidateStatus.PENDING) -> list[Candidate]:
    """Candidates of one status, oldest first."""
    return list(session.exec(select(Candidate).where(Candidate.status == status.value).order_by(col(Candidate.id))))


def refuse_second(session: Session, source: str) -> None:
    """Raise Conflict, naming who and where, if a candidate that is open or approved stands on this reply."""
    standing: Sequence[str] = (*OPEN, CandidateStatus.APPROVED.value)
    session.flush()
    for candidate in found(session, _ON_REPLY, reply=source):
        if candidate.status not in standing:
            continue
        what = "endorsed" if candidate.kind == CandidateKind.ENDORSEMENT.value else "corrected"
        raise Conflict(
            f"Already {what} by {name_of(session, candidate.flagged_by)}, {candidate.status}: "
            f"it is candidate {candidate.id} in the queue."
        )


def versions(session: Session, candidate_id: int) -> list[Correction]:
    """Every version of the correction, oldest first."""
    written = select(Correction).where(Correction.candidate_id == candidate_id)
    return list(session.exec(written.order_by(col(Correction.id))))


def current_text(session: Session, candidate_id: int) -> str:
    """The newest version of the correction."""
    return versions(session, candidate_id)[-1].text


def authors(session: Session, candidate_id: int) -> list[str]:
    """Everybody who wrote a version of the correction, in the order of their first."""
    return list(dict.fromkeys(version.author for version in found(session, _AUTHORS, candidate=candidate_id)))


def remarks(candidate: Candidate, correction: str) -> list[str]:
    """What a reviewer should know before deciding; nothing here blocks."""
    noted = []
    if candidate.kind == CandidateKind.CORRECTION.value and correction.strip() == candidate.reply.strip():
        noted.append("The correction is the same as the reply: it teaches nothing new. An endorsement says it better.")
    return noted


def _from_capture(
    session: Session,
    actor: Actor,
    now: datetime,
    capture_id: int,
    kind: CandidateKind,
    question: str | None,
    said: dict[str, Any],
) -> tuple[Candidate, bool]:
    """The capture's candidate, and whether it is new."""
    require(session, actor, Permission.FLAG)
    row = captures.find(session, capture_id)
    if row.captured_by != actor.person_id:
        raise Conflict("Somebody else opened this form; press the shortcut on the reply yourself.")
    if made := found(session, _OF_CAPTURE, capture=capture_id):
        return find(session, made[0].id), False
    refuse_second(session, row.source)
    turns = row.turns or (_asked(question) if question and question.strip() else None)
    if turns is None:
        raise Invalid(
            "Errata is still reading the thread: save again in a moment."
            if row.trouble is None
            else "The thread could not be read: write what the customer asked."
        )
    candidate = Candidate(
        kind=kind.value,
        status=CandidateStatus.PENDING.value,
        source=row.source,
        thread=row.thread,
        capture_id=capture_id,
        assistant_id=row.assistant_id,
        turns=turns,
        reply=row.reply,
        language=detect(Conversation.from_json(turns).first_user_text()),
        flagged_by=actor.person_id,
        flagged_at=now,
        **said,
    )
    session.add(candidate)
    session.flush()
    return candidate, True


def _asked(question: str) -> list[dict[str, object]]:
    return Conversation((Message(Role.USER, question.strip()),)).as_json()


def _write(session: Session, actor: Actor, now: datetime, candidate: Candidate, correction: str) -> None:
    insert_row(
        session,
        Correction,
        candidate_id=candidate.key,
        text=correction.strip(),
        author=actor.person_id,
        written_at=now,
    )


def _announce(
    session: Session, actor: Actor, now: datetime, candidate: Candidate, action: str, review_in: str | None
) -> None:
    key = f"candidate:{candidate.key}"
    audit.record(session, actor, now, action, subject=key)
    if review_in is not None:
        notices.owe(session, now, NoticeKind.CANDIDATE_CARD, subject=key, destination=review_in, message_key=key)
