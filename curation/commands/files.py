"""``errata import`` and ``errata export``: dialogues in from a file, examples out to one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curation.errors import Invalid
from curation.exports import ExportFormat, Part
from curation.terminal import AsJson, Terminal, at

if TYPE_CHECKING:
    from curation.findings import Finding
    from curation.jsonl import Row

file_commands = typer.Typer(rich_markup_mode=None)


@file_commands.command(
    "import", epilog='Example: errata --as ana import dialogues.jsonl --approve-as ana --reason "Reviewed in Zendesk"'
)
def import_file(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help='Chat JSONL: one {"messages": [...]} a line.')],
    approve_as: Annotated[
        str | None,
        typer.Option("--approve-as", metavar="PERSON", help="The owner who attests that every row is good."),
    ] = None,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why they are good; the audit shows it.")
    ] = "",
    skip_invalid: Annotated[bool, typer.Option("--skip-invalid", help="Import the rows that are valid.")] = False,
    as_json: AsJson = False,
) -> None:
    """Import dialogues: into the review queue, or as approved examples on an owner's word."""
    from curation import examples, imports, people  # noqa: PLC0415 (the tables load only where they are needed)
    from curation.findings import blocking  # noqa: PLC0415

    terminal = at(ctx)
    with terminal.waiting(f"Reading {file} …"):
        rows, findings = _read(file)
    stopping = blocking(findings)
    if stopping and not skip_invalid:
        _report(terminal, file, findings, as_json=as_json)
        terminal.note(f"{file}: nothing was imported. Correct the lines, or import the others with --skip-invalid.")
        raise typer.Exit(1)
    origin = examples.origin_of(file)
    with terminal.waiting(f"Importing {len(rows):,} rows …"), terminal.store.write() as session:
        if approve_as is not None:
            owner = people.Actor(people.resolve(session, approve_as))
            added, known = examples.attest(session, owner, terminal.clock(), rows, origin=origin, reason=reason)
        else:
            added, known = imports.propose_rows(session, terminal.actor(session), terminal.clock(), rows, origin=origin)
    kind = "candidates" if approve_as is None else "examples"
    if as_json:
        found = [finding.as_json() for finding in findings]
        terminal.give({"added": added, "known": known, "kind": kind, "findings": found})
        return
    _report(terminal, file, findings, as_json=False)
    following = "errata review" if approve_as is None else "errata dataset freeze"
    terminal.say(f"{added:,} {kind} added from {file.name}, {known:,} known already. Next: {following}")


@file_commands.command(
    "export", epilog="Example: errata --as ana export v1 --format openai --out v1-train.jsonl --side train"
)
def export_file(
    ctx: typer.Context,
    target: Annotated[ExportFormat, typer.Option("--format", help="Who the file is for.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The file to write.")],
    dataset: Annotated[
        str | None, typer.Argument(metavar="NAME", help="A dataset; without one, every approved example.")
    ] = None,
    side: Annotated[Part, typer.Option("--side", help="Of a dataset.")] = Part.ALL,
) -> None:
    """Write examples as a file that a trainer takes."""
    from curation import exports, handover  # noqa: PLC0415

    terminal = at(ctx)
    if out.is_dir():
        raise Invalid(f"{out} is a directory; name the file to write in it, such as {out / 'examples.jsonl'}.")
    with terminal.store.write() as session:
        rows = handover.hand_over(
            session, terminal.actor(session), terminal.clock(), target=target, name=dataset, part=side
        )
        written = exports.write(rows, target, out)
    for finding in exports.losses(rows, target):
        terminal.note(finding.sentence())
    chat = {ExportFormat.OPENAI, ExportFormat.AZURE, ExportFormat.PHI}
    following = f"errata check {out} --model MODEL" if target in chat else "hand it to the trainer"
    terminal.say(f"{written:,} rows are in {out}. Next: {following}")


def _read(file: Path) -> tuple[list[Row], list[Finding]]:
    from curation.findings import Finding  # noqa: PLC0415
    from curation.jsonl import open_jsonl  # noqa: PLC0415

    rows: list[Row] = []
    findings: list[Finding] = []
    for item in open_jsonl(file):
        if isinstance(item, Finding):
            findings.append(item)
        else:
            rows.append(item)
    return rows, findings


def _report(terminal: Terminal, file: Path, findings: list[Finding], *, as_json: bool) -> None:
    """Findings: as JSON where that is the result, else as notes."""
    from curation.reports import finding_lines  # noqa: PLC0415

    if as_json:
        terminal.give({"added": 0, "known": 0, "findings": [finding.as_json() for finding in findings]})
        return
    for line in finding_lines(findings):
        terminal.note(f"{file.name}: {line}" if not line.startswith(" ") else line)
