"""``errata import`` and ``errata export``: dialogues in from a file, examples out to one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curation.errors import Conflict, Invalid
from curation.formats.exports import Part
from curation.formats.format import Format, TableEncoding
from curation.terminal import AsJson, Terminal, at

if TYPE_CHECKING:
    from curation.findings import Finding
    from curation.formats.jsonl import Row

file_commands = typer.Typer(rich_markup_mode=None)
_FILES_NAMED = 3


@file_commands.command(
    "import", epilog='Example: errata --as ana import dialogues.jsonl --approve-as ana --reason "Reviewed in Zendesk"'
)
def import_file(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Dialogues, one a line; - reads standard input.")],
    approve_as: Annotated[
        str | None,
        typer.Option("--approve-as", metavar="PERSON", help="The owner who attests that every row is good."),
    ] = None,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why they are good; the audit shows it.")
    ] = "",
    source: Annotated[
        Format | None, typer.Option("--from", help="What the file is; without it, the rows tell.")
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="COLUMN=PART",
            help="The file is CSV, and this column the system, user, assistant, correction, topic, language, thread or "
            "customer. Once for each column.",
        ),
    ] = None,
    encoding: Annotated[
        TableEncoding,
        typer.Option("--encoding", metavar="utf-8|cp1252", help="Of a CSV file; older spreadsheets write cp1252."),
    ] = TableEncoding.UTF8,
    skip_invalid: Annotated[bool, typer.Option("--skip-invalid", help="Import the rows that are valid.")] = False,
    as_json: AsJson = False,
) -> None:
    """Import dialogues: into the review queue, or as approved examples on an owner's word."""
    from curation import examples, imports, people  # noqa: PLC0415 (the tables load only where they are needed)
    from curation.findings import blocking  # noqa: PLC0415

    terminal = at(ctx)
    with terminal.waiting(f"Reading {file} …"):
        rows, count, findings = _read(_reader(file, source, columns or [], encoding), again=file.is_file())
    kind = "candidates" if approve_as is None else "examples"
    stopping = blocking(findings)
    guessed = any(finding.rule == "table.rows" for finding in findings)
    if stopping and (guessed or not skip_invalid):
        _report(terminal, file, findings, kind=kind if as_json else None)
        otherwise = "Correct the lines." if guessed else "Correct the lines, or import the others with --skip-invalid."
        terminal.note(f"{file}: nothing was imported. {otherwise}")
        raise typer.Exit(1)
    origin = examples.origin_of(file)
    with terminal.store.write() as session:
        rows = terminal.counted(f"Importing {count:,} rows", rows, count)
        if approve_as is not None:
            owner = people.Actor(people.resolve(session, approve_as))
            added, known = examples.attest(session, owner, terminal.clock(), rows, origin=origin, reason=reason)
        else:
            added, known = imports.propose_rows(
                session, terminal.actor(session), terminal.clock(), rows, origin=origin, place=terminal.review_place()
            )
        copies = imports.copies(session, origin=origin) if added else {}
    if as_json:
        found = [finding.as_json() for finding in findings]
        terminal.give({"added": added, "known": known, "kind": kind, "copies": copies, "findings": found})
        return
    _report(terminal, file, findings)
    if copies:
        _note_copies(terminal, file, copies, waiting=approve_as is None)
    following = "errata review" if approve_as is None else "errata dataset freeze"
    terminal.say(f"{added:,} {kind} added from {file.name}, {known:,} known already. Next: {following}")


@file_commands.command(
    "export", epilog="Example: errata --as ana export v1 --format openai --out v1-train.jsonl --side train"
)
def export_file(
    ctx: typer.Context,
    target: Annotated[Format, typer.Option("--format", help="Who the file is for.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The file to write.")],
    dataset: Annotated[
        str | None, typer.Argument(metavar="NAME", help="A dataset; without one, every approved example.")
    ] = None,
    side: Annotated[Part, typer.Option("--side", help="Of a dataset.")] = Part.ALL,
    as_json: AsJson = False,
) -> None:
    """Write examples as a file that a trainer takes, and say which stay behind and why."""
    from curation import handover  # noqa: PLC0415
    from curation.datasets.dataset import find  # noqa: PLC0415
    from curation.findings import blocking  # noqa: PLC0415
    from curation.formats import exports  # noqa: PLC0415
    from curation.privacy import releases  # noqa: PLC0415

    terminal = at(ctx)
    if out.is_dir():
        raise Invalid(f"{out} is a directory; name the file to write in it, such as {out / 'examples.jsonl'}.")
    with terminal.store.read() as session:
        actor = terminal.actor(session)
    with terminal.progress() as bar:
        handover.look_first(
            terminal.store,
            actor,
            name=dataset,
            part=side,
            privacy=terminal.privacy,
            told=lambda done, total: bar("Looking for personal data", done, total),
        )
    with terminal.store.write() as session:
        now = terminal.clock()
        handed = handover.hand_over(
            session, actor, now, target=target, name=dataset, part=side, privacy=terminal.privacy
        )
        written = exports.write(handed.rows, target, out)
        version = find(session, dataset) if dataset is not None else None
        export = releases.record_export(session, actor, now, out, target=target.value, version=version, rows=written)
        digest = export.digest
    findings = [
        *handed.findings,
        *exports.losses(handed.rows, target),
        *exports.limits(written, out.stat().st_size, target),
    ]
    if as_json:
        about = {"file": str(out), "format": target.value, "rows": written, "digest": digest}
        told = [finding.as_json() for finding in findings]
        terminal.give({**about, "left_out": handed.left_out, "findings": told})
    else:
        for finding in findings:
            terminal.note(finding.sentence())
        # The rows tell their shape, but not what one trainer asks beyond it.
        given = f" --from {target}" if target is not target.shape else ""
        what = "1 row is" if written == 1 else f"{written:,} rows are"
        terminal.say(f"{what} in {out}. Next: errata check {out}{given} --model MODEL")
    if blocking(findings):
        raise typer.Exit(1)


def _reader(
    file: Path, source: Format | None, columns: list[str], encoding: TableEncoding
) -> Callable[[], Iterator[Row | Finding]]:
    """What reads the file from its start, each time that it is called."""
    from curation.formats import tabular  # noqa: PLC0415
    from curation.formats.reading import open_rows  # noqa: PLC0415

    if columns:
        if source is not None:
            raise Invalid("--map is for CSV, and --from for dialogues as JSON; give one of them.")
        mapped = tabular.columns_of(columns)
        return lambda: tabular.open_table(file, mapped, encoding)
    if encoding is not TableEncoding.UTF8:
        raise Invalid("--encoding is for CSV, with --map; dialogues as JSON are UTF-8.")
    if file.suffix.lower() in {".csv", ".tsv"}:
        raise Invalid(
            f"{file} is a table: say which column is what, for example --map question=user --map answer=assistant"
        )
    return lambda: open_rows(file, source)


def _read(reader: Callable[[], Iterator[Row | Finding]], *, again: bool) -> tuple[Iterator[Row], int, list[Finding]]:
    """The rows, how many they are, and the findings; a file that can be read ``again`` is not held in memory.

    Raises:
        Conflict: at the end of the rows, where the second reading did not find what the first one found.
    """
    from curation.findings import Finding  # noqa: PLC0415

    held: list[Row] = []
    findings: list[Finding] = []
    count = 0
    for item in reader():
        if isinstance(item, Finding):
            findings.append(item)
        else:
            count += 1
            if not again:
                held.append(item)
    return _read_again(reader, count, findings) if again else iter(held), count, findings


def _read_again(
    reader: Callable[[], Iterator[Row | Finding]], count: int, findings: Sequence[Finding]
) -> Iterator[Row]:
    """The rows once more, of a file that may be written to meanwhile: what turned bad must not be passed over."""
    from curation.findings import Finding  # noqa: PLC0415

    found: list[Finding] = []
    rows = 0
    for item in reader():
        if isinstance(item, Finding):
            found.append(item)
        else:
            rows += 1
            yield item
    if (rows, found) != (count, findings):
        raise Conflict("The file was changed while it was read, so nothing was imported. Start the import again.")


def _note_copies(terminal: Terminal, file: Path, copies: Mapping[str, int], *, waiting: bool) -> None:
    """Say that rows of a file stand under another file's name too: a row is known again by its file and its words."""
    few = list(copies.items())[:_FILES_NAMED]
    named = " and ".join(f"{count:,} with {origin.removeprefix('import:')}" for origin, count in few)
    remedy = "Reject one of each: errata review" if waiting else "Let one of each expire: errata examples expire"
    terminal.note(
        f"{file.name} shares rows with what was imported before, {named}; what stands twice is learned twice. {remedy}"
    )


def _report(terminal: Terminal, file: Path, findings: list[Finding], *, kind: str | None = None) -> None:
    """Findings as notes; with ``kind``, what nothing was imported as, as the JSON that is the result."""
    from curation.measures.reports import finding_lines  # noqa: PLC0415

    if kind is not None:
        told = [finding.as_json() for finding in findings]
        terminal.give({"added": 0, "known": 0, "kind": kind, "copies": {}, "findings": told})
        return
    for line in finding_lines(findings):
        terminal.note(f"{file.name}: {line}" if not line.startswith(" ") else line)
