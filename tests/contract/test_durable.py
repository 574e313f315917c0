"""Two carriers, one contract: a run gets to its end whatever dies on the way. Then what DBOS and leases add."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from builders import NOON, Team, new_team
from dbos import DBOS, SetWorkflowID
from fakes import FakeBackend
from postgres import Postgres
from sqlalchemy import text

from curation.errors import StoreUnavailable, Unavailable
from curation.store.engine import Store
from training import durable, orders, runs
from training.backends.base import JobStatus
from training.backends.names import BackendName
from training.durable import SYSTEM_FILE, DurableCarrier
from training.foreground import follow, worker_runs
from training.leases import EXPIRE_SECONDS, Lease, somebody_leads
from training.worker import Carrier, InlineCarrier, Worker
from training.workplace import Workplace

PATIENCE_SECONDS = 60


@dataclass
class Yard:
    """A frozen dataset and a backend whose trainings and evaluations end by themselves."""

    team: Team
    home: Path
    backend: FakeBackend = field(default_factory=FakeBackend)

    @property
    def place(self) -> Workplace:
        return Workplace(self.team.store, {BackendName.LOCAL: self.backend}, self.home, clock=lambda: datetime.now(UTC))

    def request(self) -> str:
        with self.team.store.write() as session:
            return orders.request(session, self.team.olga, NOON, dataset_name="v1", model="rehearsal").id

    def status(self, run_id: str) -> str:
        with self.team.store.read() as session:
            return runs.find(session, run_id).status

    def carry(self, carrier: Carrier, until: Callable[[], bool]) -> None:
        """Do a worker's rounds, while the world goes on, until it is so."""
        worker = Worker(self.place, carrier)
        end = time.monotonic() + PATIENCE_SECONDS
        while not until():
            assert time.monotonic() < end, [self.status(run_id) for run_id in self.backend.jobs]
            worker.tick()
            if isinstance(carrier, DurableCarrier):
                carrier.take_up_lost()
            self.world_moves()
            time.sleep(0.02)

    def world_moves(self) -> None:
        for run_id, progress in list(self.backend.jobs.items()):
            if progress.status is JobStatus.RUNNING:
                self.backend.complete(run_id)
        for run_id in list(self.backend.evaluations):
            if run_id not in self.backend.reports:
                self.backend.report(run_id)

    def completed(self, *run_ids: str) -> Callable[[], bool]:
        return lambda: all(self.status(run_id) == "completed" for run_id in run_ids)


@pytest.fixture(autouse=True)
def _brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses that a test has time for."""
    monkeypatch.setattr(durable, "LOCAL_PACE", durable.Pace(0.05, 5.0))
    monkeypatch.setattr(durable, "_QUEUE_SECONDS", 0.05)


def furnished(team: Team, home: Path) -> Yard:
    for question in ("How long does the filter last?", "Is the jug safe in the dishwasher?", "Where from?"):
        team.approve(question, "Six months.")
    team.freeze("v1")
    return Yard(team, home)


@pytest.fixture
def yard(team: Team, tmp_path: Path) -> Yard:
    return furnished(team, tmp_path / "home")


@pytest.fixture
def shared(postgres: Postgres, tmp_path: Path) -> Iterator[Yard]:
    """The same on a database that several workers may share."""
    store = postgres.new_store()
    yield furnished(new_team(tmp_path, store), tmp_path / "home")
    store.close()


def inline(place: Workplace) -> AbstractContextManager[Carrier]:
    return nullcontext(InlineCarrier(place))


# The contract of carriers.

carriers = pytest.mark.parametrize("carrying", [inline, DurableCarrier])
Carrying = Callable[[Workplace], AbstractContextManager[Carrier]]


@carriers
def test_runs_get_to_their_ends_and_each_is_trained_once(yard: Yard, carrying: Carrying) -> None:
    run_ids = [yard.request() for _ in range(3)]
    with carrying(yard.place) as carrier:
        yard.carry(carrier, yard.completed(*run_ids))
    assert {yard.backend.effective["submit", run_id] for run_id in run_ids} == {1}
    assert {yard.backend.effective["evaluate", run_id] for run_id in run_ids} == {1}


@carriers
def test_a_run_that_is_cancelled_stops(yard: Yard, carrying: Carrying) -> None:
    run_id = yard.request()
    with carrying(yard.place) as carrier:
        worker = Worker(yard.place, carrier)
        end = time.monotonic() + PATIENCE_SECONDS
        while run_id not in yard.backend.jobs:
            assert time.monotonic() < end
            worker.tick()
            time.sleep(0.02)
        with yard.team.store.write() as session:
            runs.cancel(session, yard.team.olga, NOON, run_id=run_id)
        while yard.status(run_id) != "cancelled":
            assert time.monotonic() < end
            worker.tick()
            time.sleep(0.02)
    assert yard.backend.effective["cancel", run_id] == 1


@carriers
def test_a_run_that_failed_and_is_resumed_is_carried_to_its_end(yard: Yard, carrying: Carrying) -> None:
    run_id = yard.request()
    yard.backend.refusals["poll"] = [Unavailable("The machine restarted.")]
    with carrying(yard.place) as carrier:
        yard.carry(carrier, lambda: yard.status(run_id) == "failed")
        with yard.team.store.write() as session:
            runs.resume(session, yard.team.olga, NOON, run_id=run_id)
        yard.carry(carrier, yard.completed(run_id))
    assert (yard.backend.effective["resume", run_id], yard.backend.effective["evaluate", run_id]) == (1, 1)


@carriers
def test_what_one_carrier_left_the_next_one_finishes(yard: Yard, carrying: Carrying) -> None:
    run_id = yard.request()
    with carrying(yard.place) as carrier:
        yard.carry(carrier, lambda: run_id in yard.backend.jobs)
    assert yard.status(run_id) == "training"
    with carrying(yard.place) as carrier:
        yard.carry(carrier, yard.completed(run_id))
    assert yard.backend.effective["submit", run_id] == 1


@carriers
def test_a_run_whose_station_fails_for_a_while_goes_on(yard: Yard, carrying: Carrying) -> None:
    run_id = yard.request()
    yard.backend.refusals["poll"] = [StoreUnavailable("The database is locked by another program.")] * 2

    class Patient:
        """Asks again where the answer was no, as the worker's round does."""

        def __init__(self, carrier: Carrier) -> None:
            self._carrier = carrier

        def carry(self, carried: str) -> None:
            try:
                self._carrier.carry(carried)
            except StoreUnavailable:
                return

    with carrying(yard.place) as carrier:
        yard.carry(Patient(carrier), yard.completed(run_id))
    assert yard.backend.refusals["poll"] == []


@carriers
def test_a_surprise_in_one_run_fails_it_and_no_other(yard: Yard, carrying: Carrying) -> None:
    first, second = yard.request(), yard.request()
    yard.backend.refusals["preflight"] = [ZeroDivisionError("secret words")]
    with carrying(yard.place) as carrier:
        yard.carry(carrier, lambda: {yard.status(first), yard.status(second)} == {"failed", "completed"})


# What is DBOS's.


def workflows(run_id: str) -> dict[str, str]:
    known = DBOS.list_workflows(workflow_id_prefix=run_id, load_input=False, load_output=False)
    return {one.workflow_id: one.status for one in known}


def test_a_run_has_one_workflow_however_often_it_is_picked_up(yard: Yard) -> None:
    run_id = yard.request()
    with DurableCarrier(yard.place) as carrier:
        for _ in range(20):
            carrier.carry(run_id)
        assert list(workflows(run_id)) == [run_id]
        yard.carry(carrier, yard.completed(run_id))
        assert list(workflows(run_id)) == [run_id]


def test_a_run_whose_workflows_are_lost_with_their_database_is_carried_all_the_same(yard: Yard) -> None:
    run_id = yard.request()
    with DurableCarrier(yard.place) as carrier:
        yard.carry(carrier, lambda: run_id in yard.backend.jobs)
    for part in yard.home.glob(f"{SYSTEM_FILE}*"):
        part.unlink()
    with DurableCarrier(yard.place) as carrier:
        yard.carry(carrier, yard.completed(run_id))
    assert yard.backend.effective["submit", run_id] == 1


def test_a_run_that_an_earlier_release_left_in_the_queue_is_carried(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable, "_LEFT_SECONDS", 0.05)
    run_id = yard.request()
    with DurableCarrier(yard.place) as carrier:
        with SetWorkflowID(run_id):
            DBOS.enqueue_workflow(durable.QUEUE, carrier._workflow, run_id)
        yard.carry(carrier, yard.completed(run_id))
        assert list(workflows(run_id)) == [run_id]


def test_a_run_that_outlives_its_workflow_gets_the_next_one(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after the restoring of an older database: the workflow has ended, the run has not."""
    run_id = yard.request()
    monkeypatch.setattr(durable, "VISITS", 2)
    with DurableCarrier(yard.place) as carrier:
        yard.carry(carrier, yard.completed(run_id))
        names = sorted(workflows(run_id))
    assert names[:2] == [run_id, f"{run_id}#2"]
    assert yard.backend.effective["submit", run_id] == 1


def test_a_workflow_whose_thread_is_gone_is_taken_up_again(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a full disk under DBOS's database leaves behind: a workflow that is pending, and nobody in it."""
    run_id = yard.request()
    monkeypatch.setattr(durable, "_LOST_SECONDS", 0.2)
    lost = threading.Event()
    visit = DurableCarrier._visit

    def lose_the_thread(self: DurableCarrier, carried: str) -> str:
        if not lost.is_set():
            lost.set()
            raise durable._Stopping
        return visit(self, carried)

    monkeypatch.setattr(DurableCarrier, "_visit", lose_the_thread)
    with DurableCarrier(yard.place) as carrier:
        yard.carry(carrier, yard.completed(run_id))
        assert list(workflows(run_id)) == [run_id]
    assert lost.is_set()


def test_a_damaged_workflow_database_names_the_file_to_move(yard: Yard) -> None:
    yard.home.mkdir()
    (yard.home / SYSTEM_FILE).write_bytes(b"no database at all, and longer than the header of one is" * 100)
    with pytest.raises(Unavailable, match=f"move .*{SYSTEM_FILE} away"), DurableCarrier(yard.place):
        pass


def test_a_pause_ends_at_once_when_the_worker_stops(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durable, "LOCAL_PACE", durable.Pace(60.0, 60.0))
    run_id = yard.request()
    with DurableCarrier(yard.place) as carrier:
        yard.carry(carrier, lambda: yard.status(run_id) == "training")
        time.sleep(0.3)
        began = time.monotonic()
    assert time.monotonic() - began < 30  # half of the pause
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("dbos-executor")] == []


def test_the_workflow_database_has_a_write_ahead_log(yard: Yard) -> None:
    with DurableCarrier(yard.place):
        assert (yard.home / f"{SYSTEM_FILE}-wal").exists()


@pytest.mark.parametrize("module", ["bot.serving", "bot.working", "bot.cli", "training.commands.watching"])
def test_only_the_process_that_works_loads_dbos(module: str) -> None:
    code = f"import sys, {module}; print('dbos' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout == "False\n"


# Leases and takeover, on PostgreSQL.


def test_one_of_three_workers_leads_and_the_next_one_within_six_seconds(shared: Yard) -> None:
    store = shared.team.store
    assert not somebody_leads(store)
    first = Lease(store)
    # Three seconds: where much else runs, one renewal may come a second after the other.
    with Lease(store, renew_seconds=0.2, expire_seconds=3.0) as second, Lease(store) as third:
        assert (second.leads(), third.leads()) == (True, False)
        first.renew()
        assert not first.leads()
        assert store.shared
        assert worker_runs(shared.home, store)
        assert second.alive() == {first.worker_id, second.worker_id, third.worker_id}
        second._stopping.set()  # it hangs: nothing is given back, and nothing renewed
        began = time.monotonic()
        while not third.leads():
            assert time.monotonic() - began < EXPIRE_SECONDS
            time.sleep(0.02)
        assert not second.leads()
        assert second.worker_id not in third.alive()
    assert somebody_leads(store) is False


def test_a_lease_is_measured_by_the_clock_of_the_database(shared: Yard) -> None:
    with Lease(shared.team.store) as lease, shared.team.store.aside() as connection:
        row = connection.execute(
            text("SELECT renewed_at, expires_at, clock_timestamp() AT TIME ZONE 'UTC' FROM worker_leases"),
        ).first()
        assert row is not None
        assert (row[1] - row[0]).total_seconds() == pytest.approx(EXPIRE_SECONDS, abs=0.1)
        assert abs((row[2] - row[0]).total_seconds()) < 5
        assert lease.leads()


def test_a_command_leads_only_while_no_worker_is_alive(shared: Yard) -> None:
    store = shared.team.store
    with Lease(store, carries=False) as command:
        assert command.leads()
        assert command.alive() == frozenset()
        with Lease(store) as worker:
            command.renew()
            assert not command.leads()
            worker.renew()
            assert worker.leads()
            command.renew()
            assert not command.leads()
        command.renew()
        assert command.leads()


def test_a_command_carries_a_run_where_no_worker_is_alive(shared: Yard) -> None:
    run_id = shared.request()

    def world_moves_until_completed() -> bool:
        shared.world_moves()
        return shared.status(run_id) == "completed"

    follow(shared.place, world_moves_until_completed, sleep=lambda _seconds: time.sleep(0.02))
    assert shared.backend.effective["submit", run_id] == 1


def test_a_workflow_of_a_dead_worker_is_taken_over(shared: Yard) -> None:
    """The contract of the one private call of DBOS's that is used: what is PENDING elsewhere is carried here."""
    run_id = shared.request()
    with DurableCarrier(shared.place, executor_id="a:1") as carrier:
        shared.carry(carrier, lambda: run_id in shared.backend.jobs)
    with DurableCarrier(shared.place, executor_id="b:2") as carrier:
        assert carrier.take_over({"a:1"}) == []
        time.sleep(1.5)
        assert shared.status(run_id) == "training"
        assert carrier.take_over(frozenset()) == ["a:1"]
        shared.carry(carrier, shared.completed(run_id))
        assert carrier.take_over(frozenset()) == []
    assert shared.backend.effective["submit", run_id] == 1


def test_workflows_lie_in_a_schema_of_their_own_beside_our_tables(shared: Yard) -> None:
    with DurableCarrier(shared.place), shared.team.store.aside() as connection:
        schemas = set(connection.execute(text("SELECT table_schema FROM information_schema.tables")).scalars())
        assert {"dbos", "public"} <= schemas
        ours = connection.execute(
            text(
                "SELECT count(*) FROM information_schema.tables "
                "WHERE table_schema = 'public' AND table_name LIKE 'dbos%'"
            )
        ).scalar()
        assert ours == 0


@contextmanager
def crashed(server: Postgres, seconds: float) -> Iterator[None]:
    server.crash()
    try:
        yield
        time.sleep(seconds)
    finally:
        server.start()


def test_a_crash_of_the_database_stops_no_run_for_good(shared: Yard, postgres: Postgres) -> None:
    run_id = shared.request()
    store: Store = shared.team.store
    with (
        Lease(store, renew_seconds=0.2, expire_seconds=1.0) as lease,
        DurableCarrier(shared.place, executor_id=lease.worker_id) as carrier,
    ):
        shared.carry(carrier, lambda: run_id in shared.backend.jobs)
        with crashed(postgres, 1.5):
            pass
        end = time.monotonic() + PATIENCE_SECONDS
        while not lease.leads():
            assert time.monotonic() < end
            time.sleep(0.1)
        shared.carry(carrier, shared.completed(run_id))
    assert shared.backend.effective["submit", run_id] == 1


def test_a_place_without_the_backend_of_a_run_fails_it_with_a_sentence(yard: Yard) -> None:
    run_id = yard.request()
    place = replace(yard.place, backends={})
    with DurableCarrier(place) as carrier:
        yard.carry(carrier, lambda: yard.status(run_id) == "failed")
