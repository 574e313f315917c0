"""The worker under kill -9 while its runs are in Azure: one job, one endpoint, everything told once.

    python tests/chaos/cloud_kills.py --seed 1 [--rounds N]

One run at the managed backend from its request to its deletion, unkilled: every effect that the worker has here (a
commit, a file by which it knows what is there, a call to Slack) and at the sandbox (whatever is created, changed or
removed there) is noted. Then the same once per effect, and the worker is killed right after it: of an effect at Azure
before its answer has come. The evaluation's own process is killed along, as by a machine that goes down. With
``--rounds``, so many of these effects, drawn by the seed. Afterwards people look at Azure, at the rows and at Slack.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from builders import Team, furnish, new_workspace
from chaos import finding, kills
from chaos.kills import Siege
from chaos.provider import Trace, TracedStore, lines, trace_slack
from chaos.stalls import Quiet, kept_on_failure
from sqlmodel import col, func, select

from bot.settings import Settings
from bot.working import work
from curation.notices import NoticeStatus
from curation.store.engine import open_engine
from curation.store.tables import Notice
from training import deployments, durable, removal, runs
from training.backends.foundry.looks import Looks
from training.backends.foundry.managed.backend import ManagedBackend
from training.backends.foundry.place import AzurePlace
from training.backends.local import folder
from training.backends.names import BackendName
from training.deployments import DeploymentStatus
from training.runs import RunStatus
from training.sandbox.azure import AzureSandbox
from training.sandbox.jobs import Jobs
from training.sandbox.proxy import Arrival
from training.sandbox.wire import Response
from training.store.tables import Evaluation
from training.workplace import Workplace

QUIET_SECONDS = 1.0
EXAMPLES = 12
_CHANGING = ("PUT", "POST", "DELETE", "PATCH")
_ASKING = (
    "/token",
    "/text:analyze",
    "/listkeys",
    "/chat/completions",
    "/liststoragekeys",
    "/listsecrets",
    "/startpendingupload",
)
"""POSTs that change nothing."""


@dataclass
class Toll:
    """What it came to. All but the first two, and the seconds, have to be 0."""

    kills: int = 0
    runs: int = 0
    double_jobs: int = 0
    stray_endpoints: int = 0
    double_evaluations: int = 0
    lost_notices: int = 0
    double_notices: int = 0
    stale_notices: int = 0
    unfinished: int = 0
    seconds: float = 0.0

    @property
    def harm(self) -> int:
        return sum(
            (
                *(self.double_jobs, self.stray_endpoints, self.double_evaluations, self.unfinished),
                *(self.lost_notices, self.double_notices, self.stale_notices),
            )
        )


class Deadly(AzureSandbox):
    """A sandbox that notes what is changed there, and calls somebody once so much has been."""

    def __init__(self, home: Path) -> None:
        super().__init__(home, trains=False)
        self.changes: list[str] = []
        self.dies_after: int | None = None
        self.strike: Any = None
        self._counting = threading.Lock()

    def _answer(self, arrival: Arrival) -> Response | None:
        answer = super()._answer(arrival)
        path = arrival.target.partition("?")[0].lower()
        if arrival.method in _CHANGING and not path.endswith(_ASKING):
            with self._counting:
                kind = [part for part in path.split("/") if part][-2:]
                self.changes.append(f"{arrival.method} {kind[0]}")
                struck = len(self.changes) == self.dies_after
            if struck:
                self.strike()
        return answer


@dataclass
class CloudSiege(Siege):
    """One workspace, one database, one Azure, and workers that are killed and started again."""

    azure: Any = None
    requested: list[str] = field(default_factory=list)

    def start(self, *, dies_after: int | None = None) -> ForkServerProcess:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["chaos.cloud_kills", "training.durable", "matplotlib.pyplot"])
        settings = self.office.settings
        environ = self.azure.environ() | {
            "SLACK_BOT_TOKEN": settings.bot_token,
            "SLACK_API_URL": str(settings.api_url),
            "ERRATA_HOME": str(settings.home),
            "ERRATA_DATABASE_URL": settings.database_url,
        }
        worker = context.Process(target=be_a_worker, args=(environ, self.trace, dies_after), daemon=True)
        worker.start()
        self.workers.append(worker)
        return worker

    def strike(self) -> None:
        """Kill the worker and whatever evaluates, wherever they are."""
        for worker in self.workers:
            if worker.pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(worker.pid, signal.SIGKILL)
        for run_id in self.requested:
            told = folder.read_json(self.place.home / "runs" / run_id / "evaluation" / folder.PROCESS)
            if told is not None:
                with suppress(ProcessLookupError, KeyError):
                    os.kill(int(told["pid"]), signal.SIGKILL)

    @property
    def place(self) -> Workplace:
        """For what a person does at a terminal: deleting."""
        where = AzurePlace.read(self.azure.environ())
        backends = {BackendName.FOUNDRY: ManagedBackend(where, looks=Looks.always())}
        return Workplace(self.team.store, backends, self.office.settings.home, lambda: datetime.now(UTC), where)

    def ask_for_a_run(self) -> str:
        where = AzurePlace.read(self.azure.environ())
        name = f"v{len(self.requested) + 1}"  # of its own: one that another run has uploaded is not uploaded again
        self.team.approve(f"What is new in {name}?", "A lid that closes.")
        self.team.freeze(name)
        asked = {"dataset_name": name, "model": "phi-4-mini-instruct", "backend": BackendName.FOUNDRY, "place": where}
        with self.team.store.write() as session:
            self.requested.append(runs.request(session, self.team.olga, datetime.now(UTC), **asked).id)
        self.toll.runs += 1
        return self.requested[-1]

    def gone_through(self, run_id: str) -> bool:
        """Let people do what is next about the run; whether its endpoint was up and is down again."""
        with self.team.store.read() as session:
            status = RunStatus(runs.find(session, run_id).status)
            deployment = deployments.of_run(session, run_id)
            reason = runs.find(session, run_id).reason
        assert status is not RunStatus.FAILED, f"{reason}\n{self.log()}"
        now = datetime.now(UTC)
        if status is RunStatus.COMPLETED and deployment is None:
            with self.team.store.write() as session:
                deployments.request(session, self.team.olga, now, run_id=run_id)
        if deployment is None:
            return False
        standing = DeploymentStatus(deployment.status)
        assert standing is not DeploymentStatus.FAILED, f"{deployment.reason}\n{self.log()}"
        if standing is DeploymentStatus.LIVE:
            with self.team.store.write() as session:
                deployments.retire(session, self.team.olga, now, run_id=run_id)
        return standing is DeploymentStatus.RETIRED

    def bring_to_its_end(self, run_id: str) -> None:
        quiet = Quiet(QUIET_SECONDS)
        self.wait(lambda: self.gone_through(run_id))
        self.wait(lambda: quiet.lasts(self.settled()))

    def delete(self, run_id: str) -> None:
        """Twice, as by somebody whose terminal was closed after the first time."""
        before = dict(os.environ)
        os.environ.update(self.azure.environ())
        try:
            for _ in range(2):
                with self.team.store.write() as session:
                    run = removal.delete(session, self.team.olga, datetime.now(UTC), run_id=run_id)
                removal.remove(self.place, run)
        finally:
            os.environ.clear()
            os.environ.update(before)

    def found(self) -> Toll:
        """What people find at Azure, in the rows and in Slack."""
        toll = Toll(kills=self.toll.kills, runs=self.toll.runs)
        started = Counter(name for name in self.azure.cloud.part(Jobs).started)
        toll.double_jobs = sum(started.values()) - len(self.requested) + len(set(self.requested) - set(started))
        toll.stray_endpoints = sum("serverlessendpoints" in key for key in self.azure.cloud.resources)
        with self.team.store.read() as session:
            undelivered = select(func.count()).where(col(Notice.status) != NoticeStatus.DELIVERED.value)
            toll.unfinished = len(runs.unfinished(session)) + session.exec(undelivered).one()
            evaluated = Counter(session.exec(select(Evaluation.run_id)))
        toll.double_evaluations = sum(abs(evaluated[run_id] - 1) for run_id in self.requested)
        shown = finding.shown(self.office.workspace)
        owed = finding.owed(self.team.store, list(self.office.people.values()))
        toll.lost_notices = len(owed.keys() - shown.keys())
        toll.double_notices = sum(len(one) - 1 for one in shown.values()) + len(shown.keys() - owed.keys())
        toll.stale_notices = len(finding.stale(shown, owed))
        return toll


def be_a_worker(environ: dict[str, str], trace_path: Path, dies_after: int | None) -> None:
    """The process that is killed: the worker as ``errata work`` runs it, in more of a hurry."""
    home = Path(environ["ERRATA_HOME"])
    out = os.open(home / "worker.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.environ.update(environ)
    durable.LOCAL_PACE = durable.SERVICE_PACE = kills.PACE
    trace = Trace(trace_path, dies_after)
    trace_slack(trace)
    _trace_files(trace)
    settings = Settings.from_environment(environ, dotenv=home / "no.env")
    store = TracedStore(open_engine(settings.database_url), trace)
    backends = {BackendName.FOUNDRY: ManagedBackend(settings.azure, looks=Looks.always())}
    work(settings, store, lambda: datetime.now(UTC), ready=print, backends=backends)


def _trace_files(trace: Trace) -> None:
    """Put a line after every file by which a process knows what is at the provider."""
    write = folder.write_json

    def write_json(path: Path, row: Any) -> None:
        before = path.read_bytes() if path.exists() else b""
        write(path, row)
        if path.read_bytes() != before:
            trace.point(f"file {path.name}", path.parts[-3])

    folder.write_json = write_json


@contextmanager
def siege(home: Path, *, seed: int) -> Iterator[CloudSiege]:
    """A furnished workspace with a frozen dataset beside an Azure, before the first worker."""
    with new_workspace(seed).serve() as workspace, Deadly(home / "azure") as azure:
        azure.toys.seconds = 0.3
        office = furnish(workspace, home)
        actors = {name: office.actor(name) for name in ("ana", "ben", "bea", "olga")}
        team = Team(office.store, 1, f"{workspace.team_id}/{office.channel}", **actors)
        for number in range(EXAMPLES):
            team.approve(f"How long does filter {number} last?", f"Six months, {number}.")
        begun = CloudSiege(office, team, random.Random(seed), home / "trace.jsonl", 0.0, azure=azure)
        azure.strike = begun.strike
        try:
            yield begun
        finally:
            begun.strike()
            begun.end()
            office.store.close()


def unkilled(begun: CloudSiege) -> tuple[list[str], list[str]]:
    """What one worker does here and at Azure for one run, in order."""
    before, changed = len(lines(begun.trace)), len(begun.azure.changes)
    run_id = begun.ask_for_a_run()
    worker = begun.start()
    begun.bring_to_its_end(run_id)
    begun.kill(worker)
    begun.toll.kills -= 1  # nobody was at work
    here = [str(line["what"]) for line in lines(begun.trace)[before:] if line["pid"] == worker.pid]
    there = list(begun.azure.changes[changed:])
    begun.delete(run_id)
    return here, there


def kill_after(begun: CloudSiege, where: str, effects: int) -> None:
    """One run whose worker is killed right after so many effects, here or at Azure; the next one brings it to its end.

    Nothing there is asked twice for what is there, so what was first counted need not come again.
    """
    run_id = begun.ask_for_a_run()
    begun.azure.changes.clear()
    begun.azure.dies_after = effects if where == "there" else None
    worker = begun.start(dies_after=effects if where == "here" else None)
    end = time.monotonic() + kills.PATIENCE_SECONDS
    while worker.is_alive() and not (begun.gone_through(run_id) and begun.settled()):
        assert time.monotonic() < end, begun.stalled()
        time.sleep(0.02)
    begun.azure.dies_after = None
    if worker.is_alive():  # it needed fewer effects this time
        begun.kill(worker)
        begun.toll.kills -= 1
    else:
        worker.join()
        begun.workers.remove(worker)
        begun.strike()
        begun.toll.kills += 1
    following = begun.start()
    begun.bring_to_its_end(run_id)
    begun.kill(following)
    begun.toll.kills -= 1
    begun.delete(run_id)


def points(home: Path, *, seed: int, rounds: int | None) -> Toll:
    """Every effect, or so many of them, each with a run of its own."""
    began = time.monotonic()
    with siege(home, seed=seed) as begun:
        here, there = unkilled(begun)
        print(f"{len(here)} effects here: {dict(Counter(here))}")
        print(f"{len(there)} at Azure: {there}", flush=True)
        places = [("there", one + 1) for one in range(len(there))] + [("here", one + 1) for one in range(len(here))]
        if rounds is not None:
            some = begun.rng.sample(range(len(there)), min(len(there), rounds // 2))
            places = [places[one] for one in some]
            places += [("here", begun.rng.randint(1, len(here))) for _ in range(rounds - len(some))]
        for number, (where, effects) in enumerate(places, start=1):
            kill_after(begun, where, effects)
            harm = begun.found()
            assert not harm.harm, f"after effect {effects} {where}: {harm}\n{begun.log()}"
            print(f"{number}: killed after effect {effects} {where}, {time.monotonic() - began:.0f} s", flush=True)
        toll = begun.found()
    toll.seconds = time.monotonic() - began
    return toll


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--rounds", type=int, help="kills; else one after every effect")
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)
    with kept_on_failure("cloud") as home:
        toll = points(home, seed=asked.seed, rounds=asked.rounds)
    print(toll)
    for name in ("double_jobs", "stray_endpoints", "double_notices", "lost_notices", "unfinished"):
        figures = {"ours": getattr(toll, name), "peer": None, "ratio": None}
        print(json.dumps({"name": f"cloud-kills-{name}", **figures, "unit": f"of {toll.kills} kills"}))
    return int(toll.harm > 0)


if __name__ == "__main__":
    sys.exit(main())
