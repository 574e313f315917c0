"""Backbone, head and loss as one module: what is optimised, and the only thing a parallel wrapper may wrap.

Owns the cross-entropy over supervised tokens. Calling the backbone past a parallel wrapper would skip
its gradient reduction without a word, so nobody else calls it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from training.backends.local.attention import PACKED
from training.backends.local.chat import Encoded
from training.backends.local.cross_entropy import head_loss
from training.backends.local.data import Batch, batches


class Scored(NamedTuple):
    """What one batch came to.

    Attributes:
        loss: sum of cross-entropies, in nats, a scalar.
        correct: supervised tokens that were the most probable ones, a scalar.
        count: supervised tokens, a scalar.
    """

    loss: torch.Tensor
    correct: torch.Tensor
    count: torch.Tensor


class Fit(NamedTuple):
    """How well a model predicts one side of a dataset.

    Attributes:
        loss: nats per supervised token.
        accuracy: share of supervised tokens that were the most probable ones, 0 to 1.
        tokens: supervised tokens.
    """

    loss: float
    accuracy: float
    tokens: int

    @property
    def perplexity(self) -> float:
        """exp(loss); infinite where that exceeds what a float can hold."""
        try:
            return math.exp(self.loss)
        except OverflowError:
            return math.inf


class SupervisedLoss(nn.Module):  # type: ignore[misc]  # torch publishes types that mypy is told to skip
    """A causal language model, with or without adapters, as a function from a batch to its loss."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        # From here on the model answers packed rows only: generation wants one that is loaded for it.
        self.core.set_attn_implementation(PACKED)

    @property
    def core(self) -> Any:
        """The causal language model itself, without what peft puts around it."""
        return self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model

    @property
    def apart(self) -> int | None:
        """Tokens above which a conversation shares no row with shorter ones: longrope scales a whole row at once."""
        rope = getattr(self.core.config, "rope_parameters", None) or {}
        if rope.get("rope_type") != "longrope":
            return None
        return int(rope["original_max_position_embeddings"])

    def forward(self, batch: Batch) -> Scored:
        """Sum over the batch's supervised tokens; only those go through the head.

        The head is the dearest layer of a small model and of a large vocabulary: scoring prompts and
        padding as well would cost more than all decoder layers together.
        """
        # The cache is for generation; with it the attention of packed rows would be wrong.
        hidden = self.core.base_model(
            input_ids=batch.ids,
            position_ids=batch.positions,
            use_cache=False,
            cu_seq_lens_q=batch.bounds,
            cu_seq_lens_k=batch.bounds,
            max_length_q=batch.longest,
            max_length_k=batch.longest,
        ).last_hidden_state[0]
        loss, correct = head_loss(self.core.get_output_embeddings(), hidden[batch.wanted], batch.targets)
        return Scored(loss, correct, torch.tensor(len(batch.targets), device=loss.device))


def measure(module: SupervisedLoss, rows: Sequence[Encoded], *, batch_tokens: int, device: torch.device) -> Fit:
    """How well the model predicts these rows, which must not be empty."""
    training = module.training
    module.eval()
    loss, correct, count = 0.0, 0, 0
    # The order does not change a sum; a fixed one makes it repeatable to the last bit.
    for batch in batches(rows, batch_tokens, random.Random(0), apart=module.apart):
        with torch.no_grad():
            scored = module(batch.to(device))
        loss += scored.loss.item()
        correct += int(scored.correct)
        count += int(scored.count)
    module.train(training)
    return Fit(loss / count, correct / count, count)
