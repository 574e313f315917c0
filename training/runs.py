"""Runs: one attempt to tune, from the request to its end.

Owns the lifecycle (one transition table) and what may be requested. What a run does at each
station is ``training.workflow``'s; how a provider does it is its backend's.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import or_
from sqlalchemy import select as select_columns
from sqlmodel import Session, col, select

from curation import audit, notices
from curation.errors import Conflict, Invalid, NotFound
from curation.notices import NoticeKind
from curation.people import WORKER, Actor, require
from curation.policies import Permission
from curation.store.rows import Prepared, Work, table_of
from curation.store.tables import DatasetVersion, Notice
from curation.wording import called, phrase
from training import slots, spending
from training.backends.foundry.place import NOWHERE, AzurePlace
from training.backends.names import BackendName
from training.hyperparameters import Recipe
from training.planning import prices, settling
from training.planning.prices import PriceTable
from training.recipe import parse_recipe
from training.store.tables import Run


class RunStatus(StrEnum):
    """Where a run stands."""

    REQUESTED = "requested"
    TRAINING = "training"
    EVALUATING = "evaluating"
    RESUMING = "resuming"
    COMPLETED = "completed"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    FAILED = "failed"


class RunStep(StrEnum):
    """What can happen to a run."""

    START = "start"
    TRAINED = "trained"
    EVALUATED = "evaluated"
    CANCEL = "cancel"
    STOPPED = "stopped"
    FAIL = "fail"
    RESUME = "resume"


TRANSITIONS: dict[tuple[RunStatus, RunStep], RunStatus] = {
    (RunStatus.REQUESTED, RunStep.START): RunStatus.TRAINING,
    (RunStatus.REQUESTED, RunStep.CANCEL): RunStatus.CANCELLED,
    (RunStatus.REQUESTED, RunStep.FAIL): RunStatus.FAILED,
    (RunStatus.TRAINING, RunStep.TRAINED): RunStatus.EVALUATING,
    (RunStatus.TRAINING, RunStep.CANCEL): RunStatus.CANCELLING,
    (RunStatus.TRAINING, RunStep.STOPPED): RunStatus.CANCELLED,
    (RunStatus.TRAINING, RunStep.FAIL): RunStatus.FAILED,
    (RunStatus.EVALUATING, RunStep.EVALUATED): RunStatus.COMPLETED,
    (RunStatus.EVALUATING, RunStep.CANCEL): RunStatus.CANCELLING,
    (RunStatus.EVALUATING, RunStep.FAIL): RunStatus.FAILED,
    (RunStatus.CANCELLING, RunStep.STOPPED): RunStatus.CANCELLED,
    (RunStatus.FAILED, RunStep.RESUME): RunStatus.RESUMING,
    (RunStatus.CANCELLED, RunStep.RESUME): RunStatus.RESUMING,
    (RunStatus.RESUMING, RunStep.START): RunStatus.TRAINING,
    # Not cancelled at once: its training may have begun to go on, and has to be stopped.
    (RunStatus.RESUMING, RunStep.CANCEL): RunStatus.CANCELLING,
    (RunStatus.RESUMING, RunStep.FAIL): RunStatus.FAILED,
}

UNFINISHED = (
    RunStatus.REQUESTED,
    RunStatus.TRAINING,
    RunStatus.EVALUATING,
    RunStatus.RESUMING,
    RunStatus.CANCELLING,
)
RESUMABLE = frozenset(status for status, step in TRANSITIONS if step is RunStep.RESUME)
"""From these a run can go on after all."""


def take(run: Run, step: RunStep, now: datetime, *, reason: str | None = None, began: bool = True) -> RunStatus:
    """Move the run along its lifecycle and return where it stands.

    Args:
        began: whether its training began, as far as anybody knows; what certainly did not has cost nothing.

    Raises:
        Conflict: its status does not permit the step.
    """
    status = RunStatus(run.status)
    following = TRANSITIONS.get((status, step))
    if following is None:
        raise Conflict(
            "{run} is {status}; it cannot {step} any more.", run=run.id, status=called(status), step=called(step)
        )
    run.status = following.value
    tokens = run.progress.get("trained_tokens")
    run.cost = settling.moved(run.cost, left=status.value, now=now, tokens=tokens, began=began)
    if step is RunStep.START and run.started_at is None:
        run.started_at = now
    if step is RunStep.RESUME:
        run.ended_at = run.reason = None
    if following not in UNFINISHED:
        run.ended_at = now
    if reason is not None:
        run.reason = reason
    return following


def cancel(session: Session, actor: Actor, now: datetime, *, run_id: str) -> Run:
    """Ask a run to stop; asking twice is asking once.

    Raises:
        NotAllowed, NotFound, Conflict: may not; no such run; it has ended.
    """
    require(session, actor, Permission.TRAIN)
    run = find(session, run_id)
    if RunStatus(run.status) in {RunStatus.CANCELLING, RunStatus.CANCELLED}:
        return run
    take(run, RunStep.CANCEL, now, reason=phrase("Cancelled by a person."))
    audit.record(session, actor, now, "run.cancelled", subject=f"run:{run.id}")
    owe_status(session, now, run)
    return run


def resume(
    session: Session,
    actor: Actor,
    now: datetime,
    *,
    run_id: str,
    place: AzurePlace = NOWHERE,
    table: PriceTable = prices.SHIPPED,
) -> Run:
    """Let a run that failed or was cancelled go on from what it kept; asking twice is asking once.

    One that was cancelled before it began begins; one whose evaluation failed is evaluated anew. A paid one may cost
    its whole estimate once more, as not every service keeps anything.

    Raises:
        NotAllowed, NotFound: may not; no such run.
        Conflict: it is completed, or has not ended; or what it may cost is above a cap.
    """
    require(session, actor, Permission.TRAIN)
    run = find(session, run_id)
    status = RunStatus(run.status)
    if status is RunStatus.RESUMING:
        return run
    require_kept(run)
    if status not in RESUMABLE:
        raise Conflict(
            "{run} is {status}; only a run that failed or was cancelled can be resumed.",
            run=run.id,
            status=called(status),
        )
    spending.require_room(session, now, spending.estimate_of(run, table), place=place, table=table)
    take(run, RunStep.RESUME, now)
    audit.record(session, actor, now, "run.resumed", subject=f"run:{run.id}")
    owe_status(session, now, run)
    return run


_DONE: dict[RunStep, str] = {
    RunStep.START: "run.started",
    RunStep.TRAINED: "run.trained",
    RunStep.EVALUATED: "run.evaluated",
    RunStep.STOPPED: "run.stopped",
    RunStep.FAIL: "run.failed",
}
"""What the audit calls the steps that a worker takes."""


def advance(
    session: Session, now: datetime, run: Run, step: RunStep, *, reason: str | None = None, began: bool = True
) -> None:
    """Take a step on the worker's behalf: with its entry in the audit and its notices.

    Args:
        reason, began: as for ``take``.

    Raises:
        Conflict: the run's status does not permit the step.
    """
    take(run, step, now, reason=reason, began=began)
    audit.record(session, WORKER, now, _DONE[step], subject=f"run:{run.id}")
    owe_status(session, now, run)


def owe_status(session: Session, now: datetime, run: Run) -> None:
    """Owe every destination the run's one status message in its newest state."""
    tell(session, now, run, NoticeKind.RUN_STATUS, message_key=f"run:{run.id}")


def tell(session: Session, now: datetime, run: Run, kind: NoticeKind, *, message_key: str | None = None) -> None:
    """Owe every destination of the run a notice about it."""
    for destination in run.destinations:
        notices.owe(session, now, kind, subject=f"run:{run.id}", destination=destination, message_key=message_key)


def was_told(session: Session, run: Run, kind: NoticeKind) -> bool:
    """Whether a notice of this kind about the run was owed before."""
    told = select(Notice.id).where(Notice.subject == f"run:{run.id}", Notice.kind == kind.value)
    return session.exec(told).first() is not None


def find(session: Session, run_id: str) -> Run:
    """The run of this id, or of an id that begins with it.

    Raises:
        NotFound: none does; Invalid: several do.
    """
    exact = session.get(Run, run_id)
    if exact is not None:
        return exact
    started = list(session.exec(select(Run).where(col(Run.id).startswith(run_id, autoescape=True))))
    if len(started) > 1:
        raise Invalid("{run} could be any of {runs}: give more of it.", run=run_id, runs=[run.id for run in started])
    if not started or not run_id:
        raise NotFound("There is no run {run}; list them with: errata runs", run=run_id)
    return started[0]


DELETED = "deleted_at"
"""In a run's progress: since when its files are gone, or about to go."""


UNFIT = "unfit"
"""In a run's progress: whether what it is made of was refused before anything was sent, so that resuming is no use."""


def is_deleted(run: Run) -> bool:
    """Whether the run's files are gone; its record stays."""
    return DELETED in run.progress


def require_kept(run: Run) -> None:
    """Raise Conflict where the run's files are gone."""
    if is_deleted(run):
        raise Conflict("The files of {run} were deleted; train anew.", run=run.id)


def listed(session: Session) -> list[Run]:
    """Every run, newest first."""
    return list(session.exec(select(Run).order_by(col(Run.requested_at).desc(), col(Run.id))))


def unfinished(session: Session) -> list[Run]:
    """The runs a worker still has to do something about, oldest first."""
    waiting = select(Run).where(col(Run.status).in_([status.value for status in UNFINISHED]))
    return list(session.exec(waiting.order_by(col(Run.requested_at))))


_RUNS = table_of(Run)
_WAITING = Prepared(
    select_columns(_RUNS.c.id, _RUNS.c.backend)
    .where(or_(*(_RUNS.c.status == status.value for status in sorted(UNFINISHED))))
    .order_by(_RUNS.c.requested_at)
)


def waiting(work: Work) -> dict[str, BackendName]:
    """The same by their ids, with where they train: a worker asks by the second, and leaves their curves unread."""
    return {row.id: BackendName(row.backend) for row in _WAITING.rows(work)}


def production(session: Session) -> Run | None:
    """The run whose model is live and replies, if any."""
    live = slots.live(session).get(slots.REPLIES)
    return live.run if live is not None else None


def dataset_of(session: Session, run: Run) -> DatasetVersion:
    """The dataset version that the run trains on."""
    version = session.get(DatasetVersion, run.dataset_id)
    if version is None:
        raise NotFound("The dataset of {run} is gone.", run=run.id)
    return version


def recipe_of(run: Run) -> Recipe:
    """The recipe as it stood when the run was requested."""
    return parse_recipe(run.recipe, name=run.recipe_name)
