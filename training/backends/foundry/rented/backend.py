"""CommandBackend: our own trainer on rented machines, as a command job of Azure ML; everything else happens here.

Owns the job's way there and the way of its files back. Once they are here, a run is like any that was trained on this
machine: it is evaluated, served and deleted as such. For the day when one machine is too small.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from curation.errors import Conflict, ErrataError
from curation.findings import Finding, blocking
from curation.wording import phrase
from training.backends.base import Job, JobStatus, Progress
from training.backends.errors import StillTraining, Unreached
from training.backends.foundry import sides
from training.backends.foundry.access import jobs, stores
from training.backends.foundry.access.projects import project_of
from training.backends.foundry.looks import Looks
from training.backends.foundry.managed.statuses import status_of
from training.backends.foundry.place import AzurePlace
from training.backends.foundry.rented import orders
from training.backends.foundry.rented.kept import Kept
from training.backends.local import folder
from training.backends.local.backend import LocalBackend

log = logging.getLogger("errata.foundry")

PATIENCE = timedelta(hours=1)
"""A job that could not be handed over for so long is given up; nothing has been paid for by then."""

_STATE = "remote.json"


def _utc() -> datetime:
    return datetime.now(UTC)


class CommandBackend(LocalBackend):
    """Trains on Azure ML's machines; evaluates and serves on this one.

    Attributes:
        place: the project, and its machines.
        looks: when the provider may be asked again.
        now: the current time, aware.
    """

    def __init__(
        self, place: AzurePlace, *, looks: Looks | None = None, now: Callable[[], datetime] = _utc, **local: Any
    ) -> None:
        super().__init__(**local)
        self.place = place
        self.looks = looks or Looks()
        self.now = now

    def preflight(self, job: Job) -> list[Finding]:
        """What stands in the way here; what the rented machine has room for is known there."""
        found = sides.findings(job)
        return found if blocking(found) else [*self.findings_of(job), *found]

    def destination(self, job: Job) -> str | None:  # noqa: ARG002 (the port's)
        """The project's region."""
        return project_of(self.place).region

    def submit(self, job: Job) -> None:
        """Create the job at Azure unless it is there, has ended or was cancelled before.

        Where Azure does not answer, the job stays queued, and the next call tries again.

        Raises:
            Refused: Azure says no.
            Unreached: it has not answered for an hour.
        """
        ended = any((job.directory / name).exists() for name in (folder.RESULT, folder.CANCEL))
        if ended or not self.looks.due(_submission(job)):
            return
        state = _read(job)
        folder.write_json(_prepared(job) / _STATE, state)
        try:
            if jobs.find(self.place, state["name"]) is None:
                earlier = [_name(job, attempt) for attempt in range(state["attempt"] - 1, 0, -1)]
                orders.create(self.place, job, state["name"], earlier)
        except Unreached as error:
            since = datetime.fromisoformat(state.setdefault("silent_since", self.now().isoformat()))
            folder.write_json(job.directory / _STATE, state)
            if self.now() - since > PATIENCE:
                raise
            log.warning(
                "a job could not be handed over, it is tried again: run=%s error=%s", job.run_id, type(error).__name__
            )
            return
        state.pop("silent_since", None)
        folder.write_json(job.directory / _STATE, {**state, "created": True})
        self._anew(job)

    def poll(self, job: Job) -> Progress:
        """How far it has come; completed once its files are here."""
        if (job.directory / folder.RESULT).exists():
            return _told(job, super().poll(job))
        state = _read(job)
        if "created" in state and self.looks.due(job.run_id):
            try:
                self._look(job, state)
            except ErrataError as error:  # what Azure does not say now it says later; the training goes on
                log.warning("could not look at a job: run=%s error=%s", job.run_id, type(error).__name__)
        return _told(job, super().poll(job))

    def began(self, job: Job) -> bool:
        """Whether Azure has, or had, a job of the run. Raises Refused, Unreached."""
        state = _read(job)
        if "created" in state or state["attempt"] > 1:  # only after a job that was there is there another attempt
            return True
        return jobs.find(self.place, state["name"]) is not None

    def trains(self, job: Job) -> bool:
        """Whether Azure trains for the run, whatever is known of it here. Raises Refused, Unreached."""
        try:
            self._ended(job)
        except StillTraining:
            return True
        return False

    def cancel(self, job: Job) -> None:
        """Ask Azure to stop it; one that was not created yet never will be."""
        if self.poll(job).status.final:
            return
        state, found = self._known(job)  # before it is said here to be cancelled: of that nobody asks again
        (_prepared(job) / folder.CANCEL).touch()
        if found is not None and not status_of(found.word).final:
            jobs.begin_cancel(self.place, state["name"])
        self._anew(job)

    def resume(self, job: Job) -> None:
        """Go on from what the last attempt kept, as another job.

        Raises:
            Conflict: it is completed.
        """
        status = self.poll(job).status
        if status is JobStatus.COMPLETED:
            raise Conflict("Run {run} is completed: there is nothing to go on with.", run=job.run_id)
        state = _read(job)
        if not status.final and "created" in state:
            return
        attempt = state["attempt"] + 1 if "created" in state else state["attempt"]
        folder.write_json(_prepared(job) / _STATE, _state(job, attempt))
        for name in (folder.CANCEL, folder.RESULT):
            (job.directory / name).unlink(missing_ok=True)
        self._anew(job)
        self.submit(job)

    def delete(self, job: Job) -> None:
        """Remove what the job has kept in Azure, then its directory here."""
        for name in self._ended(job):
            Kept(self.place, name).remove()
        shutil.rmtree(job.directory, ignore_errors=True)

    def uploads(self, job: Job) -> frozenset[str] | None:
        """The folders of its attempts' inputs, which no other run shares; None where nothing is known here."""
        if not (job.directory / _STATE).exists():
            return None
        return frozenset(orders.inputs(_name(job, attempt)) for attempt in range(1, _read(job)["attempt"] + 1))

    def unload(self, job: Job, spare: Collection[str] = ()) -> int:
        """Remove its rows from the project's store. Raises as ``training.uploads.Uploading`` says."""
        folders = (orders.inputs(name) for name in self._ended(job))
        return sum(stores.remove(self.place, one) for one in folders if one not in spare)

    def _known(self, job: Job) -> tuple[dict[str, Any], jobs.Standing | None]:
        """What is known of the newest attempt, and how it stands at Azure; past the last where files here were lost."""
        state, found, newest = _read(job), None, _read(job)
        while (standing := jobs.find(self.place, newest["name"])) is not None:
            state, found = {**newest, "created": True}, standing
            newest = _state(job, state["attempt"] + 1)
        if found is not None:
            folder.write_json(_prepared(job) / _STATE, state)
        return state, found

    def _ended(self, job: Job) -> list[str]:
        """The names of its attempts, of which none trains any more; raises StillTraining while one does."""
        state, found = self._known(job)
        if found is not None and not status_of(found.word).final:
            raise StillTraining("Run {run} is still training; cancel it before you delete it.", run=job.run_id)
        return [_name(job, attempt) for attempt in range(1, state["attempt"] + 1)]

    def _look(self, job: Job, state: dict[str, Any]) -> None:
        """Bring the progress, or, once it has ended, everything."""
        found = jobs.find(self.place, state["name"])
        if found is None:
            return
        status, kept = status_of(found.word), Kept(self.place, state["name"])
        seen = state | ({} if status is JobStatus.QUEUED else {"started": True, "link": found.link})
        if seen != state:
            folder.write_json(job.directory / _STATE, seen)
        if not status.final:
            kept.bring_one(job.directory, folder.PROGRESS)
            return
        kept.bring(job.directory)
        result = folder.read_json(job.directory / folder.RESULT) or _ended(status, found.word)
        if status is JobStatus.COMPLETED:  # where it started from is said in the words of another machine
            result["base_model"] = str(job.base.path or job.directory / folder.BASE)
        folder.write_json(job.directory / folder.RESULT, result)

    def _anew(self, job: Job) -> None:
        """Something was done about the job: it may be asked for at once, and often at first."""
        for key in (job.run_id, _submission(job)):
            self.looks.again(key)


def _told(job: Job, progress: Progress) -> Progress:
    """What the job's files here say, seen through what is known of it at Azure."""
    state = _read(job)
    if "created" not in state:
        return progress
    progress = replace(progress, link=state.get("link"))
    if progress.status.final and (job.directory / folder.RESULT).exists():
        return progress
    # Without a process here its files seem to wait for one; but it was accepted, and nobody need submit it again.
    waits = () if "started" in state else (phrase("Azure has accepted the job and looks for a machine."),)
    return replace(progress, status=JobStatus.RUNNING, reason=None, notes=(*progress.notes, *waits))


def _name(job: Job, attempt: int) -> str:
    return job.run_id if attempt == 1 else f"{job.run_id}-{attempt}"


def _submission(job: Job) -> str:
    return f"submit {job.run_id}"


def _state(job: Job, attempt: int) -> dict[str, Any]:
    return {"name": _name(job, attempt), "attempt": attempt}


def _read(job: Job) -> dict[str, Any]:
    return folder.read_json(job.directory / _STATE) or _state(job, 1)


def _prepared(job: Job) -> Path:
    job.directory.mkdir(parents=True, exist_ok=True)
    return job.directory


def _ended(status: JobStatus, word: str) -> dict[str, Any]:
    """The result of a job that ended without one of its own."""
    if status is JobStatus.CANCELLED:
        return {"status": status.value, "reason": folder.STOPPED.packed()}
    reason = phrase(
        "Azure ended the job as {status}, and it left no reason of its own: its logs are in Azure AI Foundry. "
        "Resume the run to go on from what it kept.",
        status=word,
    )
    return {"status": JobStatus.FAILED.value, "reason": reason.packed()}
