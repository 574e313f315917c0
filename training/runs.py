"""Runs: one attempt to tune, from the request to its end.

Owns the lifecycle (one transition table) and what may be requested. What a run does at each
station is ``training.workflow``'s; how a provider does it is its backend's.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlmodel import Session, col, select

from curation import audit, notices
from curation.datasets import dataset
from curation.errors import Conflict, Invalid, NotFound
from curation.notices import NoticeKind
from curation.people import WORKER, Actor, require
from curation.policies import Permission
from curation.privacy import releases
from curation.privacy.treatment import DEFAULT_TERMS, Terms
from curation.store.tables import DatasetVersion, Notice
from curation.wording import called, phrase
from training import catalogue, consents, slots, spending
from training.backends.foundry.place import AzurePlace
from training.backends.names import BackendName
from training.hyperparameters import Recipe, TrainingTier
from training.planning import prices, settling, subjects
from training.planning.prices import PriceTable
from training.planning.shapes import SPLIT_TARGETS
from training.recipe import load_recipe, parse_recipe
from training.store.tables import Run

PRODUCTION = "production"
"""As a model's name: the model that is live now."""

REHEARSAL = "rehearsal"
"""As a model's name: a tiny random model, built on the spot to prove the pipeline."""

HERE = AzurePlace()
"""As where a run may happen: on this machine only."""

MOST_PLACES = 10
"""Channels that hear of a run because it learned from them; those that gave it most come first."""

SERVICES = frozenset({BackendName.FOUNDRY, BackendName.OPENAI})
"""Backends that tune models of their own and keep the weights."""

PAID = SERVICES | {BackendName.AZUREML}

_LISTED, _SHOWN_OF_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,254}"), 80

ANYWHERE = "global"
"""As a region: any of the provider's."""


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


@dataclass(frozen=True, slots=True)
class Order:
    """What a run will be made of: ``base`` is a path or hub id, ``base_run`` the id of the live model's run."""

    version: DatasetVersion
    base: str | None
    base_run: str | None
    recipe: Recipe


def take(run: Run, step: RunStep, now: datetime, *, reason: str | None = None) -> RunStatus:
    """Move the run along its lifecycle and return where it stands.

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
    run.cost = settling.moved(run.cost, left=status.value, now=now, tokens=run.progress.get("trained_tokens"))
    if step is RunStep.START and run.started_at is None:
        run.started_at = now
    if step is RunStep.RESUME:
        run.ended_at = run.reason = None
    if following not in UNFINISHED:
        run.ended_at = now
    if reason is not None:
        run.reason = reason
    return following


def request(
    session: Session,
    actor: Actor,
    now: datetime,
    *,
    dataset_name: str,
    model: str,
    recipe: str | None = None,
    backend: BackendName = BackendName.LOCAL,
    place: AzurePlace = HERE,
    table: PriceTable = prices.SHIPPED,
    production_model: str | None = None,
    asked_in: Sequence[str] = (),
    privacy: Terms = DEFAULT_TERMS,
) -> Run:
    """Commit a run as *requested*; a worker picks it up.

    Args:
        model: a catalogue name, ``production`` (the live model), or a path or hub id of a checkpoint.
        production_model: the checkpoint that ``production`` means while no run of Errata's is live.
        recipe: a shipped recipe's name or a path; None takes the model's own default.
        place: which backends there are beside this machine, and what may be spent there.
        table: what they ask for.
        asked_in: destinations of notices, beside the channels that contributed corrections.
        privacy: under which terms examples leave the store; a model may repeat what it was trained on.

    Raises:
        NotAllowed, NotFound, Invalid: may not train; no such dataset, model or recipe.
        Conflict: a dataset frozen while nobody looked for personal data, self-approved rows in a paid run, no live
            model to start from, or a cost above a cap.
    """
    from training.planning import plans  # noqa: PLC0415 (a plan is made of what is ordered here)

    order = ordered(
        session,
        actor,
        dataset_name=dataset_name,
        model=model,
        recipe=recipe,
        backend=backend,
        place=place,
        production_model=production_model,
        privacy=privacy,
    )
    cost = plans.cost_of(session, order, model=model, backend=backend, place=place, table=table)
    spending.require_room(session, now, cost, place=place, table=table)
    version = order.version
    run = Run(
        id=f"run-{secrets.token_hex(4)}",
        dataset_id=version.key,
        backend=backend.value,
        model=model,
        base=order.base,
        base_run_id=order.base_run,
        recipe_name=order.recipe.name,
        recipe=order.recipe.as_json(),
        status=RunStatus.REQUESTED.value,
        progress={},
        cost=settling.opened(cost, machines=place.nodes if backend is BackendName.AZUREML else 1),
        destinations=list(dict.fromkeys([*asked_in, *dataset.contributing_places(session, version)[:MOST_PLACES]])),
        requested_by=actor.person_id,
        requested_at=now,
    )
    session.add(run)
    session.flush()
    audit.record(session, actor, now, "run.requested", subject=f"run:{run.id}", details={"dataset": version.key})
    owe_status(session, now, run)
    return run


def ordered(
    session: Session,
    actor: Actor,
    *,
    dataset_name: str,
    model: str,
    recipe: str | None = None,
    backend: BackendName = BackendName.LOCAL,
    place: AzurePlace = HERE,
    production_model: str | None = None,
    privacy: Terms = DEFAULT_TERMS,
) -> Order:
    """What a request of these names comes to; nothing is written.

    Raises:
        NotAllowed, NotFound, Invalid, Conflict: as ``request``, whose arguments these are.
    """
    require(session, actor, Permission.TRAIN)
    version = dataset.find(session, dataset_name)
    releases.require_treated(session, version, privacy, look=False)
    if backend in PAID and (alone := int(version.manifest.get("self_approved", 0))):
        raise Conflict(
            "{dataset} holds {rows} self-approved rows; a paid run takes none. Have a second person review them, "
            "then freeze again.",
            dataset=version.name,
            rows=alone,
        )
    if missing := place.missing(backend):
        raise Invalid(
            "The backend {backend} is not set up here; it takes {missing:and}, and errata doctor --foundry looks.",
            backend=backend.value,
            missing=missing,
        )
    chosen = load_recipe(recipe or default_recipe(session, model, backend))
    if backend in PAID:  # of the settings here; of the project itself once the worker prepares the run
        consents.require_consent(session, place, region_of(place, backend, chosen))
    if version.manifest["sides"]["validation"] == 0:
        raise Conflict(
            "{dataset} has no validation rows; approve more examples and freeze again.", dataset=version.name
        )
    base, base_run = base_of(session, model, production_model, backend=backend)
    return Order(version, base, base_run, chosen)


def region_of(place: AzurePlace, backend: BackendName, recipe: Recipe) -> str | None:
    """Where the rows of a run at a provider's go, by the settings; ``global`` for any region, None where none is named.

    Only the openai path has training types that choose a region by themselves (``Backend.destination``).
    """
    anywhere = recipe.service is not None and recipe.service.training_type is not TrainingTier.STANDARD
    return ANYWHERE if backend is BackendName.OPENAI and anywhere else place.region


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
    place: AzurePlace = HERE,
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


def advance(session: Session, now: datetime, run: Run, step: RunStep, *, reason: str | None = None) -> None:
    """Take a step on the worker's behalf: with its entry in the audit and its notices.

    Raises:
        Conflict: the run's status does not permit the step.
    """
    take(run, step, now, reason=reason)
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


def waiting(session: Session) -> dict[str, BackendName]:
    """The same by their ids, with where they train; their curves, which a worker reads by the second, stay unread."""
    found = select(Run.id, Run.backend).where(col(Run.status).in_([status.value for status in UNFINISHED]))
    return {run_id: BackendName(name) for run_id, name in session.exec(found.order_by(col(Run.requested_at)))}


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


def default_recipe(session: Session, model: str, backend: BackendName = BackendName.LOCAL) -> str:
    """The shipped recipe for a model: by what it is, and adapters for a Phi where that is not known."""
    if backend in SERVICES:
        return "service"
    live = production(session) if model == PRODUCTION else None
    if live is not None and live.model in {REHEARSAL, PRODUCTION} and live.recipe_name.startswith(REHEARSAL):
        return "rehearsal-tune"
    if "/" in model and subjects.named(model).lora_targets == SPLIT_TARGETS:
        return "chat-lora"
    return REHEARSAL if model == REHEARSAL else "phi-lora"


def base_of(
    session: Session, model: str, production_model: str | None, *, backend: BackendName = BackendName.LOCAL
) -> tuple[str | None, str | None]:
    """What a run starts from: a path or hub id, or the id of the run whose model is live; neither for a rehearsal.

    Of a service it is the name by which its provider lists it.

    Raises:
        Invalid: a rehearsal, or a checkpoint of one's own, at a service that tunes its own models only.
        NotFound, Conflict: no such model; ``production`` where no model is live.
    """
    if model == PRODUCTION:
        live = production(session)
        if live is not None:
            return None, live.id
        if production_model is None:
            raise Conflict(
                "No model is live yet: name the one in production with ERRATA_PRODUCTION_MODEL, or deploy a run first."
            )
        return production_model, None
    if backend in SERVICES:
        if model == REHEARSAL or "/" in model:
            raise Invalid(
                "{backend} tunes models of its own catalogue only, such as phi-4-mini-instruct; use --backend local "
                "for {model}.",
                backend=backend.value,
                model=model,
            )
        if not _LISTED.fullmatch(model):
            raise Invalid(
                "{model} is no name of a model at a provider: errata models --search phi lists names.",
                model=model[:_SHOWN_OF_MODEL],
            )
        return model, None
    if "/" in model:
        return model, None
    return catalogue.find(model).hub_id, None
