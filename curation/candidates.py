"""Candidates: a flagged or endorsed reply on its way to a decision.

Owns the lifecycle (one transition table), proposing, endorsing and amending. How a thread becomes a
capture is ``curation.captures``'s; the decision is a review's: see ``curation.reviews``.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import bindparam, update
from sqlalchemy import select as select_columns
from sqlmodel import Session, col, select

from curation import assistants, audit, captures, corrections, notices
from curation.conversation import Conversation, Message, Role
from curation.errors import Conflict, Invalid, NotFound, Overtaken
from curation.language import detect
from curation.notices import NoticeKind
from curation.people import Actor, name_of, require
from curation.policies import Permission
from curation.store.refusals import OVERTAKEN
from curation.store.rows import Prepared, columns_of, insert_row, renew, table_of
from curation.store.tables import Candidate, Capture


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

RENEWAL = "#renewal-"
"""What the source of an example that is back for review ends with, before a number (``curation.expiry``)."""

ITS_CHANNEL = "the channel of the reply"
"""As the destination of a review card: wherever the reply stands."""

_PUT_FORWARD = {
    CandidateKind.CORRECTION: "candidate.proposed",
    CandidateKind.ENDORSEMENT: "candidate.endorsed",
}

OPEN = (CandidateStatus.PENDING.value, CandidateStatus.RETURNED.value)


class Standing(NamedTuple):
    """A candidate as it stands, read to decide on it. ``version``: of the row, which every change counts up."""

    id: int
    kind: str
    status: str
    version: int
    source: str
    thread: str
    customer: str | None
    assistant_id: int | None
    turns: list[dict[str, Any]]
    reply: str
    topic: str | None
    language: str | None
    context: list[str] | None
    toolbox: dict[str, Any] | None


_CANDIDATES = table_of(Candidate)
_STANDING = Prepared(
    select_columns(*columns_of(Candidate, Standing)).where(_CANDIDATES.c.id == bindparam("candidate")), Standing
)
_STEP = Prepared(
    update(_CANDIDATES)
    .where(_CANDIDATES.c.id == bindparam("candidate"), _CANDIDATES.c.version == bindparam("seen"))
    .values(status=bindparam("following"), version=_CANDIDATES.c.version + 1)
)
_OF_CAPTURE = Prepared(select_columns(_CANDIDATES.c.id).where(_CANDIDATES.c.capture_id == bindparam("capture")))
_ON_REPLY = Prepared(
    select_columns(*(_CANDIDATES.c[name] for name in ("id", "kind", "status", "flagged_by"))).where(
        _CANDIDATES.c.source == bindparam("reply")
    )
)


class Reason(StrEnum):
    """What is wrong with the flagged reply."""

    WRONG_FACT = "wrong_fact"
    CHANGING_FACT = "changing_fact"
    """A fact that changes, such as a price: it belongs in the assistant's sources (``curation.knowledge``)."""
    MISSING_STEP = "missing_step"
    TONE = "tone"
    POLICY = "policy"
    UNSAFE = "unsafe"
    LANGUAGE = "language"
    OTHER = "other"


def after(candidate: Candidate | Standing, step: Step) -> CandidateStatus:
    """The status that follows.

    Raises:
        Conflict: the candidate's status does not permit the step.
    """
    status = CandidateStatus(candidate.status)
    following = TRANSITIONS.get((status, step))
    if following is None:
        raise Conflict(f"Candidate {candidate.id} is {status.value}; you cannot {step.value} it any more.")
    return following


def take(session: Session, candidate: Standing, step: Step) -> None:
    """Move the candidate along its lifecycle, from where it was read.

    Raises:
        Conflict: its status does not permit the step.
        Overtaken: somebody has moved it since it was read.
    """
    following = after(candidate, step).value
    if not _STEP.change(session, candidate=candidate.id, seen=candidate.version, following=following):
        raise Overtaken(OVERTAKEN)
    renew(session, Candidate, candidate.id)


def capture(
    session: Session,
    actor: Actor,
    now: datetime,
    *,
    team_id: str,
    spoken_by: AbstractSet[str],
    source: str,
    thread: str,
    reply: str,
) -> Capture:
    """Keep the reply that somebody points at, if a candidate may be made of it, before its thread has been read.

    Args:
        spoken_by: the user and bot ids that the message was written under.

    Raises:
        NotFound, Conflict, NotAllowed: no assistant speaks under these ids; a candidate stands on the reply;
            the actor may not flag.
    """
    assistant = assistants.speaking_as(session, team_id, spoken_by)
    if assistant is None:
        raise NotFound(
            "This message is not by an assistant that Errata watches. An owner adds one with: "
            f"errata assistants add NAME --bot {max(spoken_by, default='USER_ID')}"  # U…, not B…, of Slack's two ids
        )
    refuse_second(session, source)
    return captures.keep(session, actor, now, assistant_id=assistant.key, source=source, thread=thread, reply=reply)


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
) -> int:
    """Store a correction beside the original and owe a review card; the id of the candidate, one of each capture.

    Args:
        question: what the customer asked, where the thread could not be read.
        review_in: the destination of the review card, or ``ITS_CHANNEL``; None where nobody reviews in a channel.

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
    return _put_forward(
        session, actor, now, capture_id, CandidateKind.CORRECTION, correction, question, review_in, said
    )


def endorse(
    session: Session,
    actor: Actor,
    now: datetime,
    *,
    capture_id: int,
    topic: str | None = None,
    question: str | None = None,
    review_in: str | None,
) -> int:
    """Put a good reply forward, unchanged; a second person approves it like a correction. The candidate's id.

    Raises:
        As ``propose``.
    """
    said = {"topic": topic or None}
    return _put_forward(session, actor, now, capture_id, CandidateKind.ENDORSEMENT, None, question, review_in, said)


def amend(session: Session, actor: Actor, now: datetime, *, candidate_id: int, correction: str) -> None:
    """Write a new version of the correction; whoever does becomes one of its authors.

    Raises:
        NotAllowed, NotFound, Conflict, Invalid: may not flag; no such candidate; decided already; empty.
    """
    require(session, actor, Permission.FLAG)
    if not correction.strip():
        raise Invalid("The correction is empty: write the reply that the assistant should have given.")
    candidate = standing(session, candidate_id)
    if CandidateStatus(candidate.status) is CandidateStatus.PENDING and correction.strip() == corrections.current_text(
        session, candidate_id
    ):
        return  # pressed twice: the text already stands
    take(session, candidate, Step.AMEND)
    corrections.write(session, now, candidate_id, text=correction, author=actor.person_id)
    audit.record(session, actor, now, "candidate.amended", subject=f"candidate:{candidate_id}")
    notices.owe_again(session, now, f"candidate:{candidate_id}")


def find(session: Session, candidate_id: int) -> Candidate:
    """The candidate, or NotFound with the command that lists them."""
    candidate = session.get(Candidate, candidate_id)
    if candidate is None:
        raise _unknown(candidate_id)
    return candidate


def standing(session: Session, candidate_id: int) -> Standing:
    """The same to decide on, without loading it."""
    candidate = _STANDING.first(session, candidate=candidate_id)
    if candidate is None:
        raise _unknown(candidate_id)
    return candidate


def queue(session: Session, *, status: CandidateStatus = CandidateStatus.PENDING) -> list[Candidate]:
    """Candidates of one status, oldest first."""
    return list(session.exec(select(Candidate).where(Candidate.status == status.value).order_by(col(Candidate.id))))


def refuse_second(session: Session, source: str) -> None:
    """Raise Conflict, naming who and where, if a candidate that is open or approved stands on this reply."""
    for candidate in _ON_REPLY.rows(session, reply=source):
        if candidate.status == CandidateStatus.REJECTED.value:
            continue
        what = "endorsed" if candidate.kind == CandidateKind.ENDORSEMENT.value else "corrected"
        raise Conflict(
            f"Already {what} by {name_of(session, candidate.flagged_by)}, {candidate.status}: "
            f"it is candidate {candidate.id} in the queue."
        )


def remarks(candidate: Candidate, correction: str) -> list[str]:
    """What a reviewer should know before deciding; nothing here blocks."""
    noted = []
    if RENEWAL in candidate.source:
        noted.append("A re-review: this was approved before and has expired. Is it true today?")
    if candidate.kind == CandidateKind.CORRECTION.value and correction.strip() == candidate.reply.strip():
        noted.append("The correction is the same as the reply: it teaches nothing new. An endorsement says it better.")
    return noted


def _put_forward(
    session: Session,
    actor: Actor,
    now: datetime,
    capture_id: int,
    kind: CandidateKind,
    correction: str | None,
    question: str | None,
    review_in: str | None,
    said: dict[str, Any],
) -> int:
    """Make the capture's candidate, unless there is one; without a correction the reply stands as it is."""
    require(session, actor, Permission.FLAG)
    kept = captures.find(session, capture_id)
    if kept.captured_by != actor.person_id:
        raise Conflict("Somebody else opened this form; press the shortcut on the reply yourself.")
    if (made := _OF_CAPTURE.first(session, capture=capture_id)) is not None:
        return int(made.id)
    refuse_second(session, kept.source)
    turns = kept.turns or (_asked(question) if question and question.strip() else None)
    if turns is None:
        raise Invalid(
            "Errata is still reading the thread: save again in a moment."
            if kept.trouble is None
            else "The thread could not be read: write what the customer asked."
        )
    candidate_id = insert_row(
        session,
        Candidate,
        kind=kind.value,
        status=CandidateStatus.PENDING.value,
        source=kept.source,
        thread=kept.thread,
        capture_id=capture_id,
        assistant_id=kept.assistant_id,
        turns=turns,
        reply=kept.reply,
        language=detect(Conversation.from_json(turns).first_user_text()),
        flagged_by=actor.person_id,
        flagged_at=now,
        version=1,  # as the mapper begins
        **said,
    )
    proposed = kept.reply if correction is None else correction
    corrections.write(session, now, candidate_id, text=proposed, author=actor.person_id)
    key = f"candidate:{candidate_id}"
    audit.record(session, actor, now, _PUT_FORWARD[kind], subject=key)
    place = kept.place if review_in == ITS_CHANNEL else review_in
    if place is not None:
        notices.owe(session, now, NoticeKind.CANDIDATE_CARD, subject=key, destination=place, message_key=key)
    return candidate_id


def _asked(question: str) -> list[dict[str, object]]:
    return Conversation((Message(Role.USER, question.strip()),)).as_json()


def _unknown(candidate_id: int) -> NotFound:
    return NotFound(f"There is no candidate {candidate_id}; list them with: errata queue")
