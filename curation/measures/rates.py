"""The picture of a digest: how many replies of each model version were flagged, week by week."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from curation.measures.plots import BLUE, GREEN, ORANGE, VERMILION, figure
from curation.replies import VersionFigures
from curation.weeks import Week
from curation.wording import Phrase, phrase

_COLOURS = (BLUE, VERMILION, GREEN, ORANGE)
_MARKS = "osD^vP*X"
MOST_VERSIONS = 8


def flag_rates(history: Mapping[str, Sequence[tuple[Week, VersionFigures]]], path: Path, title: str) -> Phrase:
    """Draw the flagged replies per hundred of each version over the weeks as a PNG; returns its alt text.

    Args:
        history: by what the versions are called, oldest first; those that spoke last are drawn where there are many.
        path: of the PNG to write.
        title: what stands above it.

    Raises:
        Invalid: matplotlib is not installed.
    """
    drawn = list(history.items())[-MOST_VERSIONS:]
    weeks = sorted({week for _, points in drawn for week, _ in points})
    with figure(path) as axes:
        for place, (version, points) in enumerate(drawn):
            axes.plot(
                [weeks.index(week) for week, _ in points],
                [100 * figures.flag_rate for _, figures in points],
                color=_COLOURS[place % len(_COLOURS)],
                marker=_MARKS[place % len(_MARKS)],
                label=version,
            )
        axes.set_xticks(range(len(weeks)), [week.name for week in weeks], rotation=30, ha="right")
        axes.set(title=title, ylabel="flagged replies per hundred")
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.legend()
    versions = [_told(version, points) for version, points in drawn]
    return phrase("Flagged replies per hundred by week and model version. {versions}.", versions=versions)


def _told(version: str, points: Sequence[tuple[Week, VersionFigures]]) -> Phrase:
    (first, early), (last, late) = points[0], points[-1]
    if first == last:
        return phrase("{version}: {rate:.1f} in {week}", version=version, rate=100 * late.flag_rate, week=last.name)
    return phrase(
        "{version}: {before:.1f} in {first}, {rate:.1f} in {week}",
        version=version,
        before=100 * early.flag_rate,
        first=first.name,
        rate=100 * late.flag_rate,
        week=last.name,
    )
