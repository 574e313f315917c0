"""Datasets that were asked for where nobody can wait for them: the asking is a row, a worker freezes, a notice tells.

Owns the lifecycle of a request (one transition table): none is lost, and none is carried out twice. A freeze looks at
every example and counts every token, which nobody who waits for an ack can wait for. The subject of its notice is the
request.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import select as select_columns
from sqlmodel import Session, col, select

from curation import audit, notices
from curation.datasets import freezing, manifest
from curation.datasets.preparing import Options, Told
from curation.errors import Conflict, ErrataError, Overtaken, StoreUnavailable, Unavailable
from curation.notices import NoticeKind
from curation.people import WORKER, Actor, PersonId
from curation.privacy.treatment import DEFAULT_TERMS, Terms
from curation.screening.harms import Watch
from curation.store.engine import Store
from curation.store.rows import Prepared, Work, table_of
from curation.store.tables import DatasetVersion, FreezeRequest
from curation.tokens.counters import TokenCounter
from curation.wording import phrase

log = logging.getLogger("errata.freezing")


class RequestStatus(StrEnum):
    """Where a request stands."""

    REQUESTED = "requested"
    FROZEN = "frozen"
    REFUSED = "refused"


class RequestStep(StrEnum):
    """What a worker can make of a request."""

    FREEZE = "freeze"
    REFUSE = "refuse"


TRANSITIONS: dict[tuple[RequestStatus, RequestStep], RequestStatus] = {
    (RequestStatus.REQUESTED, RequestStep.FREEZE): RequestStatus.FROZEN,
    (RequestStatus.REQUESTED, RequestStep.REFUSE): RequestStatus.REFUSED,
}


_REQUESTS = table_of(FreezeRequest)
_WAITING = Prepared(select_columns(_REQUESTS.c.id).where(_REQUESTS.c.status == RequestStatus.REQUESTED.value).limit(1))


class Answered(Exception):
    """Another worker was quicker; nothing was written."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a request: a version, or why there is none.

    Attributes:
        name, digest, manifest: of the version; empty where it was refused.
        new: whether the version was made by this request; unchanged examples give the one that holds them.
        refusal: why nothing was frozen, in a sentence; None where something was.
    """

    name: str
    digest: str
    manifest: Mapping[str, Any]
    new: bool
    refusal: str | None = None


def ask(
    session: Session,
    actor: Actor,
    now: datetime,
    *,
    name: str | None,
    validation_share: float,
    destination: str,
    since: datetime | None = None,
) -> FreezeRequest:
    """Commit that somebody wants a version, once what can be told at once does not speak against it.

    Args:
        name: of the version; None for the next of v1, v2, …
        destination: where the notice of what came of it goes.
        since: leave out what was approved before; None: everything takes part.

    Raises:
        NotAllowed: the actor is not an owner.
        Invalid: the name or the share is not one.
        Conflict: nothing is approved, or the name is taken, be it by what is still to be frozen.
    """
    freezing.require_possible(session, actor, name=name, validation_share=validation_share)
    if name is not None and any(other.name == name for other in waiting(session)):
        raise Conflict(
            "{name} is being frozen already; its notice says what came of it. Or choose another name.", name=name
        )
    request = FreezeRequest(
        name=name,
        options={"validation_share": validation_share, **({"since": since.isoformat()} if since is not None else {})},
        place=destination,
        asked_by=actor.person_id,
        asked_at=now,
        status=RequestStatus.REQUESTED.value,
    )
    session.add(request)
    session.flush()
    audit.record(session, actor, now, "freezing.requested", subject=_subject(request), details={"name": name or ""})
    return request


def waiting(session: Session) -> list[FreezeRequest]:
    """The requests that nobody has answered, oldest first."""
    unanswered = select(FreezeRequest).where(FreezeRequest.status == RequestStatus.REQUESTED.value)
    return list(session.exec(unanswered.order_by(col(FreezeRequest.id))))


def any_waits(work: Work) -> bool:
    """Whether anybody waits for an answer: a worker asks by the second."""
    return _WAITING.first(work) is not None


def step(
    store: Store,
    now: datetime,
    privacy: Terms = DEFAULT_TERMS,
    *,
    watch: Watch | None = None,
    told: Told = lambda _what, _done, _total: None,
) -> bool:
    """Carry out the oldest request, and owe its notice; false where none waits.

    A kill anywhere in it leaves the request as it was, or frozen with its notice owed.

    Args:
        watch: rates what is said in the rows for harm.
        told: is told how far it is.

    Raises:
        StoreUnavailable, Overtaken: the next step tries again.
    """
    with store.read() as session:
        left = waiting(session)
    if not left:
        return False
    request = left[0]

    def answer(session: Session, version: DatasetVersion, new: bool) -> None:
        _freeze(session, now, request.key, version, new=new)

    try:
        freezing.freeze(
            store,
            Actor(PersonId(request.asked_by)),
            now,
            name=request.name,
            validation_share=float(request.options["validation_share"]),
            options=Options(counters=_counters(), privacy=privacy, since=_since(request), watch=watch),
            told=told,
            beside=answer,
        )
    except Answered:
        log.info("another worker was quicker: detail=%s", _subject(request))
    except (StoreUnavailable, Overtaken):
        raise
    except ErrataError as error:
        _refuse(store, now, request.key, error.sentence)
    except Exception:  # one request that cannot be carried out must not keep all later ones from being
        log.exception("a dataset could not be frozen: detail=%s", _subject(request))
        why = phrase("Freezing failed here; the worker's log says why. Try: errata dataset freeze")
        _refuse(store, now, request.key, why)
    return True


def take(request: FreezeRequest, step: RequestStep, now: datetime) -> None:
    """Move the request along its lifecycle.

    Raises:
        Answered: its status does not permit the step.
    """
    following = TRANSITIONS.get((RequestStatus(request.status), step))
    if following is None:
        raise Answered
    request.status, request.ended_at = following.value, now


def outcome_of(session: Session, request_id: int) -> Outcome:
    """What came of a request that was answered.

    Raises:
        LookupError: it was not.
    """
    request = session.get_one(FreezeRequest, request_id)
    if request.reason is not None:
        return Outcome("", "", {}, new=False, refusal=request.reason)
    if request.dataset_id is None:
        raise LookupError(f"no answer to the request {request_id}")
    version = session.get_one(DatasetVersion, request.dataset_id)
    return Outcome(version.name, version.digest, version.manifest, new=bool(request.new))


def _since(request: FreezeRequest) -> datetime | None:
    asked = request.options.get("since")
    return datetime.fromisoformat(asked) if asked is not None else None


def _counters() -> list[TokenCounter]:
    """What can be counted with here; the version is made without it, and its manifest says so."""
    try:
        return manifest.counters()
    except Unavailable as error:
        log.warning("tokens are not counted: error=%s", type(error).__name__)
        return []


def _freeze(session: Session, now: datetime, request_id: int, version: DatasetVersion, *, new: bool) -> None:
    request = session.get_one(FreezeRequest, request_id)
    take(request, RequestStep.FREEZE, now)
    request.dataset_id, request.new = version.key, new
    _tell(session, now, request, "freezing.done", {"dataset": version.key, "new": new})


def _refuse(store: Store, now: datetime, request_id: int, why: str) -> None:
    try:
        with store.write() as session:
            request = session.get_one(FreezeRequest, request_id)
            take(request, RequestStep.REFUSE, now)
            request.reason = why  # Errata's own words: a refusal quotes no example
            _tell(session, now, request, "freezing.refused", {"why": why})
    except Answered:
        log.info("another worker was quicker: detail=%s", request_id)


def _tell(session: Session, now: datetime, request: FreezeRequest, action: str, details: Mapping[str, Any]) -> None:
    session.add(request)
    session.flush()
    audit.record(session, WORKER, now, action, subject=_subject(request), details=details)
    notices.owe(session, now, NoticeKind.DATASET_FROZEN, subject=_subject(request), destination=request.place)


def _subject(request: FreezeRequest) -> str:
    return f"freezing:{request.key}"
