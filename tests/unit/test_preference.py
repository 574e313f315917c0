"""Preference tuning gives the loss and the gradients of TRL's DPO, packed or not, and pairs are what they say."""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from transformers import Phi3Config, Phi3ForCausalLM

from training.backends.local.chat import Encoded
from training.backends.local.tuning.pairs import Pair
from training.backends.local.tuning.preference import PreferenceLoss, preference_losses
from training.backends.local.tuning.rehearsal import train_tokenizer
from training.hyperparameters import Preference

VOCABULARY = 300
BETA = 0.3

# peft 0.21 and trl 1.16 ask transformers 5.23 for them under their former names.
pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:.gradient_checkpointing. is deprecated:FutureWarning"),
]


def new_model(**changes: Any) -> Phi3ForCausalLM:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    tokens = {"vocab_size": VOCABULARY, "pad_token_id": 0, "eos_token_id": 0, "bos_token_id": 0}
    window = {"max_position_embeddings": 2048, "original_max_position_embeddings": 2048}
    return Phi3ForCausalLM(Phi3Config(**{**sizes, **tokens, **window, **changes}))


def with_adapters(model: Phi3ForCausalLM, *, dropout: float = 0.0) -> Any:
    torch.manual_seed(1)
    targets = ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]
    adapters = LoraConfig(
        task_type="CAUSAL_LM", r=4, lora_alpha=8, target_modules=targets, lora_dropout=dropout, init_lora_weights=False
    )
    return get_peft_model(model, adapters)


def new_pairs(*lengths: tuple[int, int, int]) -> list[Pair]:
    """Random pairs: tokens of the prompt, of the chosen reply, of the rejected one."""
    rng = random.Random(3)

    def drawn(count: int) -> list[int]:
        return [rng.randrange(5, VOCABULARY) for _ in range(count)]

    def replied(prompt: list[int], length: int) -> Encoded:
        return Encoded(prompt + drawn(length), [False] * len(prompt) + [True] * length)

    prompts = [(drawn(prompt), *replies) for prompt, *replies in lengths]
    return [Pair(replied(prompt, chosen), replied(prompt, rejected)) for prompt, chosen, rejected in prompts]


def moved(model: Any) -> None:
    """Away from where it started, as after some steps."""
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.3 * torch.randn_like(parameter))


def referenced(module: PreferenceLoss, pairs: Sequence[Pair]) -> list[Pair]:
    with torch.no_grad():
        scores = module.log_probabilities(module.pack(pairs)).tolist()
    return [Pair(pair.chosen, pair.rejected, tuple(score)) for pair, score in zip(pairs, scores, strict=True)]


def gradients(model: Any) -> dict[str, torch.Tensor]:
    return {name: one.grad for name, one in model.named_parameters() if one.requires_grad}


def assert_close(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], tolerance: float) -> None:
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        scale = gradient.abs().max().item()
        assert scale > 0, name
        assert (found[name] - gradient).abs().max().item() <= tolerance * scale, name


def trls(model: Any, folder: Path, **options: Any) -> Any:
    """TRL's own trainer of the model, which remembers the adapters as they are now."""
    from trl import DPOConfig, DPOTrainer  # noqa: PLC0415 - it takes seconds, and two tests of these need it

    arguments = DPOConfig(
        output_dir=str(folder),
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        report_to="none",
        disable_tqdm=True,
        beta=BETA,
        **options,
    )
    rows = Dataset.from_list([{"prompt": "Price?", "chosen": "9 euros.", "rejected": "None."}])
    tokenizer = train_tokenizer(["Hello there"], vocabulary=VOCABULARY, window=128)
    return DPOTrainer(model, args=arguments, train_dataset=rows, processing_class=tokenizer)


def as_trl_has_them(trainer: Any, pairs: Sequence[Pair]) -> Any:
    """The same tokens, padded side by side by TRL itself."""

    def parts(pair: Pair) -> dict[str, list[int]]:
        prompt = pair.chosen.supervised.index(True)
        return {
            "prompt_ids": pair.chosen.ids[:prompt],
            "chosen_ids": pair.chosen.ids[prompt:],
            "rejected_ids": pair.rejected.ids[prompt:],
        }

    return trainer.data_collator([parts(pair) for pair in pairs])


@pytest.mark.parametrize(
    ("replies", "options"),
    [
        (0.0, {"loss_type": ["sigmoid"]}),
        # TRL's mean is over the tokens of all chosen replies, ours over each reply's own: equal where lengths are.
        (0.7, {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, 0.7]}),
    ],
    ids=["preference-alone", "with-replies"],
)
def test_loss_and_gradients_are_those_of_trls_own_trainer(
    replies: float, options: dict[str, Any], tmp_path: Path
) -> None:
    pairs = new_pairs((7, 12, 5), (30, 12, 21), (3, 12, 12), (18, 12, 40))
    theirs = with_adapters(new_model())
    module = PreferenceLoss(copy.deepcopy(theirs), Preference(BETA, replies))
    pairs = referenced(module, pairs)
    trainer = trls(theirs, tmp_path, **options)
    moved(theirs)
    moved(module.model)
    expected = trainer.compute_loss(theirs, as_trl_has_them(trainer, pairs))
    expected.backward()
    scored = module(module.pack(pairs))
    (scored.loss / scored.count).backward()
    assert abs(scored.loss.item() / 4 - expected.item()) <= 1e-5 * expected.item()
    assert abs(expected.item() - math.log(2)) > 0.01  # they have moved far enough for the comparison to mean something
    assert int(scored.count) == 4
    assert int(scored.correct) == round(4 * trainer._metrics["train"]["rewards/accuracies"][0])
    assert_close(gradients(module.model), gradients(theirs), 1e-4)


def test_pairs_in_one_row_are_scored_as_each_by_itself() -> None:
    pairs = new_pairs((7, 12, 5), (30, 9, 21), (3, 600, 12), (18, 15, 40))
    packed = PreferenceLoss(with_adapters(new_model()), Preference(BETA, 0.5))
    alone = PreferenceLoss(copy.deepcopy(packed.model), Preference(BETA, 0.5))
    pairs = referenced(packed, pairs)
    for module in (packed, alone):
        moved(module.model)
    together = packed(packed.pack(pairs))
    together.loss.backward()
    losses = [alone(alone.pack([pair])) for pair in pairs]
    torch.stack([one.loss for one in losses]).sum().backward()
    assert together.loss.item() == pytest.approx(sum(one.loss.item() for one in losses), rel=1e-5)
    assert int(together.correct) == sum(int(one.correct) for one in losses)
    assert_close(gradients(packed.model), gradients(alone.model), 1e-5)


def test_two_equal_replies_cost_log_2_and_teach_nothing() -> None:
    (pair,) = new_pairs((9, 14, 3))
    module = PreferenceLoss(with_adapters(new_model()), Preference(BETA))
    (pair,) = referenced(module, [Pair(pair.chosen, pair.chosen)])
    moved(module.model)
    scored = module(module.pack([pair]))
    scored.loss.backward()
    assert scored.loss.item() == pytest.approx(math.log(2), abs=1e-6)
    assert max(one.abs().max().item() for one in gradients(module.model).values()) < 1e-6


def test_a_model_that_has_not_moved_loses_log_2_a_pair_whatever_it_thinks_of_them() -> None:
    module = PreferenceLoss(with_adapters(new_model(), dropout=0.4), Preference(BETA)).train()
    pairs = referenced(module, new_pairs((7, 12, 5), (30, 9, 21)))
    scored = module(module.pack(pairs))
    assert scored.loss.item() == pytest.approx(2 * math.log(2), abs=1e-5)


def test_the_gradient_is_that_of_finite_differences() -> None:
    torch.manual_seed(0)
    scores = torch.randn(5, 2, dtype=torch.float64, requires_grad=True)
    reference = torch.randn(5, 2, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda one: preference_losses(one, reference, beta=BETA)[0], [scores])


def test_a_long_and_a_short_reply_under_longrope_share_no_row() -> None:
    rope = {"rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0] * 4, "long_factor": [3.0] * 4}
    model = new_model(
        original_max_position_embeddings=16, rope_parameters={**rope, "original_max_position_embeddings": 16}
    )
    pairs = new_pairs((5, 20, 4), (6, 3, 30), (4, 5, 6), (10, 30, 25))
    module = PreferenceLoss(copy.deepcopy(model), Preference(BETA))
    batch = module.pack(pairs)
    assert [part.longest for part in batch.parts] == [10, 40]
    with torch.no_grad():
        found = module.log_probabilities(batch)
        for row, pair in zip(found.tolist(), pairs, strict=True):
            for score, one in zip(row, (pair.chosen, pair.rejected), strict=True):
                ids, wanted = torch.tensor([one.ids]), torch.tensor([one.supervised])
                loss = model(input_ids=ids, labels=torch.where(wanted, ids, -100)).loss
                assert score == pytest.approx(-loss.item() * int(wanted.sum()), rel=1e-5)
