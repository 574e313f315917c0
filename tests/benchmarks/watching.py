"""What one worker costs while it watches many runs at a provider: its memory, and its share of a core.

    python tests/benchmarks/watching.py [--backend foundry|openai|azureml] [--runs 100] [--settle 230] [--seconds 120]

``errata work`` itself in a process of its own, with a database of runs that it hands over and then watches; the
sandboxes of Azure and of Slack are in this one. Without ``--backend`` each of Azure's three has its turn. The jobs stay
*Running*, and log a new point of their loss curve every ``POINT_SECONDS``, which the sandbox's simulated jobs do not:
the figures there are made up here. ``settle`` is how long the pauses take to grow from 5 s to 60 s; two minutes after
it hold two looks at every run. The last lines are the figures, one JSON object each, with their goals.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from builders import Office, Team, furnish, new_workspace
from sqlmodel import col, func, select

from curation.notices import OPEN
from curation.store.tables import Notice
from training import orders
from training.backends.base import CurvePoint
from training.backends.foundry.place import AzurePlace
from training.backends.local import folder
from training.backends.names import BackendName
from training.sandbox.azure import AzureSandbox
from training.sandbox.command_runs import CommandRun
from training.sandbox.jobs import Jobs
from training.sandbox.toys import Stage, Toys, Tuning
from training.store.tables import Run

ROOT = Path(__file__).parents[2]
MEGABYTES, PERCENT = 200.0, 5.0
"""The goals: the most memory that the worker ever held, and its share of one core once the pauses have grown."""
PER_MINUTE = 4.0
"""The goal for requests per run and minute: one for how it stands, the others for its metrics."""
WATCHED = (BackendName.FOUNDRY, BackendName.OPENAI, BackendName.AZUREML)
_ASKED: dict[BackendName, dict[str, Any]] = {
    BackendName.FOUNDRY: {"model": "phi-4-mini-instruct"},
    BackendName.OPENAI: {"model": "gpt-4.1-mini"},
    BackendName.AZUREML: {"model": "rehearsal"},
}

POINT_SECONDS = 20.0
EXAMPLES = 12
PATIENCE_SECONDS = 300.0
NEVER_SECONDS = 1e6


@dataclass(frozen=True, slots=True)
class Use:
    """What a process has used so far: seconds of a core, megabytes now and at most, threads now."""

    at: float
    seconds: float
    megabytes: float
    peak: float
    threads: int

    @classmethod
    def of(cls, pid: int) -> Use:
        """As the kernel says."""
        ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        told = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        held, peak = (int(told[name].split()[0]) / 1000 for name in ("VmRSS", "VmHWM"))
        cpu = (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK")
        return cls(time.monotonic(), cpu, held, peak, int(told["Threads"]))


class Logging(Toys):
    """Trainings that only seem to run, and log a point of a curve now and then."""

    def curve(self, tuning: Tuning) -> tuple[CurvePoint, ...]:
        since = (datetime.now(UTC) - tuning.began).total_seconds()
        return tuple(
            CurvePoint(step, 2.0 + 1.0 / step, 2.2 if step % 10 == 0 else None, 0.0)
            for step in range(1, 1 + int(since / POINT_SECONDS))
        )

    def _simulated(self, tuning: Tuning, now: datetime) -> Stage:  # noqa: ARG002 (the base's)
        return Stage.RUNNING


class Machines(threading.Thread):
    """Command jobs that only seem to run, and write a line of progress now and then, as our trainer does there."""

    def __init__(self, azure: AzureSandbox) -> None:
        super().__init__(name="machines", daemon=True)
        self._azure, self._ended = azure, threading.Event()

    def run(self) -> None:
        while not self._ended.wait(POINT_SECONDS):
            for one in list(self._azure.cloud.part(Jobs).by_id.values()):
                if isinstance(one.work, CommandRun):
                    _log_step(one.work.home / "outputs" / "kept")

    def end(self) -> None:
        self._ended.set()
        self.join()


def _log_step(kept: Path) -> None:
    step = len(folder.read_progress(kept)) + 1
    row = {"step": step, "steps": 10_000, "loss": 2.0 + 1.0 / step, "validation_loss": None, "tokens_per_second": 900.0}
    folder.append_progress(kept, row | {"eta_seconds": None, "memory_bytes": 1_000_000})


@dataclass
class Watch:
    """An office whose worker watches runs of one backend in a sandbox."""

    backend: BackendName
    office: Office
    azure: AzureSandbox
    home: Path

    @property
    def environ(self) -> dict[str, str]:
        """Of the worker."""
        settings = self.office.settings
        return self.azure.environ() | {
            "SLACK_BOT_TOKEN": settings.bot_token,
            "SLACK_API_URL": str(settings.api_url),
            "ERRATA_HOME": str(settings.home),
        }

    def request(self, count: int) -> None:
        """Ask for so many runs."""
        workspace, office = self.office.workspace, self.office
        actors = {name: office.actor(name) for name in ("ana", "ben", "bea", "olga")}
        team = Team(office.store, 1, f"{workspace.team_id}/{office.channel}", **actors)
        for number in range(EXAMPLES):
            team.approve(f"How long does filter {number} last?", f"Six months, {number}.")
        team.freeze("v1")
        place = AzurePlace.read(self.azure.environ())
        asked = {"dataset_name": "v1", "backend": self.backend, "place": place, **_ASKED[self.backend]}
        with office.store.write() as session:
            for _ in range(count):
                orders.request(session, team.olga, datetime.now(UTC), **asked)

    @contextmanager
    def worker(self) -> Iterator[subprocess.Popen[bytes]]:
        """``errata work`` for the length of the block."""
        with (self.home / "worker.log").open("wb") as log:
            begun = subprocess.Popen(
                [sys.executable, "-m", "bot.cli", "work"],
                cwd=ROOT,
                env={name: value for name, value in os.environ.items() if not name.startswith("ERRATA_")}
                | self.environ,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            yield begun
        finally:
            begun.send_signal(signal.SIGTERM)
            begun.wait(30)

    def standing(self) -> Counter[str]:
        """How many runs stand where; *running* are those that the provider was seen to run."""
        with self.office.store.read() as session:
            found = list(session.exec(select(Run)))
        return Counter("running" if one.progress.get("link") else one.status for one in found)

    def owed(self) -> int:
        """Notices that wait to be sent."""
        with self.office.store.read() as session:
            return session.exec(select(func.count()).where(col(Notice.status).in_(OPEN))).one()


@contextmanager
def watch(home: Path, backend: BackendName) -> Iterator[Watch]:
    """An office, a sandbox whose jobs never end, and no worker yet."""
    with (
        new_workspace(1).serve() as workspace,
        AzureSandbox(home / "azure", trains=False) as azure,
    ):
        azure.cloud._parts[Toys] = Logging(trains=False, seconds=NEVER_SECONDS)
        office, machines = furnish(workspace, home / "home"), Machines(azure)
        machines.start()
        try:
            yield Watch(backend, office, azure, home)
        finally:
            machines.end()
            office.store.close()


def wait(
    until: Callable[[], bool],
    worker: subprocess.Popen[bytes],
    what: Callable[[], object],
    meanwhile: Callable[[], object],
) -> None:
    """Wait for something, for a while."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not until():
        if time.monotonic() > end or worker.poll() is not None:
            raise SystemExit(f"waited in vain: {what()}")
        meanwhile()
        time.sleep(1.0)


def _beside(worker: subprocess.Popen[bytes], most: list[float]) -> None:
    """Keep the most that any process beside the worker held."""
    children = Path(f"/proc/{worker.pid}/task").glob("*/children")
    for pid in " ".join(one.read_text() for one in children).split():
        with suppress(FileNotFoundError, KeyError):  # gone by now, or just about to
            most.append(Use.of(int(pid)).peak)


def measure(home: Path, backend: BackendName, *, count: int, settle: float, seconds: float) -> list[dict[str, Any]]:
    """Watch so many runs of one backend and say what it took."""
    with watch(home, backend) as begun:
        begun.request(count)
        with begun.worker() as worker:
            beside = [0.0]  # megabytes of the process that does for a while what needs azure-ai-ml
            wait(lambda: begun.standing()["running"] == count, worker, begun.standing, lambda: _beside(worker, beside))
            handed_over = Use.of(worker.pid)
            print(f"{count} jobs are handed over: {handed_over}", flush=True)
            time.sleep(settle)
            begun.azure.forget_requests()
            first, owed = Use.of(worker.pid), begun.owed()
            time.sleep(seconds)
            last, asked = Use.of(worker.pid), len(begun.azure.requests)
            print(f"from {first} to {last}, {owed} and {begun.owed()} notices owed", flush=True)
            print(f"asked: {Counter(one.path.rsplit('/', 2)[-2] for one in begun.azure.requests).most_common(6)}")
        standing, jobs = begun.standing(), begun.azure.cloud.resources
    if standing != {"running": count}:
        raise SystemExit(f"not every run is watched: {standing}, {len(jobs)} resources")
    passed = last.at - first.at
    name = f"watching.{backend.value}"
    return [
        figure(f"{name}.memory_mb", last.peak, MEGABYTES),
        figure(f"{name}.core_percent", 100 * (last.seconds - first.seconds) / passed, PERCENT),
        figure(f"{name}.requests_per_run_and_minute", asked / count / passed * 60, PER_MINUTE),
        figure(f"{name}.threads", last.threads, None),
        figure(f"{name}.handing_over_cpu_seconds", handed_over.seconds, None),
        figure(f"{name}.beside_while_handing_over_mb", max(beside), None),
    ]


def figure(name: str, ours: float, goal: float | None) -> dict[str, Any]:
    """One line for whoever compares; less is better."""
    return {"name": name, "ours": round(ours, 2), "peer": None, "ratio": None} | (
        {} if goal is None else {"goal": goal}
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", type=BackendName, choices=WATCHED, help="each of them where none is named")
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--settle", type=float, default=230.0)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--keep", type=Path, help="keep everything in this folder")
    asked, figures = parser.parse_args(), []
    random.seed(1)
    for backend in WATCHED if asked.backend is None else (asked.backend,):
        with TemporaryDirectory() as temporary:
            home = (asked.keep or Path(temporary)) / backend.value
            figures += measure(home, backend, count=asked.runs, settle=asked.settle, seconds=asked.seconds)
    for one in figures:
        print(json.dumps(one))
    return int(any(one["ours"] > one["goal"] for one in figures if "goal" in one))


if __name__ == "__main__":
    sys.exit(main())
