"""The files that somebody takes away from an evaluation: a page, pictures, the report itself.

Owns that each is written whole or not at all, and refused before anything is drawn where it cannot lie there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curation.errors import Invalid, Unavailable
from curation.formats.exports import write_atomically
from training.evaluation.tables import grouped
from training.summaries import RunSummary


@dataclass(frozen=True, slots=True)
class Handouts:
    """Where to write what; None for what nobody asked for.

    Attributes:
        markdown: the report as a page, with a link to the picture where that is written as well.
        plot: the picture of the evaluation, a PNG.
        curve: the loss curve, a PNG.
        report: the report as JSON.
    """

    markdown: Path | None = None
    plot: Path | None = None
    curve: Path | None = None
    report: Path | None = None


def as_json(run: RunSummary) -> dict[str, Any]:
    """The report of a run that was evaluated, with its groups, as ``--json`` prints it."""
    report = run.report or {}
    return {"run": run.id, "verdict": run.verdict, **report, "groups": [one.as_json() for one in grouped(report)]}


def write(run: RunSummary, handouts: Handouts) -> Iterator[str]:
    """Write them, and tell of each: of a picture its alt text, of a file where it is.

    Raises:
        Invalid: a folder does not exist, or there is nothing to draw; said before anything is written.
        Unavailable: a file cannot be written.
    """
    for path in (handouts.markdown, handouts.plot, handouts.curve, handouts.report):
        if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
            raise Invalid("{file} cannot be written: name a file in a folder that exists.", file=path)
    if handouts.curve is not None and not run.curve:
        raise Invalid("{run} has no loss curve: it took no step.", run=run.id)
    try:
        yield from _written(run, handouts)
    except OSError as error:
        raise Unavailable(
            "{file} cannot be written ({cause}); choose another place.", file=error.filename, cause=error.strerror
        ) from error


def _written(run: RunSummary, handouts: Handouts) -> Iterator[str]:
    alt_text = ""
    if handouts.curve is not None:
        from training.plots import loss_curve  # noqa: PLC0415 (matplotlib is only for those who draw)

        yield loss_curve(run.curve, handouts.curve, f"Loss of {run.id}")
    if handouts.plot is not None:
        from training.evaluation.pictures import evaluation  # noqa: PLC0415 (as above)

        alt_text = evaluation(run.report or {}, handouts.plot, f"Evaluation of {run.id}")
        yield alt_text
    if handouts.markdown is not None:
        from training.evaluation.markdown_report import page  # noqa: PLC0415 (few ask for it)

        picture = None
        if handouts.plot is not None:
            picture = Path(os.path.relpath(handouts.plot, handouts.markdown.absolute().parent)).as_posix()
        write_atomically(handouts.markdown, [page(run, picture=picture, alt_text=alt_text).encode()])
        yield f"The report is in {handouts.markdown}; it quotes customers."
    if handouts.report is not None:
        found = json.dumps(as_json(run), ensure_ascii=False, indent=2)
        write_atomically(handouts.report, [found.encode() + b"\n"])
        yield f"The report is in {handouts.report}; it quotes customers."
