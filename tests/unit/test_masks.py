"""What is learned of a conversation, what is cut from it, and how rows become batches."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import Phi3Config, Phi3ForCausalLM

from curation.conversation import Conversation, Message, Role
from curation.errors import Invalid
from training.backends.base import CurvePoint
from training.backends.local.chat import ChatFormat, Encoded, encode_corpus, read_conversations
from training.backends.local.tuning.convergence import Diverged
from training.backends.local.tuning.data import group, pack
from training.backends.local.tuning.loop import Hooks, Loop
from training.backends.local.tuning.loss import SupervisedLoss, measure
from training.backends.local.tuning.rehearsal import train_tokenizer
from training.recipe import load_recipe

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return train_tokenizer(["Hello there, how may I help you today?"] * 3, vocabulary=400, window=512)


@pytest.fixture(scope="module")
def chat(tokenizer: Any) -> ChatFormat:
    return ChatFormat(tokenizer)


def exchange(number: int, *, weight: int | None = None) -> tuple[Message, Message]:
    return Message(Role.USER, f"Question {number}"), Message(Role.ASSISTANT, f"Answer {number}", weight=weight)


def learned(tokenizer: Any, encoded: Encoded) -> str:
    ids = [token for token, wanted in zip(encoded.ids, encoded.supervised, strict=True) if wanted]
    return str(tokenizer.decode(ids))


def test_replies_and_their_stop_tokens_are_learned_and_nothing_else(tokenizer: Any, chat: ChatFormat) -> None:
    encoded = chat.encode(Conversation((*exchange(1), *exchange(2))).with_system("Be kind."))
    assert learned(tokenizer, encoded) == "Answer 1<|end|>\nAnswer 2<|end|>\n<|endoftext|>"


def test_a_turn_of_weight_0_is_not_learned(tokenizer: Any, chat: ChatFormat) -> None:
    encoded = chat.encode(Conversation((*exchange(1, weight=0), *exchange(2, weight=1))))
    assert learned(tokenizer, encoded) == "Answer 2<|end|>\n<|endoftext|>"


def test_a_conversation_that_teaches_nothing_is_refused_with_its_line(chat: ChatFormat) -> None:
    useless = Conversation(exchange(1, weight=0))
    with pytest.raises(Invalid, match="line 2: A conversation teaches nothing"):
        encode_corpus(chat, [Conversation(exchange(1)), useless], 100)


def test_a_conversation_that_fits_is_left_as_it_is(chat: ChatFormat) -> None:
    conversation = Conversation((*exchange(1), *exchange(2)))
    corpus = encode_corpus(chat, [conversation], len(chat.encode(conversation).ids))
    assert corpus.rows == [chat.encode(conversation)]
    assert corpus.notes("training", 100) == []


def test_a_longer_one_loses_its_oldest_exchanges_and_keeps_the_system_turn(tokenizer: Any, chat: ChatFormat) -> None:
    conversation = Conversation((*exchange(1), *exchange(2), *exchange(3))).with_system("Be kind.")
    corpus = encode_corpus(chat, [conversation], len(chat.encode(conversation).ids) - 1)
    assert (corpus.shortened, corpus.left_out) == (1, 0)
    assert tokenizer.decode(corpus.rows[0].ids).startswith("<|system|>\nBe kind.<|end|>\n<|user|>\nQuestion 2<|end|>")
    assert learned(tokenizer, corpus.rows[0]) == "Answer 2<|end|>\nAnswer 3<|end|>\n<|endoftext|>"
    assert corpus.notes("training", 64) == ["1 of the training conversations lost their oldest turns to fit 64 tokens."]


def test_one_whose_last_exchange_is_too_long_is_left_out_and_counted(chat: ChatFormat) -> None:
    corpus = encode_corpus(chat, [Conversation(exchange(1)), Conversation((*exchange(1), *exchange(2)))], 5)
    assert (corpus.rows, corpus.shortened, corpus.left_out) == ([], 0, 2)
    assert corpus.notes("validation", 5) == [
        "2 of the validation conversations were left out: their last exchange alone exceeds 5 tokens."
    ]


def test_a_line_that_is_no_conversation_is_named(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text('{"messages": [{"role": "user", "content": "Hi"}]}\n{"prompt": "Hi"}\n', encoding="utf-8")
    with pytest.raises(Invalid, match=r"train\.jsonl, line 2: not a chat conversation"):
        read_conversations(path)


@given(st.lists(st.integers(1, 60), max_size=40), st.integers(1, 200), st.integers(0, 5))
def test_every_row_is_in_exactly_one_batch_and_no_batch_exceeds_its_budget(
    lengths: list[int], budget: int, seed: int
) -> None:
    grouped = group(lengths, budget, random.Random(seed))
    assert sorted(index for indices in grouped for index in indices) == list(range(len(lengths)))
    for indices in grouped:
        assert len(indices) == 1 or sum(lengths[index] for index in indices) <= budget


def test_the_number_of_batches_does_not_depend_on_chance() -> None:
    lengths = [random.Random(1).randint(1, 50) for _ in range(100)]
    assert len({len(group(lengths, 128, random.Random(seed))) for seed in range(10)}) == 1


ROWS = [
    Encoded([5, 6, 7, 8, 9], [False, False, True, True, False]),
    Encoded([9, 8, 7], [True, False, True]),
    Encoded([3, 4, 5, 6, 7, 8, 9, 10], [False] * 5 + [True] * 3),
]


@pytest.fixture
def model() -> Phi3ForCausalLM:
    torch.manual_seed(0)
    config = Phi3Config(
        vocab_size=40,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=64,
        original_max_position_embeddings=64,
        pad_token_id=0,
        eos_token_id=0,
        bos_token_id=0,
    )
    return Phi3ForCausalLM(config).eval()


def test_the_packed_batch_loses_exactly_what_separate_rows_lose_under_transformers_own_loss(
    model: Phi3ForCausalLM,
) -> None:
    own = model.config._attn_implementation
    together = SupervisedLoss(model)(pack(ROWS))
    model.set_attn_implementation(own)
    apart, count = 0.0, 0
    for row in ROWS:
        ids = torch.tensor([row.ids])
        wanted = torch.tensor([row.supervised])
        labels = torch.where(wanted, ids, -100)
        number = int(wanted[:, 1:].sum())
        with torch.no_grad():
            apart += model(input_ids=ids, labels=labels).loss.item() * number
        count += number
    assert together.loss.item() == pytest.approx(apart, rel=1e-5)
    assert int(together.count) == count == 6


def test_measuring_does_not_depend_on_how_rows_are_batched(model: Phi3ForCausalLM) -> None:
    module, device = SupervisedLoss(model), torch.device("cpu")
    small = measure(module, ROWS, batch_tokens=8, device=device)
    large = measure(module, ROWS, batch_tokens=1000, device=device)
    assert small.loss == pytest.approx(large.loss, rel=1e-5)
    assert (small.accuracy, small.tokens) == (large.accuracy, large.tokens)


def test_batches_hold_nothing_but_tokens() -> None:
    assert pack(ROWS).tokens == 5 + 3 + 8


def loop(model: Phi3ForCausalLM, points: list[CurvePoint], **changes: Any) -> Loop:
    recipe = replace(load_recipe("rehearsal-production"), batch_tokens=64, **changes)
    return Loop(
        SupervisedLoss(model),
        recipe,
        rows=ROWS,
        validation=ROWS[:1],
        hooks=Hooks(report=lambda point, _eta_seconds: points.append(point)),
    )


def test_training_stops_once_loss_and_accuracy_are_reached(model: Phi3ForCausalLM) -> None:
    points: list[CurvePoint] = []
    running = loop(model, points, stop_at_loss=0.5, stop_at_accuracy=1.0, epochs=200, learning_rate=0.01)
    running.run()
    assert running.step < running.steps
    assert running.loss < 0.5
    assert measure(SupervisedLoss(model), ROWS, batch_tokens=64, device=torch.device("cpu")).accuracy == 1.0
    assert points[-1].validation_loss is not None


def test_training_without_a_limit_runs_every_epoch(model: Phi3ForCausalLM) -> None:
    points: list[CurvePoint] = []
    running = loop(model, points, stop_at_loss=None, stop_at_accuracy=None, epochs=3)
    running.run()
    assert running.step == running.steps == 3
    assert [point.step for point in points if point.validation_loss is not None] == [1, 2, 3]


def test_a_loss_that_is_no_number_ends_the_training_with_a_sentence(model: Phi3ForCausalLM) -> None:
    with torch.no_grad():
        model.lm_head.weight.fill_(float("nan"))
    with pytest.raises(Diverged, match=r"no number at step 1; lower learning_rate, which is 0\.003"):
        loop(model, []).run()
