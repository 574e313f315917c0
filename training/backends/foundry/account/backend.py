"""OpenAIBackend: the port over the openai SDK, for Foundry's OpenAI-type and open models.

Owns a job's way: files, job, looks at it, its end; each step is kept in the job's folder before and after it is taken,
so that whatever is repeated finds what is there. Serving is ``openai_endpoints``'s, evaluating ``evaluations``'s.

https://learn.microsoft.com/azure/ai-foundry/openai/how-to/fine-tuning
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path

from curation.conversation import Conversation
from curation.errors import Conflict, Unavailable
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
from training.backends.foundry.account import preflight as openai_preflight
from training.backends.foundry.account.deployments import Account
from training.backends.foundry.account.endpoints import OpenAIEndpoints
from training.backends.foundry.account.looks import Look, Seen
from training.backends.foundry.account.requests import Requests
from training.backends.foundry.account.state import State
from training.backends.foundry.evaluating import evaluations
from training.backends.foundry.looks import Looks
from training.backends.foundry.place import AzurePlace
from training.backends.local import folder
from training.backends.names import BackendName
from training.hyperparameters import Service, TrainingTier
from training.planning.costs import Hosted

log = logging.getLogger("errata.foundry")


class OpenAIBackend:
    """Tunes and serves models of an Azure account; nothing is sent while one is made.

    Attributes:
        place: names the account.
        looks: when the provider may be asked again.
        endpoints: what is served there.
        clock: seconds since 1970.
    """

    def __init__(
        self, place: AzurePlace, *, looks: Looks | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self.place = place
        self.looks = looks or Looks()
        self.clock = clock
        self.endpoints = OpenAIEndpoints(place, self.looks, clock)
        self._requests = Requests(place)
        self._seen: dict[Path, Seen] = {}

    def preflight(self, job: Job) -> list[Finding]:
        """What the provider would refuse, found before anything is sent to it but the question for its models."""
        return openai_preflight.findings(job, self.place, datetime.fromtimestamp(self.clock(), UTC))

    def destination(self, job: Job) -> str:
        """The region that the job's data go to; ``global`` where they may go to any. Raises Refused and Unreached."""
        tier = (job.recipe.service or Service()).training_type
        return Account(self.place).region() if tier is TrainingTier.STANDARD else "global"

    def submit(self, job: Job) -> None:
        """Take the next step towards a started job: asked again and again until it stands, it starts one only.

        Raises:
            Refused, Unavailable: the provider will not take it.
        """
        state = State.read(job.directory) or State(job.run_id)
        if state.job is not None or state.cancelled or not self.looks.due(_key("submit", job)):
            return
        job.directory.mkdir(parents=True, exist_ok=True)
        state.write(job.directory)  # before anything is sent: whoever finds it looks before it sends
        try:
            had = state.files
            state = self._requests.upload(job, state)
            if not had:
                self.looks.again(_key("submit", job))
            if self._requests.ready(state):
                self._requests.start(job, state).write(job.directory)
        except Unreached as error:
            log.warning("a job could not be started yet: run=%s error=%s", job.run_id, type(error).__name__)
            self.looks.later(_key("submit", job), error.wait_seconds)

    def poll(self, job: Job) -> Progress:
        """How far it has come, by the last look at it; what the provider does not say now it says later."""
        state = State.read(job.directory)
        if state is None or state.job is None:
            stopped = state is not None and state.cancelled
            return Progress(JobStatus.CANCELLED, reason=folder.STOPPED) if stopped else Progress(JobStatus.QUEUED)
        seen = self._seen.get(job.directory)
        if seen is None or seen.job != state.job:
            seen = Seen.read(job.directory, state.job)
        if not seen.progress.status.final and self.looks.due(_key("poll", job)):
            try:
                before, seen = seen, self._look(job).at(seen, state)
                if before.lasting != seen.lasting:
                    seen.write(job.directory)
                if before.progress.status is not seen.progress.status:  # a step is no news: there is one at every look
                    self.looks.again(_key("poll", job))
                    self.looks.due(_key("poll", job))  # not at once: the shortest pause begins anew
            except Unavailable as error:
                log.warning("a job could not be looked at: run=%s error=%s", job.run_id, type(error).__name__)
                self.looks.later(_key("poll", job), getattr(error, "wait_seconds", None))
        self._seen[job.directory] = seen
        return seen.progress

    def began(self, job: Job) -> bool:
        """Whether the provider has, or had, a job of the run. Raises Refused and Unreached."""
        state = State.read(job.directory)
        return (state is not None and state.job is not None) or self._requests.newest(job.run_id) is not None

    def trains(self, job: Job) -> bool:
        """Whether the provider trains for the run, whatever is known of it here. Raises Refused, Unreached."""
        try:
            self._ended(job)
        except StillTraining:
            return True
        return False

    def cancel(self, job: Job) -> None:
        """Ask the provider to stop it; one that was not started yet will never start. Raises Refused and Unreached."""
        if self.poll(job).status.final:
            return
        state = self._known(job).stopped()  # nothing is kept before this is known, or nobody would ask again
        job.directory.mkdir(parents=True, exist_ok=True)
        state.write(job.directory)
        if state.job is not None:
            self._requests.cancel(state.job)
        self.looks.again(_key("poll", job))

    def resume(self, job: Job) -> None:
        """Let a paused job go on; one that failed or was cancelled is trained anew, as the provider keeps no way on.

        Raises:
            Conflict: it is completed; Refused, Unreached: the provider says no, or nothing.
        """
        status, state = self.poll(job).status, State.read(job.directory)
        if status is JobStatus.COMPLETED:
            raise Conflict("Run {run} is completed: there is nothing to go on with.", run=job.run_id)
        if state is not None and status.final:
            if state.job is None or state.cancelled or not self._requests.go_on(state.job):
                state.next_attempt().write(job.directory)
            self._seen.pop(job.directory, None)
            Seen.forget(job.directory)
            for purpose in ("submit", "poll"):
                self.looks.again(_key(purpose, job))
        self.submit(job)

    def fetch(self, job: Job) -> Artefact:
        """What the provider calls the tuned model."""
        seen = self.poll(job)
        registered = self._seen[job.directory].registered if job.directory in self._seen else None
        if seen.status is not JobStatus.COMPLETED or registered is None:
            raise Conflict(
                "Run {run} has no model: it is {status}. Wait until it is completed.",
                run=job.run_id,
                status=called(seen.status),
            )
        return Artefact(None, None, None, registered=registered, service=job.recipe.service or Service())

    def evaluate(self, request: EvaluationRequest) -> None:
        """Start a process that asks the candidate and its rivals."""
        evaluations.start(request, BackendName.OPENAI, self.place)

    def poll_evaluation(self, request: EvaluationRequest) -> EvaluationProgress:
        """How far it has come, from its files alone."""
        return evaluations.poll(request, self)

    def forget_evaluation(self, request: EvaluationRequest) -> None:
        """Remove what it left, its endpoint at the provider included."""
        evaluations.forget(request, self)

    def deploy(self, artefact: Artefact, directory: Path, model_name: str) -> Endpoint | None:
        """The endpoint of the model, once it answers; None until then."""
        return self.endpoints.deploy(artefact, directory, model_name)

    def probe(self, endpoint: Endpoint, conversation: Conversation) -> str:
        """The deployed model's most probable reply."""
        return self.endpoints.reply(endpoint, conversation)

    def classify(
        self,
        endpoint: Endpoint,  # noqa: ARG002 (what the port asks)
        conversations: Sequence[Conversation],  # noqa: ARG002
    ) -> list[tuple[Guess, ...]]:
        """Nothing here has learned labels: raises Conflict."""
        raise Conflict("The backend openai serves no classifiers: train one with --backend local.")

    def key_of(self, endpoint: Endpoint) -> str:  # noqa: ARG002 (other backends have a key for each)
        """What to send as bearer token to an endpoint; never stored. Raises Refused and Unreached."""
        return self.endpoints.key()

    def died(self, directory: Path, model_name: str) -> bool:
        """Whether a deployment that answered here is gone or has failed."""
        return self.endpoints.died(directory, model_name)

    def undeploy(self, directory: Path, model_name: str) -> bool:
        """Take the deployment away; whether it is gone."""
        return self.endpoints.undeploy(directory, model_name)

    def hosted(self) -> list[Hosted]:
        """The deployments of tuned models in the account, which cost by the hour. Raises Refused and Unreached."""
        return self.endpoints.hosted()

    def delete(self, job: Job) -> None:
        """Remove model and files at the provider, then the job's folder.

        Raises:
            Conflict: it still trains, or its model is deployed; Refused, Unreached: the provider says no, or nothing.
        """
        state = self._ended(job)
        if job.directory.exists():
            self._requests.delete(job.run_id, Seen.read(job.directory, state.job or ""))
        self._seen.pop(job.directory, None)
        shutil.rmtree(job.directory, ignore_errors=True)

    def uploads(self, job: Job) -> frozenset[str] | None:
        """The ids of its files, which no other run shares; None where nothing is known here."""
        state = State.read(job.directory)
        return frozenset(state.files.values()) if state is not None else None

    def unload(self, job: Job, spare: Collection[str] = ()) -> int:  # noqa: ARG002 (nothing is shared here)
        """Remove its files. Raises as ``training.uploads.Uploading`` says."""
        self._ended(job)
        return self._requests.unload(job.run_id)

    def _known(self, job: Job) -> State:
        """What is known of the job; the provider is asked where an answer was lost, or all that was known here."""
        state = State.read(job.directory)
        if state is not None:
            return self._requests.adopt(state)
        newest = self._requests.newest(job.run_id)
        return State(job.run_id) if newest is None else State(job.run_id).started(newest)

    def _ended(self, job: Job) -> State:
        """What is known of a job that no longer trains; raises StillTraining while it does."""
        before, state = State.read(job.directory), self._known(job)
        if state.job is None:
            return state
        if state != before:
            job.directory.mkdir(parents=True, exist_ok=True)
            state.write(job.directory)
            self.looks.again(_key("poll", job))
        if not self.poll(job).status.final:
            raise StillTraining("Run {run} is still training; cancel it before you delete it.", run=job.run_id)
        return state

    def _look(self, job: Job) -> Look:
        tier = (job.recipe.service or Service()).training_type
        return Look(self.place, self.clock, preempted=tier is TrainingTier.DEVELOPER)


def _key(purpose: str, job: Job) -> str:
    return f"{purpose}:{job.directory}"
