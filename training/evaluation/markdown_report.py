"""An evaluation as a page of Markdown, to keep beside a model or to put into a change's description.

Owns the page. It quotes customers and colleagues: it is for the eyes that may see the dataset.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from curation.terminal import excerpt, plain
from training.evaluation.evaluations import Case, Outcome
from training.evaluation.tables import CELL, question, tables
from training.summaries import RunSummary

_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~$&])")
_FIRST = (Outcome.LOST, Outcome.NOT_FIXED, Outcome.FIXED)


def page(run: RunSummary, *, picture: str | None = None, alt_text: str = "") -> str:
    """The report of a run that was evaluated, as Markdown.

    Args:
        picture: where the picture lies, as seen from the page; None for a page without.
        alt_text: the words for those who cannot see it.
    """
    report, asked_at = run.report or {}, run.requested_at[:16].replace("T", " ")
    parts = [
        f"# Evaluation of {run.id}",
        f"**{escaped(str(report.get('sentence', '')))}**",
        escaped(f"{run.model} on {run.dataset}, recipe {run.recipe}, asked for by {run.requested_by} at {asked_at}."),
    ]
    if picture is not None:
        parts.append(f"![{escaped(alt_text)}]({picture})")
    reasons = report.get("decision", {}).get("reasons", [])
    if reasons:
        parts += ["## What the verdict rests on", "\n".join(f"- {escaped(reason)}" for reason in reasons)]
    parts.append("## Figures")
    parts += [table(one.headings, one.rows) for one in tables(report)]
    cases = report.get("cases", [])
    if cases:
        parts += ["## Cases", "Lost first, then what was not fixed.", table(_CASE, list(_case_rows(cases)))]
    parts.append("Shares are given with 95 % intervals after Wilson.")
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """On one line, with nothing that Markdown would read as more than text."""
    return _SPECIAL.sub(r"\\\1", plain(" ".join(text.split())))


_CASE = ("Case", "Kind", "Side", "Outcome", "Question", "Wanted", "Before", "After")


def _case_rows(cases: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    outcomes = [(case, Case.from_json(case).outcome) for case in cases]
    rank = {outcome: place for place, outcome in enumerate(_FIRST)}
    for case, outcome in sorted(outcomes, key=lambda one: rank.get(one[1], len(rank))):
        quoted = (question(case), case["expected"], case["before"], case["after"])
        yield (
            str(case["id"]),
            case["kind"],
            case.get("side", ""),
            outcome.value,
            *(excerpt(text, CELL) for text in quoted),
        )


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown; what stands in its cells is text and nothing more."""
    lines = [[escaped(cell) for cell in line] for line in (headings, *rows)]
    lines.insert(1, ["---"] * len(headings))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
