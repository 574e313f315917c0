"""Candidates: a flagged or endorsed reply on its way to a decision.

Owns what a candidate is, its lifecycle (one transition table) and looking one up. How a reply becomes a candidate is
``curation.proposals``'s; the decision is a review's: see ``curation.reviews``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import bindparam, update
from sqlalchemy import select as select_columns
from sqlmodel import Session, col, select

from curation.errors import Conflict, NotFound, Overtaken
from curation.store.refusals import OVERTAKEN
from curation.store.rows import Prepared, columns_of, renew, table_of
from curation.store.tables import Candidate
from curation.wording import Phrase, called, phrase


class CandidateKind(StrEnum):
    """Why the reply is a candidate."""

    CORRECTION = "correction"
    ENDORSEMENT = "endorsement"
    IMPORTED = "imported"


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
    APPROVE_FIRST = "approve_first"
    """The first of two approvals."""
    UNDO = "undo"
    """Its reviewer takes the decision back, shortly after it."""


TRANSITIONS: dict[tuple[CandidateStatus, Step], CandidateStatus] = {
    (CandidateStatus.PENDING, Step.AMEND): CandidateStatus.PENDING,
    (CandidateStatus.PENDING, Step.APPROVE): CandidateStatus.APPROVED,
    (CandidateStatus.PENDING, Step.RETURN): CandidateStatus.RETURNED,
    (CandidateStatus.PENDING, Step.REJECT): CandidateStatus.REJECTED,
    (CandidateStatus.RETURNED, Step.AMEND): CandidateStatus.PENDING,
    (CandidateStatus.PENDING, Step.APPROVE_FIRST): CandidateStatus.PENDING,
    (CandidateStatus.PENDING, Step.UNDO): CandidateStatus.PENDING,
    (CandidateStatus.RETURNED, Step.REJECT): CandidateStatus.REJECTED,
    (CandidateStatus.APPROVED, Step.UNDO): CandidateStatus.PENDING,
    (CandidateStatus.RETURNED, Step.UNDO): CandidateStatus.PENDING,
    (CandidateStatus.REJECTED, Step.UNDO): CandidateStatus.PENDING,
}

RENEWAL = "#renewal-"
"""What the source of an example that is back for review ends with, before a number (``curation.expiry``)."""

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
    reason: str | None
    topic: str | None
    language: str | None
    context: list[str] | None
    toolbox: dict[str, Any] | None
    place: str | None


_CANDIDATES = table_of(Candidate)
_STANDING = Prepared(
    select_columns(*columns_of(Candidate, Standing)).where(_CANDIDATES.c.id == bindparam("candidate")), Standing
)
_STEP = Prepared(
    update(_CANDIDATES)
    .where(_CANDIDATES.c.id == bindparam("candidate"), _CANDIDATES.c.version == bindparam("seen"))
    .values(status=bindparam("following"), version=_CANDIDATES.c.version + 1)
)
_LABEL = Prepared(
    update(_CANDIDATES)
    .where(_CANDIDATES.c.id == bindparam("candidate"))
    .values(topic=bindparam("topic_now"), reason=bindparam("reason_now"))
)


def after(candidate: Candidate | Standing, step: Step) -> CandidateStatus:
    """The status that follows.

    Raises:
        Conflict: the candidate's status does not permit the step.
    """
    status = CandidateStatus(candidate.status)
    following = TRANSITIONS.get((status, step))
    if following is None:
        raise Conflict(
            "Candidate {candidate} is {status}; you cannot {step} it any more.",
            candidate=candidate.id,
            status=called(status),
            step=called(step),
        )
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


def label(session: Session, candidate: Standing, *, topic: str | None, reason: str | None) -> Standing:
    """Give a candidate that was just taken a topic and a reason; as it stands then."""
    _LABEL.change(session, candidate=candidate.id, topic_now=topic, reason_now=reason)
    renew(session, Candidate, candidate.id)
    return candidate._replace(topic=topic, reason=reason)


def find(session: Session, candidate_id: int) -> Candidate:
    """The candidate, or NotFound with the command that lists them."""
    candidate = session.get(Candidate, candidate_id)
    if candidate is None:
        raise unknown(candidate_id)
    return candidate


def standing(session: Session, candidate_id: int) -> Standing:
    """The same to decide on, without loading it."""
    candidate = _STANDING.first(session, candidate=candidate_id)
    if candidate is None:
        raise unknown(candidate_id)
    return candidate


def queue(session: Session, *, status: CandidateStatus = CandidateStatus.PENDING) -> list[Candidate]:
    """Candidates of one status, oldest first."""
    return list(session.exec(select(Candidate).where(Candidate.status == status.value).order_by(col(Candidate.id))))


def remarks(*, kind: str, source: str, reply: str, correction: str) -> list[Phrase]:
    """What a reviewer should know before deciding about such a candidate; nothing here blocks."""
    noted: list[Phrase] = []
    if RENEWAL in source:
        noted.append(phrase("A re-review: this was approved before and has expired. Is it true today?"))
    if kind == CandidateKind.CORRECTION.value and correction.strip() == reply.strip():
        same = phrase("The correction is the same as the reply: it teaches nothing new. An endorsement says it better.")
        noted.append(same)
    return noted


def unknown(candidate_id: int) -> NotFound:
    """What is said where there is no such candidate, to be raised."""
    return NotFound("There is no candidate {candidate}; list them with: errata queue", candidate=candidate_id)
