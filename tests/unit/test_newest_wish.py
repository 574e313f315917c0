"""Two models on their way to the same place: whoever was asked for last stays, in whichever order they come up."""

from __future__ import annotations

from functools import partial

import pytest
from sqlmodel import select
from worker_shop import WorkerShop

from training import switching
from training.store.tables import Deployment


@pytest.fixture
def asked(shop: WorkerShop) -> dict[str, int]:
    """Two runs, asked for in this order: their deployments."""
    first, second = shop.request(), shop.request()
    for run_id in (first, second):
        shop.complete(run_id)
    for run_id in (first, second):
        shop.deploy(run_id)
    with shop.team.store.read() as session:
        return {one.run_id: one.key for one in session.exec(select(Deployment).order_by(Deployment.id))}


def test_a_model_that_comes_up_slowly_does_not_replace_one_that_was_asked_for_later(
    shop: WorkerShop, asked: dict[str, int]
) -> None:
    (slow, first), (quick, second) = asked.items()
    switching.station(shop.worker.place, second)
    assert shop.summary(quick).deployment == "live"
    switching.station(shop.worker.place, first)
    shop.worker.tick()
    assert [shop.summary(one).deployment for one in (slow, quick)] == ["retired", "live"]
    assert [endpoint.model for endpoint in shop.backend.serving.values()] == [quick]
    assert f"{slow} was taken down before it was live." in shop.says(f"deployment:{first}")


def test_a_model_that_was_just_answering_is_taken_down_all_the_same(shop: WorkerShop, asked: dict[str, int]) -> None:
    (slow, first), (quick, second) = asked.items()
    meanwhile = [partial(switching.station, shop.worker.place, second)]
    shop.backend.hook = lambda point: meanwhile.pop()() if point == "after probe" and meanwhile else None
    switching.station(shop.worker.place, first)
    shop.worker.tick()
    assert [shop.summary(one).deployment for one in (slow, quick)] == ["retired", "live"]
    assert [endpoint.model for endpoint in shop.backend.serving.values()] == [quick]


def test_a_model_goes_live_while_one_that_was_asked_for_later_is_still_coming(
    shop: WorkerShop, asked: dict[str, int]
) -> None:
    (slow, first), (quick, second) = asked.items()
    switching.station(shop.worker.place, first)
    assert [shop.summary(one).deployment for one in (slow, quick)] == ["live", "requested"]
    switching.station(shop.worker.place, second)
    shop.worker.tick()
    assert [shop.summary(one).deployment for one in (slow, quick)] == ["retired", "live"]
