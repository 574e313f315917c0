"""Deleting what a run keeps on disk: its data, its model, its logs. The record of the run stays.

Owns when that may be done: a run that has ended, whose model is not at an endpoint, and on which no unfinished run
builds. Removing the files comes after the commit; repeated, it finishes what was interrupted.
"""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path

from sqlmodel import Session, col, select

from curation import audit
from curation.errors import Conflict, Unavailable
from curation.people import Actor, require
from curation.policies import Permission
from curation.wording import called
from training import runs
from training.runs import UNFINISHED, RunStatus
from training.store.tables import Deployment, Run

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


def remove_files(folder: Path) -> int:
    """Remove what a deleted run keeps; how many bytes that freed.

    Raises:
        Unavailable: something cannot be removed; do it again.
    """
    size = sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())
    try:
        if folder.exists():
            shutil.rmtree(folder)
    except OSError as error:
        raise Unavailable(
            "{folder} cannot be removed ({cause}); see to its rights, then repeat it.",
            folder=folder,
            cause=error.strerror or type(error).__name__,
        ) from error
    return size
