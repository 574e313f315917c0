"""``errata init``: what a new installation is told, written into .env and the database.

Owns how .env is changed: one line a variable, other lines kept, nothing overwritten unasked. Works
without a network; what Slack would say is then left for ``errata doctor``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from bot.connection import identify
from bot.entry import Entry
from bot.settings import Settings
from curation import assistants, people
from curation.commands.people import person_of
from curation.errors import Conflict, ErrataError
from curation.formats.exports import write_atomically
from curation.policies import RoleName

MANIFEST = "app-manifest.yaml"
_NEW_APP = "https://api.slack.com/apps?new_app=1&manifest_yaml="


@dataclass(frozen=True, slots=True)
class Answers:
    """What was asked; None or empty where nobody knew yet.

    Attributes:
        variables: of the environment, by name.
        owner: the first owner, as typed.
        assistant: the assistant's name.
        bots: user and bot ids under which it posts.
        prompt: the text of its system prompt.
    """

    variables: Mapping[str, str]
    owner: str | None
    assistant: str | None
    bots: tuple[str, ...]
    prompt: str | None


def initialise(entry: Entry, answers: Answers, dotenv: Path, *, force: bool) -> list[str]:
    """Write .env, make the database, grant the first owner and add the assistant.

    Returns:
        Sentences on what was done and what is left, the link that creates the Slack app where no token is known.

    Raises:
        Invalid: a value that can't be taken; nothing is written.
        Conflict: .env says something else already, and ``force`` is not given.
    """
    given = {name: value for name, value in answers.variables.items() if value}
    said = []
    settings = Settings.from_environment({**entry.environ, **given}, dotenv=dotenv)
    if settings.bot_token:
        try:
            identity = identify(settings)
        except ErrataError as error:
            said.append(f"Warning: {error} Everything else goes on; errata doctor looks again.")
        else:
            said.append(f"Slack knows the bot as {identity.bot} in {identity.team}.")
            given.setdefault("ERRATA_TEAM", settings.team or identity.team_id)
    write_env(dotenv, given, force=force)
    made = Entry({**entry.environ, **given}, debug=entry.debug)
    try:
        said += _fill(made, answers, dotenv, force=force)
    finally:
        made.close()
    if not settings.bot_token:
        said += _how_to_make_the_app()
    return [f"{dotenv} is written; only you can read it.", *said]


def _fill(entry: Entry, answers: Answers, dotenv: Path, *, force: bool) -> list[str]:
    """The first owner and the assistant, where they are not there yet."""
    said = []
    owner = person_of(entry, answers.owner, None) if answers.owner else None
    with entry.store.write() as session:
        if owner is not None and not people.owners(session):
            people.grant(session, None, entry.clock(), person=owner, role=RoleName.OWNER)
            said.append(f"{owner} is the first owner.")
    if owner is not None:
        write_env(dotenv, {"ERRATA_ACTOR": owner}, force=force)
    if owner is None or not answers.assistant or not answers.bots:
        return said
    with entry.store.read() as session:
        known = {assistant.name for assistant in assistants.listed(session)}
    of_owner = owner.split("/")[-2]
    team = entry.team or (of_owner if of_owner != people.LOCAL_TEAM else None)
    if team is None:
        return [*said, f"{answers.assistant} waits for its workspace: errata assistants add NAME --bot ID --team TEAM"]
    with entry.store.write() as session:
        actor = people.Actor(owner)
        if answers.assistant not in known:
            assistants.add(
                session, actor, entry.clock(), name=answers.assistant, team_id=team, speaks_as=set(answers.bots)
            )
            said.append(f"{answers.assistant} is watched.")
        if answers.prompt:
            assistants.set_prompt(session, actor, entry.clock(), name=answers.assistant, text=answers.prompt)
    return said


def write_env(path: Path, values: Mapping[str, str], *, force: bool) -> None:
    """Set these variables in the file, each on its line; every other line stays. Mode 0600.

    Raises:
        Conflict: a variable has another value there, and ``force`` is not given.
    """
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    for name, value in values.items():
        line = f"{name}={value}"
        at = next((number for number, old in enumerate(lines) if re.match(rf"(export\s+)?{name}\s*=", old)), None)
        if at is None:
            lines.append(line)
        elif lines[at].split("=", 1)[1].strip().strip("\"'") in {"", value} or force:
            lines[at] = line
        else:
            raise Conflict(f"{path} sets {name} to something else already; give --force to replace it.")
    write_atomically(path, (f"{line}\n".encode() for line in lines))


def _how_to_make_the_app() -> list[str]:
    """The address that makes the Slack app from the manifest, on a line of its own so that it can be copied."""
    for folder in (Path(), Path(__file__).parent.parent):
        file = folder / MANIFEST
        if file.is_file():
            link = _NEW_APP + quote(file.read_text(encoding="utf-8"), safe="")
            return ["Create the Slack app with this link, then run errata init again with its tokens:", link]
    return [f"Create the Slack app from {MANIFEST} in Errata's source, then run errata init again with its tokens."]
