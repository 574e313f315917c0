"""Cross-entropy of replies: the objective of supervised tuning, and how well a model predicts what it never learned.

Owns that only supervised tokens go through the head, each with the weight of its conversation.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from training.backends.local.chat import Encoded
from training.backends.local.tuning.cross_entropy import head_loss
from training.backends.local.tuning.data import Batch, group, pack
from training.backends.local.tuning.objective import Objective, Scored
from training.backends.local.tuning.parallel import ALONE, Ranks


class Fit(NamedTuple):
    """How well a model predicts one side of a dataset.

    Attributes:
        loss: nats per supervised token.
        accuracy: share of supervised tokens that were the most probable ones, 0 to 1.
        tokens: supervised tokens, each as often as its weight says.
    """

    loss: float
    accuracy: float
    tokens: float

    @property
    def perplexity(self) -> float:
        """exp(loss); infinite where that exceeds what a float can hold."""
        try:
            return math.exp(self.loss)
        except OverflowError:
            return math.inf


class SupervisedLoss(Objective):
    """Sum over a batch's supervised tokens; only those go through the head.

    The head is the dearest layer of a small model and of a large vocabulary: scoring prompts as well would cost more
    than all decoder layers together.
    """

    def pack(self, rows: Sequence[Encoded]) -> Batch:
        """Conversations one behind the other."""
        return pack(rows)

    def count(self, row: Encoded) -> float:
        """Its supervised tokens, times its weight."""
        return row.weight * row.targets

    def forward(self, batch: Batch) -> Scored:
        """The batch's cross-entropy."""
        states = self.hidden(batch)[batch.wanted]
        loss, correct = head_loss(self.core.get_output_embeddings(), states, batch.targets, batch.weights)
        return Scored(loss, correct, batch.weights.sum())


def measure(
    objective: Objective,
    rows: Sequence[Any],
    *,
    batch_tokens: int,
    device: torch.device,
    ranks: Ranks = ALONE,
    call: Any = None,
) -> Fit:
    """How well the model predicts these rows, which must not be empty.

    Args:
        objective: of the rows.
        rows: as it packs them.
        batch_tokens: most tokens at a time.
        device: where the model is.
        ranks: the processes that share the work.
        call: what to call with a batch, where a parallel wrapper stands in for the objective.
    """
    call = call or objective
    training = objective.training
    call.eval()
    # The order does not change a sum; a fixed one makes it repeatable to the last bit.
    batches = group([len(row) for row in rows], batch_tokens, random.Random(0), apart=objective.apart)
    sums = [0.0, 0.0, 0.0]
    for indices, counts in ranks.share(batches):
        with torch.no_grad():
            scored = call(objective.pack([rows[index] for index in indices]).to(device))
        if counts:
            sums = [total + one.item() for total, one in zip(sums, scored, strict=True)]
    loss, correct, count = ranks.total(sums)
    call.train(training)
    return Fit(loss / count, correct / count, count)
