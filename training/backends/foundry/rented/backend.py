"""CommandBackend: our own trainer on rented machines, as a command job of Azure ML; everything else happens here.

Owns the job's way there and the way of its files back. Once they are here, a run is like any that was trained on this
machine: it is evaluated, served and deleted as such. For the day when one machine is too small.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from curation.errors import Conflict, ErrataError
from curation.findings import Finding
from curation.wording import phrase
from training.backends.base import Job, JobStatus, Progress
from training.backends.foundry.access import stores
from training.backends.foundry.access.clients import ml_client
from training.backends.foundry.access.projects import project_of
from training.backends.foundry.access.refusals import provider_errors
from training.backends.foundry.access.sdks import azure_ml
from training.backends.foundry.looks import Looks
from training.backends.foundry.managed.statuses import status_of
from training.backends.foundry.place import AzurePlace
from training.backends.foundry.rented.kept import Kept
from training.backends.foundry.rented.node_code import JOB, write_code
from training.backends.local import folder
from training.backends.local.backend import LocalBackend

log = logging.getLogger("errata.foundry")

ENVIRONMENT = "azureml://registries/azureml/environments/acpt-pytorch-2.8-cuda12.6/labels/latest"
"""Curated by Azure: drivers, NCCL and Python; the versions of the libraries are those that are installed here."""
MOST_SECONDS = 72 * 3600
"""After so long Azure ends a job that goes on and on."""

_STATE = "remote.json"
_SHARED_MEMORY = "16g"


class CommandBackend(LocalBackend):
    """Trains on Azure ML's machines; evaluates and serves on this one."""

    def __init__(self, place: AzurePlace, *, looks: Looks | None = None, **local: Any) -> None:
        super().__init__(**local)
        self.place = place
        self.looks = looks or Looks()

    def preflight(self, job: Job) -> list[Finding]:
        """What stands in the way here; what the rented machine has room for is known there."""
        return self.findings_of(job)

    def destination(self, job: Job) -> str | None:  # noqa: ARG002 (the port's)
        """The project's region."""
        return project_of(self.place).region

    def submit(self, job: Job) -> None:
        """Create the job at Azure unless it is there, has ended or was cancelled before."""
        if any((job.directory / name).exists() for name in (folder.RESULT, folder.CANCEL)):
            return
        state = _read(job)
        folder.write_json(_prepared(job) / _STATE, state)
        with provider_errors():
            if self._found(state["name"]) is None:
                self._create(job, state)
        folder.write_json(job.directory / _STATE, {**state, "created": True})
        self.looks.again(job.run_id)

    def poll(self, job: Job) -> Progress:
        """How far it has come; completed once its files are here."""
        if (job.directory / folder.RESULT).exists():
            return _told(job, super().poll(job))
        state = _read(job)
        if "created" in state and self.looks.due(job.run_id):
            try:
                with provider_errors():
                    self._look(job, state)
            except ErrataError as error:  # what Azure does not say now it says later; the training goes on
                log.warning("could not look at a job: run=%s error=%s", job.run_id, type(error).__name__)
        return _told(job, super().poll(job))

    def cancel(self, job: Job) -> None:
        """Ask Azure to stop it; one that was not created yet never will be."""
        if self.poll(job).status.final:
            return
        (_prepared(job) / folder.CANCEL).touch()
        state = _read(job)
        with provider_errors():
            found = self._found(state["name"])
            if found is not None and not status_of(found.status).final:
                ml_client(self.place).jobs.begin_cancel(state["name"])
        self.looks.again(job.run_id)

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
        former = state["name"] if "created" in state else None
        folder.write_json(_prepared(job) / _STATE, _state(job, attempt, former))
        for name in (folder.CANCEL, folder.RESULT):
            (job.directory / name).unlink(missing_ok=True)
        self.submit(job)

    def delete(self, job: Job) -> None:
        """Remove what the job has kept in Azure, then its directory here."""
        for name in self._ended(job):
            with provider_errors():
                Kept(self.place, name).remove()
        shutil.rmtree(job.directory, ignore_errors=True)

    def uploads(self, job: Job) -> frozenset[str] | None:
        """The folders of its attempts' inputs, which no other run shares; None where nothing is known here."""
        if not (job.directory / _STATE).exists():
            return None
        return frozenset(_inputs(_name(job, attempt)) for attempt in range(1, _read(job)["attempt"] + 1))

    def unload(self, job: Job, spare: Collection[str] = ()) -> int:
        """Remove its rows from the project's store. Raises as ``training.uploads.Uploading`` says."""
        folders = (_inputs(name) for name in self._ended(job))
        return sum(stores.remove(self.place, one) for one in folders if one not in spare)

    def _ended(self, job: Job) -> list[str]:
        """The names of its attempts, of which none trains any more; raises Conflict while one does."""
        names = [_name(job, attempt) for attempt in range(1, _read(job)["attempt"] + 1)]
        with provider_errors():
            while (found := self._found(names[-1])) is not None:  # past the last where the files here were lost
                if not status_of(found.status).final:
                    raise Conflict("Run {run} is still training; cancel it before you delete it.", run=job.run_id)
                names.append(_name(job, len(names) + 1))
        return names

    def _look(self, job: Job, state: dict[str, Any]) -> None:
        """Bring the progress, or, once it has ended, everything."""
        found = self._found(state["name"])
        if found is None:
            return
        status, kept = status_of(found.status), Kept(self.place, state["name"])
        link = getattr(found, "studio_url", None)
        if status is not JobStatus.QUEUED:
            folder.write_json(job.directory / _STATE, {**state, "started": True, "link": link})
        if not status.final:
            kept.bring(job.directory, folder.PROGRESS)
            return
        kept.bring(job.directory)
        result = folder.read_json(job.directory / folder.RESULT) or _ended(status, found.status)
        if status is JobStatus.COMPLETED:  # where it started from is said in the words of another machine
            result["base_model"] = str(job.base.path or job.directory / folder.BASE)
        folder.write_json(job.directory / folder.RESULT, result)

    def _create(self, job: Job, state: dict[str, Any]) -> None:
        sdk = azure_ml()
        inputs = {"train": job.train, "validation": job.validation, "particulars": job.particulars}
        files = {
            name: sdk.Input(type="uri_file", path=stores.put(self.place, path, f"{_inputs(state['name'])}/{path.name}"))
            for name, path in inputs.items()
            if path is not None
        }
        folders = {"base": str(job.base.path)} if job.base.path is not None and job.base.path.is_dir() else {}
        if state["former"] is not None:
            folders["former"] = Kept(self.place, state["former"]).address
        files |= {name: sdk.Input(type="uri_folder", path=path) for name, path in folders.items()}
        named = [f"--{name} ${{{{inputs.{name}}}}}" for name in files]
        machines = {"compute": self.place.compute} if self.place.compute else {"instance_type": self.place.instance}
        ml_client(self.place).jobs.create_or_update(
            sdk.command(
                name=state["name"],
                display_name=f"Errata {job.run_id}",
                experiment_name="errata",
                tags={"errata.run": job.run_id},
                code=str(write_code(job, state["name"], job.directory / "code")),
                command=f"python start.py --job {JOB} --kept ${{{{outputs.kept}}}} {' '.join(named)}",
                environment=ENVIRONMENT,
                inputs=files,
                outputs={
                    "kept": sdk.Output(type="uri_folder", path=Kept(self.place, state["name"]).address, mode="rw_mount")
                },
                distribution={"type": "PyTorch", "process_count_per_instance": self.place.gpus},
                instance_count=self.place.nodes,
                shm_size=_SHARED_MEMORY,
                timeout=MOST_SECONDS,
                **machines,
            )
        )

    def _found(self, name: str) -> Any:
        """The job of this name; None where there is none."""
        from azure.core.exceptions import ResourceNotFoundError  # noqa: PLC0415 (the bot reads this module)

        try:
            return ml_client(self.place).jobs.get(name)
        except ResourceNotFoundError:
            return None


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


def _inputs(name: str) -> str:
    """Where the rows lie in the store that the job of this name learns from."""
    return f"errata/inputs/{name}"


def _state(job: Job, attempt: int, former: str | None) -> dict[str, Any]:
    return {"name": _name(job, attempt), "attempt": attempt, "former": former}


def _read(job: Job) -> dict[str, Any]:
    return folder.read_json(job.directory / _STATE) or _state(job, 1, None)


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
