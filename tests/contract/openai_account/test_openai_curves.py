"""What an account tells of a job on its way and at its end becomes a curve, steps and sentences; and what it was sent.

The losses are put into the sandbox: it only simulates here, and would tell none.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from account_jobs import SECONDS, Hands, ended, kept, make_job, submitted

from training.backends.base import CurvePoint, JobStatus
from training.backends.foundry.account.backend import OpenAIBackend
from training.recipe import load_recipe
from training.sandbox.azure import AzureSandbox
from training.sandbox.openai_service import Account
from training.sandbox.toys import Toys

LOSSES = tuple(CurvePoint(step, 2.0 / step, 2.5 / step if step % 2 == 0 else None, 0.0) for step in range(1, 5))


def test_events_draw_the_curve_while_it_trains_and_its_end_names_the_checkpoints(
    backend: OpenAIBackend, clock: Hands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = [LOSSES[:2]]
    monkeypatch.setattr(Toys, "curve", lambda _self, _tuning: told[-1])
    monkeypatch.setattr(Toys, "steps", lambda _self, _tuning: 4)
    job = submitted(backend, make_job(tmp_path, "run-e0000001"))
    clock.move(SECONDS / 2)
    running = backend.poll(job)
    assert (running.status, running.step, running.steps) == (JobStatus.RUNNING, 2, 4)
    assert running.curve == LOSSES[:2]
    told.append(LOSSES)
    done = ended(backend, job, clock)
    assert (done.status, done.step, done.steps, done.curve) == (JobStatus.COMPLETED, 4, 4, LOSSES)
    (name,) = [one.name for one in backend.endpoints.account.models() if "run-e0000001" in one.name]
    assert done.notes == (f"The provider keeps the model as it was after step 4: {name}.",)


def test_preferences_arrive_as_pairs_with_a_byte_order_mark_under_the_run_s_name(
    azure: AzureSandbox, backend: OpenAIBackend, clock: Hands, tmp_path: Path
) -> None:
    job = submitted(backend, make_job(tmp_path, "run-e0000002", load_recipe("service-preference")))
    files = azure.cloud.part(Account).files
    sides = {side: files[identity] for side, identity in kept(job)["files"].items()}
    assert {side: one.name for side, one in sides.items()} == {
        "train": "run-e0000002-train.jsonl",
        "validation": "run-e0000002-validation.jsonl",
    }
    content = sides["train"].content
    assert content.startswith(b"\xef\xbb\xbf{")
    rows = [json.loads(line) for line in content.decode("utf-8-sig").splitlines()]
    assert len(rows) == 12
    assert rows[0] == {
        "input": {"messages": [{"role": "user", "content": "Kari Nordmann said that her order is late."}]},
        "preferred_output": [{"role": "assistant", "content": "Reply 0"}],
        "non_preferred_output": [{"role": "assistant", "content": "Go away."}],
    }
    assert ended(backend, job, clock).status is JobStatus.COMPLETED
