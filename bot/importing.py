"""``errata import-slack``: what the assistant said before Errata was there, from an export of the workspace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curation.errors import Invalid
from curation.terminal import AsJson, Terminal, at

if TYPE_CHECKING:
    from sqlmodel import Session

    from bot.archives import Archive, Channel
    from curation.assistants import SpeakerMap
    from curation.findings import Finding
    from curation.imports import Reply
    from curation.store.tables import Assistant

importing_commands = typer.Typer(rich_markup_mode=None)


@importing_commands.command(
    "import-slack", epilog="Example: errata --as ana import-slack export.zip --channel support --since 2026-01-01"
)
def import_slack(
    ctx: typer.Context,
    archive: Annotated[Path, typer.Argument(metavar="FILE", help="The ZIP that Slack's export gave.")],
    assistant: Annotated[
        str | None, typer.Option("--assistant", metavar="NAME", help="Whose replies; not needed where there is one.")
    ] = None,
    channels: Annotated[
        list[str] | None, typer.Option("--channel", metavar="NAME", help="Only of this channel; may be repeated.")
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(
            "--since",
            metavar="DATE",
            formats=["%Y-%m-%d"],
            help="Only replies from this day on, such as 2026-01-31 (UTC).",
        ),
    ] = None,
    skip_invalid: Annotated[
        bool, typer.Option("--skip-invalid", help="Import the rest where a file of the archive is damaged.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count what would be imported, and write nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Import what the assistant said in the threads of a Slack export: one candidate a thread, to be judged."""
    from bot.archives import open_archive, read_replies  # noqa: PLC0415
    from curation import imports, people  # noqa: PLC0415 (the tables load only where they are needed)
    from curation.findings import Finding, blocking  # noqa: PLC0415
    from curation.policies import Permission  # noqa: PLC0415

    terminal = at(ctx)
    with terminal.store.read() as session:
        people.require(session, terminal.actor(session), Permission.FLAG)
        watched, speakers = _watched(session, assistant)
    start = since.replace(tzinfo=UTC) if since is not None else None
    with open_archive(archive) as opened:
        _require_team(opened, watched.team_id, archive)
        chosen = opened.chosen(channels or [])

        def read(channel: Channel) -> Iterator[Reply | Finding]:
            return read_replies(opened, channel, speakers, team_id=watched.team_id, since=start)

        with terminal.waiting(f"Reading {archive} …"):
            found = _look(chosen, read)
        if blocking(found.findings) and not skip_invalid:
            _report(terminal, archive, found, added=0, known=0, as_json=as_json)
            terminal.note(f"{archive}: nothing was imported. Export it again, or import the rest with --skip-invalid.")
            raise typer.Exit(1)
        replies = (item for channel in chosen for item in read(channel) if not isinstance(item, Finding))
        if dry_run:
            with terminal.store.read() as session:
                known = imports.known_among(session, (reply.source for reply in replies))
            added = found.total - known
        else:
            taken = terminal.counted(f"Importing {found.total:,} replies", replies, found.total)
            with terminal.store.write() as session:
                actor, origin = terminal.actor(session), f"import:{archive.name}"
                place = terminal.review_place(watched.team_id)
                added, known = imports.propose_replies(
                    session, actor, terminal.clock(), taken, assistant_id=watched.key, origin=origin, place=place
                )
    _report(terminal, archive, found, added=added, known=known, as_json=as_json)
    if as_json:
        return
    if dry_run:
        terminal.say(f"{added:,} replies would be added, {known:,} are known already. Next: the same without --dry-run")
    else:
        terminal.say(f"{added:,} candidates added from {archive.name}, {known:,} known already. Next: errata review")


@dataclass
class _Found:
    """What is in the chosen channels: threads with a reply by channel, which of them are private, and what is odd."""

    threads: dict[str, int] = field(default_factory=dict)
    private: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def total(self) -> int:
        return sum(self.threads.values())


def _look(chosen: list[Channel], read: Callable[[Channel], Iterator[Reply | Finding]]) -> _Found:
    from curation.findings import Finding  # noqa: PLC0415

    found = _Found()
    for channel in chosen:
        for item in read(channel):
            if isinstance(item, Finding):
                found.findings.append(item)
            else:
                found.threads[channel.name] = found.threads.get(channel.name, 0) + 1
        if channel.private and channel.name in found.threads:
            found.private.append(channel.name)
    return found


def _watched(session: Session, name: str | None) -> tuple[Assistant, SpeakerMap]:
    """The assistant whose replies are wanted, and who speaks as whom beside it."""
    from curation import assistants, people  # noqa: PLC0415

    if name is not None:
        watched = assistants.find(session, name)
    else:
        everybody = assistants.listed(session)
        if len(everybody) != 1:
            raise Invalid(
                "Say whose replies, with --assistant: there are {names}."
                if everybody
                else "No assistant is watched yet; add it with: errata assistants add NAME --bot USER_ID",
                names=[one.name for one in everybody],
            )
        watched = everybody[0]
    staff = people.staff_user_ids(session, watched.team_id)
    return watched, assistants.speaker_map(session, watched, staff=staff)


def _require_team(opened: Archive, team_id: str, archive: Path) -> None:
    if opened.teams and team_id not in opened.teams:
        teams = ", ".join(sorted(opened.teams))
        raise Invalid(
            "{file} is of the workspace {workspaces}, and the assistant works in {workspace}; choose another.",
            file=archive,
            workspaces=teams,
            workspace=team_id,
        )


def _report(terminal: Terminal, archive: Path, found: _Found, *, added: int, known: int, as_json: bool) -> None:
    from curation.measures.reports import finding_lines  # noqa: PLC0415

    if as_json:
        told = [finding.as_json() for finding in found.findings]
        result = {"added": added, "known": known, "threads": found.threads, "private": found.private, "findings": told}
        terminal.give(result)
        return
    for line in finding_lines(found.findings):
        terminal.note(f"{archive.name}: {line}" if not line.startswith(" ") else line)
    for name in found.private:
        terminal.note(f"#{name} is private: whoever reviews can read {found.threads[name]:,} of its threads.")
