"""ManagedBackend: fine-tuning as a service of Azure AI Foundry, through azure-ai-ml.

Owns a job's way there and what is known of it here, in ``remote.json`` in the job's folder: written before and after
everything that is asked for, so that whoever is killed in between, or loses an answer, finds the one job by its name,
which follows from the run's. Refuses to take silence, or an expired token, for the end of a training.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from curation.conversation import Conversation
from curation.errors import Conflict, ErrataError
from curation.findings import Finding
from curation.wording import called
from training.backends.base import (
    Artefact,
    Endpoint,
    EvaluationProgress,
    EvaluationRequest,
    Guess,
    Job,
    JobStatus,
    Progress,
)
from training.backends.errors import StillTraining, Unreached
from training.backends.foundry.access.projects import project_of
from training.backends.foundry.evaluating import evaluations
from training.backends.foundry.looks import Looks
from training.backends.foundry.managed import assets, endpoints, preflight, scoring, tuning
from training.backends.foundry.managed.endpoint_keys import KEYS
from training.backends.foundry.managed.hosting import Hosting, undeploying
from training.backends.foundry.managed.remembered import Remembered
from training.backends.foundry.place import AzurePlace
from training.backends.local import folder
from training.backends.names import BackendName
from training.planning.costs import Hosted

log = logging.getLogger("errata.foundry")

SILENT = timedelta(minutes=10)
"""After so long without an answer, people are told that nobody knows how their training stands."""
PATIENCE = timedelta(hours=1)
"""A job that could not be handed over for so long is given up; nothing has been paid for by then."""


def _utc() -> datetime:
    return datetime.now(UTC)


class ManagedBackend:
    """Trains and serves at Azure; what its models say is measured from here.

    Attributes:
        place: the project.
        looks: when the provider may be asked again.
        now: the current time, aware.
        hosting: its endpoints.
    """

    def __init__(self, place: AzurePlace, *, looks: Looks | None = None, now: Callable[[], datetime] = _utc) -> None:
        self.place = place
        self.looks = looks or Looks()
        self.now = now
        self.hosting = Hosting(place, self.looks, now)
        self._last: dict[Path, Progress] = {}

    def preflight(self, job: Job) -> list[Finding]:
        """What stands in the way: the data, the base model, its region, what the recipe asks for."""
        return preflight.findings(job, self.now().date(), lambda: project_of(self.place).region)

    def destination(self, job: Job) -> str | None:  # noqa: ARG002 (the port's)
        """The project's region."""
        return project_of(self.place).region

    def submit(self, job: Job) -> None:
        """Upload what is missing there and create the job, unless it is there, has ended or was cancelled before.

        Where Azure does not answer, the job stays queued, and the next call tries again.

        Raises:
            Refused: Azure says no.
            Unreached: it has not answered for an hour.
        """
        kept = Remembered.of(job)
        if kept.created or kept.cancelled or not self.looks.due(_key(job, "submit")):
            return
        kept.keep(job)
        try:
            if tuning.find(self.place, kept.name) is None:
                tuning.create(self.place, job, kept)
                kept = Remembered.of(job)  # what was uploaded is noted there, by whichever process did it
        except Unreached as error:
            kept = Remembered.of(job)
            kept.silent_since = kept.silent_since or self.now()
            kept.keep(job)
            self.looks.later(_key(job, "submit"), error.wait_seconds)
            if self.now() - kept.silent_since > PATIENCE:
                raise
            log.warning(
                "a job could not be handed over, it is tried again: run=%s error=%s", job.run_id, type(error).__name__
            )
            return
        kept.created, kept.silent_since = True, None
        kept.keep(job)
        self._anew(job)

    def poll(self, job: Job) -> Progress:
        """How far it has come, as Azure said last; asked again when it is time to."""
        last = self._last.get(job.directory)
        if last is not None and last.status.final:
            return last
        if not self.looks.due(_key(job)) and last is not None:
            return last
        kept = Remembered.read(job)
        if kept is None:
            return Progress(JobStatus.QUEUED)
        if not kept.created:
            stopped = Progress(JobStatus.CANCELLED, reason=folder.STOPPED)
            return stopped if kept.cancelled else Progress(JobStatus.QUEUED)
        if not kept.progress.status.final:
            self._look(job, kept)
        self._last[job.directory] = kept.progress
        return kept.progress

    def began(self, job: Job) -> bool:
        """Whether Azure has, or had, a job of the run. Raises Refused, Unreached."""
        kept = Remembered.of(job)
        # Only after a job that was there is there another attempt; an answer may have been lost.
        return kept.created or kept.attempt > 1 or tuning.find(self.place, kept.name) is not None

    def trains(self, job: Job) -> bool:
        """Whether Azure trains for the run, whatever is known of it here. Raises Refused, Unreached."""
        try:
            self._ended(job)
        except StillTraining:
            return True
        return False

    def cancel(self, job: Job) -> None:
        """Ask Azure to stop it; one that was not handed over yet never will be.

        Raises:
            Refused, Unreached: Azure says no, or nothing; asked again, it is tried again.
        """
        if self.poll(job).status.final:
            return
        kept = self._known(job)  # before anything is kept: of what is said to be cancelled nobody asks again
        kept.cancelled = True
        kept.keep(job)
        self._anew(job)
        if kept.created:
            tuning.cancel(self.place, kept.name)

    def resume(self, job: Job) -> None:
        """Train again, as another job: the service keeps nothing to go on from. Nothing happens while one trains.

        Raises:
            Conflict: it is completed.
        """
        status = self.poll(job).status
        if status is JobStatus.COMPLETED:
            raise Conflict("Run {run} is completed: there is nothing to go on with.", run=job.run_id)
        if status.final:
            kept = Remembered.of(job)
            (kept.next() if kept.created else Remembered(kept.name, kept.attempt, uploads=kept.uploads)).keep(job)
            self._anew(job)
        self.submit(job)

    def fetch(self, job: Job) -> Artefact:
        """What Azure calls the model; its weights stay there."""
        status = self.poll(job).status
        kept = Remembered.of(job)
        if status is not JobStatus.COMPLETED or kept.registered is None:
            raise Conflict(
                "Run {run} has no model: it is {status}. Wait until it is completed.",
                run=job.run_id,
                status=called(status),
            )
        return Artefact(model=None, adapter=None, base_model=None, registered=kept.registered)

    def evaluate(self, request: EvaluationRequest) -> None:
        """Start the evaluation, which puts the model up for as long as it takes."""
        evaluations.start(request, BackendName.FOUNDRY, self.place)

    def poll_evaluation(self, request: EvaluationRequest) -> EvaluationProgress:
        """How far the evaluation has come."""
        return evaluations.poll(request, self)

    def forget_evaluation(self, request: EvaluationRequest) -> None:
        """Remove what an evaluation has left, here and there."""
        evaluations.forget(request, self)

    def deploy(self, artefact: Artefact, directory: Path, model_name: str) -> Endpoint | None:
        """The model's endpoint once it has answered; None while it is coming."""
        return self.hosting.deploy(artefact, directory, model_name)

    def probe(self, endpoint: Endpoint, conversation: Conversation) -> str:
        """The deployed model's most probable reply; a key that was renewed is fetched anew."""
        try:
            return scoring.ask(endpoint.url, self.key_of(endpoint), endpoint.model, conversation)
        except scoring.KeyRefused:
            KEYS.forget(endpoints.name_of(self.place, endpoint.model))
            return scoring.ask(endpoint.url, self.key_of(endpoint), endpoint.model, conversation)

    def classify(self, endpoint: Endpoint, conversations: Sequence[Conversation]) -> list[tuple[Guess, ...]]:  # noqa: ARG002 (the port's)
        """Refused: the service trains no classifiers."""
        raise Conflict("This service serves no classifiers: train one with --backend local or azureml.")

    def died(self, directory: Path, model_name: str) -> bool:
        """Whether an endpoint that answered is gone or broken."""
        return self.hosting.died(directory, model_name)

    def undeploy(self, directory: Path, model_name: str) -> bool:
        """Ask for the endpoint to go; whether it is gone."""
        return self.hosting.undeploy(directory, model_name)

    def uploads(self, job: Job) -> frozenset[str] | None:
        """The names of its data assets, which runs with the same rows share; None where nothing is known here."""
        kept = Remembered.read(job)
        return frozenset(kept.uploads) if kept is not None else None

    def unload(self, job: Job, spare: Collection[str] = ()) -> int:
        """Remove its rows from the project's store. Raises as ``training.uploads.Uploading`` says."""
        return sum(assets.remove(self.place, name) for name in self._ended(job).uploads if name not in spare)

    def delete(self, job: Job) -> None:
        """Archive the model, as Azure deletes none, and remove the job's folder here.

        Raises:
            Conflict: it still trains, or its model still answers at an endpoint.
        """
        kept = self._ended(job)
        if kept.registered is not None:
            standing = [one for one in endpoints.listed(self.place) if one.model == kept.registered and not one.going]
            if standing:
                raise Conflict(
                    "The model of {run} is still deployed: take it down first with {command}",
                    run=job.run_id,
                    command=undeploying(self.place, standing[0]),
                )
            tuning.archive(self.place, kept.name)
        shutil.rmtree(job.directory, ignore_errors=True)
        self._anew(job)

    def key_of(self, endpoint: Endpoint) -> str:
        """The endpoint's key, to be kept nowhere. Raises Refused, Unreached."""
        return KEYS.of(self.place, endpoints.name_of(self.place, endpoint.model))

    def filter(self, directory: Path, *, on: bool) -> None:
        """Put Azure's content safety before the endpoint, or take it away."""
        self.hosting.filter(directory, on=on)

    def hosted(self) -> list[Hosted]:
        """What costs money by the hour now."""
        return self.hosting.hosted()

    def _known(self, job: Job) -> Remembered:
        """What is known of the job; Azure is asked where an answer was lost, or all that was known here."""
        kept = Remembered.of(job)
        if kept.created:
            return kept
        newest = kept
        while (found := tuning.find(self.place, newest.name)) is not None:
            kept, kept.created = newest, True
            kept.uploads += (one for one in found.uploads if one not in kept.uploads)
            newest = kept.next()
        if kept.created:
            kept.keep(job)
            self._anew(job)
        return kept

    def _ended(self, job: Job) -> Remembered:
        """What is known of a job that no longer trains; raises StillTraining while it does."""
        if not self._known(job).created:
            return Remembered.of(job)
        if not self.poll(job).status.final:
            raise StillTraining("Run {run} is still training; cancel it before you delete it.", run=job.run_id)
        return Remembered.of(job)

    def _look(self, job: Job, kept: Remembered) -> None:
        """Ask Azure how the job stands; what cannot be asked at the moment stands as it did."""
        before = kept.status
        try:
            tuning.look(self.place, job, kept)
        except ErrataError as error:  # no answer, an expired token, a role that was taken away: the training goes on
            log.warning("a job cannot be seen at the moment: run=%s error=%s", job.run_id, type(error).__name__)
            kept.progress = tuning.unseen(kept, self.now(), error.sentence, after=SILENT)
            self.looks.later(_key(job), getattr(error, "wait_seconds", None))
        else:
            kept.seen_at = self.now()
        if kept.status != before:
            self.looks.again(_key(job))
            self.looks.due(_key(job))  # as it has just been looked at
        kept.keep(job)

    def _anew(self, job: Job) -> None:
        """Something was done about the job: what was known of it is asked for again, and soon."""
        self._last.pop(job.directory, None)
        for what in ("look", "submit"):
            self.looks.again(_key(job, what))


def _key(job: Job, what: str = "look") -> str:
    return f"{what} {job.directory}"
