"""The slash command: one table of sub-commands (``table``), one module per story, each the use case of the terminal.

Owns the order in which an answer reaches a person: the handler's work is committed, then a modal is opened or the
answer is acknowledged, and what takes a while comes after that. A request that Slack repeats is answered from the
gate's memory and opens nothing twice.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from slack_bolt import Ack, App, BoltContext, Respond
from slack_sdk import WebClient

from bot import replay
from bot.desk import Desk, team_of
from bot.listeners.answers import JSON, open_view, spoken
from bot.listeners.commands import datasets, language, running, starting
from bot.listeners.commands.asked import COMMAND, Answer, Asked, Blocks, Later, SubCommand, View, find, split
from bot.listeners.commands.table import SUBCOMMANDS
from bot.mrkdwn import escape
from bot.speech import Say
from curation.errors import ErrataError

__all__ = ["COMMAND", "SUBCOMMANDS", "register"]

log = logging.getLogger("errata.commands")


def register(app: App, desk: Desk) -> None:
    """Listen to the slash command, and to the forms and buttons that its answers hold."""
    app.command(COMMAND)(partial(_answer, desk))
    for story in (datasets, starting, running, language):
        story.register(app, desk)


def _answer(
    desk: Desk, ack: Ack, body: dict[str, Any], client: WebClient, context: BoltContext, respond: Respond
) -> None:
    say = spoken(desk, body)
    try:
        name, *words = split(body.get("text") or "") or ["help"]
        answer = _handled(desk, body, say, find(SUBCOMMANDS, name), words)
    except ErrataError as error:
        answer = escape(say(error.sentence))
    _give(desk, ack, answer, say, body=body, client=client, context=context, respond=respond)


def _handled(desk: Desk, body: dict[str, Any], say: Say, command: SubCommand, words: list[str]) -> Answer:
    channel, team = str(body.get("channel_id") or ""), team_of(body)
    if not command.writes:
        with desk.store.read() as session:
            return command.handler(session, Asked(desk, desk.actor(body), say, words, channel, team, body))
    with desk.store.write() as session:
        answer = command.handler(session, Asked(desk, desk.meet(session, body), say, words, channel, team, body))
        # In the same commit: should the answer be lost, whoever asks again hears it, and nothing is done twice.
        if isinstance(answer, Blocks):
            replay.expect(json.dumps(_content(answer)), content_type=JSON)
        elif not isinstance(answer, View):
            replay.expect(answer.text if isinstance(answer, Later) else answer)
    return answer


def _give(
    desk: Desk,
    ack: Ack,
    answer: Answer,
    say: Say,
    *,
    body: dict[str, Any],
    client: WebClient,
    context: BoltContext,
    respond: Respond,
) -> None:
    """Nothing here may raise: what was asked for is committed."""
    if isinstance(answer, View):
        shown = open_view(context, client, str(body.get("trigger_id")), answer.view, say)
        if shown is None:
            ack(say("Slack did not open the form in time. Nothing is lost: send the command again."))
            return
        ack()
        if answer.fill is not None:
            desk.executor.submit(_quietly, partial(answer.fill, client, shown["id"], shown["hash"]))
    elif isinstance(answer, Later):
        ack(answer.text)
        desk.executor.submit(_quietly, partial(_send, respond, answer.work, say))
    elif isinstance(answer, Blocks):
        ack(_content(answer))
    else:
        ack(answer)


def _content(answer: Blocks) -> dict[str, Any]:
    return {"text": answer.text, "blocks": list(answer.blocks)}


def _send(respond: Respond, work: Callable[[], str | Blocks], say: Say) -> None:
    try:
        found = work()
    except ErrataError as error:
        found = escape(say(error.sentence))
    content = _content(found) if isinstance(found, Blocks) else {"text": found}
    respond(response_type="ephemeral", **content)


def _quietly(work: Callable[[], object]) -> None:
    try:
        work()
    except Exception as error:  # noqa: BLE001 (a thread's edge: nobody looks at the future)
        log.error("an answer could not be completed: error=%s", type(error).__name__)  # noqa: TRY400 (no people's words)
