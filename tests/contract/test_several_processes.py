"""Several processes train as one does: the loss, every gradient, the files they leave, and going on after a stop."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import ranks as together
import torch
from safetensors.torch import load_file

from curation.wording import unpacked
from training.backends.base import Base, Job, JobStatus, Progress
from training.backends.local import folder, process
from training.backends.local.backend import LocalBackend
from training.backends.local.tuning.parallel import ALONE, end_with_parent
from training.backends.local.tuning.rehearsal import build_base
from training.hyperparameters import RehearsalModel, Sharding

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("base") / "model"
    build_base(path, ["Hello there, how may I help?"], RehearsalModel(32, 2, 2, 300), window=128, seed=1)
    return path


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A training that nothing interrupts, once ``found`` has carried it out."""
    job = job_in(tmp_path_factory.mktemp("straight"), "run-straight", Sharding.FSDP)
    job.directory.mkdir()
    folder.write_json(job.directory / folder.REQUEST, job.as_json())
    return job


@pytest.fixture(scope="module")
def found(base: Path, straight: Job, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes came to, written by the first of them."""
    out = tmp_path_factory.mktemp("together")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    subprocess.run(  # noqa: S603 (ourselves)
        [*command, "tests/ranks.py", str(base), str(out), str(straight.directory)],
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


def test_a_training_loads_no_database(found: Path) -> None:
    loaded = set(json.loads((found / "loaded.json").read_text(encoding="utf-8")))
    assert "torch" in loaded
    assert loaded.isdisjoint({"sqlalchemy", "sqlmodel", "dbos", "slack_sdk", "matplotlib"})


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


@pytest.mark.usefixtures("found")
def test_two_processes_that_share_a_model_are_stopped_go_on_and_leave_what_they_would_have_left(
    straight: Job, tmp_path: Path
) -> None:
    backend = LocalBackend()
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


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's end")
def test_a_process_ends_with_the_one_that_holds_the_folder_for_it() -> None:
    reading, writing = os.pipe()
    holder = os.fork()
    if not holder:
        if not os.fork():
            end_with_parent()
            os.write(writing, b"!")
            time.sleep(60)
        time.sleep(60)
        os._exit(0)
    os.close(writing)
    assert os.read(reading, 1) == b"!"
    os.kill(holder, signal.SIGKILL)
    os.waitpid(holder, 0)
    began = time.monotonic()
    assert os.read(reading, 1) == b""  # nobody is left who could write
    os.close(reading)
    assert time.monotonic() - began < 30


def test_why_one_of_several_failed_is_not_lost_in_what_the_first_meets_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_directory: Path) -> dict[str, Any]:
        raise MemoryError if os.environ["RANK"] == "1" else RuntimeError("connection closed by peer")

    monkeypatch.setenv("WORLD_SIZE", "2")
    handler, threads = signal.getsignal(signal.SIGTERM), torch.get_num_threads()
    for rank in ("1", "0"):
        monkeypatch.setenv("RANK", rank)
        assert process.carry_out(tmp_path, fail) == 1
    signal.signal(signal.SIGTERM, handler)
    torch.set_num_threads(threads)
    reason = (folder.read_json(tmp_path / folder.RESULT) or {})["reason"]
    assert "ran out of memory" in unpacked(reason)
