"""``errata dataset lineage``: a row's way from a message to the runs that learned from it.

Lives here because only training knows the runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from curation.errors import NotFound
from curation.terminal import AsJson, at, excerpt

if TYPE_CHECKING:
    from curation.terminal import Terminal

_CELL = 50


def mount(dataset_commands: typer.Typer) -> None:
    """Add the command to those of ``errata dataset``."""
    dataset_commands.command(epilog="Example: errata dataset lineage v1 --example 12")(lineage)


def lineage(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A dataset's name, or how its digest begins.")],
    row: Annotated[int | None, typer.Option("--row", metavar="N", help="Only the row at this place, from 1.")] = None,
    example: Annotated[int | None, typer.Option("--example", metavar="ID", help="Only this example.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show where each row came from (message, authors, reviewers) and to which runs it went."""
    from curation.datasets import dataset  # noqa: PLC0415 (the tables load only where they are needed)
    from curation.datasets import lineage as origins  # noqa: PLC0415
    from training import lineage as onward  # noqa: PLC0415

    terminal = at(ctx)
    with terminal.store.read() as session:
        version = dataset.find(session, name)
        rows = onward.with_runs(origins.rows(session, version, terminal.link_of), onward.runs_of(session, version))
    for key, wanted in (("row", row), ("example", example)):
        if wanted is not None:
            rows = [one for one in rows if one[key] == wanted]
            if not rows:
                raise NotFound(
                    "{name} has no {key} {wanted}; errata dataset lineage {name} shows its rows.",
                    name=name,
                    key=key,
                    wanted=wanted,
                )
    if as_json:
        terminal.give(rows)
    elif row is None and example is None:
        _show_all(terminal, rows)
    else:
        _show_one(terminal, rows[0])


def _show_all(terminal: Terminal, rows: list[dict[str, Any]]) -> None:
    terminal.table(
        ["Row", "Example", "Side", "Kind", "Source", "By", "Approved by", "Question"],
        [
            (
                one["row"],
                one["example"],
                one["side"],
                one["kind"],
                one["link"] or one["source"],
                ", ".join(one["authors"]),
                one["approved_by"] + ("" if one["reviewed"] else " (attested)"),
                excerpt(one["question"], _CELL),
            )
            for one in rows
        ],
    )
    runs = [f"{run['run']} ({run['status']})" for run in next((one["runs"] for one in rows if one["runs"]), [])]
    terminal.say(f"Runs: {', '.join(runs) or 'none yet'}")


def _show_one(terminal: Terminal, one: dict[str, Any]) -> None:
    where = f"{one['file']}, line {one['line']}" if one["file"] else "in quarantine, in no file"
    terminal.say(f"Row {one['row']}, example {one['example']}: {one['kind']}, {where}")
    terminal.say(f"From:    {one['link'] or one['source']}")
    terminal.say(f"Asked:   {excerpt(one['question'], 4 * _CELL)}")
    if one["flagged"]:
        terminal.say(f"Flagged: {one['flagged']}")
    terminal.say(f"Now:     {one['reply']}")
    terminal.say(f"By:      {', '.join(one['authors']) or 'nobody of the team: the row was imported'}")
    for review in one["reviews"]:
        terminal.say(f"Review:  {review['verdict']} by {review['by']}, {review['at'][:16]}")
    if not one["reviewed"]:
        terminal.say(f"Attested by {one['approved_by']}, {one['approved_at'][:16]}: {one['attested']}")
    for run in one["runs"]:
        rest = ", ".join(str(run[key]) for key in ("status", "verdict", "deployment") if run[key])
        terminal.say(f"Run:     {run['run']} on {run['model']}, {run['use']}: {rest}")
