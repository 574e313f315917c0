"""A provider that is silent keeps nobody else waiting: neither other deployments nor runs that were asked for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from builders import Team
from worker_shop import WorkerShop, opened

from training.deployments import DeploymentStatus
from training.runs import RunStatus
from training.visits import Visits
from training.worker import Worker

PATIENCE_SECONDS = 20.0


class Silence:
    """A backend's hook: the first who deploys hears nothing until the test lets somebody answer."""

    def __init__(self) -> None:
        self.entered, self.answer = threading.Event(), threading.Event()
        self.silent, self.calls = True, 0
        self._lock = threading.Lock()

    def __call__(self, moment: str) -> None:
        if not moment.endswith("deploy") or not moment.startswith("before"):
            return
        with self._lock:
            self.calls += 1
            silent, self.silent = self.silent, False
        if silent:
            self.entered.set()
            assert self.answer.wait(PATIENCE_SECONDS)


@pytest.fixture
def shop(team: Team, tmp_path: Path) -> WorkerShop:
    return opened(team, tmp_path)


@pytest.fixture
def visits() -> Iterator[Visits]:
    with Visits() as visits:
        yield visits


def until(worker: Worker, true: Callable[[], bool]) -> None:
    """Let the worker make its rounds until something is so."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < end
        worker.tick()
        time.sleep(0.01)  # its rounds have pauses


def ended(visits: Visits) -> None:
    """Wait until no visit is under way."""
    with visits._changed:
        assert visits._changed.wait_for(lambda: not visits._under_way, PATIENCE_SECONDS)


def test_while_one_provider_is_silent_other_deployments_and_runs_go_on(shop: WorkerShop, visits: Visits) -> None:
    runs = [shop.request(), shop.request()]
    for run_id in runs:
        shop.complete(run_id)
    silence = shop.backend.hook = Silence()
    worker = replace(shop.worker, start=visits.start)

    shop.deploy(runs[0])
    until(worker, silence.entered.is_set)
    shop.deploy(runs[1])
    requested = shop.request()
    until(worker, lambda: shop.summary(runs[1]).deployment == DeploymentStatus.LIVE)
    until(worker, lambda: shop.status(requested) == RunStatus.TRAINING)
    assert shop.summary(runs[0]).deployment == DeploymentStatus.RETIRING  # the one asked for later is live
    assert silence.calls == 2  # however many rounds were made, nobody asks the silent one a second time meanwhile

    silence.answer.set()
    until(worker, lambda: shop.summary(runs[0]).deployment == DeploymentStatus.RETIRED)
    assert shop.backend.effective["deploy", runs[0]] == 1
    assert [endpoint.model for endpoint in shop.backend.serving.values()] == [runs[1]]


def test_a_worker_that_ends_waits_for_a_visit_that_is_under_way_and_begins_no_other() -> None:
    made: list[str] = []
    goes_on = threading.Event()

    def slow() -> None:
        assert goes_on.wait(PATIENCE_SECONDS)
        made.append("slow")

    with Visits(drain_seconds=PATIENCE_SECONDS) as visits:
        visits.start("one", slow)
        threading.Timer(0.05, goes_on.set).start()
    visits.start("two", lambda: made.append("late"))
    assert made == ["slow"]


def test_where_nothing_is_known_to_be_due_a_visit_is_made_now_and_then() -> None:
    made: list[str] = []
    with Visits(drain_seconds=PATIENCE_SECONDS, seldom_seconds=3600.0) as visits:
        for seen in range(1, 20):
            visits.start("one", lambda: made.append("seldom"), due=False)
            ended(visits)
            assert made == ["seldom"], seen
        visits.start("one", lambda: made.append("due"))
        visits.start("two", lambda: made.append("another"), due=False)
    assert sorted(made) == ["another", "due", "seldom"]
    with Visits(drain_seconds=PATIENCE_SECONDS, seldom_seconds=0.0) as visits:
        visits.start("one", lambda: made.append("again"), due=False)
        ended(visits)
        visits.start("one", lambda: made.append("again"), due=False)
    assert made.count("again") == 2


def test_a_worker_that_ends_leaves_behind_who_stays_silent() -> None:
    answer = threading.Event()
    with Visits(drain_seconds=0.05) as visits:
        visits.start("one", lambda: answer.wait(PATIENCE_SECONDS))
    assert not answer.is_set()
    answer.set()


def test_a_visit_that_meets_a_surprise_is_logged_and_made_again(caplog: pytest.LogCaptureFixture) -> None:
    made = threading.Event()

    def broken() -> None:
        raise RuntimeError

    with Visits() as visits:
        visits.start("one", broken)
        end = time.monotonic() + PATIENCE_SECONDS
        while not made.is_set():
            assert time.monotonic() < end
            visits.start("one", made.set)
            time.sleep(0.005)
    assert "a visit met a surprise" in caplog.text
