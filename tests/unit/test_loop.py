"""What a recipe says about steps, schedules, ends and adapters is what happens."""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import ranks as together
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from curation.conversation import Conversation, Message, Role
from training.backends.base import Base, CurvePoint, Job
from training.backends.local import checkpoint
from training.backends.local.chat import ChatFormat
from training.backends.local.tuning import snapshots
from training.backends.local.tuning.adapters import save_adapters, with_adapters
from training.backends.local.tuning.convergence import WINDOW, Convergence, Diverged
from training.backends.local.tuning.loop import Hooks, Loop
from training.backends.local.tuning.loss import SupervisedLoss
from training.backends.local.tuning.optimisation import learning_rate
from training.backends.local.tuning.parallel import ALONE
from training.backends.local.tuning.preference import PreferenceLoss
from training.backends.local.tuning.preparing import prepare
from training.backends.local.tuning.rehearsal import build_base
from training.hyperparameters import AdapterStart, Method, Mix, Preference, Recipe, RehearsalModel, Schedule

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("base") / "model"
    build_base(path, ["Hello there, how may I help?"], RehearsalModel(32, 2, 2, 300), window=128, seed=1)
    return path


def loop_of(base: Path, recipe: Recipe, directory: Path, **hooks: Any) -> tuple[SupervisedLoss, Loop]:
    loaded = checkpoint.load(base, dtype=torch.float32)
    torch.manual_seed(1)
    model = with_adapters(loaded.model, recipe, directory)
    if recipe.gradient_checkpointing:
        loaded.model.activation_checkpointing_enable()
    objective = SupervisedLoss(model)
    hooks = {"report": lambda _point, _eta: None, **hooks}
    return objective, Loop(
        objective, recipe, rows=together.rows(), validation=together.rows()[:3], hooks=Hooks(**hooks)
    )


def trained(base: Path, recipe: Recipe, directory: Path) -> dict[str, torch.Tensor]:
    objective, loop = loop_of(base, recipe, directory)
    loop.run()
    return snapshots.trained(objective)


@pytest.mark.parametrize("changes", [{"device_tokens": 64}, {"gradient_checkpointing": True}], ids=str)
def test_what_only_saves_memory_changes_nothing_that_is_learned(
    base: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    whole = replace(together.RECIPE, device_tokens=None, epochs=3)
    plain = trained(base, whole, tmp_path)
    for name, weights in trained(base, replace(whole, **changes), tmp_path).items():
        torch.testing.assert_close(weights, plain[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Schedule.CONSTANT, [0.5, 1.0, 1.0, 1.0]),
        (Schedule.LINEAR, [0.5, 1.0, 0.55, 0.1]),
        (Schedule.COSINE, [0.5, 1.0, 0.55, 0.1]),
    ],
)
def test_the_learning_rate_rises_and_then_follows_its_schedule(schedule: Schedule, expected: list[float]) -> None:
    recipe = replace(together.RECIPE, schedule=schedule, warmup_share=0.2, learning_rate=1e-3)
    found = [learning_rate(recipe, step, 10) / 1e-3 for step in (0, 2, 6, 10)]
    assert found == pytest.approx(expected)


def test_a_loss_that_is_no_number_or_rises_for_good_ends_the_training() -> None:
    with pytest.raises(Diverged, match="no number at step 3; lower learning_rate, which is"):
        Convergence().stepped(3, math.nan, 0.01)
    noted = Convergence()
    for step in range(WINDOW):
        noted.stepped(step, 2.0, 0.01)
    noted.stepped(WINDOW, 30.0, 0.01)  # one bad step is no rise
    noted = Convergence(recent=[7.0] * (WINDOW - 1), lowest=noted.lowest)
    with pytest.raises(Diverged, match=r"rose from 2\.00 to 7\.00 by step 40; lower learning_rate"):
        noted.stepped(40, 7.0, 0.01)


@pytest.mark.parametrize(
    ("preference", "steady"), [(Preference(), False), (Preference(1.0), True), (Preference(0.1, 10.0), True)]
)
def test_a_loss_that_is_steeper_by_its_recipe_may_rise_by_as_much_more(
    base: Path, preference: Preference, *, steady: bool
) -> None:
    objective = PreferenceLoss(checkpoint.load(base, dtype=torch.float32).model, preference)
    noted = Convergence(recent=[7.0] * (WINDOW - 1), lowest=0.7)
    with nullcontext() if steady else pytest.raises(Diverged):
        noted.stepped(40, 7.0, 0.01, scale=objective.scale)


def test_patience_ends_a_training_and_the_best_weights_are_kept(base: Path, tmp_path: Path) -> None:
    points: list[CurvePoint] = []
    recipe = replace(together.RECIPE, epochs=60, batch_tokens=128, learning_rate=0.01, validations=60, patience=4)
    best: list[int] = []

    def keep() -> None:
        best.append(loop.step)
        snapshots.keep_best(tmp_path, objective, ranks=ALONE)

    # What is validated is never learned, so that it gets worse once the rest is known by heart.
    objective, loop = loop_of(base, recipe, tmp_path, report=lambda point, _eta: points.append(point), best=keep)
    loop._rows = loop._rows[3:]
    loop._counts, loop._lengths = loop._counts[3:], loop._lengths[3:]
    loop.run()
    measured = [(point.validation_loss, point.step) for point in points if point.validation_loss is not None]
    assert loop.step < loop.steps
    assert measured[-5] == min(measured)
    assert best[-1] == measured[-5][1]
    last = {name: one.clone() for name, one in snapshots.trained(objective).items()}
    snapshots.take_best(tmp_path, objective)
    assert any(not torch.equal(one, last[name]) for name, one in snapshots.trained(objective).items())
    assert loop._measure(loop._validation).loss == pytest.approx(min(measured)[0], rel=1e-6)


@pytest.mark.parametrize(
    "changes",
    [{"rslora": True}, {"dora": True}, *({"start": start} for start in AdapterStart)],
    ids=lambda changes: "-".join(map(str, changes.values())),
)
def test_an_adapter_of_any_kind_loads_in_plain_peft_on_the_plain_base(
    base: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    lora = together.RECIPE.lora
    assert lora is not None
    recipe = replace(together.RECIPE, lora=replace(lora, modules_to_save=(), **changes), learning_rate=5e-3)
    objective, loop = loop_of(base, recipe, tmp_path)
    loop.run()
    save_adapters(objective.model, recipe, tmp_path)
    ids = torch.tensor([together.rows()[0].ids])
    plain = AutoModelForCausalLM.from_pretrained(base)
    untrained = plain(ids).logits
    answered = PeftModel.from_pretrained(plain, tmp_path / "adapter").eval()(ids).logits
    merged = objective.model.merge_and_unload().eval()
    merged.set_attn_implementation("sdpa")
    torch.testing.assert_close(answered, merged(ids).logits, rtol=1e-3, atol=1e-4)
    assert (answered - untrained).abs().max() > 1e-3


def test_corrections_and_endorsements_weigh_what_the_recipe_says(base: Path, tmp_path: Path) -> None:
    kinds = ["correction", "endorsement", "imported"]
    turns = Conversation((Message(Role.USER, "Hello"), Message(Role.ASSISTANT, "Hello there")))
    for name in ("train", "validation"):
        lines = [f'{{"messages": {turns_of(turns)}, "metadata": {{"kind": "{kind}"}}}}\n' for kind in kinds]
        (tmp_path / f"{name}.jsonl").write_text("".join(lines))
    recipe = replace(
        together.RECIPE, method=Method.FULL, lora=None, mix=Mix(correction=3.0, endorsement=0.5, imported=0.0)
    )
    job = Job("run-1", Base("rehearsal"), recipe, tmp_path / "train.jsonl", tmp_path / "validation.jsonl", tmp_path)
    loaded = checkpoint.load(base)
    prepared = prepare(job, ChatFormat(loaded.tokenizer), loaded.model)
    assert [row.weight for row in prepared.rows] == [3.0, 0.5]
    assert [row.weight for row in prepared.validation] == [1.0, 1.0, 1.0]
    assert prepared.notes == ("1 of the training conversations are of a kind that [mix] gives no weight.",)


def turns_of(conversation: Conversation) -> str:
    import json  # noqa: PLC0415

    return json.dumps(conversation.as_json())
