"""Runs beside each other: what they were made of where it differs, and what came of each.

Owns which figures stand in a comparison and how they are written. Refuses to rank: what is better is the evaluation's
to say, and runs on different data are not told apart by their losses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import Session

from curation.errors import Invalid
from training import runs
from training.commands.reports import GIGABYTE, duration
from training.store.tables import Run
from training.summaries import RunSummary, of_run

FEWEST, MOST = 2, 4
DIGEST_SHOWN = 12

Row = tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class Compared:
    """One run of a comparison.

    Attributes:
        made_of: ``{"dataset": "v1 (1a2b3c…)", "base": …, "lora.rank": 16, …}``, the recipe's tables flattened.
        figures: what came of it, by name; None where it is not known.
    """

    summary: RunSummary
    made_of: Mapping[str, Any]
    figures: Mapping[str, float | None]

    def as_json(self) -> dict[str, Any]:
        """As ``--json`` prints it: whole, for whoever compares otherwise."""
        return {
            "run": self.summary.id,
            "status": self.summary.status,
            "verdict": self.summary.verdict,
            "made_of": dict(self.made_of),
            "figures": dict(self.figures),
        }


def compared(session: Session, names: Sequence[str]) -> list[Compared]:
    """The runs of these ids, or of ids that begin so, in this order.

    Raises:
        NotFound, Invalid: no such run; fewer than two, more than four, or one of them twice.
    """
    found = [runs.find(session, name) for name in names]
    if not FEWEST <= len({run.id for run in found}) == len(found) <= MOST:
        raise Invalid("Name {fewest} to {most} different runs to compare.", fewest=FEWEST, most=MOST)
    return [_compared(session, run) for run in found]


def made_of(found: Sequence[Compared]) -> list[Row]:
    """A row for everything in which the runs differ: its name, then each run's."""
    names = dict.fromkeys(name for one in found for name in one.made_of)
    rows = [(name, *(_plain(one.made_of.get(name)) for one in found)) for name in names]
    return [row for row in rows if len(set(row[1:])) > 1]


def figures(found: Sequence[Compared]) -> list[Row]:
    """A row for every figure that any of the runs has: what it is called, then each run's."""
    rows: list[Row] = [
        ("status", *(one.summary.status for one in found)),
        ("verdict", *(one.summary.verdict for one in found)),
    ]
    for name, (label, written) in _FIGURES.items():
        values = [one.figures[name] for one in found]
        rows.append((label, *(None if value is None else written(value) for value in values)))
    return [row for row in rows if any(cell is not None for cell in row[1:])]


def _compared(session: Session, run: Run) -> Compared:
    version, summary = runs.dataset_of(session, run), of_run(session, run)
    recipe = _flat(runs.recipe_of(run).as_json())
    made = {
        "dataset": f"{version.name} ({version.digest[:DIGEST_SHOWN]})",
        "model": run.model,
        "base": run.base_run_id or run.base or "built on the spot",
        "backend": run.backend,
        "recipe": run.recipe_name,
    }
    return Compared(summary, made | recipe, _came_to(summary))


def _came_to(summary: RunSummary) -> dict[str, float | None]:
    report = summary.report or {}
    scores, fits, labels = report.get("scores", {}), report.get("validation", {}), report.get("labels", {})
    margins = [case["margins"]["after"] for case in report.get("cases", ()) if case.get("margins")]
    return {
        "steps": summary.step or None,
        "loss": summary.curve[-1].loss if summary.curve else None,
        "validation_loss": summary.validation_loss,
        "tokens_per_second": summary.tokens_per_second,
        "memory_bytes": summary.memory_bytes,
        "seconds": _seconds(summary),
        "validation_perplexity": fits.get("candidate", {}).get("perplexity"),
        "fixed": _share(scores.get("fixed"), scores.get("corrections")),
        "kept": _share(scores.get("kept"), scores.get("endorsements")),
        "win_rate": _share(sum(margin > 0 for margin in margins), len(margins)),
        "accuracy": labels.get("candidate", {}).get("accuracy"),
        "macro_f1": labels.get("candidate", {}).get("macro_f1"),
    }


_FIGURES: dict[str, tuple[str, Callable[[float], str]]] = {
    "steps": ("steps", "{:,.0f}".format),
    "loss": ("training loss, last", "{:.3f}".format),
    "validation_loss": ("validation loss, last", "{:.3f}".format),
    "tokens_per_second": ("tokens per second", "{:,.0f}".format),
    "memory_bytes": ("memory, at most", lambda number: f"{number / GIGABYTE:.1f} GB"),
    "seconds": ("from start to end", duration),
    "validation_perplexity": ("validation perplexity", "{:,.2f}".format),
    "fixed": ("corrections fixed", "{:.0%}".format),
    "kept": ("good replies kept", "{:.0%}".format),
    "win_rate": ("corrected reply preferred", "{:.0%}".format),
    "accuracy": ("label accuracy", "{:.3f}".format),
    "macro_f1": ("label macro-F1", "{:.3f}".format),
}


def _seconds(summary: RunSummary) -> float | None:
    """From the first start to the last end; how long a run lay still before it was resumed is part of it."""
    if summary.started_at is None or summary.ended_at is None:
        return None
    ended, started = (datetime.fromisoformat(moment) for moment in (summary.ended_at, summary.started_at))
    return (ended - started).total_seconds()


def _share(part: int | None, whole: int | None) -> float | None:
    return part / whole if part is not None and whole else None


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """``{"lora": {"rank": 16}}`` → ``{"lora.rank": 16}``."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def _plain(value: Any) -> str | None:
    """Lists as words; what a run's recipe does not say stays empty."""
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return None if value is None else str(value)
