"""A run that is cancelled at any of its stations stops, and leaves nothing behind that goes on."""

from __future__ import annotations

import pytest
from fakes import no_hook
from worker_shop import WorkerShop

from curation.errors import Conflict, Unavailable


def test_a_run_cancelled_before_its_start_is_never_submitted(shop: WorkerShop) -> None:
    run_id = shop.request()
    shop.cancel(run_id)
    shop.cancel(run_id)
    assert not shop.worker.tick()
    assert shop.status(run_id) == "cancelled"
    assert not shop.backend.effective


@pytest.mark.parametrize("point", ["before preflight", "after preflight", "before submit", "after submit"])
def test_a_run_cancelled_while_it_is_being_started_leaves_no_training_behind(shop: WorkerShop, point: str) -> None:
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
def test_a_run_cancelled_while_it_trains_stops_and_is_cancelled(shop: WorkerShop, ticks: int) -> None:
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


def test_a_run_cancelled_while_it_is_evaluated_is_cancelled_and_never_reported(shop: WorkerShop) -> None:
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


def test_a_run_that_has_ended_cannot_be_cancelled(shop: WorkerShop) -> None:
    run_id = shop.request()
    shop.complete(run_id)
    with pytest.raises(Conflict, match="completed; it cannot cancel any more"):
        shop.cancel(run_id)


def test_a_cancel_that_the_backend_refuses_is_tried_again_and_holds_nobody_up(shop: WorkerShop) -> None:
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
