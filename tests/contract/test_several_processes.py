"""Several processes train as one does: the loss, every gradient, the files they leave, and going on after a stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import ranks as together
import torch
from safetensors.torch import load_file

from training.backends.base import Base, Job, JobStatus, Progress
from training.backends.local import folder
from training.backends.local.backend import LocalBackend
from training.backends.local.tuning.parallel import ALONE
from training.backends.local.tuning.rehearsal import build_base
from training.hyperparameters import RehearsalModel, Sharding

ROOT = Path(__file__).parents[2]

# peft 0.21 asks transformers 5.23 for it under its former name.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("base") / "model"
    build_base(path, ["Hello there, how may I help?"], RehearsalModel(32, 2, 2, 300), window=128, seed=1)
    return path


@pytest.fixture(scope="module")
def found(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes came to, written by the first of them."""
    out = tmp_path_factory.mktemp("together")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    subprocess.run(  # noqa: S603 (ourselves)
        [*command, "tests/ranks.py", str(base), str(out)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}", "OMP_NUM_THREADS": "1"},
        check=True,
        timeout=300,
        capture_output=True,
    )
    return out


@pytest.mark.parametrize("sharding", list(Sharding))
def test_two_processes_have_the_loss_and_the_gradients_of_one(base: Path, found: Path, sharding: Sharding) -> None:
    expected = together.one_step(base, ALONE, Sharding.NONE)
    theirs = load_file(found / f"{sharding}.safetensors")
    assert theirs.keys() == expected.keys()
    torch.testing.assert_close(theirs.pop("losses"), expected.pop("losses"), rtol=1e-5, atol=0)
    for name, gradient in expected.items():
        scale = gradient.abs().max().item()
        assert scale > 0, name
        assert (theirs[name] - gradient).abs().max().item() <= 1e-5 * scale, name


def job_in(tmp_path: Path, run_id: str, sharding: Sharding) -> Job:
    line = (
        '{"messages": [{"role": "user", "content": "Where is %d?"}, {"role": "assistant", "content": "In box %d."}]}\n'
    )
    for name, numbers in (("train", range(12)), ("validation", range(12, 15))):
        (tmp_path / f"{name}.jsonl").write_text("".join(line % (number, number) for number in numbers))
    recipe = replace(
        together.RECIPE,
        epochs=8,
        batch_tokens=256,
        device_tokens=None,
        processes=2,
        sharding=sharding,
        snapshot_minutes=0.0,
        rehearsal=RehearsalModel(32, 2, 2, 300),
    )
    paths = (tmp_path / "train.jsonl", tmp_path / "validation.jsonl", tmp_path / run_id)
    return Job(run_id, Base("rehearsal"), recipe, *paths)


def ended(backend: LocalBackend, job: Job) -> Progress:
    deadline = time.monotonic() + 120
    while not (progress := backend.poll(job)).status.final and time.monotonic() < deadline:
        time.sleep(0.1)
    return progress


def test_two_processes_that_share_a_model_are_stopped_go_on_and_leave_what_they_would_have_left(tmp_path: Path) -> None:
    backend = LocalBackend()
    straight = job_in(tmp_path, "run-straight", Sharding.FSDP)
    backend.submit(straight)
    assert ended(backend, straight).status is JobStatus.COMPLETED
    broken = job_in(tmp_path, "run-broken", Sharding.FSDP)
    backend.submit(broken)
    deadline = time.monotonic() + 120
    while backend.poll(broken).step < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg((folder.read_json(broken.directory / folder.PROCESS) or {})["pid"], signal.SIGTERM)
    assert ended(backend, broken).status is JobStatus.CANCELLED
    backend.resume(broken)
    finished = ended(backend, broken)
    assert (finished.status, finished.reason) == (JobStatus.COMPLETED, None)
    (theirs, ours) = (load_file(job.directory / "adapter" / "adapter_model.safetensors") for job in (straight, broken))
    assert theirs.keys() == ours.keys()
    assert all(torch.equal(theirs[name], one) for name, one in ours.items())
    assert (broken.directory / "model" / "model.safetensors").is_file()
