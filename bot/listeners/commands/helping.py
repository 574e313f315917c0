"""``/errata help``: the list, and one sub-command explained."""

from __future__ import annotations

from collections.abc import Mapping

from sqlmodel import Session

from bot.listeners.commands.asked import COMMAND, Answer, Asked, SubCommand, find


def explain(table: Mapping[str, SubCommand], _session: Session, asked: Asked) -> Answer:
    """The list, or the sub-command of this name with an example."""
    say, name = asked.say, asked.word(0)
    if name is None:
        lines = [f"• `{COMMAND} {known}` {say(command.summary)}" for known, command in table.items()]
        more = say("More about one of them: {command}", command=f"`{COMMAND} help freeze`")
        return "\n".join([say("Try one of these:"), *lines, more])
    known = find(table, name)
    told = [f"`{_usage(name.casefold(), known)}` {say(known.summary)}"]
    if known.notes is not None:
        told.append(say(known.notes))
    if known.example:
        told.append(say("Example: {command}", command=f"`{COMMAND} {name.casefold()} {known.example}`"))
    return "\n".join(told)


def _usage(name: str, command: SubCommand) -> str:
    return f"{COMMAND} {name} {command.usage}".strip()
