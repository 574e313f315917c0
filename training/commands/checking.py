"""``errata check``: what should be known about a file or a dataset before a model is tuned on it.

Lives here because a check needs the model's window, which the catalogue knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curation.commands.stats import PlotsOption
from curation.errors import Invalid, NotFound
from curation.formats.format import Format
from curation.formats.lines import STANDARD_INPUT
from curation.terminal import AsJson, Terminal, at

if TYPE_CHECKING:
    from curation.checking.checks import CheckReport
    from curation.checking.scanned import Scan
    from curation.findings import Finding
    from curation.formats.jsonl import Row
    from curation.tokens.counters import TokenCounter
    from training.catalogue import BaseModel

check_commands = typer.Typer(rich_markup_mode=None)

_STOPPED = 130
BULK_BYTES = 4_000_000
"""From this size of a file on it pays to load what counts tokens faster."""
NOTED_ROWS = 10_000
"""Rows of a file that tell what it waits for."""


@check_commands.command(epilog="Example: errata check dialogues.jsonl --model phi-3-mini-4k-instruct")
def check(
    ctx: typer.Context,
    subject: Annotated[str, typer.Argument(metavar="FILE|NAME", help="A file, - for standard input, or a dataset.")],
    model: Annotated[
        str, typer.Option("--model", metavar="MODEL", help="The model to be tuned; errata models lists them.")
    ],
    tokenizer: Annotated[
        Path | None, typer.Option("--tokenizer", metavar="FILE", help="The model's own tokenizer.json.")
    ] = None,
    exact: Annotated[bool, typer.Option("--exact", help="Refuse to estimate tokens.")] = False,
    source: Annotated[
        Format | None, typer.Option("--from", help="What the file is, and who will take it; else the rows tell.")
    ] = None,
    validation: Annotated[
        Path | None, typer.Option("--validation", metavar="FILE", help="Find what stands in this file as well.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Fail on warnings as well.")] = False,
    plots: PlotsOption = None,
    as_json: AsJson = False,
) -> None:
    """Check format, token lengths, duplicates, size, balance, and the system prompts against those in use."""
    from curation.findings import blocking  # noqa: PLC0415 (counters and tables load only where they are needed)
    from curation.measures.plots import require_matplotlib  # noqa: PLC0415
    from curation.measures.reports import show_check  # noqa: PLC0415
    from training import catalogue  # noqa: PLC0415

    terminal = at(ctx)
    base = catalogue.find(model)
    if plots is not None:
        require_matplotlib()
    counter = _counter(base, subject, tokenizer, exact=exact)
    try:
        with _scanned(terminal, subject, source, counter) as scan:
            report = _report(terminal, scan, counter, base)
        report.findings.extend(_fitness(terminal, subject, source))
        report.findings.extend(_harmful(terminal, subject, source))
        if validation is not None:
            report.findings.extend(_sides(terminal, subject, validation, source))
    except KeyboardInterrupt as stopped:
        terminal.note(f"Stopped. {subject} is as it was.")
        raise typer.Exit(_STOPPED) from stopped
    stopping = blocking(report.findings, strict=strict)
    pictures = _drawn(report, base, plots)
    if as_json:
        about = {"subject": subject, "model": base.name, "window": base.window}
        terminal.give({**about, **report.as_json(), "plots": pictures})
    else:
        show_check(terminal, report, window=base.window, model=base.name)
        for picture in pictures:
            terminal.say(f"{picture['file']}: {picture['alt']}")
        terminal.say(f"Next: {_next(terminal, subject, source, stopped=bool(stopping))}")
    if stopping:
        raise typer.Exit(1)


def _counter(base: BaseModel, subject: str, tokenizer: Path | None, *, exact: bool) -> TokenCounter:
    from curation.tokens.counters import TokenizerFamily, counter_for  # noqa: PLC0415

    path = Path(subject)
    counter = counter_for(
        TokenizerFamily(base.tokenizer),
        tokenizer_path=tokenizer,
        hub_id=base.hub_id,
        vocabulary=base.vocabulary,
        bulk=_is_file(subject) and path.is_file() and path.stat().st_size >= BULK_BYTES,
    )
    if exact and not counter.exact:
        download = f", or download it once: hf download {base.hub_id} tokenizer.json" if base.hub_id else ""
        raise Invalid(
            "The tokens of {model} can only be estimated here; give its tokenizer.json with --tokenizer{download}",
            model=base.name,
            download=download,
        )
    return counter


@contextmanager
def _scanned(terminal: Terminal, subject: str, source: Format | None, counter: TokenCounter) -> Iterator[Scan]:
    from curation.checking.scan import scan_file, scan_rows  # noqa: PLC0415

    if not _is_file(subject):
        with terminal.waiting(f"Checking {subject} …"):
            scan = scan_rows(_rows(terminal, subject, source), counter)
    else:
        path = Path(subject)
        size = path.stat().st_size if path.is_file() else 0
        with _bar(f"Checking {subject}", size) as tell:
            scan = scan_file(path, counter, format=source, progress=tell)
    with scan:
        yield scan


@contextmanager
def _bar(what: str, size: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on stderr, where that is a terminal. It has no thread of its own: a scan is about to fork."""
    from rich.console import Console  # noqa: PLC0415 (a tenth of a second that --help need not wait for)
    from rich.progress import Progress  # noqa: PLC0415

    console = Console(stderr=True)
    if not console.is_terminal or not size:
        yield lambda _: None
        return
    with Progress(console=console, transient=True, auto_refresh=False) as progress:
        task = progress.add_task(what, total=size)

        def tell(done: int) -> None:
            progress.update(task, completed=done, refresh=True)

        yield tell


def _report(terminal: Terminal, scan: Scan, counter: TokenCounter, base: BaseModel) -> CheckReport:
    from curation.checking import checks  # noqa: PLC0415
    from curation.measures import stats  # noqa: PLC0415

    with terminal.store.read() as session:
        pending, demand = stats.pending(session), stats.demand(session)
    return checks.report(
        scan,
        counter=counter,
        window=base.window,
        model=base.name,
        pending=pending,
        demand=demand,
        endorsement_share=terminal.endorsement_share,
    )


def _fitness(terminal: Terminal, subject: str, source: Format | None) -> list[Finding]:
    """Whether the rows are under the prompts that are in use, and what else was said of a dataset as a whole.

    Standard input is not looked at, since it can be read only once; nor is a file where no assistant is watched.
    """
    from curation import assistants  # noqa: PLC0415
    from curation.checking import checks  # noqa: PLC0415
    from curation.datasets import dataset, fitness  # noqa: PLC0415
    from curation.formats.jsonl import Row  # noqa: PLC0415

    if subject == str(STANDARD_INPUT):
        return []
    with terminal.store.read() as session:
        if not _is_file(subject):
            told = {rule.id for rule in checks.RULES}
            today = dataset.findings(session, dataset.find(session, subject))
            return [finding for finding in today if finding.rule not in told]
        prompts = assistants.prompt_versions(session)
    if not prompts:
        return []
    rows = _rows(terminal, subject, source)
    return fitness.findings((fitness.fit_of(row) for row in rows if isinstance(row, Row)), prompts)


def _harmful(terminal: Terminal, subject: str, source: Format | None) -> list[Finding]:
    """What an outside judge rates as harmful, where one is set up; standard input can be read only once."""
    from curation.formats.jsonl import Row  # noqa: PLC0415

    watch = terminal.watch
    if watch is None or subject == str(STANDARD_INPUT):
        return []
    rows = (row for row in _rows(terminal, subject, source) if isinstance(row, Row))
    with terminal.progress() as told:
        return list(watch.of_rows(rows, lambda done: told("Rating for harm", done, 0)))


def _drawn(report: CheckReport, base: BaseModel, folder: Path | None) -> list[dict[str, str]]:
    """The pictures of the balance, if a folder was named; each with its alt text."""
    from curation.measures import plots  # noqa: PLC0415

    return plots.described(plots.write(report.balance, folder, window=base.window, model=base.name)) if folder else []


def _sides(terminal: Terminal, subject: str, validation: Path, source: Format | None) -> list[Finding]:
    """What users say in both files."""
    from curation.formats.jsonl import Row  # noqa: PLC0415
    from curation.similarity.repeats import judge_sides  # noqa: PLC0415

    if subject == str(STANDARD_INPUT):
        raise Invalid("Standard input can be read only once; put the rows into a file to compare it with another.")
    train, held_out = (
        [(row.line, row.conversation.user_text()) for row in _rows(terminal, one, source) if isinstance(row, Row)]
        for one in (subject, str(validation))
    )
    return judge_sides(train, held_out)


def _rows(terminal: Terminal, subject: str, source: Format | None) -> Iterator[Row | Finding]:
    """The rows of the file of that name, else of the dataset of that name."""
    from curation.datasets import dataset  # noqa: PLC0415
    from curation.formats.jsonl import Row  # noqa: PLC0415
    from curation.formats.reading import open_rows  # noqa: PLC0415

    if _is_file(subject):
        return open_rows(Path(subject), source)
    try:
        with terminal.store.read() as session:
            items = dataset.items(session, dataset.find(session, subject))
    except NotFound as error:
        raise NotFound(
            "There is neither a file nor a dataset {subject}; check the path, or: errata dataset list", subject=subject
        ) from error
    return (
        Row(
            number,
            item.conversation,
            {"topic": item.labels["topic"], "language": item.labels["language"], "kind": item.example.kind},
        )
        for number, item in enumerate(items, start=1)
    )


def _is_file(subject: str) -> bool:
    """Whether a file, and no dataset, is meant; one that cannot even be looked at is reported when it is opened."""
    try:
        return subject == "-" or Path(subject).exists()
    except OSError:
        return True


def _next(terminal: Terminal, subject: str, source: Format | None, *, stopped: bool) -> str:
    """What the subject waits for: mending, importing, a review, freezing, or a run."""
    from curation import candidates, examples, imports  # noqa: PLC0415
    from curation.formats.jsonl import Row  # noqa: PLC0415

    if stopped:
        return "correct what is named above, then check again."
    if not _is_file(subject):
        return f"errata train {subject} --model rehearsal"
    if subject == str(STANDARD_INPUT):
        return "put the rows into a file, then: errata import FILE"
    rows = (row.conversation for row in _rows(terminal, subject, source) if isinstance(row, Row))
    digests = {(one.digest, one.with_system(None).digest) for one in islice(rows, NOTED_ROWS)}
    origin = examples.origin_of(Path(subject))
    with terminal.store.read() as session:
        if imports.new_among(session, digests, origin=origin):
            return f"errata import {subject}"
        waiting = any(one.source.startswith(f"{origin}/") for one in candidates.queue(session))
    return "errata review" if waiting else "errata dataset freeze"
