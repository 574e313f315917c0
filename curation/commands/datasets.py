"""``errata dataset``: freezing examples, and where each row of a dataset came from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from curation.errors import NotFound
from curation.terminal import AsJson, at, excerpt

if TYPE_CHECKING:
    from curation.store.tables import DatasetVersion

dataset_commands = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Immutable releases of the examples.")

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="A dataset's name, or how its digest begins.")]
_CELL = 50


@dataset_commands.command(epilog="Example: errata --as ana dataset freeze v1")
def freeze(
    ctx: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Its name; without one the next of v1, v2, …")
    ] = None,
    validation: Annotated[
        str, typer.Option("--validation", metavar="SHARE", help="Share of new groups to hold out.")
    ] = "10%",
    as_json: AsJson = False,
) -> None:
    """Release every approved example as an immutable dataset."""
    from curation import dataset  # noqa: PLC0415 (the tables load only where they are needed)

    terminal = at(ctx)
    with terminal.waiting("Freezing …"), terminal.store.write() as session:
        version, new = dataset.freeze(
            session,
            terminal.actor(session),
            terminal.clock(),
            name=name,
            validation_share=dataset.share_of(validation),
        )
    if as_json:
        terminal.give({**_as_json(version), "new": new})
        return
    state = "is frozen" if new else "holds exactly these examples already"
    terminal.say(f"{version.name} {state}: {_rows(version)} (digest {version.digest[:12]}).")
    terminal.say(f"Next: errata check {version.name} --model MODEL, then errata train {version.name} --model rehearsal")


@dataset_commands.command("list", epilog="Example: errata dataset list")
def list_datasets(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Show every dataset, newest first."""
    from curation import dataset  # noqa: PLC0415

    terminal = at(ctx)
    with terminal.store.read() as session:
        versions = dataset.listed(session)
    if as_json:
        terminal.give([_as_json(version) for version in versions])
    elif versions:
        terminal.table(
            ["Name", "Rows", "Digest", "Frozen"],
            [(one.name, _rows(one), one.digest[:12], f"{one.frozen_at:%Y-%m-%d %H:%M}") for one in versions],
        )
    else:
        terminal.say("No dataset yet. Next: errata dataset freeze")


@dataset_commands.command(epilog="Example: errata dataset show v1")
def show(ctx: typer.Context, name: NameArgument, as_json: AsJson = False) -> None:
    """Show what a dataset holds, in figures."""
    from curation import dataset, people  # noqa: PLC0415

    terminal = at(ctx)
    with terminal.store.read() as session:
        version = dataset.find(session, name)
        by = people.name_of(session, version.frozen_by)
    if as_json:
        terminal.give(_as_json(version))
        return
    terminal.say(f"{version.name}: {_rows(version)}, frozen by {by} at {version.frozen_at:%Y-%m-%d %H:%M} UTC")
    manifest = version.manifest
    facts = [(key.replace("_", " "), _listed(manifest[key])) for key in ("kinds", "topics", "languages")]
    # Among the kinds, "imported" counts rows of a file however they were approved; this one, those nobody reviewed.
    counted = (("attested", "imported"), ("self approved", "self_approved"), ("authors", "authors"))
    facts += [(label, f"{manifest[key]:,}") for label, key in counted]
    terminal.table(["", ""], [*facts, ("digest", version.digest)])


@dataset_commands.command(epilog="Example: errata dataset lineage v1 --example 12")
def lineage(
    ctx: typer.Context,
    name: NameArgument,
    example: Annotated[int | None, typer.Option("--example", metavar="ID", help="Only this example.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show where each row came from: source, authors, approver."""
    from curation import dataset  # noqa: PLC0415

    terminal = at(ctx)
    with terminal.store.read() as session:
        rows = dataset.lineage(session, dataset.find(session, name))
    if example is not None:
        rows = [row for row in rows if row["example"] == example]
        if not rows:
            raise NotFound(f"{name} has no example {example}; errata dataset lineage {name} shows its examples.")
    if as_json:
        terminal.give(rows)
        return
    terminal.table(
        ["Example", "Side", "Kind", "Source", "By", "Approved by", "Question"],
        [
            (
                row["example"],
                row["side"],
                row["kind"],
                row["source"],
                ", ".join(row["authors"]),
                row["approved_by"] + ("" if row["reviewed"] else " (attested)"),
                excerpt(row["question"], _CELL),
            )
            for row in rows
        ],
    )
    if example is not None and rows[0]["flagged"]:
        terminal.say(f"Flagged: {rows[0]['flagged']}")
        terminal.say(f"Now:     {rows[0]['reply']}")


def _as_json(version: DatasetVersion) -> dict[str, Any]:
    return {
        "name": version.name,
        "digest": version.digest,
        "frozen_by": version.frozen_by,
        "frozen_at": version.frozen_at.isoformat(),
        "manifest": version.manifest,
    }


def _rows(version: DatasetVersion) -> str:
    return ", ".join(f"{count:,} {side}" for side, count in version.manifest["sides"].items() if count)


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())
