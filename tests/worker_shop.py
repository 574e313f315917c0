"""A team with a frozen dataset and a worker that looks when it is told to, over a backend that trains nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from builders import NOON, Team
from fakes import STEPS, FakeBackend
from sqlalchemy.engine import Engine
from sqlmodel import Session, select

from bot.rendering import render
from curation.store.engine import Store
from curation.store.tables import Notice
from training import deployments, orders, runs
from training.backends.base import JobStatus
from training.backends.names import BackendName
from training.runs import RunStatus
from training.summaries import RunSummary, of_run
from training.worker import InlineCarrier, Worker
from training.workplace import Workplace

QUESTION = "How long does the filter last?"


@dataclass
class WorkerShop:
    """A frozen dataset, a backend, and a worker that looks when it is told to."""

    team: Team
    home: Path
    backend: FakeBackend = field(default_factory=FakeBackend)
    moment: datetime = NOON

    def __post_init__(self) -> None:
        self.worker = self.new_worker()

    def clock(self) -> datetime:
        self.moment += timedelta(seconds=1)
        return self.moment

    def new_worker(self, store: Store | None = None) -> Worker:
        place = Workplace(store or self.team.store, {BackendName.LOCAL: self.backend}, self.home, self.clock)
        return Worker(place, InlineCarrier(place))

    def request(self, model: str = "rehearsal") -> str:
        with self.team.store.write() as session:
            return orders.request(session, self.team.olga, self.clock(), dataset_name="v1", model=model).id

    def cancel(self, run_id: str) -> None:
        with self.team.store.write() as session:
            runs.cancel(session, self.team.olga, self.clock(), run_id=run_id)

    def resume(self, run_id: str) -> None:
        with self.team.store.write() as session:
            runs.resume(session, self.team.olga, self.clock(), run_id=run_id)

    def deploy(self, run_id: str) -> None:
        with self.team.store.write() as session:
            deployments.request(session, self.team.olga, self.clock(), run_id=run_id)

    def undeploy(self, run_id: str) -> None:
        with self.team.store.write() as session:
            deployments.retire(session, self.team.olga, self.clock(), run_id=run_id)

    def summary(self, run_id: str) -> RunSummary:
        with self.team.store.read() as session:
            return of_run(session, runs.find(session, run_id))

    def status(self, run_id: str) -> str:
        return self.summary(run_id).status

    def told(self, subject: str) -> list[str]:
        """The kinds of notices that were owed about this."""
        with self.team.store.read() as session:
            owed = select(Notice).where(Notice.subject == subject)
            return sorted(notice.kind for notice in session.exec(owed))

    def says(self, subject: str) -> str:
        """What the newest notice about this would say now."""
        with self.team.store.read() as session:
            owed = session.exec(select(Notice).where(Notice.subject == subject)).all()
            return str(render(session, owed[-1], NOON))

    def complete(self, run_id: str) -> None:
        """Bring a requested run to its end, by the shortest way."""
        for _ in range(10):
            self.worker.tick()
            if self.status(run_id) == RunStatus.COMPLETED:
                return
            self.world_moves(run_id)
        raise AssertionError(f"{run_id} is still {self.status(run_id)}")

    def world_moves(self, run_id: str) -> None:
        """What happens outside meanwhile: trainings end, evaluations end."""
        progress = self.backend.jobs.get(run_id)
        if progress is not None and progress.status is JobStatus.RUNNING:
            self.backend.complete(run_id) if progress.step else self.backend.train(run_id, STEPS // 2)
        if run_id in self.backend.evaluations and run_id not in self.backend.reports:
            self.backend.report(run_id)


def opened(team: Team, home: Path) -> WorkerShop:
    """The shop of this team: its dataset v1 holds two corrections and an endorsement."""
    team.approve(QUESTION, "Six months.")
    team.approve("Is the jug safe in the dishwasher?", "The lid is not.")
    team.approve("Where do you ship from?", None)
    team.freeze("v1")
    return WorkerShop(team, home)


class WatchedStore(Store):
    """The store, with a hook before and after each commit."""

    def __init__(self, engine: Engine, hook: Callable[[str], None]) -> None:
        super().__init__(engine)
        self.hook = hook

    @contextmanager
    def write(self) -> Iterator[Session]:
        with super().write() as session:
            yield session
            self.hook("before commit")
        self.hook("after commit")
