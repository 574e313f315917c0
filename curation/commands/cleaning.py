"""``errata clean``: the noise in a file, shown as changes, and the rows without it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from curation.errors import Invalid
from curation.terminal import AsJson, Terminal, at

cleaning_commands = typer.Typer(rich_markup_mode=None)

_NAMED = 20


@cleaning_commands.command(epilog="Example: errata clean dialogues.jsonl --out cleaned.jsonl")
def clean(
    ctx: typer.Context,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Chat JSONL, which stays as it is; - reads standard input.")
    ],
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Where to write the cleaned rows.")] = None,
    diff: Annotated[bool, typer.Option("--diff", help="Show every change, although the rows are written.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what noise there is in a file as changes to it; with --out, write the rows without it."""
    from curation import mending  # noqa: PLC0415 (ftfy takes a tenth of a second)
    from curation.cleaning import visible  # noqa: PLC0415

    terminal = at(ctx)
    writes = out is not None and not dry_run
    if out is not None and out.exists() and file.exists() and out.samefile(file):
        raise Invalid(f"{out} is the file itself; name another one, so that the original stays.")
    changes: list[dict[str, Any]] | None = [] if as_json else None
    shown = as_json or diff or not writes

    def show(change: mending.Change) -> None:
        if changes is not None:
            changes.append(change.as_json())
        elif shown:
            for line in change.lines():
                terminal.say(visible(line))

    counted = mending.mend(file, out if writes else None, show)
    if changes is not None:
        terminal.give({**counted.as_json(), "changes": changes})
        return
    _name(terminal, counted.unread, "no rows of chat and passed on as they are; errata check says what is wrong")
    _name(terminal, counted.marked, "left with a chat program's mentions, links or entities; write what people saw")
    written = f"They are in {out}. Next: errata check {out} --model MODEL" if writes else "Nothing is written."
    following = "" if writes or not counted.changed else f" Next: errata clean {file} --out FILE"
    terminal.say(
        f"{counted.changed:,} of {counted.rows:,} rows would change. {written}{following}".replace(
            "would change", "are changed" if writes else "would change"
        )
    )


def _name(terminal: Terminal, lines: Sequence[int], what: str) -> None:
    """Say of some lines what they are; of many the first."""
    if lines:
        named = ", ".join(f"{line:,}" for line in lines[:_NAMED]) + (", …" if len(lines) > _NAMED else "")
        verb = "line is" if len(lines) == 1 else "lines are"
        terminal.note(f"{len(lines):,} {verb} {what}: {named}")
