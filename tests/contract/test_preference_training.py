"""A training on preferences, in a process of its own: corrected replies win, and a stop changes nothing."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import time
from dataclasses import replace
from pathlib import Path

import in_this_process
import pytest
import torch
from safetensors.torch import load_file

from curation.conversation import Conversation, Message, Role
from training.backends.base import Base, Job, JobStatus, Progress
from training.backends.local import checkpoint, folder
from training.backends.local.backend import LocalBackend
from training.backends.local.chat import ChatFormat
from training.backends.local.tuning import trainer
from training.backends.local.tuning.loss import SupervisedLoss
from training.backends.local.tuning.rehearsal import build_base
from training.hyperparameters import Lora, Method, Objective, Preference, Recipe, RehearsalModel

pytestmark = pytest.mark.usefixtures("one_thread")

RECIPE = Recipe(
    name="tiny-preference",
    method=Method.LORA,
    objective=Objective.PREFERENCES,
    learning_rate=5e-3,
    epochs=12,
    batch_tokens=256,
    device_tokens=128,
    warmup_share=0.1,
    weight_decay=0.0,
    max_grad_norm=1.0,
    seed=7,
    max_length=128,
    validations=4,
    snapshot_minutes=0.0,
    preference=Preference(beta=0.1, replies=0.0),
    lora=Lora(8, 16, 0.1, ("qkv_proj", "o_proj", "gate_up_proj", "down_proj"), ("embed_tokens", "lm_head")),
    rehearsal=RehearsalModel(hidden=32, layers=1, heads=2, vocabulary=300),
)

PAIRS = [(f"Price of part {n}?", f"Part {n} is {n} euros.", f"Part {n} is free.") for n in range(12)]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that gives the wrong replies."""
    path = tmp_path_factory.mktemp("base") / "model"
    assert RECIPE.rehearsal is not None
    build_base(path, [text for pair in PAIRS for text in pair], RECIPE.rehearsal, window=128, seed=1)
    loaded = checkpoint.load(path, dtype=torch.float32)
    objective, chat = SupervisedLoss(loaded.model), ChatFormat(loaded.tokenizer)
    batch = objective.pack([chat.encode(turns(question, wrong)) for question, _, wrong in PAIRS])
    optimiser = torch.optim.AdamW(objective.parameters(), lr=5e-3)
    for _ in range(40):
        scored = objective(batch)
        (scored.loss / scored.count).backward()
        optimiser.step()
        optimiser.zero_grad()
    checkpoint.save(loaded.model, loaded.tokenizer, path)
    return path


def turns(question: str, reply: str) -> Conversation:
    return Conversation((Message(Role.USER, question), Message(Role.ASSISTANT, reply)))


def job_in(root: Path, name: str, base: Path) -> Job:
    """Twelve corrections and one row without a rejected reply; the last two corrections are for validation."""
    root.mkdir(exist_ok=True)
    rows, about = [], []
    for number, (question, right, wrong) in enumerate([*PAIRS, ("Hello?", "Hello!", None)]):
        rows.append({"messages": turns(question, right).as_json(), "metadata": {"example": number}})
        about.append(
            {
                "example": number,
                "side": "validation" if number in {10, 11} else "train",
                "kind": "endorsement" if wrong is None else "correction",
                "topic": None,
                "language": None,
                "reason": None,
                "rejected": wrong,
            }
        )
    for file, lines in (
        ("train.jsonl", [*rows[:10], rows[12]]),
        ("validation.jsonl", rows[10:12]),
        ("particulars.jsonl", about),
    ):
        (root / file).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    files = (root / "train.jsonl", root / "validation.jsonl", root / name)
    return Job(name, Base("checkpoint", base), RECIPE, *files, particulars=root / "particulars.jsonl")


def ended(backend: LocalBackend, job: Job) -> Progress:
    deadline = time.monotonic() + 120
    while not backend.poll(job).status.final:
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.02)
    return backend.poll(job)


def wins(path: Path) -> list[bool]:
    """For each pair, whether a model as anybody loads it gives the right reply the higher mean log-probability."""
    loaded = checkpoint.load(path)
    chat = ChatFormat(loaded.tokenizer)

    def mean(question: str, reply: str) -> float:
        row = chat.encode(turns(question, reply))
        ids, wanted = torch.tensor([row.ids]), torch.tensor([row.supervised])
        with torch.no_grad():
            return -float(loaded.model(input_ids=ids, labels=torch.where(wanted, ids, -100)).loss)

    return [mean(question, right) > mean(question, wrong) for question, right, wrong in PAIRS]


@pytest.fixture(scope="module")
def whole(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A training that nothing interrupts."""
    job = job_in(tmp_path_factory.mktemp("whole"), "run-whole", base)
    job = replace(job, recipe=replace(RECIPE, snapshot_minutes=10.0))
    assert in_this_process.carry_out(job, trainer.train) == 0
    return job


@pytest.fixture(scope="module")
def trained(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Job:
    """One that is killed at some step and goes on in another process, which is this one."""
    backend, job = LocalBackend(), job_in(tmp_path_factory.mktemp("preferences"), "run-broken", base)
    backend.submit(job)
    deadline = time.monotonic() + 120
    while backend.poll(job).step < random.Random(5).randrange(3, 12):
        assert not backend.poll(job).status.final
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.005)
    os.killpg((folder.read_json(job.directory / folder.PROCESS) or {})["pid"], signal.SIGKILL)
    assert ended(backend, job).status is JobStatus.FAILED
    reference = (job.directory / "reference.safetensors").stat().st_mtime_ns
    assert in_this_process.carry_out(job, trainer.train) == 0
    assert backend.poll(job).status is JobStatus.COMPLETED
    assert (job.directory / "reference.safetensors").stat().st_mtime_ns == reference
    return job


def test_corrected_replies_win_after_it_and_did_not_before(base: Path, trained: Job) -> None:
    before, after = wins(base), wins(LocalBackend().fetch(trained).model)
    assert sum(before) < 6 < sum(after)
    assert sum(after[10:]) > sum(before[10:])  # the pairs that it never saw


def test_its_curve_begins_at_log_2_and_falls_on_pairs_that_it_never_saw(trained: Job) -> None:
    curve = LocalBackend().poll(trained).curve
    assert curve[0].loss == pytest.approx(math.log(2), abs=1e-5)
    assert curve[-1].loss < 0.1
    assert curve[-1].validation_loss is not None
    assert curve[-1].validation_loss < 0.3


def test_it_says_what_it_left_out(trained: Job) -> None:
    result = folder.read_json(trained.directory / folder.RESULT) or {}
    assert result["notes"] == [
        "1 of the training rows gave no pair: there is no rejected reply to compare with.",
        "lora.dropout is not used: what it does to a reply would count as a preference.",
    ]
    assert set(LocalBackend().poll(trained).notes) == set(result["notes"])
    assert (result["training"]["pairs"], result["training"]["single"], result["validation"]["pairs"]) == (10, 1, 2)


def test_killed_and_resumed_it_ends_with_the_weights_of_one_that_never_stopped(trained: Job, whole: Job) -> None:
    backend = LocalBackend()
    assert backend.poll(trained).step == backend.poll(whole).step > 20
    found, expected = (load_file(job.directory / "adapter" / "adapter_model.safetensors") for job in (trained, whole))
    assert found.keys() == expected.keys()
    assert [name for name, one in expected.items() if not torch.equal(found[name], one)] == []
