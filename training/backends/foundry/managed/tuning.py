"""Fine-tuning jobs of Azure ML: made, found, looked at, cancelled; and the models that they register.

Owns what is sent and how an answer is read. The job is built here and not by ``create_finetuning_job``, which fails
without validation data (azure-sdk-for-python #45770). What is known here of a job is ``remembered``'s.

https://learn.microsoft.com/rest/api/azureml/jobs/create-or-update (FineTuningJob)
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from curation.errors import ErrataError
from curation.wording import phrase
from training.backends.base import Job, JobStatus, Progress
from training.backends.errors import Missing
from training.backends.foundry.access import jobs
from training.backends.foundry.access.apart import apart
from training.backends.foundry.access.clients import ml_client
from training.backends.foundry.access.projects import project_of
from training.backends.foundry.access.refusals import provider_errors
from training.backends.foundry.access.sdks import azure_ml
from training.backends.foundry.managed import assets, bases, hyperparameters, metrics
from training.backends.foundry.managed.remembered import Remembered
from training.backends.foundry.managed.statuses import note_of, status_of
from training.backends.foundry.place import AzurePlace
from training.backends.local import folder

if TYPE_CHECKING:
    from azure.ai.ml.entities import Job as MLJob

log = logging.getLogger("errata.foundry")

TASK = "ChatCompletion"
VERSION = "1"
"""Of every registered model: each attempt has a name of its own."""

_NO_REPOSITORY = {"azureml.git.dirty": "False"}
"""Without one of these azure-ai-ml tells Azure the address, branch and commit of the repository that Errata runs in."""
_HANDING_OVER = phrase("Handing over the fine-tuning job")
_CANCELLING = phrase("Cancelling the fine-tuning job")
_ARCHIVING = phrase("Archiving the model")


@dataclass(frozen=True, slots=True)
class Found:
    """A job as Azure shows it.

    Attributes:
        word: where it stands, in Azure's word.
        link: where the studio shows it; None where it does not say.
        uploads: names of the data assets of Errata's that it trains on.
    """

    word: str
    link: str | None
    uploads: tuple[str, ...] = ()

    @property
    def status(self) -> JobStatus:
        """Where it stands, in Errata's."""
        return status_of(self.word)


def find(place: AzurePlace, name: str) -> Found | None:
    """The job of this name; None where there is none. Raises Refused, Unreached."""
    standing = jobs.find(place, name)
    if standing is None:
        return None
    details = standing.told.get("fineTuningDetails") or {}
    sides = (str((details.get(side) or {}).get("uri") or "") for side in ("trainingData", "validationData"))
    uploads = dict.fromkeys(one for side in sides if (one := assets.name_in(side)) is not None)
    return Found(standing.word, standing.link, tuple(uploads))


@apart
def create(place: AzurePlace, job: Job, kept: Remembered) -> None:
    """Upload what is not there yet and create the job; ``kept`` is kept after each step, on disk.

    Raises:
        Refused, Unreached: Azure says no, or nothing.
        Invalid: a row of the data cannot be used.
    """
    kept.base = kept.base or bases.address_of(job.base.name or "")

    def noted(name: str) -> None:
        if name not in kept.uploads:
            kept.uploads.append(name)
            kept.keep(job)

    for side, path in (("train", job.train), ("validation", job.validation)):
        if side not in kept.data:
            kept.data[side] = assets.uploaded(place, path, job.directory / f"{side}.upload.jsonl", noted)
            kept.keep(job)
    with provider_errors(_HANDING_OVER, place):
        ml_client(place).jobs.create_or_update(definition(job, kept))


def definition(job: Job, kept: Remembered) -> MLJob:
    """The job as azure-ai-ml sends it."""
    sdk = azure_ml()
    from azure.ai.ml.entities._job.finetuning.custom_model_finetuning_job import (  # noqa: PLC0415 (loaded when sent)
        CustomModelFineTuningJob,
    )

    made: MLJob = CustomModelFineTuningJob(
        name=kept.name,
        display_name=f"Errata {job.run_id}",
        experiment_name="errata",
        tags={"errata.run": job.run_id, "errata.attempt": str(kept.attempt)},
        properties=_NO_REPOSITORY,
        task=TASK,
        model=sdk.Input(type="mlflow_model", path=kept.base),
        training_data=sdk.Input(type="uri_file", path=kept.data["train"]),
        validation_data=sdk.Input(type="uri_file", path=kept.data["validation"]),
        hyperparameters=hyperparameters.of_recipe(job.recipe),
        outputs={"registered_model": sdk.Output(type="mlflow_model", name=kept.name)},
    )
    made.task = TASK  # its constructor writes a small first letter, which the API does not list
    return made


def look(place: AzurePlace, job: Job, kept: Remembered) -> None:
    """Bring ``kept`` up to date.

    Raises:
        Refused, Unreached: it does not say how the job stands.
    """
    found = find(place, kept.name)
    if found is None:
        kept.progress = gone(kept)
        return
    status = found.status
    if status is JobStatus.QUEUED and kept.cancelled:
        status = JobStatus.RUNNING  # it has been asked to stop, and has not yet
    progress = replace(
        kept.progress, status=status, link=found.link or kept.progress.link, notes=_notes(job, found.word)
    )
    if status in {JobStatus.RUNNING, JobStatus.COMPLETED}:
        progress = _with_metrics(place, job, kept, progress)
    if status is JobStatus.COMPLETED:
        kept.registered = kept.registered or _registered(place, kept.name)
        if kept.registered is None:
            still = phrase("Azure has ended the training and has not registered the model yet.")
            progress = replace(progress, status=JobStatus.RUNNING, notes=(*progress.notes, still))
    if progress.status.final:
        progress = replace(progress, eta_seconds=None, reason=_reason(kept, found.word, status))
    kept.status, kept.progress = found.word, progress


def gone(kept: Remembered) -> Progress:
    """Of a job that Azure no longer has."""
    reason = phrase("Azure no longer has the job {job}: it was deleted. Resume the run to train anew.", job=kept.name)
    return replace(kept.progress, status=JobStatus.FAILED, eta_seconds=None, reason=reason)


def unseen(kept: Remembered, now: datetime, why: str, *, after: timedelta) -> Progress:
    """What was known last of a job that cannot be asked about, and a note once that is long ago."""
    kept.seen_at = kept.seen_at or now
    silent = now - kept.seen_at
    # Of one that was asked to stop nobody can say that it only waits.
    last = replace(kept.progress, status=JobStatus.RUNNING) if kept.cancelled else kept.progress
    if silent < after:
        return last
    note = phrase(
        "Nobody has known for {minutes:,} minutes how the training stands; it goes on at Azure. {why}",
        minutes=int(silent.total_seconds() // 600) * 10,  # each change of it is told
        why=why,
    )
    return replace(last, notes=(note,))


def cancel(place: AzurePlace, name: str) -> bool:
    """Ask for the job to stop, and do not wait for it; False where there is none. Raises Refused, Unreached."""
    found = find(place, name)
    if found is None:
        return False
    if not found.status.final:
        _begin_cancel(place, name)
    return True


@apart
def _begin_cancel(place: AzurePlace, name: str) -> None:
    with provider_errors(_CANCELLING, place):
        ml_client(place).jobs.begin_cancel(name, polling=False)


@apart
def archive(place: AzurePlace, name: str) -> None:
    """Take the model out of everybody's sight; nothing happens to one that is not there. Raises Refused, Unreached."""
    try:
        with provider_errors(_ARCHIVING, place):
            ml_client(place).models.archive(name, version=VERSION)
    except Missing:
        return


@apart
def _registered(place: AzurePlace, name: str) -> str | None:
    try:
        with provider_errors(place=place):
            model = ml_client(place).models.get(name, version=VERSION)
    except Missing:
        return None
    return project_of(place).model_address(str(model.name), str(model.version))


def _with_metrics(place: AzurePlace, job: Job, kept: Remembered, progress: Progress) -> Progress:
    """The progress with what the training has logged; the last known where that cannot be read."""
    try:
        told = metrics.measured(project_of(place).tracking, kept.name, job.recipe.epochs)
    except ErrataError as error:
        log.info("the metrics of a job cannot be read at the moment: run=%s error=%s", job.run_id, type(error).__name__)
        return progress
    if not told.curve:
        return progress
    return replace(
        progress,
        step=told.curve[-1].step,
        steps=told.steps,
        eta_seconds=told.eta_seconds,
        curve=told.curve,
        trained_tokens=told.trained_tokens,
    )


def _notes(job: Job, word: str | None) -> tuple[str, ...]:
    standing = note_of(word)
    left_out = [one.message for one in hyperparameters.findings(job.recipe)]
    return (*left_out, *([standing] if standing is not None else []))


def _reason(kept: Remembered, word: str | None, status: JobStatus) -> str | None:
    if status is JobStatus.COMPLETED:
        return None
    if status is JobStatus.CANCELLED:
        return folder.STOPPED if kept.cancelled else phrase("Azure has cancelled the training.")
    return phrase(
        "Azure ended the training as {word}; its logs are in Azure AI Foundry under the job {job}. Resume the run to "
        "train again.",
        word=word or "Failed",
        job=kept.name,
    )
