"""``errata assistants``: whose replies are watched, and under which system prompt."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from curation.commands.people import TeamOption, team_of
from curation.terminal import AsJson, at, excerpt, text_of

_PROMPT_SHOWN = 60

assistant_commands = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The assistants that are watched.")


@assistant_commands.command(epilog='Example: errata --as ana assistants add "Fjord Telecom" --bot U0123BOT1')
def add(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the assistant is called.")],
    bots: Annotated[list[str], typer.Option("--bot", metavar="ID", help="User or bot id it posts as; once for each.")],
    team: TeamOption = None,
) -> None:
    """Watch an assistant's replies."""
    from curation import assistants  # noqa: PLC0415

    terminal = at(ctx)
    workspace = team_of(terminal, team)
    with terminal.store.write() as session:
        actor = terminal.actor(session)
        assistants.add(session, actor, terminal.clock(), name=name, team_id=workspace, speaks_as=set(bots))
    terminal.say(f"{name} is watched in {workspace}. Next: errata assistants prompt {_quoted(name)} --file prompt.txt")


@assistant_commands.command(epilog='Example: errata --as ana assistants prompt "Fjord Telecom" --file prompt.txt')
def prompt(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The assistant.")],
    file: Annotated[
        Path | None, typer.Option("--file", metavar="FILE", help="A file with the prompt's text, in UTF-8.")
    ] = None,
    text: Annotated[str | None, typer.Option("--text", metavar="TEXT", help="The prompt's text.")] = None,
    channel: Annotated[
        str | None, typer.Option("--channel", metavar="ID", help="Use it in this channel only, such as C0123ABCD.")
    ] = None,
) -> None:
    """Say which system prompt the assistant runs with; each change is a new version."""
    from curation import assistants  # noqa: PLC0415

    terminal = at(ctx)
    said = text_of(text, file, what="system prompt")
    with terminal.store.write() as session:
        actor = terminal.actor(session)
        stored = assistants.set_prompt(session, actor, terminal.clock(), name=name, text=said, channel=channel)
    where = f" in {channel}" if channel else ""
    terminal.say(f"{name} runs with version {stored.version} of its system prompt{where}.")


@assistant_commands.command("list", epilog="Example: errata assistants list --json")
def list_assistants(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Show the assistants that are watched, with their newest system prompt."""
    from curation import assistants  # noqa: PLC0415

    terminal = at(ctx)
    with terminal.store.read() as session:
        rows: list[dict[str, Any]] = [
            {
                "name": assistant.name,
                "team": assistant.team_id,
                "speaks_as": sorted(assistants.speaker_map(session, assistant, staff=frozenset()).rules),
                "prompt_version": newest.version if newest else None,
                "prompt": newest.text if newest else None,
                "channels": {
                    str(own.place).rpartition("/")[2]: own.version
                    for own in assistants.channel_prompts(session, assistant.key)
                },
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
                    ", ".join(
                        [
                            f"version {row['prompt_version']}: {excerpt(row['prompt'], _PROMPT_SHOWN)}"
                            if row["prompt"]
                            else "not known",
                            *(f"version {version} in {channel}" for channel, version in row["channels"].items()),
                        ]
                    ),
                )
                for row in rows
            ],
        )
    else:
        terminal.say("No assistant is watched yet. Next: errata assistants add NAME --bot USER_ID")


@assistant_commands.command(epilog='Example: errata assistants replies "Fjord Telecom" --json')
def replies(
    ctx: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="One assistant; else every one.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show how many replies each model version gave, and how many of them were flagged or corrected."""
    from curation import assistants, replies  # noqa: PLC0415

    terminal = at(ctx)
    with terminal.store.read() as session:
        asked = [assistants.find(session, name)] if name is not None else assistants.listed(session)
        counted = [(one.name, figures) for one in asked for figures in replies.per_version(session, one.key)]
    if as_json:
        terminal.give([{"assistant": assistant, **figures.as_json()} for assistant, figures in counted])
    elif counted:
        terminal.table(
            ["Assistant", "Model", "Replies", "Flagged", "Of them corrected", "Flagged in a hundred", "From", "To"],
            [
                (
                    assistant,
                    one.model_version or "production",
                    f"{one.replies:,}",
                    f"{one.flagged:,}",
                    f"{one.corrected:,}",
                    f"{one.flag_rate:.1%}".rstrip("%"),
                    one.first_hour[:10],
                    one.last_hour[:10],
                )
                for assistant, one in counted
            ],
        )
    elif asked:
        terminal.say(
            f"No reply of {' or '.join(one.name for one in asked)} has been counted yet. They are from the moment the "
            "bot is in their channel: /invite @Errata there, and see that errata serve runs."
        )
    else:
        terminal.say("No assistant is watched yet. Next: errata assistants add NAME --bot USER_ID")


def _quoted(name: str) -> str:
    return f'"{name}"' if " " in name else name
