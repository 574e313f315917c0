"""What a provider says of a model that only it can measure, put into the report of an evaluation.

Owns the label: a figure that nobody here has measured is never shown as if somebody had, nor compared with one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from training.evaluation.measured import PROVIDER

_VALIDATION_LOSS = 2  # of a curve's point, as a run's progress keeps it: step, loss, validation loss, …


def with_provider_fit(measured: Mapping[str, Any], curve: Sequence[Sequence[float | None]]) -> dict[str, Any]:
    """The report with the perplexity at the end of the provider's curve; as it is where there is none, or its own.

    Args:
        measured: of ``report.json``.
        curve: of the run's progress, oldest point first.
    """
    loss = curve[-1][_VALIDATION_LOSS] if curve else None
    if measured.get("validation") or measured.get("compared_with") is None or loss is None or not math.isfinite(loss):
        return dict(measured)
    fit = {
        "perplexity": math.exp(min(loss, 700.0)),  # the largest exponent that a float has room for
        "token_accuracy": None,
        "supervised_tokens": None,
        "comparable": False,
        "source": PROVIDER,
    }
    return {**measured, "validation": {"candidate": fit}}
