"""Pictures of a run, each with the words that stand in for it.

Owns the drawing; colours and figure are those of every other picture (``curation.measures.plots``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from curation.measures.plots import BLUE, GREEN, VERMILION, figure
from curation.wording import Phrase, phrase
from training.backends.base import CurvePoint
from training.evaluations import wilson_interval


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


def score_bars(scores: Mapping[str, int], path: Path, title: str) -> Phrase:
    """Draw the shares of corrections fixed and endorsements kept, each with its 95 % interval, as a PNG; its alt text.

    Args:
        scores: the counts of ``training.evaluations.Scores``.
        path: of the PNG to write.
        title: what stands above the bars.

    Raises:
        Invalid: matplotlib is not installed.
    """
    counted = [
        (label, scores[done], scores[of])
        for label, done, of in (("fixed", "fixed", "corrections"), ("kept", "kept", "endorsements"))
        if scores[of]
    ]
    shares = [done / of for _, done, of in counted]
    bounds = [wilson_interval(done, of) for _, done, of in counted]
    errors = [
        [share - low for share, (low, _) in zip(shares, bounds, strict=True)],
        [high - share for share, (_, high) in zip(shares, bounds, strict=True)],
    ]
    with figure(path, (6, 1.6 + 0.6 * len(counted))) as axes:
        labels = [f"{label} {done:,}/{of:,}" for label, done, of in counted]
        axes.barh(labels, shares, xerr=errors, capsize=5, color=[BLUE, GREEN][: len(counted)])
        axes.set_xlim(0, 1)
        axes.set(title=title, xlabel="share of replies, with 95 % interval")
        axes.grid(axis="x", alpha=0.3)
    told = [
        phrase(
            "{done:,} of {all:,} corrections fixed (95 % interval {low:.0%} to {high:.0%})"
            if label == "fixed"
            else "{done:,} of {all:,} endorsements kept (95 % interval {low:.0%} to {high:.0%})",
            done=done,
            all=of,
            low=low,
            high=high,
        )
        for (label, done, of), (low, high) in zip(counted, bounds, strict=True)
    ]
    return phrase("{title}: {scores}.", title=title, scores=told)


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
