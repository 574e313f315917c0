"""Jobs of the backend over the openai SDK, as a worker takes them to their ends, on a clock that somebody moves."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from training.backends.base import Base, Job, Progress
from training.backends.foundry.account.backend import OpenAIBackend
from training.backends.foundry.looks import Looks
from training.backends.foundry.place import AzurePlace
from training.hyperparameters import Recipe
from training.recipe import load_recipe
from training.sandbox.azure import AzureSandbox
from training.sandbox.cloud import Pace

SECONDS = 3

PACE = Pace(token_seconds=10**6)
"""Of a clock that is moved by hours, while the libraries go by the machine's."""

SERVICE = load_recipe("service")

MODEL = "gpt-4.1-mini"

SECRET = "Kari Nordmann said that her order is late."


class Hands:
    """A clock that somebody moves."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def made(azure: AzureSandbox, clock: Hands, looks: Looks | None = None) -> OpenAIBackend:
    """What a worker has after a restart: nothing but the job's folder is known to it."""
    place = AzurePlace.read(azure.environ())
    return OpenAIBackend(place, looks=looks or Looks.always(), clock=lambda: clock.now.timestamp())  # noqa: PLW0108 (it moves)


def make_job(root: Path, run_id: str, recipe: Recipe = SERVICE, *, rows: int = 12, model: str = MODEL) -> Job:
    about = {"side": "train", "kind": "correction", "topic": None, "language": None, "reason": None}
    for name, count in (("train", rows), ("validation", 2)):
        with (root / f"{name}.jsonl").open("w", encoding="utf-8") as file:
            for number in range(count):
                turns = [{"role": "user", "content": SECRET}, {"role": "assistant", "content": f"Reply {number}"}]
                file.write(json.dumps({"messages": turns, "metadata": {"example": number}}) + "\n")
    with (root / "particulars.jsonl").open("w", encoding="utf-8") as file:
        for number in range(rows):
            file.write(json.dumps({"example": number, **about, "rejected": "Go away."}) + "\n")
    folder, base = root / "job", Base("service", name=model)
    files = (root / "train.jsonl", root / "validation.jsonl", folder, root / "particulars.jsonl")
    return Job(run_id, base, recipe, *files)


def submitted(backend: OpenAIBackend, job: Job) -> Job:
    """As a worker does it: again and again until the provider has it."""
    for _ in range(8):
        if (job.directory / "remote.json").exists() and kept(job)["job"] is not None:
            return job
        backend.submit(job)
    raise AssertionError("it was never started")


def ended(backend: OpenAIBackend, job: Job, clock: Hands) -> Progress:
    for _ in range(8):
        progress = backend.poll(job)
        if progress.status.final:
            return progress
        clock.move(SECONDS)
    raise AssertionError("it never ended")


def kept(job: Job) -> dict[str, Any]:
    state: dict[str, Any] = json.loads((job.directory / "remote.json").read_text(encoding="utf-8"))
    return state


def sent(azure: AzureSandbox, method: str, tail: str) -> list[Any]:
    """The bodies of the requests of this method to paths that end so."""
    return [one.body for one in azure.requests if one.method == method and one.path.endswith(tail)]
