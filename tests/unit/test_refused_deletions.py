"""A run that its provider would not let go of stays a run: nobody says that it was deleted, and its training ends."""

from __future__ import annotations

from pathlib import Path

import pytest
from builders import NOON, Team
from fakes import FakeBackend
from worker_shop import WorkerShop

from curation import audit
from curation.errors import Conflict, Unavailable
from training import deployments, orders, removal, runs
from training.backends.base import JobStatus
from training.backends.errors import Refused, StillTraining, Unreached
from training.backends.names import BackendName
from training.runs import RunStatus
from training.store.tables import Run
from training.workplace import Workplace

DEPLOYED = "The model of it is still deployed: take it down first with az ml."


@pytest.fixture
def service() -> FakeBackend:
    return FakeBackend()


@pytest.fixture
def place(team: Team, tmp_path: Path, service: FakeBackend) -> Workplace:
    return Workplace(team.store, {BackendName.OPENAI: service}, tmp_path, lambda: NOON)


@pytest.fixture
def run(team: Team, place: Workplace) -> Run:
    """A completed run of a service, with a file here."""
    team.approve("How long does the filter last?", "Six months.")
    team.approve("Where do you ship from?", None)
    team.approve("Is the jug safe in the dishwasher?", "The lid is not.")
    team.freeze("v1")
    with team.store.write() as session:
        run = orders.request(session, team.olga, NOON, dataset_name="v1", model="rehearsal")
        run.backend, run.status, run.started_at = BackendName.OPENAI.value, RunStatus.COMPLETED.value, NOON
    file = place.folder(run) / "job" / "remote.json"
    file.parent.mkdir(parents=True)
    file.write_text("{}")
    return run


def delete(team: Team, place: Workplace, run: Run) -> None:
    """As the command does it."""
    with team.store.write() as session:
        found = removal.delete(session, team.olga, NOON, run_id=run.id)
    removal.remove(place, found)


def done(team: Team, run: Run) -> list[str]:
    with team.store.read() as session:
        return [entry.action for entry in audit.about(session, f"run:{run.id}") if entry.action != "run.requested"]


def test_a_run_whose_deletion_the_provider_refuses_stays_and_can_be_deployed(
    team: Team, place: Workplace, service: FakeBackend, run: Run
) -> None:
    service.refusals["delete"] = [Conflict(DEPLOYED), Conflict(DEPLOYED)]
    for _ in range(2):
        with pytest.raises(Conflict, match="still deployed"):
            delete(team, place, run)
    assert done(team, run) == ["run.deleted", "run.spared"] * 2
    assert (place.folder(run) / "job" / "remote.json").exists()
    with team.store.write() as session:
        deployments.request(session, team.olga, NOON, run_id=run.id).status = "retired"
    delete(team, place, run)
    assert done(team, run) == [*["run.deleted", "run.spared"] * 2, "run.deleted"]
    assert not place.folder(run).exists()


def test_a_provider_that_is_silent_leaves_the_deletion_to_be_repeated(
    team: Team, place: Workplace, service: FakeBackend, run: Run
) -> None:
    service.refusals["delete"] = [Unreached("Azure does not answer.")]
    with pytest.raises(Unavailable, match="Azure does not answer"):
        delete(team, place, run)
    with team.store.read() as session, pytest.raises(Conflict, match="were deleted"):
        runs.require_kept(runs.find(session, run.id))
    delete(team, place, run)
    assert done(team, run) == ["run.deleted"]


def test_deleting_a_run_ends_the_training_that_has_outlived_it(
    team: Team, place: Workplace, service: FakeBackend, run: Run
) -> None:
    service.train(run.id, 3)
    service.refusals["delete"] = [StillTraining("It is still training."), StillTraining("It is still training.")]
    service.refusals["cancel"] = [Unreached("Azure does not answer.")]
    with pytest.raises(Unavailable, match="Azure does not answer"):
        delete(team, place, run)
    with pytest.raises(Conflict, match=f"has been asked to stop. In a minute repeat: errata delete {run.id}"):
        delete(team, place, run)
    assert service.jobs[run.id].status is JobStatus.CANCELLED
    delete(team, place, run)
    assert not place.folder(run).exists()


@pytest.mark.parametrize("surprise", [OSError("no space"), RuntimeError("secret words")])
def test_a_run_that_ends_by_a_surprise_of_ours_ends_its_training(shop: WorkerShop, surprise: Exception) -> None:
    run_id = shop.request()
    shop.worker.tick()
    shop.worker.tick()
    shop.backend.refusals["poll"] = [surprise]
    shop.worker.tick()
    assert shop.status(run_id) == RunStatus.FAILED
    assert shop.backend.jobs[run_id].status is JobStatus.CANCELLED


def test_a_run_ends_with_its_sentence_even_where_its_training_cannot_be_ended(shop: WorkerShop) -> None:
    run_id = shop.request()
    shop.worker.tick()
    shop.worker.tick()
    shop.backend.refusals |= {"poll": [OSError("no space")], "cancel": [OSError("no space")]}
    shop.worker.tick()
    assert "An unforeseen OSError" in str(shop.summary(run_id).reason)


def test_a_provider_that_has_refused_a_job_is_not_asked_to_end_it(shop: WorkerShop) -> None:
    run_id = shop.request()
    shop.worker.tick()
    shop.backend.refusals |= {"submit": [Refused("No.")], "cancel": [AssertionError("asked")]}
    shop.worker.tick()
    assert shop.status(run_id) == RunStatus.FAILED
    assert shop.backend.refusals["cancel"]
