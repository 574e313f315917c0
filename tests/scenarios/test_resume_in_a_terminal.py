"""A training that dies, and the command line's with it, is resumed and ends with the weights of one that never did."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import in_this_process
import pytest
import torch
from safetensors.torch import load_file
from shell import Shell
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from training.backends.base import Base, Job, JobStatus
from training.backends.local import folder
from training.backends.local.backend import LocalBackend
from training.recipe import load_recipe

RECIPE = """
method = "lora"
learning_rate = 3e-3
epochs = 4
batch_tokens = 256
warmup_share = 0.1
weight_decay = 0.01
max_grad_norm = 1.0
seed = 5
max_length = 256
validations = 2
snapshot_minutes = 0
tensorboard = true

[lora]
rank = 4
alpha = 8
dropout = 0.1
targets = ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]
modules_to_save = []

[rehearsal]
hidden = 16
layers = 1
heads = 2
vocabulary = 400
"""
PATIENCE_SECONDS = 120


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE, encoding="utf-8")
    return path


def typed(*words: str) -> subprocess.Popen[str]:
    """``errata`` in a process of its own, as Ana."""
    command = [sys.executable, "-m", "bot.cli", "--as", "ana", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # noqa: S603 (our own)


def wait_for(what: Callable[[], bool], *, by: subprocess.Popen[str] | None = None) -> None:
    """Until it is so; the process by which it comes about has to live until then."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not what():
        assert by is None or by.poll() is None or what(), by.communicate()
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.005)


def step_of(job: Path) -> int:
    return max((line.get("step", 0) for line in folder.read_progress(job)), default=0)


def kill(job: Path) -> None:
    """As the kernel does where memory runs out: the folder's process and every one that it has started."""
    process = folder.read_json(job / folder.PROCESS)
    if process is not None:
        with suppress(ProcessLookupError):
            os.killpg(process["pid"], signal.SIGKILL)


def curve(job: Path) -> set[tuple[int, float, float | None]]:
    """Without what differs from one day to the next."""
    points = [line for line in folder.read_progress(job) if "step" in line]
    assert [point["step"] for point in points] == sorted(point["step"] for point in points)
    return {(point["step"], point["loss"], point["validation_loss"]) for point in points}


def losses(job: Path) -> list[Any]:
    """What TensorBoard reads."""
    return list(EventAccumulator(str(job / "tensorboard"), {"scalars": 0}).Reload().Scalars("train/loss"))


def adapter(job: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = load_file(job / folder.ADAPTER / "adapter_model.safetensors")
    return found


@pytest.mark.slow
def test_killed_and_resumed_it_has_the_adapter_of_a_training_that_was_left_alone(
    frozen: Shell, recipe: Path, tmp_path: Path
) -> None:
    watching = typed("train", "v1", "--backend", "local", "--model", "rehearsal", "--recipe", str(recipe))
    runs = tmp_path / "home" / "runs"
    wait_for(lambda: any(runs.glob("run-*/job/request.json")), by=watching)
    (job,) = runs.glob("run-*/job")
    run_id, step = job.parent.name, random.Random(11).randrange(3, 40)
    # The trainer and whoever watches it: as in a power cut, nobody has noted that it ended.
    wait_for(lambda: step_of(job) >= step, by=watching)
    watching.kill()
    watching.communicate()
    kill(job)
    assert json.loads(frozen("run", "show", run_id, "--json")[1])["status"] == "training"
    stopped_at = step_of(job)

    resuming = typed("run", "resume", run_id)
    wait_for((job / folder.RESULT).exists, by=resuming)
    resuming.kill()  # what it is evaluated to is told elsewhere
    err = resuming.communicate()[1]
    kill(job.parent / "evaluation")
    assert f"{run_id} goes on." in err
    assert (folder.read_json(job / folder.RESULT) or {})["status"] == "completed"
    assert stopped_at < step_of(job)
    assert [event.step for event in losses(job)] == sorted({step for step, *_ in curve(job)})

    whole = uninterrupted(job, recipe, tmp_path / "whole")
    assert curve(job) == curve(whole)
    found, expected = adapter(job), adapter(whole)
    assert found.keys() == expected.keys()
    assert [name for name, one in expected.items() if not torch.equal(found[name], one)] == []
    assert any(one.abs().max() > 0 for name, one in expected.items() if "lora_B" in name)  # it has learned something


def uninterrupted(broken: Path, recipe: Path, directory: Path) -> Path:
    """The same training left alone, its folder."""
    row = folder.read_json(broken / folder.REQUEST)
    assert row is not None
    asked = Job.from_json(row)
    assert asked.recipe == load_recipe(str(recipe))
    job = Job("run-whole", Base("rehearsal"), asked.recipe, asked.train, asked.validation, directory)
    backend = LocalBackend()
    with in_this_process.starting():
        backend.submit(job)
    assert backend.poll(job).status is JobStatus.COMPLETED
    return directory
