"""``errata audit``: who did what, and whether the record of it still holds."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curation.errors import Invalid
from curation.terminal import AsJson, at, read_text

if TYPE_CHECKING:
    from sqlmodel import Session

    from curation.audit import Head

audit_commands = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Who did what, when.")


@audit_commands.command(epilog="Example: errata audit verify --anchor /mnt/elsewhere/errata.anchor")
def verify(
    ctx: typer.Context,
    anchor: Annotated[
        Path | None,
        typer.Option(
            "--anchor",
            metavar="FILE",
            help="Compare with the newest entry kept in this file outside the database, then keep today's there.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Walk the chain of entries and name the first that was changed, removed, moved or put in."""
    from curation import audit  # noqa: PLC0415 (the tables load only where they are needed)

    terminal = at(ctx)
    kept = _anchored(anchor) if anchor is not None and anchor.exists() else None
    with terminal.waiting("Walking the chain …"), terminal.store.read() as session:
        found = audit.verify(session)
        why = _against(session, kept) if found.broken is None and kept is not None else found.why
    broken = found.broken if found.broken is not None else (kept.entry if kept is not None and why else None)
    if anchor is not None and broken is None and found.head is not None:
        _keep(anchor, found.head, terminal.clock())
    if as_json:
        newest = None if found.head is None else {"entry": found.head.entry, "hash": found.head.hash}
        terminal.give({"entries": found.entries, "head": newest, "broken": broken, "why": why})
    elif broken is not None:
        terminal.say(f"The audit is broken at entry {broken}: {why}. Restore a backup from before it, or ask who did.")
    else:
        terminal.say(_sound(found.entries, found.head, anchor))
    if broken is not None:
        raise typer.Exit(1)


@audit_commands.command(epilog="Example: errata audit search --subject candidate:12 --since 2026-11-01")
def search(
    ctx: typer.Context,
    actor: Annotated[
        str | None, typer.Option("--actor", metavar="PERSON", help="Who did it; system/worker and system/host too.")
    ] = None,
    subject: Annotated[
        str | None, typer.Option("--subject", metavar="SUBJECT", help="What it was done to: candidate:12, or run.")
    ] = None,
    action: Annotated[
        str | None, typer.Option("--action", metavar="ACTION", help="What was done: run.requested, or run.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="DATE", help="2026-11-20, or with a time, in UTC unless it says.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List entries, oldest first."""
    from curation import audit, people  # noqa: PLC0415

    terminal = at(ctx)
    moment = moment_of(since) if since is not None else None
    with terminal.store.read() as session:
        who = _person(session, actor) if actor is not None else None
        entries = audit.search(session, actor=who, subject=subject, action=action, since=moment)
        names = {entry.actor: people.name_of(session, entry.actor) for entry in entries}
    if as_json:
        terminal.give(
            [
                {
                    "entry": entry.key,
                    "at": entry.at.isoformat(),
                    "actor": entry.actor,
                    "action": entry.action,
                    "subject": entry.subject,
                    "details": entry.details,
                    "hash": entry.hash,
                }
                for entry in entries
            ]
        )
        return
    if not entries:
        terminal.say("No entry matches.")
        return
    terminal.table(
        ["Entry", "At (UTC)", "Who", "Did", "To", "Details"],
        [
            [
                entry.key,
                f"{entry.at:%Y-%m-%d %H:%M:%S}",
                names[entry.actor],
                entry.action,
                entry.subject,
                ", ".join(f"{name} {value}" for name, value in entry.details.items()),
            ]
            for entry in entries
        ],
    )


def _anchored(file: Path) -> Head:
    from curation.audit import Head  # noqa: PLC0415

    try:
        kept = json.loads(read_text(file))
        return Head(int(kept["entry"]), str(kept["hash"]))
    except (ValueError, KeyError, TypeError) as error:
        raise Invalid(f"{file} is no anchor of the audit; name another file, or remove it to begin anew.") from error


def _against(session: Session, kept: Head) -> str:
    """Why the chain is not the one that the anchor was taken from; empty where it is."""
    from curation import audit  # noqa: PLC0415

    present = audit.hash_of(session, kept.entry)
    if present is None:
        return "the anchor knows it and the database does not: it was removed, or an older backup was restored"
    if present == kept.hash:
        return ""
    older = [one.key for one in audit.search(session, action="database.restored") if one.key <= kept.entry]
    if older:
        return f"it is another one than the anchor knows: an older backup was restored, see entry {older[-1]}"
    return "it is another one than the anchor knows: the chain was written anew"


def _keep(file: Path, head: Head, now: datetime) -> None:
    from curation.formats.exports import write_atomically  # noqa: PLC0415

    line = json.dumps({"entry": head.entry, "hash": head.hash, "at": now.isoformat()})
    write_atomically(file, [f"{line}\n".encode()])


def _sound(entries: int, head: Head | None, anchor: Path | None) -> str:
    if head is None:
        return "The audit has no entry yet."
    kept = f" {anchor} keeps it." if anchor is not None else ""
    return f"The audit holds: {entries:,} entries, the newest is {head.entry} ({head.hash[:16]}…).{kept}"


def _person(session: Session, name: str) -> str:
    from curation import people  # noqa: PLC0415

    return name if name.startswith("system/") else people.resolve(session, name)


def moment_of(text: str) -> datetime:
    """``2026-11-20``, or with a time; in UTC unless it says. Invalid where it is neither."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise Invalid(f"{text} is no date; write 2026-11-20 or 2026-11-20T14:00.") from error
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
