"""``errata erase`` and ``errata retention``: what has to go, by somebody's wish or by its age."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from curation.errors import Invalid, NotFound, Unavailable
from curation.terminal import AsJson, Forgotten, Terminal, at

if TYPE_CHECKING:
    from curation.privacy.belongings import Erased

removal_commands = typer.Typer(rich_markup_mode=None)


@removal_commands.command(epilog="Example: errata --as olga erase --customer U0123ABCD --dry-run")
def erase(
    ctx: typer.Context,
    customer: Annotated[
        str,
        typer.Option("--customer", metavar="KEY", help="As imported rows name them, a Slack user id, or a thread."),
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would go, and erase nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Erase a customer: captures, candidates, examples, rows of datasets and of runs. It cannot be undone."""
    from curation.privacy import erasure  # noqa: PLC0415

    terminal = at(ctx)
    try:
        with terminal.store.read() as session:
            theirs = erasure.find(session, terminal.actor(session), customer)
    except NotFound:
        if not dry_run and _finished(terminal, as_json=as_json):
            return
        raise
    uploaded = terminal.uploaded_for(theirs.datasets)
    if not as_json:
        _tell(terminal, theirs)
        if uploaded:
            terminal.say(f"Rows of these datasets were uploaded to Azure for: {', '.join(uploaded)}")
    if not dry_run and not yes and not typer.confirm("Erase all of this for good?", err=True):
        terminal.note("Nothing was erased.")
        raise typer.Exit(1)
    came = Forgotten()
    if not dry_run:
        with terminal.waiting("Erasing …"):
            with terminal.store.write() as session:
                theirs = erasure.erase(
                    session, terminal.actor(session), terminal.clock(), customer, regions=terminal.privacy.regions
                )
            erasure.clear_traces(terminal.store)
            came = terminal.forget_in_runs()
    backups = [str(path) for path in sorted(terminal.home.glob("**/errata-*.db"))]
    if as_json:
        told = {"erased": not dry_run, "backups": backups, "uploaded": uploaded, **_outside(came)}
        terminal.give({**theirs.as_json(), **told})
    else:
        _tell_rest(terminal, came, backups, erased=not dry_run)
    _end(came)


@removal_commands.command(epilog="Example: errata --as olga retention --days 365 --dry-run")
def retention(
    ctx: typer.Context,
    days: Annotated[
        int | None, typer.Option("--days", metavar="N", help="How old they are; else ERRATA_RETENTION_DAYS.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count, and remove nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove old captures, and old candidates that nobody approved."""
    from curation.privacy import retention as sweeping  # noqa: PLC0415

    terminal = at(ctx)
    days = days if days is not None else terminal.retention_days
    if days is None:
        raise Invalid("Say how old: --days N, or ERRATA_RETENTION_DAYS, with which the worker does it every day.")
    with terminal.store.write() as session:
        swept = sweeping.sweep(session, terminal.actor(session), terminal.clock(), days=days, dry_run=dry_run)
    if as_json:
        terminal.give({**swept.as_json(), "days": days, "removed": not dry_run})
        return
    verb = "would be removed" if dry_run else "are removed"
    terminal.say(
        f"Older than {days:,} days: {swept.candidates:,} candidates and {swept.captures:,} captures {verb}, "
        f"{swept.emptied:,} captures of approved candidates lose their words."
    )


def _finished(terminal: Terminal, *, as_json: bool) -> bool:
    """Go on with what earlier erasures have left, of which one may have been killed; whether others held anything."""
    from curation.privacy import erasure  # noqa: PLC0415 (as above)

    with terminal.waiting("Looking for what earlier erasures have left …"):
        erasure.clear_traces(terminal.store)
        came = terminal.forget_in_runs()
    outside = bool(came.removed or came.left)
    if as_json and outside:
        terminal.give(_outside(came))
    elif not as_json and (outside or came.learned):
        terminal.say("Nothing of theirs is left here. Of earlier erasures:")
        _tell_came(terminal, came)
    _end(came)
    return outside


def _tell_rest(terminal: Terminal, came: Forgotten, backups: list[str], *, erased: bool) -> None:
    _tell_came(terminal, came)
    if backups:
        terminal.say("Backups hold the database as it was; delete them, and those you keep elsewhere:")
        for path in backups:
            terminal.say(f"  {path}")
    terminal.say("Erased. Next: errata audit verify" if erased else "Nothing is erased: this was a dry run.")


def _outside(came: Forgotten) -> dict[str, list[str]]:
    return {"runs": came.learned, "removed": came.removed, "left": came.left}


def _tell_came(terminal: Terminal, came: Forgotten) -> None:
    for sentence in came.learned:
        terminal.say(sentence)
    if came.removed:
        terminal.say(f"Removed from Azure: what was uploaded for {', '.join(came.removed)}")
    for sentence in came.left:
        terminal.say(sentence)


def _end(came: Forgotten) -> None:
    """Leave as one does whom a provider has refused something, while it holds anything."""
    if came.left:
        raise typer.Exit(Unavailable.exit_code)


def _tell(terminal: Terminal, theirs: Erased) -> None:
    terminal.say(
        f"{len(theirs.captures):,} captures, {len(theirs.candidates):,} candidates and {len(theirs.examples):,} "
        f"examples, in {len(theirs.threads):,} threads."
    )
    if theirs.datasets:
        terminal.say(f"Rows become tombstones in: {', '.join(theirs.datasets)}")
    if theirs.exports:
        terminal.say("Files that left with rows of theirs; whoever holds them has to delete them:")
        for path in theirs.exports:
            terminal.say(f"  {path}")
    if theirs.named:
        terminal.say(f"Rows of others that name them; they leave without the name: {', '.join(theirs.named)}")
    if theirs.messages:
        terminal.say("Messages to agents that quote them; whoever got them has to delete them:")
        for place in theirs.messages:
            terminal.say(f"  {place}")
