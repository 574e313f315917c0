"""``errata people``: who may do what, and how a person is named on the command line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from curation.errors import Invalid, NotFound
from curation.language import name_of
from curation.policies import RoleName
from curation.terminal import AsJson, Terminal, at

if TYPE_CHECKING:
    from sqlmodel import Session

    from curation.people import PersonId

_SLACK_USER = re.compile(r"[UW][A-Z0-9]{7,}", re.ASCII)

people_commands = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Who may do what.")

TeamOption = Annotated[str | None, typer.Option("--team", metavar="TEAM", help="Workspace id, such as T0123ABCD.")]


@people_commands.command(epilog="Example: errata --as ana people grant U0123ABCD reviewer --team T0123ABCD")
def grant(
    ctx: typer.Context,
    person: Annotated[
        str,
        typer.Argument(metavar="PERSON", help="T0123ABCD/U0123ABCD, a Slack user id, or any name for this machine."),
    ],
    role: Annotated[RoleName, typer.Argument(metavar="ROLE", help="What the person becomes.")],
    team: TeamOption = None,
    name: Annotated[str | None, typer.Option("--name", metavar="TEXT", help="The name the person goes by.")] = None,
) -> None:
    """Grant a role. The very first owner needs no --as."""
    from curation import people  # noqa: PLC0415 (the tables load only where a command needs them)

    terminal = at(ctx)
    granted = person_of(terminal, person, team)
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
    person: Annotated[str, typer.Argument(metavar="PERSON", help="Id, user id or name of somebody known.")],
    role: Annotated[RoleName, typer.Argument(metavar="ROLE", help="What the person is no longer.")],
) -> None:
    """Take a role back."""
    from curation import people  # noqa: PLC0415

    terminal = at(ctx)
    with terminal.store.write() as session:
        found = people.resolve(session, person)
        people.revoke(session, terminal.actor(session), terminal.clock(), person=found, role=role)
        shown = people.name_of(session, found)
    terminal.say(f"{shown} ({found}) is no {role.value} any more.")


@people_commands.command(epilog="Example: errata --as ana people language ana de --reads de,nb")
def language(
    ctx: typer.Context,
    person: Annotated[str, typer.Argument(metavar="PERSON", help="Id, user id or name of somebody known.")],
    code: Annotated[
        str | None,
        typer.Argument(metavar="CODE", help="en, de, nb, fil, zh or id; default: as Slack is set for the person."),
    ] = None,
    reads: Annotated[
        str | None,
        typer.Option("--reads", metavar="CODES", help="What the person reviews: de,nb, or all."),
    ] = None,
) -> None:
    """Choose how Errata speaks to somebody, and what they review. Yourself, or as an owner; without a CODE, look."""
    from curation import people, tongues  # noqa: PLC0415

    terminal = at(ctx)
    with terminal.store.write() if code or reads else terminal.store.read() as session:
        found, now = people.resolve(session, person), terminal.clock()
        if code:
            spoken = None if code == "default" else code
            tongues.choose_language(session, terminal.actor(session), now, spoken, of=found)
        if reads:
            chosen = None if reads == "all" else [one.strip() for one in reads.split(",")]
            tongues.choose_reads(session, terminal.actor(session), now, chosen, of=found)
        shown, (spoken, _), reviewed = (
            people.name_of(session, found),
            people.tongue_of(session, found),
            people.reads_of(session, found),
        )
    terminal.say(
        f"{shown} ({found}) is spoken to in {name_of(spoken) if spoken else 'the language that Slack is set to'} "
        f"and reviews {', '.join(name_of(one) for one in sorted(reviewed)) if reviewed else 'every language'}."
    )


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


def team_of(terminal: Terminal, given: str | None) -> str:
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


def person_of(terminal: Terminal, text: str, team: str | None) -> PersonId:
    """The id that is meant: a whole one, a known person, a Slack user of a workspace, or a name of this machine."""
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
        return people.person_id(team_of(terminal, team), text)
    return people.person_id(people.LOCAL_TEAM, text)
