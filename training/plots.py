"""Pictures of a run, each with the words that stand in for it.

Owns the drawing; colours and figure are those of every other picture (``curation.measures.plots``).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from curation.measures.plots import BLUE, VERMILION, figure
from training.backends.base import CurvePoint


def loss_curve(points: Sequence[CurvePoint], path: Path, title: str) -> str:
    """Draw training and validation loss over the steps as a PNG; returns its alt text.

    Args:
        points: at least one, oldest first.
        path: of the PNG to write.
        title: what stands above the curve.

    Raises:
        Invalid: matplotlib is not installed.
    """
    measured = [(point.step, point.validation_loss) for point in points if point.validation_loss is not None]
    with figure(path) as axes:
        axes.plot([point.step for point in points], [point.loss for point in points], color=BLUE, label="training")
        if measured:
            steps, losses = zip(*measured, strict=True)
            axes.plot(steps, losses, color=VERMILION, marker="o", linestyle="--", label="validation")
        axes.set(title=title, xlabel="optimiser steps", ylabel="loss (nats per supervised token)")
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.legend()
    return _alt_text(points, measured, title)


def _alt_text(points: Sequence[CurvePoint], measured: Sequence[tuple[int, float]], title: str) -> str:
    first, last = points[0], points[-1]
    words = f"{title}: training loss from {first.loss:.2f} at step {first.step} to {last.loss:.2f} at step {last.step}"
    if measured:
        words += f", validation loss from {measured[0][1]:.2f} to {measured[-1][1]:.2f}"
    return f"{words} (nats per supervised token)."
