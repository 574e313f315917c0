"""A training that was stopped and goes on ends with the weights of one that never stopped, to the last bit."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import in_this_process
import pytest
import torch
from safetensors.torch import load_file

from curation.errors import Conflict, Unavailable
from training.backends.base import Base, CurvePoint, Job, JobStatus, Progress
from training.backends.local import folder
from training.backends.local.backend import LocalBackend
from training.backends.local.chat import Encoded
from training.backends.local.tuning import snapshots, trainer
from training.backends.local.tuning.adapters import with_adapters
from training.backends.local.tuning.loop import Hooks, Loop
from training.backends.local.tuning.loss import SupervisedLoss
from training.backends.local.tuning.parallel import ALONE
from training.backends.local.tuning.rehearsal import build_base
from training.hyperparameters import Lora, Method, Precision, Recipe, RehearsalModel

pytestmark = pytest.mark.usefixtures("one_thread")

RECIPE = Recipe(
    name="tiny",
    method=Method.LORA,
    learning_rate=5e-3,
    epochs=6,
    batch_tokens=64,
    warmup_share=0.1,
    weight_decay=0.01,
    max_grad_norm=1.0,
    seed=7,
    max_length=128,
    stop_at_loss=None,
    stop_at_accuracy=None,
    snapshot_minutes=0.0,
    precision=Precision.AUTO,
    lora=Lora(8, 16, 0.2, ("qkv_proj", "o_proj", "gate_up_proj", "down_proj"), ("embed_tokens", "lm_head")),
    rehearsal=RehearsalModel(hidden=32, layers=1, heads=2, vocabulary=300),
)


class _Stop(Exception):
    """Between two steps."""


def rows() -> list[Encoded]:
    rng = random.Random(4)
    lengths = [rng.randrange(8, 40) for _ in range(12)]
    return [Encoded([rng.randrange(5, 280) for _ in range(length)], [True] * length) for length in lengths]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("base") / "model"
    assert RECIPE.rehearsal is not None
    build_base(path, ["Hello there, how may I help?"], RECIPE.rehearsal, window=128, seed=1)
    return path


def loop_over(base: Path, between: Callable[[Loop], None], points: list[CurvePoint]) -> tuple[SupervisedLoss, Loop]:
    from training.backends.local import checkpoint  # noqa: PLC0415

    loaded = checkpoint.load(base, dtype=torch.float32)
    torch.manual_seed(RECIPE.seed)
    module = SupervisedLoss(with_adapters(loaded.model, RECIPE, base))
    loop = Loop(
        module,
        RECIPE,
        rows=rows(),
        validation=rows()[:3],
        hooks=Hooks(report=lambda point, _eta: points.append(point), between=lambda: between(loop)),
    )
    return module, loop


def weights(module: SupervisedLoss) -> dict[str, torch.Tensor]:
    return {name: one.detach().clone() for name, one in module.named_parameters() if one.requires_grad}


def assert_equal(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    assert [name for name, one in expected.items() if not torch.equal(found[name], one)] == []


def test_stopped_after_any_step_it_ends_as_if_it_never_was(base: Path, tmp_path: Path) -> None:
    module, whole = loop_over(base, lambda _loop: None, [])
    whole.run()
    expected = weights(module)
    for stop in (1, 8, whole.steps - 1):

        def give_up(loop: Loop, at: int = stop) -> None:
            if loop.step == at:
                raise _Stop

        directory = tmp_path / f"stop-{stop}"
        first, loop = loop_over(base, give_up, [])
        with pytest.raises(_Stop):
            loop.run()
        assert snapshots.save(directory, first, loop.optimiser, loop.position(), ranks=ALONE, most=2)
        torch.manual_seed(999)  # what another process happens to begin with
        second, again = loop_over(base, lambda _loop: None, [])
        position = snapshots.restore(directory, second, again.optimiser)
        assert position is not None
        again.go_on_from(position)
        again.run()
        assert again.step == whole.step
        assert again.loss == whole.loss
        assert_equal(weights(second), expected)


def test_a_snapshot_that_the_disk_will_not_take_leaves_the_last_good_one(base: Path, tmp_path: Path) -> None:
    module, loop = loop_over(base, lambda _loop: None, [])
    loop.run()
    state = loop.position()
    assert snapshots.save(tmp_path, module, loop.optimiser, {**state, "step": 5}, ranks=ALONE, most=2)
    (tmp_path / "snapshots" / "step-000000006.partial").write_text("in the way")
    (tmp_path / "snapshots" / "step-000000006").write_text("in the way")
    assert not snapshots.save(tmp_path, module, loop.optimiser, {**state, "step": 6}, ranks=ALONE, most=2)
    (tmp_path / "snapshots" / "step-000000006").unlink()
    restored = snapshots.restore(tmp_path, module, loop.optimiser)
    assert restored is not None
    assert restored["step"] == 5


def test_the_newest_two_are_kept_and_a_damaged_one_is_passed_over(base: Path, tmp_path: Path) -> None:
    module, loop = loop_over(base, lambda _loop: None, [])
    loop.run()
    for step in (1, 2, 3):
        assert snapshots.save(tmp_path, module, loop.optimiser, {**loop.position(), "step": step}, ranks=ALONE, most=2)
    kept = sorted(path.name for path in (tmp_path / "snapshots").iterdir())
    assert kept == ["step-000000002", "step-000000003"]
    (tmp_path / "snapshots" / kept[-1] / "weights.safetensors").write_bytes(b"\x80\x04 a pickle, or half a file")
    restored = snapshots.restore(tmp_path, module, loop.optimiser)
    assert restored is not None
    assert restored["step"] == 2
    (tmp_path / "snapshots" / kept[0] / "state.json").write_text("{")
    with pytest.raises(Unavailable, match="Every snapshot of this training is damaged"):
        snapshots.restore(tmp_path, module, loop.optimiser)


def test_a_snapshot_of_another_recipe_is_refused(base: Path, tmp_path: Path) -> None:
    module, loop = loop_over(base, lambda _loop: None, [])
    loop.run()
    snapshots.save(tmp_path, module, loop.optimiser, loop.position(), ranks=ALONE, most=2)
    wider = SupervisedLoss(module.core)
    with pytest.raises(Unavailable, match="is of another model or recipe: start a new run"):
        snapshots.restore(tmp_path, torch.nn.Linear(2, 2), loop.optimiser)
    assert wider.core is module.core


def job_in(root: Path, name: str, **changes: object) -> Job:
    lines = [
        {"messages": [{"role": "user", "content": f"Question {n}?"}, {"role": "assistant", "content": f"Answer {n}."}]}
        for n in range(12)
    ]
    root.mkdir(exist_ok=True)
    for side, part in (("train", lines), ("validation", lines[:2])):
        (root / f"{side}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in part), encoding="utf-8")
    recipe = replace(RECIPE, **{"epochs": 40, **changes})  # type: ignore[arg-type]
    return Job(name, Base("rehearsal"), recipe, root / "train.jsonl", root / "validation.jsonl", root / name)


def ended(backend: LocalBackend, job: Job) -> Progress:
    deadline = time.monotonic() + 120
    while not backend.poll(job).status.final:
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.02)
    return backend.poll(job)


def wait_for_step(backend: LocalBackend, job: Job, step: int) -> None:
    deadline = time.monotonic() + 120
    while backend.poll(job).step < step:
        assert not backend.poll(job).status.final
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.005)


def adapter(backend: LocalBackend, job: Job) -> dict[str, torch.Tensor]:
    path = backend.fetch(job).adapter
    assert path is not None
    found: dict[str, torch.Tensor] = load_file(path / "adapter_model.safetensors")
    return found


def end(job: Job, how: signal.Signals) -> None:
    os.killpg((folder.read_json(job.directory / folder.PROCESS) or {})["pid"], how)


def test_cancelled_before_it_began_then_asked_to_end_then_killed_it_goes_on_each_time_as_if_never_stopped(
    tmp_path: Path,
) -> None:
    backend = LocalBackend()
    whole = job_in(tmp_path, "run-whole", snapshot_minutes=1000.0)
    assert in_this_process.carry_out(whole, trainer.train) == 0
    broken = job_in(tmp_path, "run-broken", snapshot_minutes=1000.0)  # asked to end, it takes the only snapshot
    backend.cancel(broken)
    assert backend.poll(broken).status is JobStatus.CANCELLED
    for how, expected, least in (
        (signal.SIGTERM, JobStatus.CANCELLED, 1),
        (signal.SIGKILL, JobStatus.FAILED, 40),
    ):
        backend.resume(broken)
        wait_for_step(backend, broken, least + random.Random(how).randrange(40))
        end(broken, how)
        assert ended(backend, broken).status is expected
        assert backend.poll(broken).step >= least
        broken = replace(broken, recipe=replace(broken.recipe, snapshot_minutes=0.0))  # who is killed is not asked
    with in_this_process.starting():
        backend.resume(broken)
    finished = backend.poll(broken)
    assert (finished.status, finished.reason) == (JobStatus.COMPLETED, None)
    assert finished.step == backend.poll(whole).step
    assert [point.step for point in finished.curve] == [point.step for point in backend.poll(whole).curve]
    assert_equal(adapter(backend, broken), adapter(backend, whole))
    with pytest.raises(Conflict, match="is completed: there is nothing to go on with"):
        backend.resume(broken)
    assert not (broken.directory / "snapshots").exists()  # a completed one needs none


def test_killed_before_its_first_snapshot_it_begins_again_and_so_does_its_curve(tmp_path: Path) -> None:
    job = job_in(tmp_path, "run-again", epochs=1)
    job.directory.mkdir()
    for step in (1, 2, 3):
        folder.append_progress(job.directory, {"step": step, "loss": 9.0})
    with (job.directory / folder.PROGRESS).open("a", encoding="utf-8") as file:
        file.write('{"step": 4, "lo\n')  # as a full disk cuts it
    assert in_this_process.carry_out(job, trainer.train) == 0
    curve = LocalBackend().poll(job).curve
    assert [point.step for point in curve] == list(range(1, len(curve) + 1))


def test_a_model_that_cannot_be_written_costs_no_step_that_was_trained(tmp_path: Path) -> None:
    job = job_in(tmp_path, "run-full", epochs=1, snapshot_minutes=1000.0)
    job.directory.mkdir()
    obstacle = job.directory / f"{folder.ADAPTER}.partial"
    obstacle.write_text("in the way")  # as a full disk would be
    assert in_this_process.carry_out(job, trainer.train) == 1
    steps = LocalBackend().poll(job).curve[-1].step
    assert [path.name for path in (job.directory / "snapshots").iterdir()] == [f"step-{steps:09d}"]
    obstacle.unlink()
    assert in_this_process.carry_out(job, trainer.train) == 0
    result = folder.read_json(job.directory / folder.RESULT) or {}
    assert (result["steps"], math.isfinite(result["loss"])) == (steps, True)


def test_out_of_patience_it_has_nothing_left_to_learn_and_still_knows_its_loss(base: Path) -> None:
    module, loop = loop_over(base, lambda _loop: None, [])
    loop.run()
    state = loop.position()
    impatient = replace(RECIPE, patience=1)
    again = Loop(module, impatient, rows=rows(), validation=rows()[:3], hooks=Hooks(report=lambda _point, _eta: None))
    exhausted = {**state["convergence"], "without_gain": 1}
    again.go_on_from({**state, "epoch": 2, "convergence": exhausted, "loss": 6.0, "count": 3.0})
    again.run()
    assert (again.step, again.loss) == (loop.step, 2.0)
