"""Answering a person outside a modal: a sentence that only they see.

Owns the one lazy function that sends it, so that the ack never waits for a call to Slack.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from concurrent.futures import Executor
from typing import Any

from slack_bolt import Ack, BoltContext, Respond
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot import replay
from bot.desk import Desk, id_of
from bot.mrkdwn import escape
from bot.outcomes import TROUBLES
from bot.speech import ENGLISH_SPOKEN, Say, speaking
from curation.errors import ErrataError

log = logging.getLogger("errata.answers")

VIEW_TIMEOUT_SECONDS = 2
JSON = "application/json;charset=utf-8"
_KEY = "errata_answer"


def spoken(desk: Desk, body: Mapping[str, Any]) -> Say:
    """How to speak to whoever sent this payload; in the workspace's language while the database does not answer."""
    try:
        with desk.store.look_up() as connection:
            return desk.say(connection, body)
    except ErrataError:
        return speaking(desk.language)


def answer(context: BoltContext, sentence: str) -> None:
    """Have ``send_answer`` tell the person this sentence after the ack."""
    context[_KEY] = sentence


def answer_aside(
    executor: Executor, context: BoltContext, client: WebClient, respond: Respond, body: dict[str, Any], sentence: str
) -> None:
    """Have a thread of the executor tell the person this sentence.

    For what is pressed all day and rarely refused: Bolt copies the whole request for a lazy function
    before it knows whether there is anything to say.
    """
    answer(context, sentence)
    executor.submit(_logged, context, client, respond, body)


def _logged(context: BoltContext, client: WebClient, respond: Respond, body: dict[str, Any]) -> None:
    try:
        send_answer(context, client, respond, body)
    except Exception as error:  # noqa: BLE001 (a thread's edge: nobody looks at the future)
        log.error("an answer could not be sent: error=%s", type(error).__name__)  # noqa: TRY400 (no people's words)


def send_answer(context: BoltContext, client: WebClient, respond: Respond, body: dict[str, Any]) -> None:
    """Lazy: send what the listener left to say. A lost answer loses nothing: state is committed."""
    sentence = context.get(_KEY)
    if not sentence:
        return
    try:
        if str(body.get("response_url")).startswith(("https://", "http://")):
            respond(text=escape(sentence), replace_original=False, response_type="ephemeral")
        elif (channel := id_of(body.get("channel"))) is not None:
            client.chat_postEphemeral(channel=channel, user=body["user"]["id"], text=escape(sentence))
        else:  # pressed in App Home or in a modal, where nothing can be shown to one person but a direct message
            client.chat_postMessage(channel=body["user"]["id"], text=escape(sentence))
    except (*TROUBLES, ValueError) as error:
        code = error.response.get("error") if isinstance(error, SlackApiError) else type(error).__name__
        log.warning("an answer could not be sent: code=%s", code)


def open_view(
    context: BoltContext, client: WebClient, trigger_id: str, view: dict[str, Any], say: Say = ENGLISH_SPOKEN
) -> dict[str, Any] | None:
    """Open a modal before the ack, as trigger ids live three seconds.

    Where Slack refuses or takes too long the person is told to press again, and the answer is None.
    """
    quick = WebClient(token=client.token, base_url=client.base_url, timeout=VIEW_TIMEOUT_SECONDS, ssl=client.ssl)
    try:
        opened = quick.views_open(trigger_id=trigger_id, view=view)
    except TROUBLES as error:
        code = error.response.get("error") if isinstance(error, SlackApiError) else type(error).__name__
        log.warning("a form could not be opened: code=%s", code)
        answer(context, say("Slack did not open the form in time. Nothing is lost: press the button again."))
        return None
    shown: dict[str, Any] = opened["view"]
    return shown


def show_next(client: WebClient, view: Mapping[str, Any], following: dict[str, Any]) -> None:
    """Change the open view before the ack, unless it has moved on or was closed; a second press changes nothing."""
    quick = WebClient(token=client.token, base_url=client.base_url, timeout=VIEW_TIMEOUT_SECONDS, ssl=client.ssl)
    try:
        quick.views_update(view_id=view["id"], hash=view["hash"], view=following)
    except TROUBLES as error:
        code = error.response.get("error") if isinstance(error, SlackApiError) else type(error).__name__
        log.info("a view was not changed: code=%s", code)


def expect_update(view: dict[str, Any]) -> None:
    """Say, before the work of a submission is committed, that ``update`` will show this view."""
    replay.expect(json.dumps(_updating(view)), content_type=JSON)


def update(ack: Ack, view: dict[str, Any]) -> None:
    """Answer a submission with what the modal shows next."""
    ack(_updating(view))


def _updating(view: dict[str, Any]) -> dict[str, Any]:
    return {"response_action": "update", "view": view}
