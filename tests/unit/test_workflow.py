"""The durable run over a backend that trains nothing: every station, every way it fails, and what is told of it."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from builders import NOON
from fakes import STEPS
from sqlmodel import select
from worker_shop import WorkerShop

from bot.rendering import render
from curation.errors import Unavailable
from curation.findings import Finding, Severity
from curation.notices import NoticeKind, NoticeStatus
from curation.store.tables import Notice
from training import runs
from training.backends.base import CurvePoint, JobStatus, Progress
from training.backends.names import BackendName
from training.worker import InlineCarrier, Tick, Worker


def test_a_provider_that_tells_no_losses_gets_no_picture_of_them(shop: WorkerShop) -> None:
    """A picture that cannot be drawn would be tried for hours, and hold up every other message of the channel."""
    run_id = shop.request()
    for _ in range(2):
        shop.worker.tick()
    shop.backend.jobs[run_id] = Progress(JobStatus.COMPLETED)
    shop.complete(run_id)
    assert shop.told(f"run:{run_id}") == ["run.evaluated", "run.scores", "run.status"]


def test_a_worker_is_in_a_hurry_only_for_what_is_on_its_own_machine(shop: WorkerShop) -> None:
    assert shop.worker.tick() is Tick.IDLE
    run_id = shop.request()
    assert shop.worker.tick() is Tick.BUSY
    with shop.team.store.write() as session:
        runs.find(session, run_id).backend = BackendName.FOUNDRY.value
    assert shop.worker.tick() is Tick.WATCHING


def test_a_run_goes_from_requested_to_completed_and_says_so_at_every_stage(shop: WorkerShop) -> None:
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


def test_a_failed_training_keeps_its_reason_and_says_what_to_do_next(shop: WorkerShop) -> None:
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


def test_what_preflight_finds_fails_the_run_before_anything_is_submitted(shop: WorkerShop) -> None:
    run_id = shop.request()
    shop.backend.findings = [
        Finding("disk.full", Severity.ERROR, "The disk has 1 MB left, and the run needs 2 GB.", "Free some space.")
    ]
    shop.worker.tick()
    assert shop.status(run_id) == "failed"
    assert "has 1 MB left" in str(shop.summary(run_id).reason)
    assert not shop.backend.effective


def test_an_evaluation_that_fails_fails_the_run(shop: WorkerShop) -> None:
    run_id = shop.request()
    shop.backend.refusals["evaluate"] = [Unavailable("The model cannot be read; train again.")]
    with pytest.raises(AssertionError, match="failed"):
        shop.complete(run_id)
    assert shop.summary(run_id).reason == "The model cannot be read; train again."


def test_a_surprise_in_one_run_fails_it_and_not_the_next(shop: WorkerShop) -> None:
    first, second = shop.request(), shop.request()
    shop.backend.refusals["preflight"] = [ZeroDivisionError("secret words of a customer")]
    shop.worker.tick()
    assert sorted([shop.status(first), shop.status(second)]) == ["failed", "training"]
    reason = next(str(shop.summary(run_id).reason) for run_id in (first, second) if shop.status(run_id) == "failed")
    assert "ZeroDivisionError" in reason
    assert "secret" not in reason


def test_a_lost_job_folder_is_submitted_again(shop: WorkerShop) -> None:
    run_id = shop.request()
    for _ in range(2):
        shop.worker.tick()
    del shop.backend.jobs[run_id]
    shop.complete(run_id)
    assert shop.backend.effective["submit", run_id] == 2


def test_progress_is_told_at_most_every_three_seconds_and_only_where_something_moved(shop: WorkerShop) -> None:
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


def test_the_workers_log_has_a_line_for_each_tenth_of_a_training(
    shop: WorkerShop, caplog: pytest.LogCaptureFixture
) -> None:
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


def test_the_rows_of_an_older_errata_know_no_memory(shop: WorkerShop) -> None:
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


def test_a_run_of_a_backend_that_this_worker_lacks_fails_with_a_sentence(shop: WorkerShop) -> None:
    run_id = shop.request()
    elsewhere = replace(shop.worker.place, backends={})
    Worker(elsewhere, InlineCarrier(elsewhere)).tick()
    assert shop.status(run_id) == "failed"
    assert "has no backend local" in str(shop.summary(run_id).reason)


def test_every_notice_kind_of_a_run_can_be_rendered(shop: WorkerShop) -> None:
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
