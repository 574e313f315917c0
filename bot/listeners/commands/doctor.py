"""``/errata doctor``: what stands in Errata's way in this workspace, for those who can mend it."""

from __future__ import annotations

from functools import partial

from sqlmodel import Session

from bot import slack_checks
from bot.blocks.elements import SECTION_LIMIT, context, section
from bot.checks import Check, State
from bot.desk import Desk
from bot.listeners.commands.asked import Answer, Asked, Blocks, Later
from bot.mrkdwn import escape
from bot.speech import Say
from curation import people
from curation.errors import Conflict
from curation.policies import Permission

MARKS = {State.OK: ":white_check_mark:", State.WARNING: ":warning:", State.FAILED: ":x:"}
_MOST = 40


def doctor(session: Session, asked: Asked) -> Answer:
    """The checks of this workspace, after the ack: each asks Slack something."""
    people.require(session, asked.actor, Permission.MANAGE_ASSISTANTS)
    text = asked.say("Errata looks at what it needs here. That takes a few seconds.")
    return Later(text, partial(_look, asked.desk, asked.say, people.team_of(asked.actor.person_id)))


def _look(desk: Desk, say: Say, team_id: str) -> Blocks:
    if desk.workspaces is None:
        raise Conflict("Slack could not be asked about this workspace.")
    found = list(slack_checks.examine(desk.workspaces, desk.store, desk.clock(), team_id=team_id))
    order = [State.FAILED, State.WARNING, State.OK]
    found.sort(key=lambda check: order.index(check.state))
    wrong = sum(check.state is not State.OK for check in found)
    headline = (
        say.many("{count} thing stands in the way.", "{count} things stand in the way.", wrong)
        if wrong
        else say("Nothing stands in Errata's way here.")
    )
    foot = say("This looks at Slack only. On the host, errata doctor looks at the rest.")
    return Blocks(
        headline, [section(f"*{escape(headline)}*"), *(_line(say, one) for one in found[:_MOST]), context(foot)]
    )


def _line(say: Say, check: Check) -> dict[str, object]:
    text = f"{MARKS[check.state]} {escape(say(check.evidence))}"
    if check.remedy:
        text += f"\n→ {escape(say(check.remedy))}"
    return section(text[:SECTION_LIMIT])
