"""``/errata doctor``: what stands in Errata's way in this workspace, or in Azure, for those who can mend it."""

from __future__ import annotations

from functools import partial

from sqlmodel import Session

from bot import slack_checks
from bot.blocks.elements import SECTION_LIMIT, Block, context, section
from bot.desk import Desk
from bot.listeners.commands.asked import Answer, Asked, Blocks, Later
from bot.mrkdwn import cut, escape
from bot.speech import Say
from curation import people
from curation.errors import Conflict, Invalid
from curation.policies import Permission
from curation.prerequisites import Check, State
from training import consents, offers
from training.planning import prices

MARKS = {
    State.OK: ":white_check_mark:",
    State.WARNING: ":warning:",
    State.FAILED: ":x:",
    State.SKIPPED: ":heavy_minus_sign:",
}
ORDER = (State.FAILED, State.WARNING, State.SKIPPED, State.OK)
FOUNDRY = "foundry"
"""The word behind the command that asks for Azure."""

_MOST = 40
_CHARACTERS = 12_000
"""Of all the lines; a message holds 13,200 over its blocks."""


def doctor(session: Session, asked: Asked) -> Answer:
    """The checks of this workspace or of Azure, after the ack: each asks somebody something."""
    people.require(session, asked.actor, Permission.MANAGE_ASSISTANTS)
    text = asked.say("Errata looks at what it needs here. That takes a few seconds.")
    match asked.word(0):
        case None:
            return Later(text, partial(_look, asked.desk, asked.say, people.team_of(asked.actor.person_id)))
        case word if word.lower() == FOUNDRY:
            return Later(text, partial(_look_at_azure, asked.desk, asked.say, asked.word(1)))
    raise Invalid("The doctor looks at this workspace, or at Azure with {command}.", command="/errata doctor foundry")


def _look(desk: Desk, say: Say, team_id: str) -> Blocks:
    if desk.workspaces is None:
        raise Conflict("Slack could not be asked about this workspace.")
    found = list(slack_checks.examine(desk.workspaces, desk.store, desk.clock(), team_id=team_id))
    return _told(say, found, say("This looks at Slack only. On the host, errata doctor looks at the rest."))


def _look_at_azure(desk: Desk, say: Say, model: str | None) -> Blocks:
    from training.backends.foundry.doctor.diagnosis import diagnose  # noqa: PLC0415 (loads Azure's libraries, after the ack)

    with desk.store.read() as session:
        consented = frozenset(consent.region for consent in consents.listed(session))
    found = diagnose(
        desk.azure,
        model=model,
        clock=desk.clock,
        prices=partial(prices.read, desk.home),
        consented=consented,
        known=offers.load(desk.home),
    )
    return _told(say, list(found), say("This looks at Azure only. Commands are typed where az is signed in."))


def _told(say: Say, found: list[Check], foot: str) -> Blocks:
    found.sort(key=lambda check: ORDER.index(check.state))
    wrong = sum(check.state in {State.FAILED, State.WARNING} for check in found)
    headline = (
        say.many("{count} thing stands in the way.", "{count} things stand in the way.", wrong)
        if wrong
        else say("Nothing stands in Errata's way here.")
    )
    return Blocks(headline, [section(f"*{escape(headline)}*"), *_lines(say, found[:_MOST]), context(foot)])


def _lines(say: Say, found: list[Check]) -> list[Block]:
    """A section for each; a command is cut only where all of them would be more than a message takes."""
    lines = [_line(say, one) for one in found]
    most = SECTION_LIMIT if sum(map(len, lines)) <= _CHARACTERS else _CHARACTERS // len(lines)
    return [section(cut(line, most)) for line in lines]


def _line(say: Say, check: Check) -> str:
    text = f"{MARKS[check.state]} {escape(say(check.evidence))}"
    return f"{text}\n→ {escape(say(check.remedy))}" if check.remedy else text
