"""Packed rows train exactly as separate ones do: the loss, every gradient, windows, shared heads and longrope."""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import Phi3Config, Phi3ForCausalLM

from training.backends.local.chat import Encoded
from training.backends.local.tuning.cross_entropy import head_loss, token_losses
from training.backends.local.tuning.data import group, pack
from training.backends.local.tuning.loss import SupervisedLoss

pytestmark = pytest.mark.usefixtures("one_thread")

VOCABULARY = 60


def new_model(**changes: Any) -> Phi3ForCausalLM:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    tokens = {"vocab_size": VOCABULARY, "pad_token_id": 0, "eos_token_id": 0, "bos_token_id": 0}
    window = {"max_position_embeddings": 2048, "original_max_position_embeddings": 2048}
    return Phi3ForCausalLM(Phi3Config(**{**sizes, **tokens, **window, **changes}))


def new_rows(*lengths: int) -> list[Encoded]:
    rng = random.Random(3)
    rows = []
    for length in lengths:
        ids = [rng.randrange(1, VOCABULARY) for _ in range(length)]
        rows.append(Encoded(ids, [*(rng.random() < 0.4 for _ in ids[:-1]), True]))
    return rows


def with_adapters(model: Phi3ForCausalLM, *, whole: Sequence[str] = ()) -> Any:
    torch.manual_seed(1)
    adapters = LoraConfig(
        task_type="CAUSAL_LM",
        r=4,
        lora_alpha=8,
        target_modules=["qkv_proj", "o_proj", "gate_up_proj", "down_proj"],
        modules_to_save=list(whole) or None,
        init_lora_weights=False,  # or half of them would be zero, and have no gradient
    )
    return get_peft_model(model, adapters)


def separately(model: Any, rows: Sequence[Encoded]) -> float:
    """Transformers' own loss over each row by itself, summed; its gradients are in the model afterwards."""
    loss = torch.zeros(())
    for row in rows:
        ids, wanted = torch.tensor([row.ids]), torch.tensor([row.supervised])
        loss = loss + model(input_ids=ids, labels=torch.where(wanted, ids, -100)).loss * wanted[:, 1:].sum()
    loss.backward()
    return loss.item()


def assert_alike(model: Any, rows: Sequence[Encoded]) -> None:
    """The packed loss and gradients are those of separate rows to 1e-5, relatively."""
    own = copy.deepcopy(model)
    apart = separately(own, rows)
    packed = SupervisedLoss(model)(pack(rows)).loss
    packed.backward()
    assert packed.item() == pytest.approx(apart, rel=1e-5)
    expected = {name: one.grad for name, one in own.named_parameters() if one.grad is not None}
    found = {name: one.grad for name, one in model.named_parameters() if one.grad is not None}
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        scale = gradient.abs().max().item()
        assert scale > 0, name
        assert (found[name] - gradient).abs().max().item() <= 1e-5 * scale, name


def test_adapters_get_the_gradients_that_plain_transformers_and_peft_give() -> None:
    assert_alike(with_adapters(new_model()), new_rows(7, 31, 2, 64, 19))


def test_so_does_every_weight_in_full_training() -> None:
    assert_alike(new_model(), new_rows(7, 31, 2, 64, 19))


def test_so_do_a_head_and_an_embedding_that_are_trained_whole() -> None:
    assert_alike(with_adapters(new_model(), whole=["embed_tokens", "lm_head"]), new_rows(7, 31))


def test_so_does_a_head_that_is_the_embedding() -> None:
    assert_alike(new_model(tie_word_embeddings=True), new_rows(9, 14))


def test_query_heads_may_share_key_heads() -> None:
    assert_alike(with_adapters(new_model(num_key_value_heads=2)), new_rows(12, 40, 5))


@pytest.mark.parametrize("lengths", [(20, 33, 6), (530, 12)], ids=["short", "long"])
@pytest.mark.parametrize("shared", [4, 2], ids=["own-keys", "shared-keys"])
def test_a_window_shorter_than_a_conversation_is_honoured(lengths: tuple[int, ...], shared: int) -> None:
    model = new_model(sliding_window=5, num_key_value_heads=shared, attn_implementation="eager")
    assert_alike(model, new_rows(*lengths))


def test_a_long_conversation_is_as_exact_as_a_short_one() -> None:
    assert_alike(with_adapters(new_model()), new_rows(700, 9, 513))


def test_what_stands_beside_a_conversation_changes_nothing_in_it() -> None:
    module = SupervisedLoss(new_model())
    one, other, third = new_rows(12, 30, 7)
    with torch.no_grad():
        alone = module(pack([one])).loss.item()
        together = module(pack([one, other])).loss.item() - module(pack([other])).loss.item()
        behind = module(pack([third, one])).loss.item() - module(pack([third])).loss.item()
    assert together == pytest.approx(alone, rel=1e-5)
    assert behind == pytest.approx(alone, rel=1e-5)


LONGROPE = {"rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0] * 4, "long_factor": [3.0] * 4}


def test_longrope_never_sees_both_sides_of_the_original_window_in_one_row() -> None:
    model = new_model(
        original_max_position_embeddings=16, rope_parameters={**LONGROPE, "original_max_position_embeddings": 16}
    )
    module, rows = SupervisedLoss(model), new_rows(10, 40, 12, 30, 5)
    assert module.apart == 16
    grouped = group([len(row) for row in rows], 1000, random.Random(0), apart=module.apart)
    found = [pack([rows[index] for index in indices]) for indices in grouped]
    assert sorted(batch.longest for batch in found) == [12, 40]
    packed = sum(module(batch).loss.item() for batch in found)
    model.set_attn_implementation("sdpa")
    assert packed == pytest.approx(separately(model, rows), rel=1e-5)


def test_rope_of_one_scale_keeps_nothing_apart() -> None:
    assert SupervisedLoss(new_model()).apart is None


def test_batches_are_full_where_conversations_permit() -> None:
    rng = random.Random(5)
    lengths = [rng.randrange(20, 500) for _ in range(500)]
    found = group(lengths, 2048, random.Random(0))
    assert sum(lengths) / (2048 * len(found)) > 0.98


def test_logits_in_chunks_give_the_loss_and_the_gradients_of_all_at_once() -> None:
    torch.manual_seed(0)
    head = torch.nn.Linear(16, VOCABULARY, bias=False)
    hidden, targets = torch.randn(23, 16, requires_grad=True), torch.randint(0, VOCABULARY, (23,))
    logits, weights = head(hidden), torch.rand(23)
    losses = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
    expected = (losses * weights).sum()
    gradients = torch.autograd.grad(expected, [hidden, head.weight])
    for chunk in (VOCABULARY, 5 * VOCABULARY, 1000 * VOCABULARY):
        loss, correct = head_loss(head, hidden, targets, weights, chunk_logits=chunk)
        assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
        assert correct.item() == pytest.approx(((logits.argmax(-1) == targets) * weights).sum().item(), rel=1e-6)
        for one, other in zip(torch.autograd.grad(loss, [hidden, head.weight]), gradients, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_losses_of_single_tokens_are_those_of_plain_torch_whatever_becomes_of_them() -> None:
    torch.manual_seed(0)
    head = torch.nn.Linear(16, VOCABULARY, bias=False)
    hidden, targets = torch.randn(23, 16, requires_grad=True), torch.randint(0, VOCABULARY, (23,))
    plain = torch.nn.functional.cross_entropy(head(hidden), targets, reduction="none")
    expected = torch.autograd.grad(plain.square().sum(), [hidden, head.weight])
    for chunk in (VOCABULARY, 1000 * VOCABULARY):
        single = token_losses(head, hidden, targets, chunk_logits=chunk)
        torch.testing.assert_close(single, plain)
        found = torch.autograd.grad(single.square().sum(), [hidden, head.weight])
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_a_conversation_counts_as_much_as_its_weight_says() -> None:
    module, (one, other) = SupervisedLoss(new_model()), new_rows(12, 30)
    heavy = module(pack([replace(one, weight=3.0), other]))
    first, second = module(pack([one])), module(pack([other]))
    assert heavy.loss.item() == pytest.approx(3 * first.loss.item() + second.loss.item(), rel=1e-5)
    assert heavy.count.item() == 3 * first.count.item() + second.count.item()
    assert module.count(replace(one, weight=3.0)) == 3 * first.count.item()


def test_a_head_with_adapters_of_its_own_is_scored_as_any_other() -> None:
    torch.manual_seed(1)
    adapters = LoraConfig(task_type="CAUSAL_LM", r=4, target_modules=["lm_head", "o_proj"], init_lora_weights=False)
    assert_alike(get_peft_model(new_model(), adapters), new_rows(9, 21))
