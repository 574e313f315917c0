"""The optimiser of a training and the schedule of its learning rate.

AdamW: Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from training.hyperparameters import Recipe, Schedule

# Short runs of small batches: 0.999 would average over more steps than some of them have.
_BETAS = (0.9, 0.95)
# A schedule ends at a tenth of the peak, so that the last epochs still learn.
_FLOOR = 0.1
_MATRIX = 2


def adamw(parameters: Sequence[torch.nn.Parameter], recipe: Recipe, *, fused: bool) -> torch.optim.Optimizer:
    """AdamW over weights that are trained; only matrices decay."""
    # Norms and other vectors are scales, not weights: pulling them to zero only hurts.
    groups = [
        {"params": [one for one in parameters if one.ndim >= _MATRIX], "weight_decay": recipe.weight_decay},
        {"params": [one for one in parameters if one.ndim < _MATRIX], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [one for one in groups if one["params"]], lr=recipe.learning_rate, betas=_BETAS, fused=fused
    )


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """Of the step after ``step`` of ``steps``: a line up to the peak, then what the schedule says."""
    warmup = round(steps * recipe.warmup_share)
    if step < warmup:
        return recipe.learning_rate * (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    left = {
        Schedule.COSINE: (1 + math.cos(math.pi * done)) / 2,
        Schedule.LINEAR: 1 - done,
        Schedule.CONSTANT: 1.0,
    }[recipe.schedule]
    return recipe.learning_rate * (_FLOOR + (1 - _FLOOR) * left)
