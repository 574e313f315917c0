"""What runs have uploaded to their providers: customers' words outside of this machine, and their end.

Owns who still needs an upload that several runs share, and that an erasure reaches what was uploaded before it. Fails
closed: what nobody could remove, or see, is said to be there still, with the command that removes it. Repeated, it
finishes what was interrupted. How a provider removes something is its backend's.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol, runtime_checkable

from sqlmodel import Session, col, select

from curation import audit
from curation.errors import ErrataError, Unavailable
from curation.people import Actor, require
from curation.policies import Permission
from curation.privacy import erasure
from curation.store.tables import DatasetVersion
from curation.terminal import Forgotten
from curation.wording import called
from training import runs
from training.backends.base import Job
from training.backends.names import PAID, BackendName
from training.runs import UNFINISHED, RunStatus
from training.store.tables import Run
from training.workplace import Workplace

UNLOADED = "unloaded_at"
"""In a run's progress: since when its uploads are gone by an erasure, or about to go. Resumed, it uploads anew."""

CLEARED = "cleared_at"
"""In the progress of a run that was deleted: since when its provider holds nothing of it."""


@runtime_checkable
class Uploading(Protocol):
    """A backend whose provider is sent the rows."""

    def uploads(self, job: Job) -> frozenset[str] | None:
        """Names of what its rows lie in there, without asking anybody; None where nothing is known here."""

    def unload(self, job: Job, spare: Collection[str] = ()) -> int:
        """Remove these, but those to spare; how many files went. A second time finds nothing, and is no error.

        Raises:
            Conflict: the job still trains.
            Refused, Unreached: the provider says no, or nothing; some may be gone, and asked again the others go.
        """


def uploading(place: Workplace, run: Run) -> Uploading | None:
    """The backend of the run; None where the rows stay on this machine.

    Raises:
        Unavailable: it is not set up here.
    """
    name = BackendName(run.backend)
    if name not in PAID:
        return None
    backend = place.backends.get(name)
    if backend is None:
        raise Unavailable(
            "The backend {backend} is not set up here: set {names:and}.",
            backend=name.value,
            names=place.azure.missing(name),
        )
    return backend if isinstance(backend, Uploading) else None


def needed(place: Workplace, run: Run, backend: Uploading) -> dict[str, list[str]]:
    """What other runs at the run's backend still need, by the uploads' names: those that go on, or are completed.

    One that failed or was cancelled needs nothing: resumed, it uploads anew.
    """
    own = backend.uploads(place.ended(run)) or frozenset()
    found: dict[str, list[str]] = {}
    for other in _others(place, run, (*UNFINISHED, RunStatus.COMPLETED)):
        theirs = backend.uploads(place.ended(other))
        if theirs is None:  # not uploaded yet, or known on another machine: the same dataset has the same rows
            theirs = own if other.dataset_id == run.dataset_id else frozenset()
        for name in theirs:
            found.setdefault(name, []).append(other.id)
    return found


def holding(session: Session, datasets: Sequence[str]) -> list[str]:
    """The runs for which rows of datasets of these names may lie at a provider, by what is recorded here."""
    asked = select(Run).join(DatasetVersion).where(col(DatasetVersion.name).in_(datasets)).order_by(Run.id)
    return [run.id for run in session.exec(asked) if _may_hold(run)]


def forget(place: Workplace, actor: Actor) -> Forgotten:
    """Remove what was uploaded for runs that learned from an example which is erased now.

    Raises:
        NotAllowed: the actor may not erase.
    """
    with place.store.read() as session:
        require(session, actor, Permission.ERASE)
        gone = erasure.tombstones(session)
        asked = select(Run).where(col(Run.dataset_id).in_(list(gone))).order_by(Run.id)
        theirs = [run for run in session.exec(asked) if _may_hold(run)]
    removed, left = [], []
    for run in theirs:
        why: str
        try:
            backend = uploading(place, run)
            if backend is None:
                continue
            if RunStatus(run.status) in _TRAINING:
                if backend.uploads(place.ended(run)) == frozenset():
                    continue  # what it will upload is without them
                why = f"it is {called(RunStatus(run.status))}. First: errata run cancel {run.id}"
            else:
                with place.store.write() as session:
                    unloaded(session, actor, place.clock(), run_id=run.id)
                if backend.unload(place.ended(run), _in_use(place, run, backend)):
                    removed.append(run.id)
                continue
        except ErrataError as error:
            why = str(error)
        left.append(
            f"Azure may still hold what was uploaded for {run.id}, with {len(gone[run.dataset_id]):,} rows that are "
            f"now erased: {why} Then repeat this, or: errata delete {run.id}"
        )
    return Forgotten(removed=removed, left=left)


def unloaded(session: Session, actor: Actor, now: datetime, *, run_id: str) -> Run:
    """Note that what was uploaded for a run goes by an erasure; noting it twice is noting it once.

    Raises:
        NotAllowed, NotFound: may not erase; no such run.
    """
    require(session, actor, Permission.ERASE)
    run = runs.find(session, run_id)
    if UNLOADED not in run.progress:
        run.progress = {**run.progress, UNLOADED: now.isoformat()}
        audit.record(session, actor, now, "run.unloaded", subject=f"run:{run.id}")
    return run


_TRAINING = frozenset(UNFINISHED) - {RunStatus.EVALUATING}
"""What is uploaded for a run is needed until its training has ended."""


def _may_hold(run: Run) -> bool:
    return run.backend in PAID and run.started_at is not None and CLEARED not in run.progress


def _in_use(place: Workplace, run: Run, backend: Uploading) -> frozenset[str]:
    """What others are training on at this moment; whose rows are erased, too, is told of these."""
    theirs = (backend.uploads(place.ended(other)) for other in _others(place, run, tuple(_TRAINING)))
    return frozenset(name for names in theirs for name in names or ())


def _others(place: Workplace, run: Run, standing: Collection[RunStatus]) -> list[Run]:
    statuses = [status.value for status in standing]
    asked = select(Run).where(Run.backend == run.backend, Run.id != run.id, col(Run.status).in_(statuses))
    with place.store.read() as session:
        return [other for other in session.exec(asked.order_by(Run.id)) if not runs.is_deleted(other)]
