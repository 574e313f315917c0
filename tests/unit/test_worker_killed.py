"""A worker that dies at any moment, or meets a second one or a locked database: each thing is done once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

from fakes import no_hook
from sqlmodel import select
from worker_shop import WatchedStore, WorkerShop

from curation.errors import StoreUnavailable
from training.store.tables import Evaluation, Run
from training.worker import Worker


class Killed(BaseException):
    """What a test raises where the process dies: nothing that a worker may catch."""


def test_a_worker_killed_between_any_two_steps_goes_on_where_the_rows_say(shop: WorkerShop) -> None:
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


def test_a_second_worker_at_any_moment_changes_nothing(shop: WorkerShop) -> None:
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


def test_a_database_that_is_locked_for_a_moment_is_nothing_against_the_run(shop: WorkerShop) -> None:
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
