"""What is asked of the openai API about a job: to start it, stop it, let it go on, remove it.

Owns that nothing is started twice: files and jobs are looked for before they are sent, by a client that repeats nothing
by itself; whoever has to wait is asked again at the next visit. When each is asked is ``openai_jobs``'s.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from curation.errors import Conflict
from curation.wording import phrase
from training.backends.base import Job
from training.backends.errors import Missing
from training.backends.foundry.access import remedies
from training.backends.foundry.access.apart import apart
from training.backends.foundry.access.clients import openai_client
from training.backends.foundry.access.refusals import provider_errors
from training.backends.foundry.account import files as openai_files
from training.backends.foundry.account import methods as openai_methods
from training.backends.foundry.account.deployments import Account
from training.backends.foundry.account.looks import Seen
from training.backends.foundry.account.state import State
from training.backends.foundry.account.statuses import ENDING, PAUSED, status_of
from training.backends.foundry.place import AzurePlace

log = logging.getLogger("errata.foundry")


@dataclass(frozen=True, slots=True)
class Requests:
    """Of one account. Every method raises Refused and Unreached."""

    place: AzurePlace

    @apart
    def upload(self, job: Job, state: State) -> State:
        """With both files at the provider; those that are there already are taken, each is kept as it arrives."""
        if len(state.files) == len(openai_files.SIDES):
            return state
        with openai_files.writing(job) as written:
            state = state.noting(openai_files.notes(written))
            state = state.with_files(openai_files.uploaded(self.place, state.name))
            for side, one in written.items():
                if side not in state.files:
                    sent = openai_files.upload(self.place, state.name, side, one.path)
                    state = state.with_files({side: sent})
                state.write(job.directory)
        return state

    @apart
    def ready(self, state: State) -> bool:
        """Whether the provider has taken both files in; raises Unavailable where it never will."""
        return all(openai_files.ready(self.place, state.files[side]) for side in openai_files.SIDES)

    @apart
    def start(self, job: Job, state: State) -> State:
        """With its job: the one that trains on its file already, or a new one."""
        state = self.adopt(state)
        if state.job is not None:
            return state
        with provider_errors(phrase("The fine-tuning job"), self.place):
            made = openai_client(self.place, retries=0).fine_tuning.jobs.create(
                model=job.base.name or "",
                training_file=state.files["train"],
                validation_file=state.files["validation"],
                suffix=state.name,
                seed=job.recipe.seed,
                method=openai_methods.method_of(job.recipe),  # type: ignore[arg-type]  # one of its shapes
                extra_body={"trainingType": openai_methods.training_type_of(job.recipe)},
            )
        log.info("a job was started: run=%s job=%s", job.run_id, made.id)
        return state.started(made.id)

    @apart
    def adopt(self, state: State) -> State:
        """With the job that trains on its file, where the provider has one: an answer may have been lost."""
        if state.job is not None or "train" not in state.files:
            return state
        with provider_errors(phrase("The list of jobs"), self.place):
            for one in openai_client(self.place, retries=0).fine_tuning.jobs.list(limit=100):
                if one.training_file == state.files["train"]:
                    return state.started(one.id)
        return state

    @apart
    def newest(self, run_id: str) -> str | None:
        """The job on files of the run that still trains, or its newest; None where there never was one."""
        files = set(openai_files.of_run(self.place, run_id))
        if not files:
            return None
        with provider_errors(phrase("The list of jobs"), self.place):
            jobs = openai_client(self.place, retries=0).fine_tuning.jobs.list(limit=100)
            theirs = [one for one in jobs if one.training_file in files]
        newest = max(theirs, key=lambda one: (not status_of(one.status).final, one.created_at), default=None)
        return newest.id if newest is not None else None

    @apart
    def cancel(self, job: str) -> None:
        """Stop it unless it has ended."""
        jobs = openai_client(self.place, retries=0).fine_tuning.jobs
        with provider_errors(phrase("The job's cancellation"), self.place):
            if not status_of(jobs.retrieve(job).status).final:
                jobs.cancel(job)

    @apart
    def go_on(self, job: str) -> bool:
        """Whether it goes on: one that was paused is let go on, one that has ended cannot."""
        jobs = openai_client(self.place).fine_tuning.jobs
        try:
            with provider_errors(phrase("The job's resumption"), self.place):
                word = str(jobs.retrieve(job).status).lower()
                if word in PAUSED:
                    jobs.resume(job)
        except Missing:
            return False
        return word not in ENDING and not status_of(word).final

    @apart
    def delete(self, run_id: str, seen: Seen) -> None:
        """Remove the tuned model and every file of the job.

        Raises:
            Conflict: the model is deployed; the sentence says what takes it down.
        """
        client = openai_client(self.place)
        registered = seen.registered
        if registered is not None:
            for one in Account(self.place).deployments():
                if one.model == registered:
                    raise Conflict(
                        "The model of {run} is still deployed: take it down first with {command}",
                        run=run_id,
                        command=undeploying(self.place, one.name, run_id),
                    )
            self._gone(lambda: client.models.delete(registered))
        self.unload(run_id, *seen.results)

    @apart
    def unload(self, run_id: str, *others: str) -> int:
        """Remove every file that was uploaded for the run, by any attempt, and others of these ids; how many."""
        client = openai_client(self.place)
        known = [*openai_files.of_run(self.place, run_id), *others]
        for file_id in known:
            self._gone(lambda file_id=file_id: client.files.delete(file_id))  # type: ignore[misc]  # bound to each
        return len(known)

    def _gone(self, delete: Callable[[], Any]) -> None:
        """Delete something, or find that it is gone."""
        try:
            with provider_errors(phrase("The deletion"), self.place):
                delete()
        except Missing:
            return


def undeploying(place: AzurePlace, name: str, run_id: str | None) -> str:
    """What takes a deployment down: Errata's own command for a run's, else the provider's."""
    return f"errata undeploy {name}" if name == run_id else remedies.delete_deployment(place, name)
