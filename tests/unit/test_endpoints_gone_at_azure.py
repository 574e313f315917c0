"""A live model whose provider serves it no more: what costs money by the hour is put up by people only."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from worker_shop import WorkerShop

from training import runs
from training.backends.names import BackendName
from training.worker import InlineCarrier, Worker
from training.workplace import Workplace


@dataclass
class Elsewhere:
    """A run whose model is live at a service, and the worker that looks after it."""

    shop: WorkerShop
    run_id: str

    def vanish(self) -> None:
        """The provider loses the endpoint, and the worker looks."""
        [(directory, _)] = self.shop.backend.serving.items()
        self.shop.backend.kill(directory)
        self.shop.worker.tick()
        self.shop.worker.tick()


@pytest.fixture
def live(shop: WorkerShop, backend: BackendName, training_type: str) -> Elsewhere:
    run_id = shop.request()
    shop.complete(run_id)
    with shop.team.store.write() as session:
        run = runs.find(session, run_id)
        run.backend = backend.value
        run.recipe = {**run.recipe, "service": {"training_type": training_type}}
    everywhere = dict.fromkeys((BackendName.LOCAL, backend), shop.backend)
    place = Workplace(shop.team.store, everywhere, shop.home, shop.clock)
    shop.worker = Worker(place, InlineCarrier(place))
    shop.deploy(run_id)
    shop.worker.tick()
    assert shop.summary(run_id).deployment == "live"
    return Elsewhere(shop, run_id)


@pytest.mark.parametrize(
    ("backend", "training_type"), [(BackendName.FOUNDRY, "standard"), (BackendName.OPENAI, "standard")]
)
def test_an_endpoint_that_is_paid_by_the_hour_is_not_put_up_again_by_itself(live: Elsewhere) -> None:
    live.vanish()
    summary = live.shop.summary(live.run_id)
    assert (summary.deployment, live.shop.backend.serving) == ("failed", {})
    assert "put up by people only" in str(summary.deployment_reason)
    live.shop.deploy(live.run_id)
    live.shop.worker.tick()
    assert live.shop.summary(live.run_id).deployment == "live"


@pytest.mark.parametrize(("backend", "training_type"), [(BackendName.OPENAI, "developer")])
def test_an_endpoint_of_the_developer_tier_comes_back_after_its_day(live: Elsewhere) -> None:
    live.vanish()
    assert live.shop.summary(live.run_id).deployment == "live"
    assert len(live.shop.backend.serving) == 1
