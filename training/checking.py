"""``errata check``: what should be known about a file or a dataset before a model is tuned on it.

Lives here because a check needs the model's window, which the catalogue knows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curation.errors import NotFound
from curation.terminal import AsJson, Terminal, at

if TYPE_CHECKING:
    from curation.balance import Cell
    from curation.findings import Finding
    from curation.jsonl import Row

check_commands = typer.Typer(rich_markup_mode=None)


@check_commands.command(epilog="Example: errata check dialogues.jsonl --model phi-3-mini-4k-instruct")
def check(
    ctx: typer.Context,
    subject: Annotated[str, typer.Argument(metavar="FILE|NAME", help="Chat JSONL, or a dataset's name.")],
    model: Annotated[
        str, typer.Option("--model", metavar="MODEL", help="The model to be tuned; errata models lists them.")
    ],
    tokenizer: Annotated[
        Path | None, typer.Option("--tokenizer", metavar="FILE", help="The model's own tokenizer.json.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Fail on warnings as well.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check format, token lengths, duplicates, size and balance."""
    from curation import checks  # noqa: PLC0415 (counters and tables load only where they are needed)
    from curation.findings import blocking  # noqa: PLC0415
    from curation.reports import show_check  # noqa: PLC0415
    from curation.tokens import TokenizerFamily, counter_for  # noqa: PLC0415
    from training import catalogue  # noqa: PLC0415

    terminal = at(ctx)
    base = catalogue.find(model)
    digests: set[tuple[str, str]] = set()
    with terminal.waiting(f"Checking {subject} …"):
        rows = _noting(_rows(terminal, subject), digests)
        counter = counter_for(TokenizerFamily(base.tokenizer), tokenizer_path=tokenizer)
        pending = _pending(terminal)
        report = checks.check(rows, counter=counter, window=base.window, model=base.name, pending=pending)
    stopping = blocking(report.findings, strict=strict)
    if as_json:
        terminal.give({"subject": subject, "model": base.name, "window": base.window, **report.as_json()})
    else:
        show_check(terminal, report, window=base.window, model=base.name)
        terminal.say(f"Next: {_next(terminal, subject, digests, stopped=bool(stopping))}")
    if stopping:
        raise typer.Exit(1)


def _rows(terminal: Terminal, subject: str) -> Iterator[Row | Finding]:
    """The rows of the file of that name, else of the dataset of that name."""
    from curation import dataset  # noqa: PLC0415
    from curation.jsonl import Row, open_jsonl  # noqa: PLC0415

    if Path(subject).exists():
        return open_jsonl(Path(subject))
    try:
        with terminal.store.read() as session:
            items = dataset.items(session, dataset.find(session, subject))
    except NotFound as error:
        raise NotFound(
            f"There is neither a file nor a dataset {subject}; check the path, or: errata dataset list"
        ) from error
    return (
        Row(
            number,
            item.conversation,
            {"topic": item.example.topic, "language": item.example.language, "kind": item.example.kind},
        )
        for number, item in enumerate(items, start=1)
    )


def _pending(terminal: Terminal) -> Counter[Cell]:
    """Candidates that wait for review, by topic and language, of those that have both."""
    from curation import candidates  # noqa: PLC0415

    with terminal.store.read() as session:
        waiting = candidates.queue(session)
    return Counter((one.topic, one.language) for one in waiting if one.topic and one.language)


def _noting(rows: Iterable[Row | Finding], digests: set[tuple[str, str]]) -> Iterator[Row | Finding]:
    """The same rows; the digests of each that goes by, with and without its system turn, are added to ``digests``."""
    from curation.jsonl import Row  # noqa: PLC0415

    for row in rows:
        if isinstance(row, Row):
            digests.add((row.conversation.digest, row.conversation.with_system(None).digest))
        yield row


def _next(terminal: Terminal, subject: str, digests: set[tuple[str, str]], *, stopped: bool) -> str:
    """What the subject waits for: mending, importing, a review, freezing, or a run."""
    from curation import candidates, examples, imports  # noqa: PLC0415

    if stopped:
        return "correct what is named above, then check again."
    if not Path(subject).exists():
        return f"errata train {subject} --model rehearsal"
    origin = examples.origin_of(Path(subject))
    with terminal.store.read() as session:
        if imports.new_among(session, digests, origin=origin):
            return f"errata import {subject}"
        waiting = any(one.source.startswith(f"{origin}/") for one in candidates.queue(session))
    return "errata review" if waiting else "errata dataset freeze"
