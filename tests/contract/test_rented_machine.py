"""What Azure's machines run: the code that travels is all that is needed, and what is kept outlives the machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import ranks as together

from training.backends.base import Base, Job
from training.backends.foundry.rented.node import start
from training.backends.foundry.rented.node_code import JOB, NEEDS, PACKAGES, write_code
from training.backends.local import folder
from training.hyperparameters import RehearsalModel

ROWS = [
    {"messages": [{"role": "user", "content": f"Where is {one}?"}, {"role": "assistant", "content": f"In box {one}."}]}
    for one in range(12)
]
NAME = "run-rented"
TOY = RehearsalModel(hidden=32, layers=1, heads=2, vocabulary=300)


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    root = tmp_path_factory.mktemp("job")
    recipe = replace(together.RECIPE, epochs=40, batch_tokens=64, device_tokens=None, rehearsal=TOY)
    train, validation = write_rows(root / "train.jsonl", ROWS), write_rows(root / "validation.jsonl", ROWS[:2])
    return Job("run-rented", Base("rehearsal"), recipe, train, validation, root / "job")


@pytest.fixture(scope="module")
def code(job: Job, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_code(job, NAME, tmp_path_factory.mktemp("code") / "code")


@pytest.fixture(scope="module")
def unpacked(code: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a machine makes of the code."""
    root = tmp_path_factory.mktemp("unpacked")
    with ZipFile(code / PACKAGES) as packed:
        packed.extractall(root)
    return root


@pytest.fixture
def machine(job: Job, code: Path, tmp_path: Path) -> list[str]:
    """How the job is started there; its disk goes with it."""
    options = {"job": code / JOB, "train": job.train, "validation": job.validation, "kept": tmp_path / "kept"}
    return [sys.executable, "start.py", *(f"--{name}={path}" for name, path in options.items())]


def run(command: list[str], code: Path, disk: Path) -> subprocess.Popen[bytes]:
    disk.mkdir(exist_ok=True)
    environ = {**os.environ, "TMPDIR": str(disk), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=code, env=environ, stdout=subprocess.DEVNULL)  # noqa: S603 (our own program)


def test_the_code_that_travels_names_every_library_that_it_imports(code: Path, unpacked: Path) -> None:
    told = (
        "import sys, json; sys.path.insert(0, '.'); import training.backends.local.tuning.trainer as one, "
        "training.backends.local.tuning.snapshots, jinja2, accelerate;"
        "print(json.dumps([one.__file__, sorted({name.partition('.')[0] for name in sys.modules})]))"
    )
    seen = subprocess.run(  # noqa: S603 (ourselves)
        [sys.executable, "-c", told], cwd=unpacked, capture_output=True, check=True, text=True
    ).stdout
    origin, modules = json.loads(seen)
    assert Path(origin).is_relative_to(unpacked)
    of_module = metadata.packages_distributions()
    direct = {_name(one) for one in metadata.requires("errata") or ()}
    imported = {_name(one) for module in modules for one in of_module.get(module, ())} & direct
    needed = {*NEEDS, "pyyaml"}  # which huggingface-hub brings
    assert imported <= needed, "a library that the trainer imports is not in NEEDS"
    assert f"torch=={metadata.version('torch').partition('+')[0]}" in (code / "requirements.txt").read_text()


def test_the_same_code_is_the_same_file_whenever_it_is_packed(job: Job, code: Path, tmp_path: Path) -> None:
    again = write_code(job, NAME, tmp_path / "again")
    assert (again / PACKAGES).read_bytes() == (code / PACKAGES).read_bytes()


def test_nobodys_words_travel_with_the_code(code: Path, unpacked: Path) -> None:
    files = [*code.rglob("*"), *unpacked.rglob("*")]
    texts = [one.read_text(errors="replace") for one in files if one.is_file()]
    assert texts
    assert not [one for one in texts if "In box 7" in one]


@pytest.mark.slow
def test_a_machine_that_is_taken_away_leaves_what_the_next_one_goes_on_from(
    code: Path, machine: list[str], tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    disk = tmp_path / "first" / f"errata-{NAME}-0-0"
    with run(machine, code, disk.parent) as first:
        wait_for(lambda: first.poll() is not None or len(folder.read_progress(disk)) > 3)
        first.send_signal(signal.SIGTERM)
    assert first.returncode != 0
    reached = folder.read_progress(kept)[-1]["step"]
    assert list((kept / "snapshots").iterdir())
    assert (folder.read_json(kept / folder.RESULT) or {})["status"] == "cancelled"

    with run([*machine, f"--former={kept}"], code, tmp_path / "second") as second:
        assert second.wait(120) == 0
    steps = [line["step"] for line in folder.read_progress(kept) if "step" in line]
    assert steps == sorted(set(steps))
    assert steps[-1] > reached
    assert (folder.read_json(kept / folder.RESULT) or {})["status"] == "completed"
    assert (kept / "adapter" / "adapter_model.safetensors").is_file()
    assert (kept / "model" / "model.safetensors").is_file()
    assert not (kept / "snapshots").exists() or not list((kept / "snapshots").rglob("*.safetensors"))


def test_what_is_kept_is_what_is_there_without_what_is_half_written(tmp_path: Path) -> None:
    here, kept = tmp_path / "here", tmp_path / "kept"
    for name in ("progress.jsonl", "snapshots/step-2/state.json", "snapshots/step-3.partial/state.json", "lock"):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text("new")
    (kept / "snapshots/step-1").mkdir(parents=True)
    (kept / "snapshots/step-1/state.json").write_text("old")
    start.save(here, kept)
    files = sorted(str(one.relative_to(kept)) for one in kept.rglob("*") if one.is_file())
    assert files == ["progress.jsonl", "snapshots/step-2/state.json"]


def test_a_process_whose_machine_could_not_be_prepared_ends_at_once(
    code: Path, machine: list[str], tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    left = disk / f"errata-{NAME}-0-0"
    left.mkdir(parents=True)
    (left / "not-ready").touch()
    environ = {**os.environ, "TMPDIR": str(disk), "LOCAL_RANK": "1", "RANK": "1", "WORLD_SIZE": "2"}
    ended = subprocess.run(machine, cwd=code, env=environ, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603 (our own program)
    assert ended.returncode != 0
    assert "could not prepare it" in ended.stderr


def wait_for(look: Any) -> Any:
    deadline = time.monotonic() + 90
    while not (found := look()):
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.05)
    return found


def _name(requirement: str) -> str:
    for sign in "<>=[; ":
        requirement = requirement.partition(sign)[0]
    return requirement.lower().replace("_", "-")
