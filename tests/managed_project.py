"""A project in the sandbox that trains nothing, and a backend for fine-tuning as a service that works there."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from curation.conversation import Conversation, Message, Role
from training.backends.base import Base, Endpoint, Job, JobStatus, Progress
from training.backends.foundry.looks import Looks
from training.backends.foundry.managed.backend import ManagedBackend
from training.backends.foundry.place import AzurePlace
from training.recipe import load_recipe
from training.sandbox.azure import AzureSandbox
from training.sandbox.jobs import Jobs

HELLO = Conversation((Message(Role.USER, "Do you deliver to Oslo?"),))


@dataclass
class Project:
    """A project in the sandbox, and a backend that works there.

    Attributes:
        now: the time here; the sandbox has its own.
    """

    azure: AzureSandbox
    root: Path
    place: AzurePlace
    now: datetime = datetime(2026, 11, 21, 12, tzinfo=UTC)
    count: int = 0
    backend: ManagedBackend = field(init=False)

    def __post_init__(self) -> None:
        self.backend = self.another()

    def another(self, looks: Looks | None = None) -> ManagedBackend:
        """A backend of another process: it knows what is on the disk, no more."""
        return ManagedBackend(self.place, looks=looks or Looks.always(), now=lambda: self.now)

    def job(self, **changes: Any) -> Job:
        """A run of its own, with a dataset like the others'."""
        self.count += 1
        run_id = f"run-{self.count:08x}"
        folder = self.root / run_id
        folder.mkdir()
        train, validation = written(folder / "train.jsonl", 12), written(folder / "validation.jsonl", 2)
        base = Base("service", name="phi-4-mini-instruct")
        job = Job(run_id, base, load_recipe("phi-lora"), train, validation, folder / "job")
        return replace(job, **changes)

    def started(self, job: Job) -> list[str]:
        """The names of the run's jobs that Azure was made to begin."""
        return [name for name in self.azure.cloud.part(Jobs).started if name.startswith(job.run_id)]

    def ended(self, job: Job) -> Progress:
        """The progress once nothing more happens."""
        for _ in range(50):
            if (progress := self.backend.poll(job)).status.final:
                return progress
        raise AssertionError(progress)

    def completed(self) -> Job:
        """A run whose model is there."""
        job = self.job()
        self.backend.submit(job)
        assert self.ended(job).status is JobStatus.COMPLETED
        return job

    def deployed(self, job: Job, name: str | None = None) -> Endpoint:
        """Its endpoint once it answers."""
        artefact, directory = self.backend.fetch(job), self.directory(job)
        for _ in range(20):
            if (endpoint := self.backend.deploy(artefact, directory, name or job.run_id)) is not None:
                return endpoint
        raise AssertionError(job)

    def gone(self, job: Job) -> None:
        """Take its endpoint down."""
        assert any(self.backend.undeploy(self.directory(job), job.run_id) for _ in range(20))

    def directory(self, job: Job) -> Path:
        return job.directory.parent / "endpoint"

    def asked(self, method: str, part: str) -> list[Any]:
        """The bodies of requests that were received."""
        return [one.body for one in self.azure.requests if one.method == method and part in one.path]


def written(path: Path, rows: int, question: str = "Do you deliver to Oslo?") -> Path:
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": "Yes, on Fridays."}]
    path.write_text("".join(json.dumps({"messages": turns}) + "\n" for _ in range(rows)), encoding="utf-8")
    return path
