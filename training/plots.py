"""Pictures of a run, each with the words that stand in for it.

Owns the drawing; colours and figure are those of every other picture (``curation.measures.plots``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from curation.measures.plots import BLUE, GREEN, ORANGE, VERMILION, figure
from curation.wording import Phrase, phrase
from training.backends.base import CurvePoint


def loss_curve(points: Sequence[CurvePoint], path: Path, title: str) -> Phrase:
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


def loss_curves(curves: Mapping[str, Sequence[CurvePoint]], path: Path, title: str) -> Phrase:
    """Draw the losses of several runs over their steps as one PNG; returns its alt text.

    Args:
        curves: by the run's name, at most as many as there are colours; each at least one point, oldest first.
        path: of the PNG to write.
        title: what stands above the curves.

    Raises:
        Invalid: matplotlib is not installed.
    """
    with figure(path) as axes:
        for (name, points), colour in zip(curves.items(), (BLUE, VERMILION, GREEN, ORANGE), strict=False):
            axes.plot([one.step for one in points], [one.loss for one in points], color=colour, label=name)
            measured = [(one.step, one.validation_loss) for one in points if one.validation_loss is not None]
            if measured:
                steps, losses = zip(*measured, strict=True)
                axes.plot(steps, losses, color=colour, marker="o", linestyle="--", label=f"{name}, validation")
        axes.set(title=title, xlabel="optimiser steps", ylabel="loss (nats per supervised token)")
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.legend()
    told = [
        _alt_text(points, [(one.step, one.validation_loss) for one in points if one.validation_loss is not None], name)
        for name, points in curves.items()
    ]
    return phrase("{curves:sentences}", curves=told)


def _alt_text(points: Sequence[CurvePoint], measured: Sequence[tuple[int, float]], title: str) -> Phrase:
    first, last = points[0], points[-1]
    return phrase(
        "{title}: training loss from {first:.2f} at step {first_step} to {last:.2f} at step {last_step}, validation "
        "loss from {validated_first:.2f} to {validated_last:.2f} (nats per supervised token)."
        if measured
        else "{title}: training loss from {first:.2f} at step {first_step} to {last:.2f} at step {last_step} (nats per "
        "supervised token).",
        title=title,
        first=first.loss,
        first_step=first.step,
        last=last.loss,
        last_step=last.step,
        validated_first=measured[0][1] if measured else None,
        validated_last=measured[-1][1] if measured else None,
    )
