"""Objective: backbone, head and loss as one module: what is optimised, and the only thing a parallel wrapper may wrap.

Owns the way from packed rows to hidden states. Calling the backbone past a parallel wrapper would skip its gradient
reduction without a word, so nobody else calls it. What is made of the states is each objective's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from training.backends.local.tuning.attention import PACKED
from training.backends.local.tuning.data import Batch


class Scored(NamedTuple):
    """What one batch came to; the sum over batches divided by the sum of counts is a mean.

    Attributes:
        loss: sum of the losses, each times its weight, in nats, a scalar.
        correct: sum of the weights of what was predicted right, a scalar.
        count: sum of the weights, a scalar.
    """

    loss: torch.Tensor
    correct: torch.Tensor
    count: torch.Tensor


class Objective(nn.Module):  # type: ignore[misc]  # torch publishes types that mypy is told to skip
    """A causal language model, with or without adapters, as a function from a batch to its loss.

    Attributes:
        scale: how many times as steep its loss is as the cross-entropy of a token: what is a rise, is one times this.
    """

    scale: float = 1.0

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

    def hidden(self, batch: Batch) -> torch.Tensor:
        """The states after the last layer, ``(tokens, width)``."""
        # The cache is for generation; with it the attention of packed rows would be wrong.
        states: torch.Tensor = self.core.base_model(
            input_ids=batch.ids,
            position_ids=batch.positions,
            use_cache=False,
            cu_seq_lens_q=batch.bounds,
            cu_seq_lens_k=batch.bounds,
            max_length_q=batch.longest,
            max_length_k=batch.longest,
        ).last_hidden_state[0]
        return states

    def pack(self, rows: Sequence[Any]) -> Any:
        """Rows of this objective as one batch, of the kind that ``forward`` takes; it has a method ``to``."""
        raise NotImplementedError

    def count(self, row: Any) -> float:
        """How much the row adds to a batch's ``count``, known before anything is computed."""
        raise NotImplementedError

    def forward(self, batch: Any) -> Scored:
        """The batch's loss."""
        raise NotImplementedError

    def export(self, directory: Path, weights: Mapping[str, torch.Tensor]) -> None:
        """Write what the objective has beside the model, such as a head of its own, into a job's folder.

        Args:
            directory: of the job.
            weights: all that were trained, whole, by their names in this module.
        """
