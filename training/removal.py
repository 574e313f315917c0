"""Deleting what a run keeps, at its provider and on disk: its data, its model, its logs. The record of the run stays.

Owns when that may be done: a run that has ended, whose model is not at an endpoint, and on which no unfinished run
builds. Removing the files comes after the commit; repeated, it finishes what was interrupted. What its provider refuses
is taken back: such a run is not deleted.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlmodel import Session, col, select

from curation import audit
from curation.errors import Conflict, Unavailable
from curation.people import WORKER, Actor, require
from curation.policies import Permission
from curation.wording import called
from training import runs, uploads
from training.backends.errors import StillTraining
from training.backends.names import PAID
from training.runs import UNFINISHED, RunStatus
from training.store.tables import Deployment, Run
from training.workplace import Workplace

_AT_AN_ENDPOINT = ("requested", "live", "retiring", "failing")


def delete(session: Session, actor: Actor, now: datetime, *, run_id: str) -> Run:
    """Note that a run's files go; deleting twice is deleting once.

    Raises:
        NotAllowed, NotFound: may not; no such run.
        Conflict: it has not ended, its model is at an endpoint, or an unfinished run builds on it.
    """
    require(session, actor, Permission.TRAIN)
    run = runs.find(session, run_id)
    if RunStatus(run.status) in UNFINISHED:
        raise Conflict(
            "{run} is {status}; cancel it before you delete it.", run=run.id, status=called(RunStatus(run.status))
        )
    served = select(Deployment).where(Deployment.run_id == run.id, col(Deployment.status).in_(_AT_AN_ENDPOINT))
    if session.exec(served).first() is not None:
        raise Conflict("{run} is at an endpoint; take it down before you delete it: errata undeploy {run}", run=run.id)
    built = select(Run).where(Run.base_run_id == run.id, col(Run.status).in_([one.value for one in UNFINISHED]))
    child = session.exec(built).first()
    if child is not None:
        raise Conflict("{child} starts from {run}; wait until it has ended, or cancel it.", child=child.id, run=run.id)
    if not runs.is_deleted(run):
        run.progress = {**run.progress, runs.DELETED: now.isoformat()}
        audit.record(session, actor, now, "run.deleted", subject=f"run:{run.id}")
    return run


@dataclass(frozen=True, slots=True)
class Removed:
    """What the removal of a run came to.

    Attributes:
        size: bytes that are free again here.
        stays: what stays at the provider, by its name there, as these other runs need it; the last takes it along.
    """

    size: int
    stays: dict[str, list[str]]


def remove(place: Workplace, run: Run) -> Removed:
    """Remove what a deleted run keeps: what its provider has first, as only the files here know of it.

    Raises:
        Conflict: the provider still serves its model, or trains it, which it is asked to end. The run is kept.
        Unavailable: the provider says no or nothing, or is not set up here; or a file cannot be removed. Do it again:
            until the provider's part is gone, what is known of it here stays.
    """
    folder = place.folder(run)
    size = sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())
    stays = _clear(place, run)
    remove_files(folder)
    return Removed(size, stays)


def _clear(place: Workplace, run: Run) -> dict[str, list[str]]:
    """Have the provider remove what it has; what stays."""
    never_left = run.started_at is None and not (place.folder(run) / "job").exists()
    if run.backend not in PAID or never_left or uploads.CLEARED in run.progress:
        return {}
    try:
        stays = _asked(place, run)
    except Conflict:
        with place.store.write() as session:
            spared(session, place.clock(), run_id=run.id)
        raise
    except Unavailable as error:
        raise Unavailable(
            "{run} is to be deleted, and Azure may still hold what was uploaded for it: {why} Then repeat: errata "
            "delete {run}",
            run=run.id,
            why=error.sentence,
        ) from error
    with place.store.write() as session:
        cleared(session, place.clock(), run_id=run.id)
    return stays


def _asked(place: Workplace, run: Run) -> dict[str, list[str]]:
    """The same; raises what the provider says."""
    job, stays = place.ended(run), dict[str, list[str]]()
    backend = uploads.uploading(place, run)
    try:
        if backend is not None:
            others, own = uploads.needed(place, run, backend), backend.uploads(job) or frozenset()
            stays = {name: others[name] for name in sorted(own & set(others))}
            backend.unload(job, others)
        place.backend(run).delete(job)
    except StillTraining as error:  # since the run ended by something else, as by a fault of ours
        place.backend(run).cancel(job)
        raise Conflict(
            "The training of {run} still went on at its provider, and has been asked to stop. In a minute repeat: "
            "errata delete {run}",
            run=run.id,
        ) from error
    return stays


def spared(session: Session, now: datetime, *, run_id: str) -> None:
    """Note that the provider has refused to delete what it has of a run: the run stays as it was."""
    run = runs.find(session, run_id)
    if runs.is_deleted(run):
        run.progress = {name: value for name, value in run.progress.items() if name != runs.DELETED}
        audit.record(session, WORKER, now, "run.spared", subject=f"run:{run.id}")


def cleared(session: Session, now: datetime, *, run_id: str) -> None:
    """Note that the provider of a deleted run has nothing of it any more."""
    run = runs.find(session, run_id)
    run.progress = {**run.progress, uploads.CLEARED: now.isoformat()}


def remove_files(folder: Path) -> None:
    """Remove what a deleted run keeps here.

    Raises:
        Unavailable: something cannot be removed; do it again.
    """
    try:
        if folder.exists():
            shutil.rmtree(folder)
    except OSError as error:
        raise Unavailable(
            "{folder} cannot be removed ({cause}); see to its rights, then repeat it.",
            folder=folder,
            cause=error.strerror or type(error).__name__,
        ) from error
