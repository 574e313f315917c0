"""The picture of an evaluation, with the words that stand in for it.

Owns what is drawn: shares with their intervals, and the losses beside each other. One measure a panel, a point and its
interval rather than a bar that hides it; told apart by place and words, never by colour alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curation.errors import Invalid
from curation.measures.plots import BLUE, GREEN, ORANGE, VERMILION, panels
from curation.wording import Phrase, phrase
from training.evaluation.breakdown import Share, cases_of, whole

_WIDTH = 7.5
_MODELS = (
    ("candidate", phrase("tuned"), BLUE),
    ("baseline", phrase("production"), ORANGE),
    ("base", phrase("base"), GREEN),
)


@dataclass(frozen=True, slots=True)
class Point:
    """One line of a panel: what it is called, where it lies, its interval if it has one, and the words for it."""

    label: str
    value: float
    colour: str
    told: Phrase
    interval: tuple[float, float] | None = None


def evaluation(report: Mapping[str, Any], path: Path, title: str) -> Phrase:
    """Draw an evaluation as a PNG: preferred, fixed and kept with their 95 % intervals, and the losses; its alt text.

    Args:
        report: as a database keeps it, of any version of Errata.
        path: of the PNG to write.
        title: what stands above the picture.

    Raises:
        Invalid: there is nothing to draw, or matplotlib is not installed.
    """
    drawn = [
        (points, label, share)
        for points, label, share in (
            (shares(report), "share, with 95 % interval", True),
            (labels(report), "share of labels that are right, with 95 % interval", True),
            (losses(report), "validation loss (nats per supervised token), less is better", False),
        )
        if points
    ]
    if not drawn:
        raise Invalid("This evaluation measured nothing that could be drawn.")
    heights = [len(points) + 1.6 for points, _, _ in drawn]
    with panels(path, heights, (_WIDTH, 0.6 + 0.38 * sum(heights))) as axes:
        for place, (points, label, share) in zip(axes, drawn, strict=True):
            _draw(place, points, label, share=share)
        axes[0].set_title(title)
    return phrase("{title}: {points:clauses}.", title=title, points=[one.told for made, _, _ in drawn for one in made])


def shares(report: Mapping[str, Any]) -> list[Point]:
    """Preferred before and after, fixed and kept, as far as there are cases."""
    found = whole(cases_of(report))
    before, after, fixed, kept = found.won_before, found.won_after, found.fixed, found.kept
    made = []
    if after.all:
        told = phrase("before, {some:,} of {all:,} corrected replies preferred", some=before.some, all=before.all)
        made.append(_share("preferred before", before, ORANGE, told))
        told = phrase("after, {some:,} of {all:,} corrected replies preferred", some=after.some, all=after.all)
        made.append(_share("preferred after", after, BLUE, told))
    if fixed.all:
        told = phrase("{done:,} of {all:,} corrections fixed", done=fixed.some, all=fixed.all)
        made.append(_share("fixed", fixed, VERMILION, told))
    if kept.all:
        told = phrase("{done:,} of {all:,} good replies kept that were right before", done=kept.some, all=kept.all)
        made.append(_share("kept", kept, GREEN, told))
    return made


def labels(report: Mapping[str, Any]) -> list[Point]:
    """How often the head is right, beside a plain classifier and the most frequent label."""
    measured = report.get("labels") or {}
    named = {
        "candidate": ("tuned", phrase("the tuned head"), BLUE),
        "yardstick": ("plain classifier", phrase("a plain classifier"), ORANGE),
        "majority": ("most frequent label", phrase("always the most frequent label"), GREEN),
    }
    made = []
    for name, (label, who, colour) in named.items():
        if figures := measured.get(name):
            right = Share(round(figures["accuracy"] * measured["rows"]), measured["rows"])
            told = phrase("{who}: {some:,} of {all:,} labels right", who=who, some=right.some, all=right.all)
            made.append(_share(label, right, colour, told))
    return made


def losses(report: Mapping[str, Any]) -> list[Point]:
    """What each model loses a token on the validation side, as far as their tokens are comparable."""
    made = []
    fits = report.get("validation") or {}
    for name, label, colour in _MODELS:
        fit = fits.get(name)
        if name == "base" and fit == fits.get("baseline"):  # production is the base: once is enough
            continue
        if fit and fit["comparable"] and math.isfinite(fit["perplexity"]) and fit["perplexity"] > 0:
            loss = math.log(fit["perplexity"])
            told = phrase("{model}: validation loss {loss:.2f} nats per token", model=label, loss=loss)
            made.append(Point(f"{label} {loss:.2f}", loss, colour, told))
    return made


def _share(label: str, share: Share, colour: str, told: Phrase) -> Point:
    low, high = share.interval
    told = phrase("{told} (95 % interval {low:.0%} to {high:.0%})", told=told, low=low, high=high)
    return Point(f"{label} {share.some:,}/{share.all:,}", share.share, colour, told, (low, high))


def _draw(axes: Any, points: Sequence[Point], label: str, *, share: bool) -> None:
    for place, point in enumerate(points):
        low, high = point.interval or (point.value, point.value)
        axes.errorbar(
            point.value,
            place,
            xerr=[[point.value - low], [high - point.value]],
            fmt="o" if share else "D",
            color=point.colour,
            capsize=5,
            markersize=8,
            clip_on=False,  # a loss of 0 stands on the edge
            zorder=3,
        )
    axes.set_yticks(range(len(points)), [point.label for point in points], parse_math=False)
    axes.set_ylim(len(points) - 0.5, -0.5)
    axes.set_xlabel(label)
    axes.grid(axis="x", alpha=0.3)
    if share:
        axes.set_xlim(-0.02, 1.02)
    else:
        axes.set_xlim(0, 1.1 * max(point.value for point in points) or 1)
