"""``errata privacy``: what is personal in a file, in the examples, in the queue, and what becomes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from curation.errors import Invalid
from curation.formats.lines import MAX_LINE_BYTES, bounded_lines, opened
from curation.privacy.spans import Kind
from curation.privacy.treatment import Decision
from curation.terminal import AsJson, Terminal, at, excerpt

if TYPE_CHECKING:
    from collections.abc import Iterator

privacy_commands = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Personal data: found and decided.")

_CELL = 60


@privacy_commands.command(epilog="Example: errata privacy scan dialogues.jsonl")
def scan(
    ctx: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="Any UTF-8 text; JSONL goes by its texts; - reads standard input."),
    ] = None,
    examples: Annotated[bool, typer.Option("--examples", help="Scan every example, even those seen before.")] = False,
    queue: Annotated[bool, typer.Option("--queue", help="Scan every candidate that waits for review.")] = False,
    as_json: AsJson = False,
) -> None:
    """Look for personal data and secrets: in a file, in the examples, in the queue."""
    if (file is not None) + examples + queue != 1:
        raise Invalid("Say what to scan: a FILE, --examples or --queue.")
    terminal = at(ctx)
    if file is not None:
        _scan_file(terminal, file, as_json=as_json)
        return
    from curation import people  # noqa: PLC0415 (the tables load only where they are needed)
    from curation.policies import Permission  # noqa: PLC0415
    from curation.privacy import personal  # noqa: PLC0415
    from curation.privacy.ahead import look_ahead  # noqa: PLC0415

    regions = terminal.privacy.regions
    with terminal.store.read() as session:
        people.require(session, terminal.actor(session), Permission.REVIEW)
    if queue:
        with terminal.waiting("Scanning …"), terminal.store.write() as session:
            new = personal.look_at_queue(session, regions=regions)
    else:
        with terminal.progress() as told:
            new = look_ahead(
                terminal.store,
                regions=regions,
                every=True,
                told=lambda done, total: told("Scanning", done, total),
            )
    with terminal.store.read() as session:
        waiting = len(personal.listed(session))
    if as_json:
        terminal.give({"new": new, "undecided": waiting})
    else:
        following = "Next: errata privacy list" if waiting else "Nothing waits for a decision."
        terminal.say(f"{new:,} new findings, {waiting:,} undecided. {following}")


@privacy_commands.command("list", epilog="Example: errata --as ben privacy list --decided --json")
def list_findings(
    ctx: typer.Context,
    decided: Annotated[bool, typer.Option("--decided", help="Show those that have their decision instead.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the findings that wait for a decision, each with the words around it."""
    from curation import people  # noqa: PLC0415
    from curation.policies import Permission  # noqa: PLC0415
    from curation.privacy import personal  # noqa: PLC0415

    terminal = at(ctx)
    with terminal.store.read() as session:
        people.require(session, terminal.actor(session), Permission.REVIEW)
        found = personal.listed(session, decided=decided)
    if as_json:
        terminal.give([one.as_json() for one in found])
    elif found:
        terminal.table(
            ["Id", "In", "Kind", "Value", "Around it", "Decision", "Reason"],
            [
                (
                    one.id,
                    one.subject,
                    one.kind.replace("_", " "),
                    excerpt(one.value, _CELL),
                    excerpt(one.around, 2 * _CELL),
                    one.decision,
                    one.reason,
                )
                for one in found
            ],
        )
        if not decided:
            terminal.say(f"{len(found):,} wait. Next: errata privacy decide ID|KIND redact|pseudonymise|keep")
    else:
        terminal.say("Nothing is decided yet." if decided else "Nothing waits for a decision.")


@privacy_commands.command(
    epilog='Example: errata --as ben privacy decide 12 keep --everywhere --reason "Our own hotline"'
)
def decide(
    ctx: typer.Context,
    which: Annotated[
        str,
        typer.Argument(metavar="ID|KIND", help=f"A finding, or every undecided one of a kind: {', '.join(Kind)}."),
    ],
    decision: Annotated[
        Decision, typer.Argument(metavar="DECISION", help="redact, pseudonymise or keep: what becomes of it.")
    ],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; needed in order to keep it.")] = "",
    everywhere: Annotated[
        bool, typer.Option("--everywhere", help="The same for this value wherever it stands or will be found.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Decide what becomes of findings when their rows leave; the words in the store stay as they are."""
    from curation.privacy import personal  # noqa: PLC0415
    from curation.privacy.pseudonyms import key_of  # noqa: PLC0415

    terminal = at(ctx)
    with terminal.store.write() as session:
        count = personal.decide(
            session,
            terminal.actor(session),
            terminal.clock(),
            which=_meant(which),
            decision=decision,
            reason=reason,
            everywhere=everywhere,
            key=key_of(terminal.home),
        )
        left = len(personal.listed(session))
    if as_json:
        terminal.give({"decided": count, "decision": decision.value, "undecided": left})
    else:
        following = "errata privacy list" if left else "errata dataset freeze"
        terminal.say(f"{count:,} decided: {decision.value}. {left:,} wait. Next: {following}")


def _meant(which: str) -> int | Kind:
    if which.isdecimal():
        return int(which)
    try:
        return Kind(which)
    except ValueError as error:
        raise Invalid(f"{which} is neither a finding's id nor a kind; the kinds are {', '.join(Kind)}.") from error


def _scan_file(terminal: Terminal, file: Path, *, as_json: bool) -> None:
    from curation.privacy import detection  # noqa: PLC0415

    found: list[dict[str, Any]] = [
        {"line": line, "kind": span.kind.value, "value": span.text}
        for line, text in _texts(file)
        for span in detection.scan(text, regions=terminal.privacy.regions)
    ]
    if as_json:
        terminal.give({"findings": found})
    elif found:
        rows = [(one["line"], one["kind"].replace("_", " "), excerpt(one["value"], _CELL)) for one in found]
        terminal.table(["Line", "Kind", "Value"], rows)
        terminal.say(f"{len(found):,} found. Once imported they are decided on. Next: errata import {file}")
    else:
        terminal.say(f"Nothing found in {file}.")


def _texts(file: Path) -> Iterator[tuple[int, str]]:
    """Every text of a file by its line: the strings of a JSON value, else the line itself."""
    with opened(file) as handle:
        for number, raw in enumerate(bounded_lines(handle, name=str(file)), start=1):
            if len(raw) > MAX_LINE_BYTES:
                raise Invalid(f"{file}, line {number}: it is longer than {MAX_LINE_BYTES:,} bytes; split it.")
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise Invalid(f"{file}, line {number}: it is not UTF-8; save the file as UTF-8 text.") from error
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                value = line
            yield from ((number, text) for text in _strings(value))


def _strings(value: object) -> Iterator[str]:
    """Every string in a value, in order; a loop, since what nests deep exhausts a stack."""
    waiting = [value]
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, str):
            yield inner
        elif isinstance(inner, dict):
            waiting += reversed(inner.values())
        elif isinstance(inner, list):
            waiting += reversed(inner)
