"""A day of watching: one run at each backend of Azure's for so many hours, by a clock that is moved on.

    python tests/chaos/day.py [--hours 24] [--seed 1]

Somebody wants to know every five seconds how the run stands. What is asked of Azure comes further and further apart, to
once a minute, though there is a new step at every look: the trainings only seem to run, and their losses are made up
here. Our own trainer seems to run on its machine, too, and really runs once the day is over: it brings a model. Tokens
live for an hour there. The libraries' clock, ``time.time``, is moved along, so that they fetch another in time.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from training.backends.base import Backend, Base, CurvePoint, Job, JobStatus
from training.backends.foundry.account.backend import OpenAIBackend
from training.backends.foundry.looks import Looks
from training.backends.foundry.managed.backend import ManagedBackend
from training.backends.foundry.place import AzurePlace
from training.backends.foundry.rented.backend import CommandBackend
from training.backends.names import BackendName
from training.hyperparameters import Method, RehearsalModel
from training.recipe import load_recipe
from training.sandbox.azure import AzureSandbox
from training.sandbox.cloud import Pace
from training.sandbox.toys import Fate, Stage, Toys, Tuning

TOKEN_SECONDS = 3600.0
REFUSED = frozenset({401, 403})
MOST_AN_HOUR = 66
"""Looks: sixty, and some when the run begins to train."""
VISIT_SECONDS = 5.0
"""How often somebody asks; the worker itself comes less often once a run goes on for long."""
TOKENS_AN_HOUR = 60 / 55
"""Of one audience: the libraries fetch another five minutes before the end. Asked for are two audiences at most."""
ENDS_WITHIN_SECONDS = 120.0
"""Of the real clock: until then our own trainer has really run."""
_TINY = RehearsalModel(hidden=32, layers=1, heads=2, vocabulary=300)
_BASES = {
    BackendName.FOUNDRY: (Base("service", name="phi-4-mini-instruct"), "phi-lora"),
    BackendName.OPENAI: (Base("service", name="gpt-4.1-mini"), "service"),
    BackendName.AZUREML: (Base("rehearsal"), "rehearsal"),
}


@dataclass
class Day:
    """What a day came to.

    Attributes:
        looks: rounds of requests, each at another moment.
        longest: most looks in any hour after the first.
        tokens: how many were fetched.
        refused: answers that said that a token is good no longer: whoever fetches another in time hears none.
        strayed: the first moment at which it was told of the run that it does not go on; None without one.
        status: what became of it once its time was up.
    """

    looks: int = 0
    longest: int = 0
    tokens: int = 0
    refused: int = 0
    requests: Counter[str] = field(default_factory=Counter)
    strayed: str | None = None
    status: JobStatus = JobStatus.QUEUED


def most_tokens(hours: float) -> int:
    """How many tokens so many hours may take."""
    return 2 * (int(hours * TOKENS_AN_HOUR) + 1)


@dataclass
class Hands:
    """A clock that somebody moves."""

    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    seconds: float = 0.0

    def now(self) -> datetime:
        return self.began + timedelta(seconds=self.seconds)


class Logging(Toys):
    """Trainings that only seem to run, and log a step every minute."""

    def curve(self, tuning: Tuning) -> tuple[CurvePoint, ...]:
        minutes = int((self.now() - tuning.began).total_seconds() // 60)
        return tuple(CurvePoint(step, 1.0 + 1.0 / step, None, 0.0) for step in range(1, minutes + 1))

    def _simulated(self, tuning: Tuning, now: datetime) -> Stage:
        stage = super()._simulated(tuning, now)
        return Stage.RUNNING if stage is Stage.QUEUED else stage  # nobody waits for hours here before it begins

    now: Callable[[], datetime]


def spend(folder: Path, name: BackendName, *, hours: float) -> Day:
    """Watch one simulated run of so many hours at this backend, and see it end."""
    hands = Hands()
    with sandbox(folder, hands) as azure, moved(hands):
        backend = _backend(name, AzurePlace.read(azure.environ()), hands)
        job = _job(folder, name)
        azure.toys.seconds = hours * 3600 + 60
        if name is BackendName.AZUREML:
            azure.toys.trains = True
            azure.toys.fates.append(Fate("Long", seconds=azure.toys.seconds))
        while backend.poll(job).status is JobStatus.QUEUED and hands.seconds < hours * 3600 / 2:
            backend.submit(job)
            hands.seconds += VISIT_SECONDS
        day, by_hour = Day(), Counter[int]()
        azure.forget_requests()
        while hands.seconds < hours * 3600:
            seen, before = backend.poll(job), len(azure.requests)
            if seen.status is not JobStatus.RUNNING:
                day.strayed = day.strayed or f"{hands.seconds}: {seen.status} {seen.reason}"
            for one in azure.requests:
                day.requests[f"{one.method} {one.path.rsplit('/', 2)[-2]}"] += 1
                day.tokens += one.path.endswith("/token")
                day.refused += one.status in REFUSED
            day.looks += before > 0
            by_hour[int(hands.seconds // 3600)] += before > 0
            azure.forget_requests()
            hands.seconds += VISIT_SECONDS
        day.longest = max((looks for hour, looks in by_hour.items() if hour), default=0)
        until = time.monotonic() + ENDS_WITHIN_SECONDS
        while not day.status.final and time.monotonic() < until:
            hands.seconds += 60
            day.status = backend.poll(job).status
            if azure.toys.trains:
                time.sleep(0.2)  # a process trains
    return day


@contextmanager
def sandbox(folder: Path, hands: Hands) -> Iterator[AzureSandbox]:
    """An Azure that simulates, by a clock that is moved, and is this process's for as long."""
    pace = Pace(token_seconds=TOKEN_SECONDS)
    with AzureSandbox(folder / "azure", trains=False, clock=hands.now, pace=pace) as azure:
        azure.cloud._parts[Toys] = toys = Logging(trains=False)
        toys.now = hands.now
        before = dict(os.environ)
        os.environ.update(azure.environ())
        try:
            yield azure
        finally:
            os.environ.clear()
            os.environ.update(before)


@contextmanager
def moved(hands: Hands) -> Iterator[None]:
    """Whoever looks at ``time.time``, as the libraries do that hold tokens, sees the clock that is moved."""
    real = time.time
    time.time = lambda: real() + hands.seconds
    try:
        yield
    finally:
        time.time = real


def _backend(name: BackendName, place: AzurePlace, hands: Hands) -> Backend:
    looks = Looks(lambda: hands.seconds)
    made: dict[BackendName, Callable[[], Backend]] = {
        BackendName.FOUNDRY: lambda: ManagedBackend(place, looks=looks, now=hands.now),
        BackendName.OPENAI: lambda: OpenAIBackend(place, looks=looks),
        BackendName.AZUREML: lambda: CommandBackend(place, looks=looks, now=hands.now),
    }
    return made[name]()


def _job(folder: Path, name: BackendName) -> Job:
    base, recipe = _BASES[name]
    asked = load_recipe(recipe)
    if asked.rehearsal is not None:
        asked = replace(asked, rehearsal=_TINY, epochs=1, lora=None, method=Method.FULL)
    turns = [{"role": "user", "content": "Do you deliver?"}, {"role": "assistant", "content": "Yes, on Fridays."}]
    for side, rows in (("train", 12), ("validation", 2)):
        (folder / f"{side}.jsonl").write_text((json.dumps({"messages": turns}) + "\n") * rows, encoding="utf-8")
    return Job("run-00000da1", base, asked, folder / "train.jsonl", folder / "validation.jsonl", folder / "job")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--seed", type=int, help="nothing here is left to chance")
    asked, failed = parser.parse_args(), False
    for name in _BASES:
        with TemporaryDirectory() as folder:
            day = spend(Path(folder), name, hours=asked.hours)
        print(f"{name.value}: {day}", flush=True)
        harm = {
            "moments_strayed": int(day.strayed is not None),
            "unended": int(not day.status.final),
            "hours_too_eager": int(day.longest > MOST_AN_HOUR),
            "tokens_not_renewed": max(0, int(asked.hours) - 1 - day.tokens),
            "tokens_too_many": max(0, day.tokens - most_tokens(asked.hours)),
            "tokens_refused": day.refused,
        }
        for what, times in harm.items():
            figures = {"ours": times, "peer": None, "ratio": None, "unit": f"of {asked.hours:g} hours"}
            print(json.dumps({"name": f"day-{name.value}-{what}", **figures}))
        failed |= any(harm.values())
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
