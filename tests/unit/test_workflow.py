"""The durable run over a backend that trains nothing: every station, every way it fails, every moment it dies."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from builders import NOON, Team
from fakes import REPLY, STEPS, FakeBackend, no_hook
from sqlalchemy.engine import Engine
from sqlmodel import Session, select

from bot.rendering import render
from curation import audit
from curation.errors import Conflict, NotAllowed, StoreUnavailable, Unavailable
from curation.findings import Finding, Severity
from curation.notices import NoticeKind, NoticeStatus
from curation.store.engine import Store
from curation.store.tables import Notice
from training import deployments, runs
from training.backends.base import CurvePoint, EvaluationProgress, JobStatus, Progress
from training.backends.errors import Unreached
from training.backends.names import BackendName
from training.runs import RunStatus
from training.store.tables import Deployment, Evaluation, Run
from training.summaries import RunSummary, of_run
from training.worker import InlineCarrier, Tick, Worker
from training.workplace import Workplace

QUESTION = "How long does the filter last?"


class Killed(BaseException):
    """What a test raises where the process dies: nothing that a worker may catch."""


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


@dataclass
class Shop:
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
            return runs.request(session, self.team.olga, self.clock(), dataset_name="v1", model=model).id

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


@pytest.fixture
def shop(team: Team, tmp_path: Path) -> Shop:
    team.approve(QUESTION, "Six months.")
    team.approve("Is the jug safe in the dishwasher?", "The lid is not.")
    team.approve("Where do you ship from?", None)
    team.freeze("v1")
    return Shop(team, tmp_path / "home")


def test_a_provider_that_tells_no_losses_gets_no_picture_of_them(shop: Shop) -> None:
    """A picture that cannot be drawn would be tried for hours, and hold up every other message of the channel."""
    run_id = shop.request()
    for _ in range(2):
        shop.worker.tick()
    shop.backend.jobs[run_id] = Progress(JobStatus.COMPLETED)
    shop.complete(run_id)
    assert shop.told(f"run:{run_id}") == ["run.evaluated", "run.scores", "run.status"]


def test_a_worker_is_in_a_hurry_only_for_what_is_on_its_own_machine(shop: Shop) -> None:
    assert shop.worker.tick() is Tick.IDLE
    run_id = shop.request()
    assert shop.worker.tick() is Tick.BUSY
    with shop.team.store.write() as session:
        runs.find(session, run_id).backend = BackendName.FOUNDRY.value
    assert shop.worker.tick() is Tick.WATCHING


def test_a_run_goes_from_requested_to_completed_and_says_so_at_every_stage(shop: Shop) -> None:
    run_id = shop.request()
    seen = [shop.status(run_id)]
    shop.worker.tick()
    seen.append(shop.status(run_id))
    assert (shop.home / "runs" / run_id / "data" / "train.jsonl").exists()
    shop.worker.tick()
    shop.backend.train(run_id, 4)
    shop.worker.tick()
    assert (shop.summary(run_id).step, shop.summary(run_id).share) == (4, 0.4)
    assert "40%" in shop.says(f"run:{run_id}")
    shop.backend.complete(run_id)
    shop.worker.tick()
    seen.append(shop.status(run_id))
    shop.worker.tick()
    shop.backend.report(run_id)
    shop.worker.tick()
    seen.append(shop.status(run_id))
    assert seen == ["requested", "training", "evaluating", "completed"]
    assert shop.told(f"run:{run_id}") == ["run.curve", "run.evaluated", "run.scores", "run.status"]
    summary = shop.summary(run_id)
    assert len(summary.curve) == STEPS
    assert summary.report is not None
    assert summary.report["scores"]["fixed"] == 2
    with shop.team.store.read() as session:
        told = session.exec(select(Notice).where(Notice.kind == NoticeKind.RUN_EVALUATED.value)).one()
        assert "Deploy" in str(render(session, told, NOON))
    assert not shop.worker.tick()


def test_a_failed_training_keeps_its_reason_and_says_what_to_do_next(shop: Shop) -> None:
    run_id = shop.request()
    for _ in range(2):
        shop.worker.tick()
    shop.backend.fail(run_id, "The loss is not a number; lower the learning rate.")
    shop.worker.tick()
    assert (shop.status(run_id), shop.summary(run_id).reason) == (
        "failed",
        "The loss is not a number; lower the learning rate.",
    )
    assert f"errata run logs {run_id}" in shop.says(f"run:{run_id}")
    assert "lower the learning rate" in shop.says(f"run:{run_id}")
    assert shop.told(f"run:{run_id}") == ["run.status"]


def test_what_preflight_finds_fails_the_run_before_anything_is_submitted(shop: Shop) -> None:
    run_id = shop.request()
    shop.backend.findings = [
        Finding("disk.full", Severity.ERROR, "The disk has 1 MB left, and the run needs 2 GB.", "Free some space.")
    ]
    shop.worker.tick()
    assert shop.status(run_id) == "failed"
    assert "has 1 MB left" in str(shop.summary(run_id).reason)
    assert not shop.backend.effective


def test_an_evaluation_that_fails_fails_the_run(shop: Shop) -> None:
    run_id = shop.request()
    shop.backend.refusals["evaluate"] = [Unavailable("The model cannot be read; train again.")]
    with pytest.raises(AssertionError, match="failed"):
        shop.complete(run_id)
    assert shop.summary(run_id).reason == "The model cannot be read; train again."


def test_a_run_cancelled_before_its_start_is_never_submitted(shop: Shop) -> None:
    run_id = shop.request()
    shop.cancel(run_id)
    shop.cancel(run_id)
    assert not shop.worker.tick()
    assert shop.status(run_id) == "cancelled"
    assert not shop.backend.effective


@pytest.mark.parametrize("point", ["before preflight", "after preflight", "before submit", "after submit"])
def test_a_run_cancelled_while_it_is_being_started_leaves_no_training_behind(shop: Shop, point: str) -> None:
    run_id = shop.request()

    def cancel(here: str) -> None:
        if here == point:
            shop.backend.hook = no_hook
            shop.cancel(run_id)

    shop.backend.hook = cancel
    for _ in range(4):
        shop.worker.tick()
    assert shop.status(run_id) == "cancelled"
    assert shop.backend.effective["submit", run_id] == shop.backend.effective["cancel", run_id]


@pytest.mark.parametrize("ticks", [1, 2, 3])
def test_a_run_cancelled_while_it_trains_stops_and_is_cancelled(shop: Shop, ticks: int) -> None:
    run_id = shop.request()
    for _ in range(ticks):
        shop.worker.tick()
    shop.cancel(run_id)
    assert shop.status(run_id) == "cancelling"
    shop.worker.tick()
    assert shop.status(run_id) == "cancelled"
    assert shop.backend.effective["submit", run_id] == shop.backend.effective["cancel", run_id]
    assert "cancelled" in shop.says(f"run:{run_id}")
    assert not shop.worker.tick()


def test_a_run_cancelled_while_it_is_evaluated_is_cancelled_and_never_reported(shop: Shop) -> None:
    run_id = shop.request()
    for _ in range(2):
        shop.worker.tick()
    shop.backend.complete(run_id)
    shop.worker.tick()
    assert shop.status(run_id) == "evaluating"
    shop.cancel(run_id)
    shop.backend.report(run_id)
    shop.backend.refusals["forget_evaluation"] = [Conflict("Its endpoint is still going down.")]
    shop.worker.tick()
    assert shop.status(run_id) == "cancelling"
    while shop.worker.tick():
        pass
    assert shop.status(run_id) == "cancelled"
    assert run_id not in shop.backend.evaluations  # nothing of it goes on, least of all what costs money
    assert "run.evaluated" not in shop.told(f"run:{run_id}")


def test_a_run_that_has_ended_cannot_be_cancelled(shop: Shop) -> None:
    run_id = shop.request()
    shop.complete(run_id)
    with pytest.raises(Conflict, match="completed; it cannot cancel any more"):
        shop.cancel(run_id)


def test_a_cancel_that_the_backend_refuses_is_tried_again_and_holds_nobody_up(shop: Shop) -> None:
    stubborn = shop.request()
    for _ in range(2):
        shop.worker.tick()
    other = shop.request()
    shop.cancel(stubborn)
    shop.backend.refusals["cancel"] = [Unavailable("The provider does not answer; try later."), RuntimeError("odd")]
    shop.worker.tick()
    assert (shop.status(stubborn), shop.status(other)) == ("cancelling", "training")
    for _ in range(2):
        shop.worker.tick()
    assert shop.status(stubborn) == "cancelled"


def test_a_surprise_in_one_run_fails_it_and_not_the_next(shop: Shop) -> None:
    first, second = shop.request(), shop.request()
    shop.backend.refusals["preflight"] = [ZeroDivisionError("secret words of a customer")]
    shop.worker.tick()
    assert sorted([shop.status(first), shop.status(second)]) == ["failed", "training"]
    reason = next(str(shop.summary(run_id).reason) for run_id in (first, second) if shop.status(run_id) == "failed")
    assert "ZeroDivisionError" in reason
    assert "secret" not in reason


def test_a_database_that_is_locked_for_a_moment_is_nothing_against_the_run(shop: Shop) -> None:
    run_id = shop.request()

    def locked(_point: str) -> None:
        store.hook = no_hook
        raise StoreUnavailable("The database is locked by another program; nothing was written.")

    store = WatchedStore(shop.team.store.engine, locked)
    shop.worker = shop.new_worker(store)
    with suppress(StoreUnavailable):
        shop.worker.tick()
    assert shop.status(run_id) == "requested"
    shop.complete(run_id)


def test_a_lost_job_folder_is_submitted_again(shop: Shop) -> None:
    run_id = shop.request()
    for _ in range(2):
        shop.worker.tick()
    del shop.backend.jobs[run_id]
    shop.complete(run_id)
    assert shop.backend.effective["submit", run_id] == 2


def test_progress_is_told_at_most_every_three_seconds_and_only_where_something_moved(shop: Shop) -> None:
    run_id = shop.request()
    for _ in range(2):
        shop.worker.tick()
    shop.backend.train(run_id, 1)
    told = []
    for seconds in (10, 0, 1, 4):
        with shop.team.store.write() as session:
            owed = session.exec(select(Notice)).all()
            for notice in owed:  # one that still waits would show the progress as well
                notice.status = NoticeStatus.DELIVERED.value
            before = len(owed)
        shop.moment += timedelta(seconds=seconds)
        shop.worker.tick()
        with shop.team.store.read() as session:
            told.append(len(session.exec(select(Notice)).all()) - before)
        if seconds != 10:
            shop.backend.train(run_id, shop.summary(run_id).step + 1)
    assert told == [1, 0, 0, 1]


def test_a_deployed_model_has_answered_a_test_question_and_retires_the_one_before(shop: Shop) -> None:
    first, second = shop.request(), shop.request()
    for run_id in (first, second):
        shop.complete(run_id)
        shop.deploy(run_id)
        shop.deploy(run_id)
        assert shop.worker.tick()
    summary = shop.summary(second)
    assert (summary.deployment, summary.test_question, summary.test_reply) == ("live", QUESTION, REPLY)
    assert [message.role.value for message in shop.backend.asked[-1].messages] == ["system", "user"]
    assert summary.endpoint is not None
    assert shop.summary(first).deployment == "retiring"
    shop.worker.tick()
    assert shop.summary(first).deployment == "retired"
    assert [endpoint.model for endpoint in shop.backend.serving.values()] == [second]
    with shop.team.store.read() as session:
        kept = {deployment.run_id: deployment.key for deployment in session.exec(select(Deployment))}
        assert runs.production(session).id == second  # type: ignore[union-attr]
    assert "is no longer live" in shop.says(f"deployment:{kept[first]}")
    assert "is live at" in shop.says(f"deployment:{kept[second]}")


def test_what_did_not_answer_is_taken_down_again_and_again_until_it_is_gone(shop: Shop) -> None:
    run_id = shop.request()
    shop.complete(run_id)
    shop.backend.refusals["probe"] = [Unavailable("It gave no answer in 30 seconds.")]
    shop.backend.refusals["undeploy"] = [Unreached("Azure does not answer."), Unreached("Azure does not answer.")]
    shop.deploy(run_id)
    shop.worker.tick()
    shop.worker.tick()
    assert shop.summary(run_id).deployment == "failed"
    assert shop.backend.serving, "it may cost money still"
    assert shop.worker.tick()
    assert not shop.backend.serving
    assert not shop.worker.tick()
    with shop.team.store.read() as session:
        assert [one.status for one in session.exec(select(Deployment))] == ["failed"]


def test_a_provider_that_does_not_answer_is_asked_for_an_hour(shop: Shop) -> None:
    run_id = shop.request()
    shop.complete(run_id)
    shop.backend.refusals["deploy"] = [Unreached("Azure does not answer.") for _ in range(2)]
    shop.deploy(run_id)
    shop.worker.tick()
    assert shop.summary(run_id).deployment == "requested"
    shop.moment += timedelta(hours=2)
    shop.worker.tick()
    assert shop.summary(run_id).deployment == "failed"


@pytest.mark.parametrize("error", [Unavailable("It gave no answer in 30 seconds."), RuntimeError("secret words")])
@pytest.mark.parametrize("method", ["fetch", "deploy", "probe"])
def test_a_model_that_does_not_answer_leaves_the_old_one_live(shop: Shop, method: str, error: Exception) -> None:
    first, second = shop.request(), shop.request()
    for run_id in (first, second):
        shop.complete(run_id)
    shop.deploy(first)
    shop.worker.tick()
    shop.backend.refusals[method] = [error]
    shop.deploy(second)
    shop.worker.tick()
    assert [shop.summary(run_id).deployment for run_id in (first, second)] == ["live", "failed"]
    assert [endpoint.model for endpoint in shop.backend.serving.values()] == [first]
    reason = str(shop.summary(second).deployment_reason)
    assert "secret" not in reason
    assert ("no answer" in reason) is isinstance(error, Unavailable)
    shop.deploy(second)
    shop.worker.tick()
    assert shop.summary(second).deployment == "live"


def test_a_live_endpoint_that_died_is_started_again_once_and_told_of_where_it_stays_dead(shop: Shop) -> None:
    run_id = shop.request()
    shop.complete(run_id)
    shop.deploy(run_id)
    shop.worker.tick()
    [(directory, _)] = shop.backend.serving.items()
    with shop.team.store.read() as session:
        [key] = [deployment.key for deployment in session.exec(select(Deployment))]
    shop.backend.kill(directory)
    shop.worker.tick()
    assert shop.summary(run_id).deployment == "live"
    assert shop.backend.serving
    shop.worker.tick()
    shop.backend.kill(directory)
    shop.worker.tick()
    assert (shop.summary(run_id).deployment, shop.backend.serving) == ("failed", {})
    assert "died twice within an hour" in str(shop.summary(run_id).deployment_reason)
    assert "died twice within an hour" in shop.says(f"deployment:{key}")
    with shop.team.store.read() as session:
        done = [entry.action for entry in audit.about(session, f"deployment:{key}")]
        assert runs.production(session) is None
    served = ["deployment.requested", "deployment.answered", "deployment.restarted"]
    assert done == [*served, "deployment.failed", "deployment.stopped"]
    shop.deploy(run_id)
    shop.worker.tick()
    assert shop.summary(run_id).deployment == "live"


def test_an_endpoint_that_cannot_be_started_again_is_no_longer_live(shop: Shop) -> None:
    run_id = shop.request()
    shop.complete(run_id)
    shop.deploy(run_id)
    shop.worker.tick()
    [(directory, _)] = shop.backend.serving.items()
    shop.backend.kill(directory)
    shop.backend.refusals["deploy"] = [Unavailable("There is no memory.")]
    shop.worker.tick()
    summary = shop.summary(run_id)
    assert (summary.deployment, summary.deployment_reason) == ("failed", "There is no memory.")


def test_an_undeployed_model_is_stopped_even_where_the_first_try_fails(shop: Shop) -> None:
    run_id = shop.request()
    shop.complete(run_id)
    shop.deploy(run_id)
    shop.worker.tick()
    shop.undeploy(run_id)
    shop.backend.refusals["undeploy"] = [OSError("busy")]
    shop.worker.tick()
    assert shop.summary(run_id).deployment == "retiring"
    shop.worker.tick()
    assert shop.summary(run_id).deployment == "retired"
    assert not shop.backend.serving
    with pytest.raises(Conflict, match="is not live"):
        shop.undeploy(run_id)


def test_only_a_completed_run_can_be_deployed(shop: Shop) -> None:
    with pytest.raises(Conflict, match="only a completed run can be deployed"):
        shop.deploy(shop.request())


def test_a_run_on_production_starts_from_the_live_model_and_is_measured_against_it(shop: Shop) -> None:
    with pytest.raises(Conflict, match="ERRATA_PRODUCTION_MODEL, or deploy a run first"):
        shop.request("production")
    first = shop.request()
    shop.complete(first)
    shop.deploy(first)
    shop.worker.tick()
    second = shop.request("production")
    shop.complete(second)
    model = shop.home / "runs" / first / "job" / "model"
    assert shop.backend.evaluations[second].base == model
    assert shop.backend.evaluations[second].baseline == model


def test_a_worker_killed_between_any_two_steps_goes_on_where_the_rows_say(shop: Shop) -> None:
    """Every backend call and every commit of a run and its deployment, before and after, is a place to die."""

    def live(worker: Worker, run_id: str) -> None:
        shop.worker = worker
        shop.complete(run_id)
        if shop.summary(run_id).deployment is None:
            shop.deploy(run_id)
        while worker.tick():
            pass

    def counted(hook: Callable[[str], None]) -> Worker:
        shop.backend.hook = hook
        return shop.new_worker(WatchedStore(shop.team.store.engine, hook))

    live(shop.new_worker(), shop.request())  # so that there is a model to retire each time
    points: list[str] = []
    live(counted(points.append), shop.request())
    assert len(points) > 40
    for place, name in enumerate(points):
        run_id, passed = shop.request(), iter(range(len(points) + 1))

        def die(_point: str, place: int = place, passed: Iterator[int] = passed) -> None:
            if next(passed) == place:
                raise Killed

        with suppress(Killed):
            live(counted(die), run_id)
            raise AssertionError(f"nobody died at {place}")
        shop.backend.hook = no_hook
        live(shop.new_worker(), run_id)
        where = f"killed at {place}: {name}"
        assert (shop.status(run_id), shop.summary(run_id).deployment) == ("completed", "live"), where
        once = {method: shop.backend.effective[method, run_id] for method in ("submit", "evaluate", "deploy")}
        assert once == {"submit": 1, "evaluate": 1, "deploy": 1}, where
        assert shop.told(f"run:{run_id}") == ["run.curve", "run.evaluated", "run.scores", "run.status"], where
        assert list(shop.backend.serving) == [shop.home / "runs" / run_id / "endpoint"], where
    with shop.team.store.read() as session:
        assert len(session.exec(select(Evaluation)).all()) == len(session.exec(select(Run)).all())


def test_a_second_worker_at_any_moment_changes_nothing(shop: Shop) -> None:
    """One that was thought dead and was not: both visit one station, and one of their commits is dropped."""

    def live(worker: Worker, run_id: str) -> None:
        shop.worker = worker
        shop.complete(run_id)
        shop.deploy(run_id)
        while worker.tick():
            pass

    points: list[str] = []
    shop.backend.hook = points.append
    live(shop.new_worker(), shop.request())
    for place, name in enumerate(points):
        run_id, passed = shop.request(), iter(range(len(points) + 100))

        def intrude(_point: str, place: int = place, passed: Iterator[int] = passed) -> None:
            if next(passed) == place:
                shop.backend.hook = no_hook
                shop.new_worker().tick()

        shop.backend.hook = intrude
        live(shop.new_worker(), run_id)
        where = f"another worker at {place}: {name}"
        assert (shop.status(run_id), shop.summary(run_id).deployment) == ("completed", "live"), where
        once = {method: shop.backend.effective[method, run_id] for method in ("submit", "evaluate", "deploy")}
        assert once == {"submit": 1, "evaluate": 1, "deploy": 1}, where
        assert set(shop.told(f"run:{run_id}")) == {"run.curve", "run.evaluated", "run.scores", "run.status"}, where


def test_a_failed_training_that_is_resumed_goes_on_and_its_reason_is_gone(shop: Shop) -> None:
    run_id = shop.request()
    for _ in range(2):
        shop.worker.tick()
    shop.backend.fail(run_id, "The machine restarted.")
    shop.worker.tick()
    assert "run_resume" in shop.says(f"run:{run_id}")
    for _ in range(2):
        shop.resume(run_id)  # asking twice is asking once
    assert (shop.status(run_id), shop.summary(run_id).reason, shop.summary(run_id).ended_at) == ("resuming", None, None)
    assert "goes on from where it was" in shop.says(f"run:{run_id}")
    shop.worker.tick()
    assert shop.status(run_id) == "training"
    shop.complete(run_id)
    done = {method: shop.backend.effective[method, run_id] for method in ("submit", "resume", "evaluate")}
    assert done == {"submit": 1, "resume": 1, "evaluate": 1}
    assert shop.told(f"run:{run_id}") == ["run.curve", "run.evaluated", "run.scores", "run.status"]


def test_a_run_whose_evaluation_failed_is_evaluated_anew_and_not_trained_again(shop: Shop) -> None:
    run_id = shop.request()
    for _ in range(2):
        shop.worker.tick()
    shop.backend.complete(run_id)
    for _ in range(2):
        shop.worker.tick()
    shop.backend.reports[run_id] = EvaluationProgress(done=True, share=0.5, reason="The disk is full.")
    shop.worker.tick()
    assert (shop.status(run_id), shop.summary(run_id).reason) == ("failed", "The disk is full.")
    shop.resume(run_id)
    shop.complete(run_id)
    done = {method: shop.backend.effective[method, run_id] for method in ("submit", "resume", "evaluate")}
    assert done == {"submit": 1, "resume": 0, "evaluate": 2}
    assert shop.told(f"run:{run_id}") == ["run.curve", "run.evaluated", "run.scores", "run.status"]


def test_a_run_cancelled_before_its_start_begins_when_it_is_resumed(shop: Shop) -> None:
    run_id = shop.request()
    shop.cancel(run_id)
    shop.resume(run_id)
    shop.complete(run_id)
    assert shop.summary(run_id).started_at is not None


def test_what_stands_in_the_way_of_a_resumed_training_fails_it_before_it_goes_on(shop: Shop) -> None:
    run_id = shop.request()
    shop.cancel(run_id)
    shop.resume(run_id)
    shop.backend.findings = [Finding("disk.full", Severity.ERROR, "The disk has 1 MB left.", "Free some space.")]
    shop.worker.tick()
    assert (shop.status(run_id), shop.backend.effective["resume", run_id]) == ("failed", 0)


@pytest.mark.parametrize("point", ["before poll", "before preflight", "before resume", "after resume"])
def test_a_run_cancelled_while_it_is_being_resumed_leaves_no_training_behind(shop: Shop, point: str) -> None:
    run_id = shop.request()
    for _ in range(2):
        shop.worker.tick()
    shop.backend.fail(run_id, "The machine restarted.")
    shop.worker.tick()
    shop.resume(run_id)

    def cancel(here: str) -> None:
        if here == point:
            shop.backend.hook = no_hook
            shop.cancel(run_id)

    shop.backend.hook = cancel
    while shop.worker.tick():
        pass
    assert shop.status(run_id) == "cancelled"
    assert shop.backend.jobs[run_id].status.final


def test_only_a_run_that_failed_or_was_cancelled_can_be_resumed(shop: Shop) -> None:
    run_id = shop.request()
    with pytest.raises(Conflict, match="is requested; only a run that failed or was cancelled can be resumed"):
        shop.resume(run_id)
    shop.complete(run_id)
    with pytest.raises(Conflict, match="is completed; only a run"):
        shop.resume(run_id)
    with pytest.raises(NotAllowed), shop.team.store.write() as session:
        runs.resume(session, shop.team.ana, NOON, run_id=run_id)


def test_a_training_that_somebody_stopped_from_outside_says_that_it_can_be_resumed(shop: Shop) -> None:
    run_id = shop.request()
    for _ in range(2):
        shop.worker.tick()
    shop.backend.jobs[run_id] = Progress(JobStatus.CANCELLED, 3, STEPS, reason="It was stopped before it was done.")
    shop.worker.tick()
    assert shop.status(run_id) == "cancelled"
    said = "It was stopped before it was done. Resume the run to go on from where it was."
    assert shop.summary(run_id).reason == said


def test_the_workers_log_has_a_line_for_each_tenth_of_a_training(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "errata.workflow")
    run_id = shop.request()
    for step in (0, 1, 1, 2, 7):
        if step:
            shop.backend.train(run_id, step)
        shop.worker.tick()
    told = [line for line in caplog.messages if line.startswith("training: ")]
    assert [re.findall(r" step=(\d+)", line)[0] for line in told] == ["1", "2", "7"]
    assert told[-1] == (
        f"training: run={run_id} step=7 steps=10 loss=0.429 tokens_per_second=100 memory_mb=0 eta_seconds=3"
    )


def test_the_rows_of_an_older_errata_know_no_memory(shop: Shop) -> None:
    run_id = shop.request()
    with shop.team.store.write() as session:
        runs.find(session, run_id).progress = {"step": 1, "steps": 2, "curve": [[1, 3.0, None, 100.0]]}
    assert shop.summary(run_id).memory_bytes is None
    shop.worker.tick()
    shop.worker.tick()
    curve = (CurvePoint(1, 3.0, None, 100.0, 7_000_000_000), CurvePoint(2, 2.0, 2.5, 90.0, 3_000_000_000))
    shop.backend.jobs[run_id] = Progress(JobStatus.RUNNING, 2, STEPS, eta_seconds=61.0, curve=curve)
    shop.worker.tick()
    assert shop.summary(run_id).curve == curve
    assert "loss 2.000 · 90 tokens/s · 7.0 GB · about 1 minute left" in shop.says(f"run:{run_id}")


def test_a_run_of_a_backend_that_this_worker_lacks_fails_with_a_sentence(shop: Shop) -> None:
    run_id = shop.request()
    elsewhere = replace(shop.worker.place, backends={})
    Worker(elsewhere, InlineCarrier(elsewhere)).tick()
    assert shop.status(run_id) == "failed"
    assert "has no backend local" in str(shop.summary(run_id).reason)


def test_every_notice_kind_of_a_run_can_be_rendered(shop: Shop) -> None:
    run_id = shop.request()
    shop.complete(run_id)
    shop.deploy(run_id)
    shop.worker.tick()
    rendered: dict[str, Any] = {}
    with shop.team.store.read() as session:
        for notice in session.exec(select(Notice)):
            rendered[notice.kind] = render(session, notice, NOON)
    of_a_run = {kind for kind in NoticeKind if kind.value.startswith(("run.", "deployment"))}
    assert of_a_run - {NoticeKind.IDLE} == set(rendered) & of_a_run  # which has a week's silence before it
