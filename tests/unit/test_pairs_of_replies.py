"""Pairs of replies to the same question: what gives one, what is compared in it, and what it is measured from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Phi3Config, Phi3ForCausalLM

from curation.conversation import Conversation, Message, Role
from curation.errors import Invalid
from training.backends.base import Base, Job
from training.backends.local.chat import ChatFormat, Encoded, Row
from training.backends.local.tuning import preference
from training.backends.local.tuning.pairs import read_pairs
from training.backends.local.tuning.preparing import Prepared
from training.backends.local.tuning.rehearsal import train_tokenizer
from training.hyperparameters import Method, Objective, Preference, Recipe, Sharding

pytestmark = pytest.mark.usefixtures("one_thread")

RECIPE = Recipe(
    name="pairs",
    method=Method.FULL,
    objective=Objective.PREFERENCES,
    learning_rate=1e-3,
    epochs=1,
    batch_tokens=128,
    warmup_share=0.0,
    weight_decay=0.0,
    max_grad_norm=1.0,
    seed=1,
    max_length=128,
    preference=Preference(),
)
LONGROPE = {"rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0] * 4, "long_factor": [3.0] * 4}


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return train_tokenizer(["Hello there, how may I help?"], vocabulary=300, window=128)


@pytest.fixture(scope="module")
def chat(tokenizer: Any) -> ChatFormat:
    return ChatFormat(tokenizer)


def new_model(**changes: Any) -> Phi3ForCausalLM:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4}
    tokens = {"vocab_size": 300, "pad_token_id": 0, "eos_token_id": 0, "bos_token_id": 0}
    window = {"max_position_embeddings": 256, "original_max_position_embeddings": 256}
    return Phi3ForCausalLM(Phi3Config(**{**sizes, **tokens, **window, **changes}))


def row(*texts: str, example: int | None = 1, system: str | None = None) -> Row:
    """User and assistant in turn."""
    roles = [Role.USER, Role.ASSISTANT] * len(texts)
    turns = tuple(Message(role, text) for role, text in zip(roles, texts, strict=False))
    return Row(Conversation(turns).with_system(system), example)


def compared(tokenizer: Any, encoded: Encoded) -> str:
    kept = [token for token, wanted in zip(encoded.ids, encoded.supervised, strict=True) if wanted]
    return str(tokenizer.decode(kept))


def context(encoded: Encoded) -> list[int]:
    return encoded.ids[: encoded.supervised.index(True)]


def job_with(folder: Path, rows: Sequence[tuple[str, str, str | None, str]], **changes: Any) -> Job:
    """A job of question, right reply, rejected reply and kind."""
    folder.mkdir(parents=True, exist_ok=True)
    train, about = folder / "train.jsonl", folder / "particulars.jsonl"
    lines = [
        {"messages": row(question, right).conversation.as_json(), "metadata": {"example": number}}
        for number, (question, right, _, _) in enumerate(rows)
    ]
    unsaid = dict.fromkeys(("topic", "language", "reason"))
    facts = [
        {"example": number, "side": "train", "kind": kind, "rejected": rejected, **unsaid}
        for number, (_, _, rejected, kind) in enumerate(rows)
    ]
    for path, content in ((train, lines), (about, facts), (folder / "validation.jsonl", lines[:1])):
        path.write_text("".join(json.dumps(line) + "\n" for line in content), encoding="utf-8")
    recipe = replace(RECIPE, **changes)
    return Job("run-1", Base("rehearsal"), recipe, train, folder / "validation.jsonl", folder, particulars=about)


def references(prepared: Prepared) -> list[tuple[float, float]]:
    return [pair.reference for pair in (*prepared.rows, *prepared.validation)]


ROWS = [("Price?", "9 euros.", "Free!", "correction"), ("Open?", "Until 5.", "Never.", "correction")]


def test_only_the_last_reply_is_compared(tokenizer: Any, chat: ChatFormat) -> None:
    pairs = read_pairs(chat, [row("Hi", "Hello!", "Price?", "9 euros.", system="Be brief.")], {1: "None."}, 128)
    (pair,) = pairs.rows
    assert compared(tokenizer, pair.chosen).startswith("9 euros.<|end|>")
    assert compared(tokenizer, pair.rejected).startswith("None.<|end|>")
    assert context(pair.chosen) == context(pair.rejected)
    assert "Be brief." in tokenizer.decode(context(pair.chosen))
    assert len(pair) == len(pair.chosen.ids) + len(pair.rejected.ids)


@pytest.mark.parametrize("long", ["chosen", "rejected"])
def test_where_one_reply_is_too_long_both_lose_the_same_turns(long: str, tokenizer: Any, chat: ChatFormat) -> None:
    right, wrong = ("word " * 12, "No.") if long == "chosen" else ("No.", "word " * 12)
    whole = row("First question?", "First answer.", "Second question?", right.strip(), system="Be brief.")
    pairs = read_pairs(chat, [whole], {1: wrong.strip()}, 100)
    (pair,) = pairs.rows
    assert pairs.shortened == 1
    assert context(pair.chosen) == context(pair.rejected)
    assert "First" not in tokenizer.decode(context(pair.chosen))
    assert "Be brief." in tokenizer.decode(context(pair.chosen))


def test_what_gives_no_pair_is_counted_and_said(chat: ChatFormat) -> None:
    rows = [
        row("Hi", "Hello!", example=1),
        row("Hi", "Hello!", example=2),
        row("Hi", "Hello!", example=None),
        row("Hi", "Hello!", example=3),
        row("Hi", "Hello!", example=4),
    ]
    pairs = read_pairs(chat, rows, {1: "Go away.", 3: "Hello!", 4: "word " * 40}, 64)
    assert [len(pairs.rows), pairs.single, pairs.alike, pairs.left_out, pairs.shortened] == [1, 2, 1, 1, 0]
    assert pairs.notes("training", 64) == [
        "2 of the training rows gave no pair: there is no rejected reply to compare with.",
        "1 of the training rows gave no pair: both replies are the same.",
        "1 of the training pairs were left out: an exchange alone exceeds 64 tokens.",
    ]


def test_a_row_that_cannot_be_taught_is_named(chat: ChatFormat) -> None:
    tool = Row(Conversation((Message(Role.TOOL, "{}"), Message(Role.ASSISTANT, "Yes."))), 2)
    with pytest.raises(Invalid, match="line 2: A conversation uses tools"):
        read_pairs(chat, [row("Hi", "Hello!"), tool], {1: "No.", 2: "No."}, 64)


def test_whatever_has_a_rejected_reply_is_compared_and_nothing_else(chat: ChatFormat, tmp_path: Path) -> None:
    rows = [*ROWS, ("Hi", "Hello!", "Go away.", "imported"), ("Hi", "Hello!", None, "endorsement")]
    prepared = preference.prepare(job_with(tmp_path, rows), chat, new_model())
    assert len(prepared.rows) == 3
    assert prepared.counts["training"]["single"] == 1
    assert len(prepared.validation) == 1


def test_without_a_pair_there_is_nothing_to_prefer(chat: ChatFormat, tmp_path: Path) -> None:
    rows = [("Hi", "Hello!", None, "endorsement")]
    sentence = "train.jsonl has no row with a rejected reply that fits, so there is nothing to prefer; add"
    with pytest.raises(Invalid, match=sentence):
        preference.prepare(job_with(tmp_path, rows), chat, new_model())
    with pytest.raises(Invalid, match=sentence):
        preference.prepare(replace(job_with(tmp_path, ROWS), particulars=None), chat, new_model())


def test_the_reference_is_what_the_model_thought_before_its_first_step_also_after_a_resume(
    chat: ChatFormat, tmp_path: Path
) -> None:
    job, model = job_with(tmp_path, ROWS), new_model()
    first = references(preference.prepare(job, chat, model))
    assert len(set(first)) == 2  # the validation row is the first of the training side
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
    assert references(preference.prepare(job, chat, model)) == first


@pytest.mark.parametrize("how", ["damaged", "other-pairs"])
def test_a_reference_that_is_damaged_or_of_other_pairs_is_asked_for_again(
    how: str, chat: ChatFormat, tmp_path: Path
) -> None:
    kept = tmp_path / "reference.safetensors"
    job = job_with(tmp_path, ROWS)
    expected = references(preference.prepare(job, chat, new_model()))
    if how == "damaged":
        kept.write_bytes(kept.read_bytes()[:-7])
    else:
        preference.prepare(job_with(tmp_path, ROWS[:1]), chat, new_model())
        job = job_with(tmp_path, ROWS)
    assert references(preference.prepare(job, chat, new_model())) == expected
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".jsonl") == [kept.name]


def test_a_disk_that_will_not_take_the_reference_stops_nothing(chat: ChatFormat, tmp_path: Path) -> None:
    (tmp_path / "reference.safetensors").mkdir()
    assert len(preference.prepare(job_with(tmp_path, ROWS), chat, new_model()).rows) == 2


def test_sharded_weights_and_two_scales_of_positions_are_refused_together(chat: ChatFormat, tmp_path: Path) -> None:
    def prepared(border: int, sharding: Sharding) -> Prepared:
        rope = {**LONGROPE, "original_max_position_embeddings": border}
        model = new_model(original_max_position_embeddings=border, rope_parameters=rope)
        return preference.prepare(job_with(tmp_path, ROWS, sharding=sharding), chat, model)

    with pytest.raises(Invalid, match=r"Some pairs exceed 20 tokens, above .* lower max_length to 20, or set sharding"):
        prepared(20, Sharding.FSDP)
    assert len(prepared(20, Sharding.NONE).rows) == len(prepared(100, Sharding.FSDP).rows) == 2
