"""The part of the command line that belongs to curation: from people and assistants to datasets.

Owns no decision: every command translates, calls one use case and prints. The subcommands live in
modules of one story each; ``bot.cli`` mounts them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curation.errors import Invalid, NotFound
from curation.policies import RoleName
from curation.terminal import AsJson, Terminal, at, excerpt

if TYPE_CHECKING:
    from sqlmodel import Session

    from curation.people import PersonId

_SLACK_USER = re.compile(r"[UW][A-Z0-9]{7,}", re.ASCII)
_PROMPT_SHOWN = 60

people_commands = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Who may do what.")
assistant_commands = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The assistants that are watched.")

TeamOption = Annotated[str | None, typer.Option("--team", help="Workspace id, such as T0123ABCD.")]


@people_commands.command(epilog="Example: errata people grant U0123ABCD reviewer --team T0123ABCD")
def grant(
    ctx: typer.Context,
    person: Annotated[str, typer.Argument(help="T0123ABCD/U0123ABCD, a Slack user id, or any name for this machine.")],
    role: Annotated[RoleName, typer.Argument(help="What the person becomes.")],
    team: TeamOption = None,
    name: Annotated[str | None, typer.Option("--name", help="The name the person goes by.")] = None,
) -> None:
    """Grant a role. The very first owner needs no --as."""
    from curation import people  # noqa: PLC0415 (the tables load only where a command needs them)

    terminal = at(ctx)
    granted = _person(terminal, person, team)
    with terminal.store.write() as session:
        first = role is RoleName.OWNER and not people.owners(session)
        actor = None if first or terminal.acting is None else terminal.actor(session)
        people.grant(session, actor, terminal.clock(), person=granted, role=role)
        if name:
            people.meet(session, terminal.clock(), granted, display_name=name)
        shown = people.name_of(session, granted)
    terminal.say(f"{shown} ({granted}) is {role.value} now.")
    if first:
        terminal.say(f"Act as this person with --as {granted} or ERRATA_ACTOR={granted}.")


@people_commands.command(epilog="Example: errata --as ana people revoke ben reviewer")
def revoke(
    ctx: typer.Context,
    person: Annotated[str, typer.Argument(help="Id, user id or name of somebody known.")],
    role: Annotated[RoleName, typer.Argument(help="What the person is no longer.")],
) -> None:
    """Take a role back."""
    from curation import people  # noqa: PLC0415

    terminal = at(ctx)
    with terminal.store.write() as session:
        found = people.resolve(session, person)
        people.revoke(session, terminal.actor(session), terminal.clock(), person=found, role=role)
        shown = people.name_of(session, found)
    terminal.say(f"{shown} ({found}) is no {role.value} any more.")


@people_commands.command("list", epilog="Example: errata people list --json")
def list_people(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Show everybody known, with their roles."""
    from curation import people  # noqa: PLC0415

    terminal = at(ctx)
    with terminal.store.read() as session:
        rows = [
            (row.display_name, sorted(role.value for role in roles), row.id) for row, roles in people.listed(session)
        ]
    if as_json:
        terminal.give([{"id": person, "name": name, "roles": roles} for name, roles, person in rows])
    elif rows:
        terminal.table(["Name", "Roles", "Id"], [(name, ", ".join(roles), person) for name, roles, person in rows])
    else:
        terminal.say("Nobody is known yet. Next: errata people grant PERSON owner")


@assistant_commands.command(epilog='Example: errata assistants add "Fjord Telecom" --bot U0123BOT1 --bot B0123BOT1')
def add(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="What the assistant is called.")],
    bots: Annotated[list[str], typer.Option("--bot", help="User or bot id it posts as; once for each.")],
    team: TeamOption = None,
) -> None:
    """Watch an assistant's replies."""
    from curation import assistants  # noqa: PLC0415

    terminal = at(ctx)
    workspace = _team(terminal, team)
    with terminal.store.write() as session:
        actor = terminal.actor(session)
        assistants.add(session, actor, terminal.clock(), name=name, team_id=workspace, speaks_as=set(bots))
    terminal.say(f"{name} is watched in {workspace}. Next: errata assistants prompt {_quoted(name)} --file prompt.txt")


@assistant_commands.command(epilog='Example: errata assistants prompt "Fjord Telecom" --file prompt.txt')
def prompt(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="The assistant.")],
    file: Annotated[Path | None, typer.Option("--file", help="A file with the prompt's text, in UTF-8.")] = None,
    text: Annotated[str | None, typer.Option("--text", help="The prompt's text.")] = None,
) -> None:
    """Say which system prompt the assistant runs with; each change is a new version."""
    from curation import assistants  # noqa: PLC0415

    terminal = at(ctx)
    if (file is None) == (text is None):
        raise Invalid("Give the system prompt once: with --file FILE or with --text TEXT.")
    with terminal.store.write() as session:
        said = text if text is not None else read_text(file)
        stored = assistants.set_prompt(session, terminal.actor(session), terminal.clock(), name=name, text=said)
    terminal.say(f"{name} runs with version {stored.version} of its system prompt.")


@assistant_commands.command("list", epilog="Example: errata assistants list --json")
def list_assistants(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Show the assistants that are watched, with their newest system prompt."""
    from curation import assistants  # noqa: PLC0415

    terminal = at(ctx)
    with terminal.store.read() as session:
        rows = [
            {
                "name": assistant.name,
                "team": assistant.team_id,
                "speaks_as": sorted(assistants.speaker_map(session, assistant, staff=frozenset()).rules),
                "prompt_version": newest.version if newest else None,
                "prompt": newest.text if newest else None,
            }
            for assistant in assistants.listed(session)
            for newest in [assistants.current_prompt(session, assistant.key)]
        ]
    if as_json:
        terminal.give(rows)
    elif rows:
        terminal.table(
            ["Name", "Workspace", "Posts as", "Prompt"],
            [
                (
                    row["name"],
                    row["team"],
                    ", ".join(row["speaks_as"]),
                    f"version {row['prompt_version']}: {excerpt(row['prompt'], _PROMPT_SHOWN)}"
                    if row["prompt"]
                    else "not known",
                )
                for row in rows
            ],
        )
    else:
        terminal.say("No assistant is watched yet. Next: errata assistants add NAME --bot USER_ID")


def read_text(path: Path | None) -> str:
    """The text of a UTF-8 file that somebody named.

    Raises:
        Invalid: it cannot be read.
    """
    if path is None:
        raise Invalid("No file was given.")
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{path} cannot be read; give a UTF-8 text file that you may read.") from error


def _person(terminal: Terminal, text: str, team: str | None) -> PersonId:
    """The id that somebody means: a known person, a whole id, a Slack user of a workspace, or a name of this machine."""
    from curation import people  # noqa: PLC0415

    if "/" in text:
        return people.PersonId(text)
    if team is None:
        with terminal.store.read() as session:
            try:
                return people.resolve(session, text)
            except NotFound:
                pass  # somebody new
    if _SLACK_USER.fullmatch(text) or team is not None:
        return people.person_id(_team(terminal, team), text)
    return people.person_id(people.LOCAL_TEAM, text)


def _team(terminal: Terminal, given: str | None) -> str:
    """The workspace: as given, as set, the only one known, or as Slack says."""
    if found := given or terminal.team:
        return found
    with terminal.store.read() as session:
        known = _known_teams(session)
    if len(known) == 1:
        return known.pop()
    if not known and (asked := terminal.ask_team()):
        return asked
    raise Invalid("Say which workspace, with --team T0123ABCD or ERRATA_TEAM.")


def _known_teams(session: Session) -> set[str]:
    """The workspaces of the people and assistants that are known."""
    from curation import assistants, people  # noqa: PLC0415

    teams = {row.id.split("/")[-2] for row, _ in people.listed(session) if "/" in row.id}
    teams |= {assistant.team_id for assistant in assistants.listed(session)}
    return teams - {people.LOCAL_TEAM}


def _quoted(name: str) -> str:
    return f'"{name}"' if " " in name else name
