"""``errata dataset``: freezing examples, and what a dataset holds and how two of them differ.

``errata dataset lineage`` is training's, since a row's way goes on to runs: ``training.commands.tracing``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from curation.commands.audit import moment_of
from curation.commands.stats import PlotsOption, draw_dataset
from curation.errors import Invalid
from curation.terminal import AsJson, Terminal, at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from curation.findings import Finding
    from curation.formats.jsonl import Row
    from curation.store.tables import DatasetVersion
    from curation.tokens.counters import TokenCounter

dataset_commands = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Immutable releases of the examples.")

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="A dataset's name, or how its digest begins.")]


@dataset_commands.command(epilog="Example: errata --as ana dataset freeze v1")
def freeze(
    ctx: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Its name; without one the next of v1, v2, …")
    ] = None,
    validation: Annotated[
        str,
        typer.Option(
            "--validation", metavar="SHARE|FILE", help="Share of rows to hold out, or a file of rows to validate with."
        ),
    ] = "10%",
    include_changing: Annotated[
        bool, typer.Option("--include-changing", help="Keep corrections of facts that change.")
    ] = False,
    prompt: Annotated[
        str | None,
        typer.Option("--prompt", metavar="ASSISTANT", help="Put rows of files under this assistant's prompt."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="DAY", help="Leave out what was approved before this day."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Freeze nothing if there is a warning.")] = False,
    as_json: AsJson = False,
) -> None:
    """Release every approved example that still holds as an immutable dataset."""
    from curation.datasets import dataset  # noqa: PLC0415 (the tables load only where they are needed)
    from curation.datasets.manifest import absences, worth_telling  # noqa: PLC0415

    terminal = at(ctx)
    own = _validation_rows(Path(validation)) if Path(validation).is_file() else []
    options = dataset.Options(
        validation=own,
        include_changing=include_changing,
        prompt=prompt,
        counters=_counters(terminal),
        privacy=terminal.privacy,
        strict=strict,
        since=moment_of(since) if since is not None else None,
        watch=terminal.watch,
    )
    with terminal.store.read() as session:
        actor = terminal.actor(session)
    with terminal.progress() as told:
        version, new = dataset.freeze(
            terminal.store,
            actor,
            terminal.clock(),
            name=name,
            validation_share=dataset.VALIDATION_SHARE if own else dataset.share_of(validation),
            options=options,
            told=told,
        )
    if as_json:
        terminal.give({**_as_json(version), "new": new})
        return
    state = "is frozen" if new else "holds exactly these examples already"
    terminal.say(f"{version.name} {state}: {_rows(version)} (digest {version.digest[:12]}).")
    for line in absences(version.name, version.manifest):
        terminal.note(line)
    for finding in worth_telling(version.manifest):
        terminal.note(finding.sentence())
    terminal.say(f"Next: errata check {version.name} --model MODEL, then errata train {version.name} --model rehearsal")


@dataset_commands.command("list", epilog="Example: errata dataset list")
def list_datasets(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Show every dataset, newest first."""
    from curation import people  # noqa: PLC0415
    from curation.datasets import dataset  # noqa: PLC0415

    terminal = at(ctx)
    with terminal.store.read() as session:
        versions = dataset.listed(session)
        described = {version.key: [note.text for note in dataset.notes(session, version)] for version in versions}
        names = {version.key: people.name_of(session, version.frozen_by) for version in versions}
    if as_json:
        terminal.give([{**_as_json(version), "descriptions": described[version.key]} for version in versions])
    elif versions:
        terminal.table(
            ["Name", "Rows", "Topics", "Languages", "Digest", "Frozen", "By", "Description"],
            [
                (
                    one.name,
                    _rows(one),
                    len(one.manifest["topics"]),
                    " ".join(one.manifest["languages"]),
                    one.digest[:12],
                    f"{one.frozen_at:%Y-%m-%d %H:%M}",
                    names[one.key],
                    (described[one.key] or [""])[-1],
                )
                for one in versions
            ],
        )
        terminal.say(f"Next: errata dataset show {versions[0].name}")
    else:
        terminal.say("No dataset yet. Next: errata dataset freeze")


@dataset_commands.command(epilog="Example: errata dataset show v1")
def show(ctx: typer.Context, name: NameArgument, plots: PlotsOption = None, as_json: AsJson = False) -> None:
    """Show what a dataset holds, what was left out, and what should be known about it today."""
    from curation import people  # noqa: PLC0415
    from curation.datasets import dataset  # noqa: PLC0415
    from curation.datasets.reports import show_dataset  # noqa: PLC0415

    terminal = at(ctx)
    with terminal.store.read() as session:
        version = dataset.find(session, name)
        by = people.name_of(session, version.frozen_by)
        reviewers = {
            people.name_of(session, who): count for who, count in version.manifest.get("reviewers", {}).items()
        }
        notes = [
            {"text": note.text, "by": people.name_of(session, note.written_by), "at": note.written_at.isoformat()}
            for note in dataset.notes(session, version)
        ]
        findings = dataset.findings(session, version)
        erased = dataset.erased(session, version)
    pictures = draw_dataset(terminal, name, plots)
    if as_json:
        now = [finding.as_json() for finding in findings]
        found = {"descriptions": notes, "erased": erased, "findings_today": now, "plots": pictures}
        terminal.give({**_as_json(version), **found})
        return
    terminal.say(f"{version.name}: {_rows(version)}, frozen by {by} at {version.frozen_at:%Y-%m-%d %H:%M} UTC")
    for note in notes:
        terminal.say(f"{note['by']}, {note['at'][:10]}: {note['text']}")
    show_dataset(terminal, version.manifest, reviewers)
    _show_absences(terminal, version, erased, findings)
    for picture in pictures:
        terminal.say(f"{picture['file']}: {picture['alt']}")


@dataset_commands.command(epilog="Example: errata dataset diff v1 v2")
def diff(
    ctx: typer.Context,
    before: Annotated[str, typer.Argument(metavar="V1", help="A dataset's name, or how its digest begins.")],
    after: Annotated[str, typer.Argument(metavar="V2", help="Another dataset's.")],
    as_json: AsJson = False,
) -> None:
    """Show how two datasets differ; ends with 1 if a row has changed its side, which must never be."""
    from curation.datasets import dataset  # noqa: PLC0415
    from curation.datasets.comparison import compare  # noqa: PLC0415
    from curation.datasets.reports import show_difference  # noqa: PLC0415

    terminal = at(ctx)
    with terminal.store.read() as session:
        versions = [dataset.find(session, name) for name in (before, after)]
        difference = compare(*(dataset.items(session, version) for version in versions))
    if as_json:
        terminal.give({"from": versions[0].name, "to": versions[1].name, **difference.as_json()})
    else:
        show_difference(terminal, versions[0].name, versions[1].name, difference)
    if difference.moved:
        raise typer.Exit(1)


@dataset_commands.command(epilog='Example: errata --as ana dataset describe v1 "The first with billing in German."')
def describe(
    ctx: typer.Context,
    name: NameArgument,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What the figures don't say.")],
) -> None:
    """Write about a dataset; what was written before stays."""
    from curation.datasets import dataset  # noqa: PLC0415

    terminal = at(ctx)
    with terminal.store.write() as session:
        version = dataset.find(session, name)
        dataset.annotate(session, terminal.actor(session), terminal.clock(), version, text)
    terminal.say(f"{version.name} is described. Next: errata dataset show {version.name}")


def _validation_rows(path: Path) -> list[Row]:
    """The rows of a validation file.

    Raises:
        Invalid: a line is not what it should be.
    """
    from curation.findings import Finding, blocking  # noqa: PLC0415
    from curation.formats.reading import open_rows  # noqa: PLC0415

    read = list(open_rows(path, None))
    stopping = blocking([item for item in read if isinstance(item, Finding)])
    if stopping:
        raise Invalid(
            f"{path}: {stopping[0].sentence()} Errors in all: {len(stopping):,}. Look with: errata check {path}"
        )
    return [item for item in read if not isinstance(item, Finding)]


def _counters(terminal: Terminal) -> Sequence[TokenCounter]:
    """Every counter that can be had here; a manifest without one says so."""
    from curation.datasets import manifest  # noqa: PLC0415
    from curation.errors import Unavailable  # noqa: PLC0415

    try:
        return manifest.counters()
    except Unavailable as error:
        terminal.note(f"Tokens are not counted: {error}")
        return []


def _show_absences(
    terminal: Terminal, version: DatasetVersion, erased: Sequence[int], findings: Sequence[Finding]
) -> None:
    from curation.datasets.manifest import left_out, ties_of  # noqa: PLC0415
    from curation.measures.reports import finding_lines  # noqa: PLC0415

    for absent in left_out(version.manifest):
        terminal.say(absent)
    if erased:
        terminal.say(f"Erased since: {', '.join(map(str, erased))}")
    for tie in ties_of(version.manifest):
        terminal.say(f"In quarantine, {tie.sentence()}")
    for line in finding_lines(findings):
        terminal.say(line)


def _as_json(version: DatasetVersion) -> dict[str, Any]:
    from curation.datasets.manifest import as_json  # noqa: PLC0415

    return {
        "name": version.name,
        "digest": version.digest,
        "frozen_by": version.frozen_by,
        "frozen_at": version.frozen_at.isoformat(),
        "manifest": as_json(version.manifest),
    }


def _rows(version: DatasetVersion) -> str:
    return ", ".join(f"{count:,} {side}" for side, count in version.manifest["sides"].items() if count)
