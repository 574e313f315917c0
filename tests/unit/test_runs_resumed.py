"""A run that failed or was stopped goes on from where it was, and does nothing twice."""

from __future__ import annotations

import pytest
from builders import NOON
from fakes import STEPS, no_hook
from worker_shop import WorkerShop

from curation.errors import Conflict, NotAllowed
from curation.findings import Finding, Severity
from training import runs
from training.backends.base import EvaluationProgress, JobStatus, Progress


def test_a_failed_training_that_is_resumed_goes_on_and_its_reason_is_gone(shop: WorkerShop) -> None:
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


def test_a_run_whose_evaluation_failed_is_evaluated_anew_and_not_trained_again(shop: WorkerShop) -> None:
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


def test_a_run_cancelled_before_its_start_begins_when_it_is_resumed(shop: WorkerShop) -> None:
    run_id = shop.request()
    shop.cancel(run_id)
    shop.resume(run_id)
    shop.complete(run_id)
    assert shop.summary(run_id).started_at is not None


def test_what_stands_in_the_way_of_a_resumed_training_fails_it_before_it_goes_on(shop: WorkerShop) -> None:
    run_id = shop.request()
    shop.cancel(run_id)
    shop.resume(run_id)
    shop.backend.findings = [Finding("disk.full", Severity.ERROR, "The disk has 1 MB left.", "Free some space.")]
    shop.worker.tick()
    assert (shop.status(run_id), shop.backend.effective["resume", run_id]) == ("failed", 0)


@pytest.mark.parametrize("point", ["before poll", "before preflight", "before resume", "after resume"])
def test_a_run_cancelled_while_it_is_being_resumed_leaves_no_training_behind(shop: WorkerShop, point: str) -> None:
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


def test_only_a_run_that_failed_or_was_cancelled_can_be_resumed(shop: WorkerShop) -> None:
    run_id = shop.request()
    with pytest.raises(Conflict, match="is requested; only a run that failed or was cancelled can be resumed"):
        shop.resume(run_id)
    shop.complete(run_id)
    with pytest.raises(Conflict, match="is completed; only a run"):
        shop.resume(run_id)
    with pytest.raises(NotAllowed), shop.team.store.write() as session:
        runs.resume(session, shop.team.ana, NOON, run_id=run_id)


def test_a_training_that_somebody_stopped_from_outside_says_that_it_can_be_resumed(shop: WorkerShop) -> None:
    run_id = shop.request()
    for _ in range(2):
        shop.worker.tick()
    shop.backend.jobs[run_id] = Progress(JobStatus.CANCELLED, 3, STEPS, reason="It was stopped before it was done.")
    shop.worker.tick()
    assert shop.status(run_id) == "cancelled"
    said = "It was stopped before it was done. Resume the run to go on from where it was."
    assert shop.summary(run_id).reason == said
