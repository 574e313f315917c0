"""The buttons below the replies of a weekly sample: good as it is, or to be corrected."""

from __future__ import annotations

from functools import partial
from typing import Any

from slack_bolt import Ack, App, BoltContext, Respond
from slack_sdk import WebClient

from bot.assistant import tasks
from bot.assistant.tasks import TaskKind
from bot.blocks import samples as blocks
from bot.desk import Desk
from bot.listeners import entries, pointing
from bot.listeners.answers import answer_aside, send_answer, spoken
from curation import people, proposals
from curation.errors import ErrataError
from curation.policies import Permission
from curation.wording import phrase

ENDORSED = phrase("Thank you: the reply waits for a second person's review.")


def register(app: App, desk: Desk) -> None:
    """Listen to both buttons."""
    app.action(blocks.ENDORSE)(partial(_endorse, desk))
    app.action(blocks.CORRECT)(ack=partial(_correct, desk), lazy=[send_answer])


def _endorse(
    desk: Desk,
    ack: Ack,
    body: dict[str, Any],
    action: dict[str, Any],
    context: BoltContext,
    client: WebClient,
    respond: Respond,
) -> None:
    """Owe the endorsement: the worker reads the thread and makes the candidate, and the message then says so."""
    say, said = spoken(desk, body), ENDORSED
    try:
        source = entries.place(action)
        with desk.store.write() as session:
            actor, now = desk.meet(session, body), desk.clock()
            people.require(session, actor, Permission.FLAG)
            people.require_at_home(session, actor, source)
            proposals.refuse_second(session, source)
            key = f"{source}#{actor.person_id}"
            tasks.owe(
                session,
                now,
                TaskKind.ENDORSEMENT,
                source=key,
                thread=source,  # the worker finds the thread's own
                asked_by=actor.person_id,
                asked_at=now,
            )
    except ErrataError as error:
        said = error.sentence
    answer_aside(desk.executor, context, client, respond, body, say(said))
    ack()


def _correct(
    desk: Desk, ack: Ack, body: dict[str, Any], action: dict[str, Any], client: WebClient, context: BoltContext
) -> None:
    """The form of the shortcut."""
    pointing.correct(desk, ack, body, client, context, action)
