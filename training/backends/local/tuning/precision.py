"""In how many bits matrix products are made while a model is trained or measured as it is trained."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from training.hyperparameters import Precision, Recipe


def wants_half(recipe: Recipe) -> bool:
    """Whether matrix products are made in bfloat16: as the recipe says, by itself on a GPU."""
    if recipe.precision is Precision.AUTO:
        return bool(torch.cuda.is_available())
    return recipe.precision is Precision.BF16


def precision(recipe: Recipe, device: torch.device) -> AbstractContextManager[object]:
    """Around a forward pass; peft would compute adapters in 32 bits without it."""
    if not wants_half(recipe):
        return nullcontext()
    autocast: AbstractContextManager[object] = torch.autocast(device.type, dtype=torch.bfloat16)
    return autocast
