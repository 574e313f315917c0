"""Pictures of a run, each with the words that stand in for it.

Owns the drawing. matplotlib is imported only when something is drawn, because the bot imports this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from training.backends.base import CurvePoint

# Told apart in grey and by people who see red and green alike: Okabe and Ito 2008, blue and vermilion.
_TRAINING, _VALIDATION = "#0072B2", "#D55E00"


def loss_curve(points: Sequence[CurvePoint], path: Path, title: str) -> str:
    """Draw training and validation loss over the steps as a PNG; returns its alt text.

    Args:
        points: at least one, oldest first.
        path: of the PNG to write.
        title: what stands above the curve.
    """
    # The object interface: pyplot keeps every figure alive and looks for a display.
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - costs the bot 0.5 s
    from matplotlib.figure import Figure  # noqa: PLC0415

    measured = [(point.step, point.validation_loss) for point in points if point.validation_loss is not None]
    figure = Figure(figsize=(7, 4), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot([point.step for point in points], [point.loss for point in points], color=_TRAINING, label="training")
    if measured:
        steps, losses = zip(*measured, strict=True)
        axes.plot(steps, losses, color=_VALIDATION, marker="o", linestyle="--", label="validation")
    axes.set(title=title, xlabel="optimiser steps", ylabel="loss (nats per supervised token)")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, format="png")
    return _alt_text(points, measured, title)


def _alt_text(points: Sequence[CurvePoint], measured: Sequence[tuple[int, float]], title: str) -> str:
    first, last = points[0], points[-1]
    words = f"{title}: training loss from {first.loss:.2f} at step {first.step} to {last.loss:.2f} at step {last.step}"
    if measured:
        words += f", validation loss from {measured[0][1]:.2f} to {measured[-1][1]:.2f}"
    return f"{words} (nats per supervised token)."
