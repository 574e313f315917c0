"""What a provider never began has cost nothing, as far as the provider says so; else nobody says what it cost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import Team

from bot.app import now
from training import orders, runs, spending
from training.backends.base import Base, Job
from training.backends.foundry.account.backend import OpenAIBackend
from training.backends.foundry.looks import Looks
from training.backends.foundry.managed.backend import ManagedBackend
from training.backends.foundry.place import AzurePlace
from training.backends.foundry.rented.backend import CommandBackend
from training.backends.names import BackendName
from training.beginnings import Billing
from training.planning.prices import SHIPPED
from training.recipe import load_recipe
from training.runs import UNFINISHED, RunStatus
from training.sandbox.azure import AzureSandbox
from training.store.tables import Run
from training.summaries import RunSummary, of_run
from training.worker import InlineCarrier, Worker
from training.workplace import Workplace

JOBS = {BackendName.FOUNDRY: "PUT .*/jobs/", BackendName.OPENAI: r"POST .*/fine_tuning/jobs$"}
MODELS = {BackendName.FOUNDRY: "phi-4-mini-instruct", BackendName.OPENAI: "gpt-4.1-mini"}
NOTHING = "$0.00: it never began at the provider"


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureSandbox]:
    with (
        AzureSandbox(tmp_path_factory.mktemp("azure"), trains=False) as azure,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in azure.environ().items():
            patch.setenv(name, value)
        yield azure


class Yard:
    """A dataset that services take, and a worker whose backends are the real ones."""

    def __init__(self, azure: AzureSandbox, team: Team, home: Path) -> None:
        self.azure, self.team = azure, team
        self.place = AzurePlace.read(azure.environ())
        self.backends = {
            BackendName.FOUNDRY: ManagedBackend(self.place, looks=Looks.always()),
            BackendName.OPENAI: OpenAIBackend(self.place, looks=Looks.always()),
        }
        for number in range(14):
            team.approve(f"What does part {number} cost?", f"It costs {number} euros.")
        team.freeze("v1")
        workplace = Workplace(team.store, {**self.backends}, home, now, self.place)
        self.worker = Worker(workplace, InlineCarrier(workplace))

    def request(self, backend: BackendName) -> str:
        with self.team.store.write() as session:
            named = {"dataset_name": "v1", "model": MODELS[backend]}
            return orders.request(session, self.team.olga, now(), **named, backend=backend, place=self.place).id

    def cancel(self, run_id: str) -> None:
        with self.team.store.write() as session:
            runs.cancel(session, self.team.olga, now(), run_id=run_id)

    def ended(self, run_id: str) -> RunSummary:
        """Once the worker has nothing more to do about it."""
        for _ in range(12):
            self.worker.tick()
            if RunStatus(self.summary(run_id).status) not in UNFINISHED:
                return self.summary(run_id)
        raise AssertionError(self.summary(run_id))

    def summary(self, run_id: str) -> RunSummary:
        with self.team.store.read() as session:
            return of_run(session, runs.find(session, run_id))

    def unknown(self) -> tuple[str, ...]:
        with self.team.store.read() as session:
            return spending.month_to_date(session, now(), SHIPPED).unknown


@pytest.fixture
def yard(sandbox: AzureSandbox, team: Team, tmp_path: Path) -> Iterator[Yard]:
    yield Yard(sandbox, team, tmp_path / "home")
    sandbox.clear_faults()


@pytest.mark.parametrize("backend", [BackendName.FOUNDRY, BackendName.OPENAI])
def test_a_job_that_the_provider_refused_has_cost_nothing(yard: Yard, backend: BackendName) -> None:
    yard.azure.fail_next(JOBS[backend], 400, times=-1)
    run_id = yard.request(backend)
    assert yard.unknown() == (run_id,)  # until then its price is unknown, which a month's cap refuses
    run = yard.ended(run_id)
    assert (run.status, run.money) == ("failed", NOTHING)
    assert yard.unknown() == ()


@pytest.mark.parametrize("backend", [BackendName.FOUNDRY, BackendName.OPENAI])
def test_a_run_that_was_cancelled_before_its_job_was_handed_over_has_cost_nothing(
    yard: Yard, backend: BackendName
) -> None:
    run_id = yard.request(backend)
    yard.worker.tick()
    assert yard.summary(run_id).status == "training"  # by now somebody may have handed it over
    yard.cancel(run_id)
    run = yard.ended(run_id)
    assert (run.status, run.money) == ("cancelled", NOTHING)


def test_where_the_provider_does_not_say_whether_there_is_a_job_nobody_says_what_it_cost(yard: Yard) -> None:
    yard.azure.fail_next(JOBS[BackendName.FOUNDRY], 400, times=-1)
    yard.azure.fail_next("GET .*/jobs/", 503, skip=1, times=-1, retry_after=0.01)  # the first look is the submission's
    run_id = yard.request(BackendName.FOUNDRY)
    run = yard.ended(run_id)
    assert (run.status, run.money) == ("failed", "unknown here")
    assert yard.unknown() == (run_id,)


def test_hours_of_waiting_for_a_job_that_never_was_are_not_those_of_the_next_attempt(yard: Yard) -> None:
    yard.azure.fail_next(JOBS[BackendName.FOUNDRY], 400, times=-1)
    run_id = yard.request(BackendName.FOUNDRY)
    yard.ended(run_id)
    with yard.team.store.write() as session:
        run = session.get_one(Run, run_id)
        assert run.cost is not None
        assert "training" not in run.cost["hours"]
    yard.azure.clear_faults()
    with yard.team.store.write() as session:
        runs.resume(session, yard.team.olga, now(), run_id=run_id, place=yard.place)
    for _ in range(3):
        yard.worker.tick()
    yard.cancel(run_id)
    run = yard.ended(run_id)
    assert NOTHING not in str(run.money)  # this time the provider had it


@pytest.mark.parametrize("kind", [ManagedBackend, OpenAIBackend, CommandBackend])
def test_every_provider_is_asked_whether_it_ever_had_a_job(
    sandbox: AzureSandbox, tmp_path: Path, kind: type[ManagedBackend | OpenAIBackend | CommandBackend]
) -> None:
    backend: object = kind(AzurePlace.read(sandbox.environ()), looks=Looks.always())
    files = (tmp_path / "train.jsonl", tmp_path / "validation.jsonl", tmp_path / "job")
    job = Job("run-0000beef", Base("service", name="x"), load_recipe("service"), *files)
    assert isinstance(backend, Billing)
    assert backend.began(job) is False
