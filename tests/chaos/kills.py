"""The worker under kill -9: nothing is lost, told twice or trained twice.

    python tests/chaos/kills.py --seed 1 [--part points|sqlite|postgres|all] [--rounds N]

``points``: one run and its deployment unkilled, every effect of the worker traced (commits, calls of the
backend, calls to Slack); then the same once per effect, with the worker killed right after it and started
again; and once per effect at the beginning of a run that is resumed. Beside each run people are at work: the worker
owes a queue's message and its edits, a word in a thread, an author's direct message, a weekly sample and digest, and
asks Slack who people and a user group's members are. With
``--rounds``, one run whose workers are killed so often. ``sqlite``: a worker that is killed at moments drawn from the
seed, over and over, while people flag corrections and ask for runs. ``postgres``: two workers on a real PostgreSQL, of
which the one that carries the run is killed; the other one takes over. Every part counts what people find in the end.
Where nothing moves for a while, it says what stands still and keeps the folder.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import logging
import multiprocessing
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from builders import NOON, Office, Team, furnish, new_workspace
from chaos import finding
from chaos.provider import FileBackend, Trace, TracedStore, lines, trace_slack
from chaos.stalls import Quiet, kept_on_failure, report
from sqlalchemy import text
from sqlmodel import col, func, select, update

from bot.settings import Settings
from bot.working import work
from curation import assistants, digests, proposals, replies, reviews, weeks
from curation.notices import OPEN, NoticeKind, NoticeStatus
from curation.reviews import Verdict
from curation.store.engine import Store, open_engine
from curation.store.tables import Candidate, Notice, Person, Review
from training import deployments, durable, orders, runs
from training.backends.names import BackendName
from training.runs import RunStatus
from training.store.tables import Deployment, Evaluation, Run

PATIENCE_SECONDS = 90.0
TRAINS_SECONDS = 0.3
TRAINS_UNDER_TAKEOVER_SECONDS = 20.0
LIVES_SECONDS = 2.5
FEWEST_EFFECTS = 80  # of a run, its deployment and what people do beside it, however they fall together
OF_A_RESUMED_RUN = 20  # effects until a run that was resumed trains, with what people do beside it
PROGRESS_KILLS = 10
QUIET_SECONDS = 2.0  # longer than the worker takes to screen what was flagged
PACE = durable.Pace(0.05, 0.3)
PRELOADED = [
    "bot.app",
    "bot.working",
    "bot.sandbox.workspace",
    "bot.migrations",
    "training.durable",
    "matplotlib.pyplot",
]
"""What is installed: where the workers are forked, this folder is not known."""


@dataclass
class Toll:
    """What it came to. All but the first four, and the seconds, have to be 0."""

    kills: int = 0
    runs: int = 0
    corrections: int = 0
    notices: int = 0
    lost_corrections: int = 0
    lost_notices: int = 0
    double_notices: int = 0
    double_trainings: int = 0
    double_evaluations: int = 0
    stale_notices: int = 0
    unfinished: int = 0
    seconds: float = 0.0

    @property
    def harm(self) -> int:
        return (
            self.lost_corrections
            + self.lost_notices
            + self.double_notices
            + self.double_trainings
            + self.double_evaluations
            + self.stale_notices
            + self.unfinished
        )


@dataclass
class Siege:
    """One workspace, one database, and workers that are killed and started again."""

    office: Office
    team: Team
    rng: random.Random
    trace: Path
    trains_seconds: float
    toll: Toll = field(default_factory=Toll)
    flagged: list[int] = field(default_factory=list)
    workers: list[ForkServerProcess] = field(default_factory=list)
    rounds: int = 0
    amends: int | None = None

    # Workers.

    def start(self, *, dies_after: int | None = None) -> ForkServerProcess:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        settings = self.office.settings
        environ = {
            "SLACK_BOT_TOKEN": settings.bot_token,
            "SLACK_API_URL": str(settings.api_url),
            "ERRATA_HOME": str(settings.home),
            "ERRATA_DATABASE_URL": settings.database_url,
            "ERRATA_GROUPS": ",".join(f"{role}={group}" for group, role in settings.groups),
        }
        worker = context.Process(
            target=be_a_worker, args=(environ, self.trace, self.trains_seconds, dies_after), daemon=True
        )
        worker.start()
        self.workers.append(worker)
        return worker

    def kill(self, worker: ForkServerProcess) -> None:
        assert worker.is_alive(), self.log()
        worker.kill()
        worker.join()
        self.workers.remove(worker)
        self.toll.kills += 1

    def log(self) -> str:
        return (self.office.settings.home / "worker.log").read_text(errors="replace")[-4_000:]

    def end(self) -> None:
        for worker in list(self.workers):
            worker.kill()
            worker.join()
        self.workers.clear()

    # People.

    def flag(self) -> None:
        self._corrected()

    def be_busy(self) -> None:
        """A week of work in a channel of its own: what the worker will owe beside a run, and ask Slack about."""
        workspace, self.rounds = self.office.workspace, self.rounds + 1
        everybody = [one for name, one in self.office.people.items() if name != "bris"]
        channel = workspace.add_channel(f"support-{self.rounds}", everybody)
        self.team.place = place = f"{workspace.team_id}/{channel}"
        thread, week = self.office.customer.post(channel, "How long?"), weeks.to_tell(datetime.now(UTC))
        with self.team.store.write() as session:
            told = {"name": f"Bris {self.rounds}", "team_id": workspace.team_id, "speaks_as": {f"UBRIS{self.rounds}"}}
            bris = assistants.add(session, self.team.olga, datetime.now(UTC), **told)
            for number, begins in enumerate((week.before.begins, week.begins, week.begins)):
                reply, said_at = f"{place}/1700000000.00010{number}", begins + timedelta(hours=1)
                replies.count(session, assistant_id=bris.key, source=reply, said_at=said_at, model_version=None)
            digests.order(session, self.team.olga, week.begins, place=place)
            session.exec(update(Person).values(standing_at=None))
        in_thread = {"thread": f"{place}/{thread}", "in_thread": True}
        first, second = (self._corrected(**said) for said in (in_thread, {}))
        self.team.decide(first, Verdict.RETURN, comment="Say it in one sentence.")
        self.team.decide(second, Verdict.REJECT, comment="It was right.")
        with self.team.store.write() as session:
            (review,) = session.exec(select(Review.id).where(Review.candidate_id == second))
            reviews.undo(session, self.team.ben, NOON, review_id=int(review or 0))
        self.amends = first

    def go_on(self) -> None:
        """Once the channel has heard of its queue: the rest is decided, and what came back is sent again."""
        if self.amends is None:
            return
        heard = select(Notice.id).where(Notice.kind == NoticeKind.QUEUE.value, Notice.destination == self.team.place)
        with self.team.store.read() as session:
            if session.exec(heard.where(Notice.status == NoticeStatus.DELIVERED.value)).first() is None:
                return
        self.team.decide(self.amends + 1, Verdict.APPROVE)
        with self.team.store.write() as session:
            words = {"candidate_id": self.amends, "correction": f"Six months, {self.amends}."}
            proposals.amend(session, self.team.ana, NOON, **words)
        self.amends = None

    def _corrected(self, **said: Any) -> int:
        number = len(self.flagged) + 1
        self.flagged.append(self.team.flag(f"Question {number}?", f"Answer {number}.", **said))
        self.toll.corrections += 1
        return self.flagged[-1]

    def request(self, *, resumed: bool = False) -> str:
        """Ask for a run; with ``resumed`` for one that is cancelled before it begins, and goes on after all."""
        with self.team.store.write() as session:
            run = orders.request(session, self.team.olga, datetime.now(UTC), dataset_name="v1", model="rehearsal")
            if resumed:
                for press in (runs.cancel, runs.resume):
                    press(session, self.team.olga, datetime.now(UTC), run_id=run.id)
            self.toll.runs += 1
            return run.id

    def deploy_when_completed(self, run_id: str) -> bool:
        """Ask for the deployment of a run that has completed; whether it is live."""
        self.go_on()
        with self.team.store.read() as session:
            status = RunStatus(runs.find(session, run_id).status)
            deployment = deployments.of_run(session, run_id)
        assert status is not RunStatus.FAILED, self.log()
        if status is RunStatus.COMPLETED and deployment is None:
            with self.team.store.write() as session:
                deployments.request(session, self.team.olga, datetime.now(UTC), run_id=run_id)
        return deployment is not None and deployment.status in {"live", "retiring", "retired"}

    def settled(self) -> bool:
        """Whether nothing is to do any more, for the worker and for people."""
        self.go_on()
        with self.team.store.read() as session:
            owed = session.exec(select(func.count()).where(col(Notice.status).in_(OPEN))).one()
            waiting = deployments.with_status(
                session, deployments.DeploymentStatus.REQUESTED, deployments.DeploymentStatus.RETIRING
            )
            return not owed and not waiting and not runs.unfinished(session) and self.amends is None

    def wait(self, until: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while not until():
            assert time.monotonic() < end, self.stalled()
            time.sleep(0.02)

    def stalled(self) -> str:
        """Say what stands still, and keep it in the folder."""
        pids = [worker.pid for worker in self.workers if worker.pid is not None]
        told = report(self.office.settings.home, self.team.store, pids, self.standing)
        return f"nothing moved for {PATIENCE_SECONDS:.0f} s\n{told}"

    def standing(self) -> list[str]:
        """What is not at its end."""
        with self.team.store.read() as session:
            waiting = session.exec(select(Notice).where(col(Notice.status).in_(OPEN)))
            switching = deployments.with_status(
                session, deployments.DeploymentStatus.REQUESTED, deployments.DeploymentStatus.RETIRING
            )
            return [
                *(f"{run.id} {run.status}" for run in runs.unfinished(session)),
                *(f"deployment of {one.run_id} {one.status}" for one in switching),
                *(str(one) for one in waiting),
            ]

    def finish(self, run_id: str) -> None:
        """Let a worker that nobody kills bring everything to its end."""
        self.wait(lambda: self.deploy_when_completed(run_id))
        quiet = Quiet(QUIET_SECONDS)
        self.wait(lambda: quiet.lasts(self.settled()))

    # What people find.

    def count(self) -> Toll:
        toll = self.toll
        with self.team.store.read() as session:
            there = set(session.exec(select(Candidate.id)))
            toll.lost_corrections = len(set(self.flagged) - there)
            undelivered = select(func.count()).where(Notice.status != NoticeStatus.DELIVERED.value)
            toll.unfinished = len(runs.unfinished(session)) + session.exec(undelivered).one()
            evaluated = Counter(session.exec(select(Evaluation.run_id)))
            run_ids = set(session.exec(select(Run.id)))
            live = session.exec(select(func.count()).where(Deployment.status == "live")).one()
        shown = finding.shown(self.office.workspace)
        owed = finding.owed(self.team.store, list(self.office.people.values()))
        toll.notices = len(owed)
        toll.lost_notices = len(owed.keys() - shown.keys())
        toll.double_notices = sum(len(found) - 1 for found in shown.values()) + len(shown.keys() - owed.keys())
        toll.stale_notices = len(finding.stale(shown, owed))
        trained = Counter(line["on"] for line in lines(self.trace) if line["what"] == "effect train")
        toll.double_trainings = sum(times - 1 for times in trained.values()) + len(run_ids - set(trained))
        toll.double_evaluations = sum(times - 1 for times in evaluated.values()) + len(run_ids - set(evaluated))
        toll.unfinished += abs(live - 1)
        return toll


def be_a_worker(environ: dict[str, str], trace_path: Path, trains_seconds: float, dies_after: int | None) -> None:
    """The process that is killed: the worker as ``errata work`` runs it, over a backend in files."""
    home = Path(environ["ERRATA_HOME"])
    out = os.open(home / "worker.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(out, 1)
    os.dup2(out, 2)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(process)d %(name)s %(message)s")
    logging.getLogger("dbos").addHandler(logging.StreamHandler())  # as errata runs it, it says nothing
    faulthandler.register(signal.SIGUSR1, all_threads=True)  # for the report of a stall
    durable.LOCAL_PACE = PACE
    trace = Trace(trace_path, dies_after)
    trace_slack(trace)
    settings = Settings.from_environment(environ, dotenv=home / "no.env")
    store = TracedStore(open_engine(settings.database_url), trace)
    backends = {BackendName.LOCAL: FileBackend(trace, trains_seconds)}
    work(settings, store, lambda: datetime.now(UTC), ready=print, backends=backends)


@contextmanager
def siege(
    home: Path, *, seed: int, store: Store | None = None, trains_seconds: float = TRAINS_SECONDS
) -> Iterator[Siege]:
    """A furnished workspace with a frozen dataset, before the first worker."""
    changes = {"ERRATA_DATABASE_URL": store.engine.url.render_as_string(hide_password=False)} if store else {}
    with new_workspace(seed).serve() as workspace:
        changes |= {"ERRATA_GROUPS": f"agent={workspace.add_group('agents', [])}"}
        office = furnish(workspace, home, store, **changes)
        for group in workspace.state.groups:
            workspace.change_group(group, [office.people["bea"], office.customer])
        actors = {name: office.actor(name) for name in ("ana", "ben", "bea", "olga")}
        team = Team(office.store, 1, f"{workspace.team_id}/{office.channel}", **actors)
        for question in ("How long does the filter last?", "Is the jug safe in the dishwasher?", "Where from?"):
            team.approve(question, "Six months.")
        team.freeze("v1")
        begun = Siege(office, team, random.Random(seed), home / "trace.jsonl", trains_seconds)
        try:
            yield begun
        finally:
            begun.end()
            office.store.close()


# The parts.


def effects_of_a_run(begun: Siege) -> list[str]:
    """What one worker does to the world for one run and its deployment, in order."""
    before = len(lines(begun.trace))
    begun.be_busy()
    run_id = begun.request()
    worker = begun.start()
    begun.finish(run_id)
    begun.kill(worker)
    begun.toll.kills -= 1  # nobody was at work
    done = [line for line in lines(begun.trace)[before:] if line["pid"] == worker.pid]
    return [line["what"] for line in done]


def kill_after(begun: Siege, *lives: int, resumed: bool = False) -> None:
    """One run, whose workers are killed one after the other, each right after so many effects of its own."""
    begun.be_busy()
    run_id = begun.request(resumed=resumed)
    for effects in lives:
        worker = begun.start(dies_after=effects)
        end = time.monotonic() + PATIENCE_SECONDS
        while worker.is_alive() and not (begun.deploy_when_completed(run_id) and begun.settled()):
            assert time.monotonic() < end, begun.stalled()
            time.sleep(0.01)
        if worker.is_alive():  # it needed fewer effects this time
            begun.kill(worker)
            return
        worker.join()
        begun.workers.remove(worker)
        begun.toll.kills += 1
    following = begun.start()
    begun.finish(run_id)
    begun.kill(following)
    begun.toll.kills -= 1


def points(home: Path, *, seed: int, rounds: int | None) -> Toll:
    """Every effect, each with a run of its own; or, with ``rounds``, as many kills along one run."""
    began = time.monotonic()
    with siege(home, seed=seed) as begun:
        if rounds is not None:
            lives = [begun.rng.randint(1, FEWEST_EFFECTS // rounds) for _ in range(rounds)]
            print(f"one run, killed after {lives} effects")
            kill_after(begun, *lives)
        else:
            effects_of_a_run(begun)  # so that there is a model to retire
            effects = effects_of_a_run(begun)
            print(f"{len(effects)} effects of a run, killed after each: {dict(Counter(effects))}", flush=True)
            for place in range(1, len(effects) + 1):
                kill_after(begun, place)
                progress("points", begun, len(effects) + OF_A_RESUMED_RUN)
            for place in range(1, OF_A_RESUMED_RUN + 1):  # until it trains it has stations of its own
                kill_after(begun, place, resumed=True)
                progress("points", begun, len(effects) + OF_A_RESUMED_RUN)
        toll = begun.count()
    toll.seconds = time.monotonic() - began
    return toll


def sqlite(home: Path, *, seed: int, rounds: int) -> Toll:
    began = time.monotonic()
    with siege(home, seed=seed) as begun:
        run_id = begun.request()
        for _ in range(rounds):
            worker = begun.start()
            until = time.monotonic() + begun.rng.uniform(0.2, LIVES_SECONDS)
            while time.monotonic() < until:
                if begun.deploy_when_completed(run_id):
                    run_id = begun.request()
                time.sleep(0.02)
            begun.be_busy()
            begun.kill(worker)
            progress("sqlite", begun, rounds)
        begun.start()
        begun.finish(run_id)
        toll = begun.count()
    toll.seconds = time.monotonic() - began
    return toll


def postgres(home: Path, *, seed: int, rounds: int) -> tuple[Toll, list[float]]:
    """Takeovers, and how long each took: from the kill to the run's next station with the other worker."""
    from postgres import running  # noqa: PLC0415 (the other parts need no server)

    began = time.monotonic()
    took: list[float] = []
    with (
        running() as server,
        siege(home, seed=seed, store=server.new_store(), trains_seconds=TRAINS_UNDER_TAKEOVER_SECONDS) as begun,
    ):
        run_id = begun.request()
        begun.start()
        begun.start()
        while len(took) < rounds:
            begun.wait(lambda: carrier_of(begun, run_id) is not None or begun.deploy_when_completed(run_id))  # noqa: B023
            carrier = carrier_of(begun, run_id)
            if carrier is None:
                run_id = begun.request()
                continue
            time.sleep(begun.rng.uniform(0.0, 3.0))
            if begun.deploy_when_completed(run_id) or carrier_of(begun, run_id) is not carrier:
                continue
            begun.flag()
            at = time.time()
            begun.kill(carrier)
            begun.start()
            # A run that was killed at the end of its last station has nothing left to be seen of.
            begun.wait(lambda: taken_over(begun, run_id, at) is not None or begun.deploy_when_completed(run_id))  # noqa: B023
            if (seconds := taken_over(begun, run_id, at)) is not None:
                took.append(seconds)
                progress("postgres", begun, rounds)
        begun.finish(run_id)
        toll = begun.count()
    toll.seconds = time.monotonic() - began
    return toll, took


def progress(part: str, begun: Siege, kills: int) -> None:
    """Say now and then how far it is."""
    if begun.toll.kills % PROGRESS_KILLS == 0:
        print(f"{part}: {begun.toll.kills} kills of about {kills}, {begun.toll.runs} runs", flush=True)


def carrier_of(begun: Siege, run_id: str) -> ForkServerProcess | None:
    """The worker that carries the run by DBOS's account."""
    with begun.team.store.aside() as connection:
        query = text("SELECT executor_id FROM dbos.workflow_status WHERE workflow_uuid = :run AND status = 'PENDING'")
        try:
            executor = connection.execute(query, {"run": run_id}).scalar()
        except Exception:  # noqa: BLE001 (before the first worker has made its tables)
            return None
    pid = int(executor.split(":")[1]) if executor else None
    return next((worker for worker in begun.workers if worker.pid == pid and worker.is_alive()), None)


def taken_over(begun: Siege, run_id: str, at: float) -> float | None:
    """Seconds from ``at`` to the run's next effect; None before it."""
    mine = {worker.pid for worker in begun.workers}
    for line in lines(begun.trace):
        if line["at"] > at and line["on"] == run_id and line["pid"] in mine:
            return float(line["at"]) - at
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--part", choices=["points", "sqlite", "postgres", "all"], default="all")
    parser.add_argument("--rounds", type=int, help="kills; else every point, 200 and 50")
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)
    tolls: dict[str, Toll] = {}
    if asked.part in {"points", "all"}:
        with kept_on_failure("points") as home:
            tolls["points"] = points(home, seed=asked.seed, rounds=asked.rounds)
    if asked.part in {"sqlite", "all"}:
        with kept_on_failure("sqlite") as home:
            tolls["sqlite"] = sqlite(home, seed=asked.seed, rounds=asked.rounds or 200)
    if asked.part in {"postgres", "all"}:
        with kept_on_failure("postgres") as home:
            tolls["postgres"], took = postgres(home, seed=asked.seed, rounds=asked.rounds or 50)
        took.sort()
        print(f"takeovers: median {took[len(took) // 2]:.1f} s, longest {took[-1]:.1f} s")
    for part, toll in tolls.items():
        print(f"{part}: {toll}")
    for part, toll in tolls.items():
        for name in (
            "lost_corrections",
            "lost_notices",
            "double_notices",
            "double_trainings",
            "stale_notices",
            "unfinished",
        ):
            figures = {"ours": getattr(toll, name), "peer": None, "ratio": None}
            print(json.dumps({"name": f"kills-{part}-{name}", **figures, "unit": f"of {toll.kills} kills"}))
    return int(any(toll.harm for toll in tolls.values()))


if __name__ == "__main__":
    sys.exit(main())
