"""Pace: how long a training takes, by arithmetic.

Owns the operations that a token costs and what a device is assumed to manage. Refuses to call an assumption a
measurement: earlier runs from the same base are measured by ``training.planning.plans``, and go before this.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from training.hyperparameters import Method, Objective, Recipe
from training.planning.memory import Rows
from training.planning.shapes import Shape

SHARE_OF_PEAK = 0.35
"""Of its peak that a GPU is assumed to reach in training; good trainers measure 0.4 to 0.6 on large models."""

CORE_FLOPS = 30e9
"""Operations that one core of a CPU is assumed to manage in a second, in 32 bits."""


@dataclass(frozen=True, slots=True)
class DataSheet:
    """What NVIDIA says of a GPU.

    Attributes:
        flops: dense bfloat16 operations in a second.
        gigabytes: of its memory.
    """

    flops: float
    gigabytes: int


DATA_SHEETS = {
    "B200": DataSheet(2250e12, 180),
    "H200": DataSheet(989e12, 141),
    "H100 PCIe": DataSheet(756e12, 80),
    "H100": DataSheet(989e12, 80),
    "A100": DataSheet(312e12, 80),
    "L40S": DataSheet(362e12, 48),
    "L40": DataSheet(181e12, 48),
    "L4": DataSheet(121e12, 24),
    "A40": DataSheet(150e12, 48),
    "A10G": DataSheet(70e12, 24),
    "A10": DataSheet(125e12, 24),
    "RTX 6000 Ada": DataSheet(364e12, 48),
    "RTX A6000": DataSheet(155e12, 48),
    "RTX 5090": DataSheet(210e12, 32),
    "RTX 4090": DataSheet(165e12, 24),
    "RTX 4080": DataSheet(97e12, 16),
    "RTX 3090": DataSheet(71e12, 24),
}
"""By the words in a GPU's name; the first that it contains count."""


@dataclass(frozen=True, slots=True)
class Pace:
    """What a device is assumed to manage.

    Attributes:
        flops: operations in a second, of all processes together.
        basis: what that is assumed from, for people.
    """

    flops: float
    basis: str


def flops_per_token(shape: Shape, recipe: Recipe, rows: Rows) -> float:
    """Operations for each token of the training side, trained on once.

    Each weight multiplies a token once forward and once for the gradient of its input, two operations each; a third
    time where the weight itself is trained. Only supervised tokens go through the head. Checkpointed layers go forward
    twice. Attention between tokens of one conversation comes on top (Kaplan et al. 2020,
    https://arxiv.org/abs/2001.08361, section 2.1): little, while conversations are short.
    """
    full = recipe.method is Method.FULL
    again = 2 if recipe.gradient_checkpointing else 0
    body = (6 if full else 4) + again
    head_trained = full or (recipe.lora is not None and "lm_head" in recipe.lora.modules_to_save)
    head = 0 if recipe.objective is Objective.LABELS else 6 if head_trained else 4
    mean = rows.tokens / max(1, rows.count)
    # Scores and mixing: 2 operations each over half of the earlier tokens forward, and twice that backward.
    between = (6 + again) * shape.layers * shape.queries * mean
    once = body * shape.linear + head * rows.supervised * shape.embedding + between
    if recipe.objective is Objective.PREFERENCES:
        return 2 * once  # two replies to one prompt; what the base thinks of them is asked only once
    return once


def of_gpu(name: str, count: int = 1) -> Pace | None:
    """What so many GPUs of this name are assumed to manage; None for one whose data sheet is not known here."""
    sheet = next((sheet for known, sheet in DATA_SHEETS.items() if re.search(rf"\b{known}\b", name)), None)
    if sheet is None:
        return None
    peak = sheet.flops
    return Pace(
        SHARE_OF_PEAK * peak * count,
        f"assuming {SHARE_OF_PEAK:.0%} of the {peak / 1e12:.0f} TFLOP/s on the data sheet of {name}",
    )


def of_cores(cores: int) -> Pace:
    """What so many cores of a CPU are assumed to manage."""
    return Pace(CORE_FLOPS * cores, f"assuming {CORE_FLOPS / 1e9:.0f} GFLOP/s for each of {cores} cores")


def seconds(shape: Shape, recipe: Recipe, rows: Rows, pace: Pace) -> float:
    """How long all epochs take; stopping early is not counted on, nor are validations."""
    return rows.tokens * recipe.epochs * flops_per_token(shape, recipe, rows) / pace.flops
