"""One siege in Azure: a team, Slack, an Azure beside them, and the stories of runs in which processes are killed.

Owns what people do in a story, that a new process follows each that was killed, and what people find afterwards. Whom
to kill after what is ``cloud_kills``'s.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from builders import Office, Team, furnish, new_workspace
from chaos import finding
from chaos.cloud_places import MODELS, PLAIN, WITH_TORCH, Deadly, told, trained
from chaos.effects import APART, ENDPOINT, EVALUATOR, HOME, PERSON, WORKER, Dooms
from chaos.nursery import Born, Nursery, nursery
from chaos.stalls import Quiet, report
from sqlmodel import col, func, select

from curation import audit
from curation.datasets import dataset
from curation.errors import NotFound
from curation.notices import OPEN, NoticeStatus
from curation.store.tables import Notice
from training import deployments, orders, runs
from training.backends.foundry.place import AzurePlace
from training.backends.names import BackendName
from training.deployments import DeploymentStatus
from training.runs import RunStatus
from training.store.tables import Evaluation, Run

Death = tuple[str, Sequence[str]]
"""The effect behind which it is laid, and whom it takes."""

EXAMPLES = 12
QUIET_SECONDS = 0.6
PATIENCE_SECONDS = 120.0
LOOK_SECONDS = 0.05


@dataclass
class Toll:
    """What it came to. All but the first two, and the seconds, have to be 0."""

    kills: int = 0
    runs: int = 0
    double_jobs: int = 0
    stray_endpoints: int = 0
    double_evaluations: int = 0
    left_at_azure: int = 0
    left_here: int = 0
    audited_otherwise: int = 0
    untold: int = 0
    lost_notices: int = 0
    double_notices: int = 0
    stale_notices: int = 0
    unfinished: int = 0
    never_met: int = 0
    seconds: float = 0.0

    @property
    def harm(self) -> dict[str, int]:
        told = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: count for name, count in told.items() if name not in {"kills", "runs", "seconds"}}


@dataclass
class CloudSiege:
    """One workspace, one database, one Azure, and processes that are killed and started again."""

    backend: BackendName
    home: Path
    office: Office
    team: Team
    azure: Deadly
    nursery: Nursery
    rng: random.Random
    dooms: Dooms
    toll: Toll = field(default_factory=Toll)
    requested: list[str] = field(default_factory=list)
    erased: list[str] = field(default_factory=list)
    effects: list[str] = field(default_factory=list)

    # Processes.

    def born(self, role: str, *words: str) -> Born:
        settings = self.office.settings
        environ = self.azure.environ() | {
            **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
            "SLACK_BOT_TOKEN": settings.bot_token,
            "SLACK_API_URL": str(settings.api_url),
            "ERRATA_HOME": str(settings.home),
            "ERRATA_DATABASE_URL": settings.database_url,
            "ERRATA_ACTOR": self.team.olga.person_id,
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
            HOME: str(self.home),
        }
        with (self.home / f"{role}.log").open("ab") as log, Path(os.devnull).open("rb") as nothing:
            files = [nothing.fileno(), log.fileno(), log.fileno()]
            return self.nursery.born(role, words, env=environ, files=files, cwd=self.home)

    def commanded(self, *words: str) -> None:
        """A person gives this command, and gives it again while it is killed."""
        self.azure.acting, codes = PERSON, list[int]()
        while not codes or codes[-1] < 0:
            codes.append(self.born(PERSON, "bot.cli:main", *words).wait(PATIENCE_SECONDS))
        self.azure.acting = WORKER
        # An erasure forgets whom it was about: done but for its last word, it finds nobody any more.
        done = codes[-1] == 0 or (words[0] == "erase" and len(codes) > 1 and codes[-1] == NotFound.exit_code)
        assert done, f"errata {words} ended with {codes}\n{self.log(PERSON)}"

    def log(self, role: str = WORKER) -> str:
        return (self.home / f"{role}.log").read_text(errors="replace")[-6_000:]

    # People.

    def ask_for_a_run(self) -> str:
        number = len(self.requested) + 1
        name = f"v{number}"  # of its own: what another run has uploaded is not uploaded again
        self.team.approve(f"What is new in {name}?", "A lid that closes.", thread=self._thread(number))
        self.team.freeze(name)
        place = AzurePlace.read(self.azure.environ())
        asked = {"dataset_name": name, "model": MODELS[self.backend], "backend": self.backend, "place": place}
        with self.team.store.write() as session:
            self.requested.append(orders.request(session, self.team.olga, datetime.now(UTC), **asked).id)
        self.toll.runs += 1
        return self.requested[-1]

    def thread_of(self, run_id: str) -> str:
        """Where the customer stands whose words came into a dataset with this run's."""
        return self._thread(self.requested.index(run_id) + 1)

    def _thread(self, number: int) -> str:
        return f"{self.team.place}/{number}.0001"

    def goes_on(self, run_id: str, former: str | None = None) -> bool:
        """Let people do what is next about the run; whether its endpoint was up and is down again.

        Where ``former`` is live, that one is put back once the run is live in its place, and taken down in the end.
        """
        with self.team.store.read() as session:
            run = runs.find(session, run_id)
            found = [deployments.of_run(session, one) if one else None for one in (run_id, former)]
            returned = audit.search(session, action="deployment.rolled_back")
        status = RunStatus(run.status)
        assert all(one is None or one.status != DeploymentStatus.FAILED for one in found), f"{found}\n{self.log()}"
        if status is RunStatus.FAILED:
            self._resume(run)
        if status is not RunStatus.COMPLETED:
            return False
        mine, theirs = (None if one is None else DeploymentStatus(one.status) for one in found)
        live, down = DeploymentStatus.LIVE, DeploymentStatus.RETIRED
        back = former is None or any(one.details.get("from") == run_id for one in returned)
        if mine is None:
            self._presses(deployments.request, run_id=run_id)
        elif not back and (mine, theirs) == (live, down):
            self._presses(deployments.rollback)
        elif back and former is None and mine is live:
            self._presses(deployments.retire, run_id=run_id)
        elif back and (mine, theirs) == (down, live):
            self._presses(deployments.retire, run_id=former)
        return back and mine is down and (former is None or theirs is down)

    def is_live(self, run_id: str) -> bool:
        """Let people put the run up; whether it is."""
        with self.team.store.read() as session:
            status, deployment = runs.find(session, run_id).status, deployments.of_run(session, run_id)
        if status == RunStatus.COMPLETED and deployment is None:
            self._presses(deployments.request, run_id=run_id)
        return deployment is not None and deployment.status == DeploymentStatus.LIVE

    def _resume(self, run: Run) -> None:
        """An evaluation on this machine is not begun again by itself: somebody resumes the run."""
        killed = any(EVALUATOR in one["what"] for one in told(self.home / "trace.jsonl") if "killed" in one["what"])
        assert self.backend is BackendName.AZUREML, f"{run.reason}\n{self.log()}"
        assert killed, run.reason
        self._presses(runs.resume, run_id=run.id)

    def _presses(self, use_case: Callable[..., Any], **said: Any) -> None:
        with self.team.store.write() as session:
            use_case(session, self.team.olga, datetime.now(UTC), **said)

    def settled(self) -> bool:
        """Whether nothing is to do any more for the worker."""
        return not self.standing()

    def standing(self) -> list[str]:
        """What is not at its end."""
        waiting = (DeploymentStatus.REQUESTED, DeploymentStatus.RETIRING, DeploymentStatus.FAILING)
        with self.team.store.read() as session:
            return [
                *(f"{run.id} {run.status}" for run in runs.unfinished(session)),
                *(f"deployment of {one.run_id}" for one in deployments.with_status(session, *waiting)),
                *(str(one) for one in session.exec(select(Notice).where(col(Notice.status).in_(OPEN)))),
            ]

    def stalled(self) -> str:
        pids = self.nursery.living(WORKER)
        return f"nothing moved\n{report(self.home, self.team.store, pids, self.standing)}\n{self.log()}"

    # A story.

    def carry(self, done: Callable[[], bool], *, settles: bool = True) -> None:
        """Have workers bring everything to its end, or only so far, a new one for each that is killed."""
        quiet, end = Quiet(QUIET_SECONDS), time.monotonic() + PATIENCE_SECONDS
        worker = self.born(WORKER, "chaos.effects:be_a_worker")
        while not quiet.lasts(done() and (not settles or self.settled())):
            assert time.monotonic() < end, self.stalled()
            if (code := worker.poll()) is not None:
                assert code < 0, self.log()
                worker, end = self.born(WORKER, "chaos.effects:be_a_worker"), time.monotonic() + PATIENCE_SECONDS
            time.sleep(LOOK_SECONDS)
        worker.kill()
        worker.wait(PATIENCE_SECONDS)

    def story(self, laid: Sequence[Death] = (), *, returning: bool = False) -> set[str]:
        """One run from its request to its deletion, with these deaths; which of them were met.

        Args:
            returning: another run is live before, is put back after, and ends with it.
        """
        former = self.ask_for_a_run() if returning else None
        if former is not None:
            self.carry(lambda: self.is_live(former))
        run_id, before = self.ask_for_a_run(), len(told(self.home / "trace.jsonl"))
        self.azure.begin_story()
        for key, victims in laid:
            self.dooms.lay(key, victims)
        self.carry(lambda: self.goes_on(run_id, former))
        gone = [one for one in (former, run_id) if one is not None]
        for one in gone:
            self.commanded("erase", "--customer", self.thread_of(one), "--yes")
            self.erased.append(one)
        for one in gone:
            self.commanded("delete", one, "--yes")
        self.carry(lambda: True)  # what is owed of that
        self.nursery.kill(ENDPOINT, EVALUATOR, APART)
        return self._looked_at(laid, before)

    def cancelled(self, laid: Sequence[Death] = ()) -> set[str]:
        """One run that trains at Azure, is cancelled and deleted; which of these deaths were met."""
        run_id, before = self.ask_for_a_run(), len(told(self.home / "trace.jsonl"))
        self.azure.toys.seconds = 3600.0
        for key, victims in laid:
            self.dooms.lay(key, victims)
        self.carry(lambda: self._trains(run_id), settles=False)
        self._presses(runs.cancel, run_id=run_id)
        self.carry(lambda: True)
        self.commanded("delete", run_id, "--yes")
        self.carry(lambda: True)
        self.nursery.kill(APART)
        return self._looked_at(laid, before)

    def _trains(self, run_id: str) -> bool:
        """Whether Azure shows people that it does."""
        with self.team.store.read() as session:
            return bool(runs.find(session, run_id).progress.get("link"))

    def _looked_at(self, laid: Sequence[Death], before: int) -> set[str]:
        """What of it was met, once people have found no harm of it; ``before`` are the lines of earlier stories."""
        for key, _ in laid:
            self.dooms.take(key)
        new = told(self.home / "trace.jsonl")[before:]
        self.effects = [one["what"] for one in new]
        self.toll.kills += sum(one.startswith("killed") for one in self.effects)
        harm = {name: count for name, count in self.found().harm.items() if count}
        assert not harm, f"after {[key for key, _ in laid]}: {harm}\n{self.azure.left()}\n{self.log()}"
        return {one["on"] for one in new if one["what"].startswith("killed")}

    def found(self) -> Toll:
        """What people find at Azure, in the rows, on this machine and in Slack."""
        toll = Toll(kills=self.toll.kills, runs=self.toll.runs, never_met=self.toll.never_met)
        toll.double_jobs = sum(abs(self.azure.jobs_of(run_id) - 1) for run_id in self.requested)
        toll.stray_endpoints = len(self.azure.hosted()) + len(self.nursery.living(ENDPOINT))
        toll.left_at_azure = len(self.azure.left())
        toll.left_here = sum((self.office.settings.home / "runs" / run_id).exists() for run_id in self.requested)
        with self.team.store.read() as session:
            undelivered = select(func.count()).where(col(Notice.status) != NoticeStatus.DELIVERED.value)
            toll.unfinished = len(runs.unfinished(session)) + session.exec(undelivered).one()
            evaluated = Counter(session.exec(select(Evaluation.run_id)))
            for action, theirs in (("run.deleted", self.requested), ("run.unloaded", self.erased)):
                subjects = Counter(entry.subject for entry in audit.search(session, action=action))
                toll.audited_otherwise += sum(abs(subjects[f"run:{one}"] - 1) for one in theirs)
                toll.audited_otherwise += len(set(subjects) - {f"run:{one}" for one in theirs})
        said = (self.home / f"{PERSON}.log").read_text() if self.requested else ""
        sentences = [f"{one} was trained on" for one in self.erased]
        sentences += [f"The files of {one} are deleted" for one in self.requested]
        toll.untold = sum(one not in said for one in sentences)
        toll.double_evaluations = sum(abs(evaluated[one] - (one in self.erased)) for one in self.requested)
        shown = finding.shown(self.office.workspace)
        owed = finding.owed(self.team.store, list(self.office.people.values()))
        toll.lost_notices = len(owed.keys() - shown.keys())
        toll.double_notices = sum(len(one) - 1 for one in shown.values()) + len(shown.keys() - owed.keys())
        toll.stale_notices = len(finding.stale(shown, owed))
        return toll


@contextmanager
def siege(
    home: Path, backend: BackendName, *, seed: int, shelter: Nursery | None = None, trains: bool = True
) -> Iterator[CloudSiege]:
    """A furnished workspace beside an Azure, before the first worker; ``trains`` says whether a rented machine does."""
    with ExitStack() as stack:
        if shelter is None:
            shelter = stack.enter_context(sheltered(home, (backend,)))
        workspace = stack.enter_context(new_workspace(seed).serve())
        azure = stack.enter_context(Deadly(home, shelter))
        office = furnish(workspace, home)
        stack.callback(office.store.close)
        actors = {name: office.actor(name) for name in ("ana", "ben", "bea", "olga")}
        team = Team(office.store, 1, f"{workspace.team_id}/{office.channel}", **actors)
        for number in range(EXAMPLES):
            team.approve(f"How long does filter {number} last?", f"Six months, {number}.")
        office.deliver()  # what the many are told is no story of Azure's
        if backend is BackendName.AZUREML and trains:
            version = team.freeze("v0")
            with office.store.read() as session:
                dataset.write_files(session, version, home / "template")
            sides = (home / "template" / f"{side}.jsonl" for side in ("train", "validation"))
            azure.template = trained(home, shelter, *sides)
        begun = CloudSiege(backend, home, office, team, azure, shelter, random.Random(seed), Dooms(home / "dooms"))
        stack.callback(lambda: shelter.kill(WORKER, APART, EVALUATOR, ENDPOINT, PERSON))
        yield begun


@contextmanager
def sheltered(home: Path, backends: Sequence[BackendName]) -> Iterator[Nursery]:
    """Where the processes of a siege are born."""
    modules = (*PLAIN, *(WITH_TORCH if BackendName.AZUREML in backends else ()))
    with nursery(home, modules, prelude="chaos.effects:prelude") as begun:
        yield begun
