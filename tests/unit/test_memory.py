"""The memory that a training takes, by arithmetic, is what PyTorch really keeps for the backward pass."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Phi3Config, Phi3ForCausalLM

from curation.conversation import Conversation, Message, Role
from training.backends.local.chat import Encoded
from training.backends.local.tuning import cross_entropy
from training.backends.local.tuning.adapters import with_adapters
from training.backends.local.tuning.loss import SupervisedLoss
from training.backends.local.tuning.precision import precision
from training.hyperparameters import Lora, Method, Precision, Recipe
from training.planning import memory
from training.planning.memory import Rows
from training.planning.shapes import PHI_TARGETS, Shape, phi

pytestmark = pytest.mark.usefixtures("one_thread")

LENGTHS = (40, 60, 28)
TOKENS = sum(LENGTHS)
VOCABULARY = 64
RECIPE = Recipe(
    name="measured",
    method=Method.LORA,
    learning_rate=1e-3,
    epochs=1,
    batch_tokens=4096,
    warmup_share=0.0,
    weight_decay=0.0,
    max_grad_norm=1.0,
    seed=1,
    max_length=2048,
    lora=Lora(4, 8, 0.0, PHI_TARGETS, ()),
)
assert RECIPE.lora is not None
HALF = replace(RECIPE, precision=Precision.BF16)
CASES = {
    "adapters in 32 bits": RECIPE,
    "adapters in 16 bits": HALF,
    "with dropout": replace(HALF, lora=replace(RECIPE.lora, dropout=0.1)),
    "on two layers": replace(HALF, lora=replace(RECIPE.lora, targets=("qkv_proj", "o_proj"))),
    "every weight in 16 bits": replace(HALF, method=Method.FULL, lora=None),
    "checkpointed": replace(HALF, gradient_checkpointing=True),
}


def shape_of(layers: int) -> Shape:
    return phi(VOCABULARY, 64, layers, (4, 2), 160, tied=False)


def loss_of(shape: Shape, recipe: Recipe, folder: Path) -> SupervisedLoss:
    torch.manual_seed(0)
    model: Any = Phi3ForCausalLM(
        Phi3Config(
            vocab_size=shape.vocabulary,
            hidden_size=shape.hidden,
            intermediate_size=shape.intermediate,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.kv_heads,
            max_position_embeddings=2048,
            original_max_position_embeddings=2048,
            pad_token_id=0,
        )
    )
    if memory.in_half(recipe, gpu=False) and recipe.lora is not None:
        model = model.to(torch.bfloat16)
    wrapped = with_adapters(model, recipe, folder)
    if recipe.gradient_checkpointing:
        model.activation_checkpointing_enable()
    return SupervisedLoss(wrapped).train()


def kept(layers: int, recipe: Recipe, folder: Path) -> int:
    """Bytes that autograd keeps from a forward pass, each piece of memory counted once, weights left out."""
    loss = loss_of(shape_of(layers), recipe, folder)
    weights = {one.untyped_storage().data_ptr() for one in loss.parameters()}
    held: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            held[storage.data_ptr()] = storage  # held on to, so that its address is nobody else's
        return tensor

    rows = [Encoded([1 + place % 50 for place in range(length)], [True] * length) for length in LENGTHS]
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        with precision(recipe, torch.device("cpu")):
            scored = loss(loss.pack(rows))
        assert scored.loss.requires_grad
    return sum(storage.nbytes() for storage in held.values())


def estimated(layers: int, recipe: Recipe) -> int:
    rows = Rows(tokens=TOKENS, longest=max(LENGTHS), count=len(LENGTHS))
    return memory.of_training(shape_of(layers), recipe, rows, gpu=False).activations


@pytest.mark.parametrize("recipe", CASES.values(), ids=CASES)
def test_each_layer_keeps_what_the_terms_say(recipe: Recipe, tmp_path: Path) -> None:
    more, fewer = 5, 2
    measured = (kept(more, recipe, tmp_path) - kept(fewer, recipe, tmp_path)) / (more - fewer)
    said = (estimated(more, recipe) - estimated(fewer, recipe)) / (more - fewer)
    assert 0.97 < said / measured < 1.06


def test_the_chunk_of_logits_is_the_one_that_the_loss_takes() -> None:
    assert memory.CHUNK_LOGITS == cross_entropy.CHUNK_LOGITS


def test_a_piece_holds_no_more_than_there_is_and_no_less_than_the_longest_conversation() -> None:
    recipe = replace(RECIPE, device_tokens=1000)
    assert memory.piece(recipe, Rows(tokens=300, longest=100, count=5)) == 300
    assert memory.piece(recipe, Rows(tokens=9000, longest=100, count=90)) == 1000
    assert memory.piece(recipe, Rows(tokens=9000, longest=1500, count=90)) == 1500
    assert memory.piece(recipe, Rows(tokens=9000, longest=5000, count=90)) == recipe.max_length


def test_rounded_weights_take_a_quarter_and_smaller_pieces_take_less() -> None:
    large, rows = phi(32_064, 3_072, 32, (32, 32), 8_192, tied=False), Rows(1_000_000, 500, 4_000)
    assert RECIPE.lora is not None
    rounded = replace(RECIPE, lora=replace(RECIPE.lora, four_bit=True))
    whole, small = (memory.of_training(large, one, rows, gpu=True).weights for one in (RECIPE, rounded))
    assert 0.25 < small / whole < 0.4
    totals = [
        memory.of_training(large, replace(RECIPE, device_tokens=tokens), rows, gpu=True).total
        for tokens in (4096, 2048, 1024)
    ]
    assert totals == sorted(totals, reverse=True)
    assert memory.of_training(large, RECIPE, rows, gpu=True).as_json()["total"] == totals[0]


def test_tokens_that_nobody_counted_are_guessed_from_bytes() -> None:
    said = (Message(Role.USER, "x" * 30), Message(Role.ASSISTANT, "x" * 60))
    rows = memory.guessed_rows([Conversation(said), Conversation((*said[:1], Message(Role.ASSISTANT, "x" * 15)))])
    assert (rows.tokens, rows.longest, rows.count) == (14 + 24 + 14 + 9, 38, 2)
    assert rows.supervised == 33 / 61
