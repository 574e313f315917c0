"""Answering a person outside a modal: a sentence that only they see.

Owns the one lazy function that sends it, so that the ack never waits for a call to Slack.
"""

from __future__ import annotations

import logging
from typing import Any

from slack_bolt import BoltContext, Respond
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.mrkdwn import escape

log = logging.getLogger("errata.answers")

VIEW_TIMEOUT_SECONDS = 2
_KEY = "errata_answer"


def answer(context: BoltContext, sentence: str) -> None:
    """Have ``send_answer`` tell the person this sentence after the ack."""
    context[_KEY] = sentence


def send_answer(context: BoltContext, client: WebClient, respond: Respond, body: dict[str, Any]) -> None:
    """Lazy: send what the listener left to say. A lost answer loses nothing: state is committed."""
    sentence = context.get(_KEY)
    if not sentence:
        return
    try:
        if body.get("response_url") or body.get("response_urls"):
            respond(text=escape(sentence), replace_original=False, response_type="ephemeral")
        else:
            channel = (body.get("channel") or {}).get("id") or body["user"]["id"]
            client.chat_postEphemeral(channel=channel, user=body["user"]["id"], text=escape(sentence))
    except SlackApiError as error:
        log.warning("an answer could not be sent: %s", error.response.get("error"))


def open_view(client: WebClient, trigger_id: str, view: dict[str, Any]) -> dict[str, Any] | None:
    """Open a modal before the ack, as trigger ids live three seconds; None where Slack refuses."""
    quick = WebClient(token=client.token, base_url=client.base_url, timeout=VIEW_TIMEOUT_SECONDS)
    try:
        opened = quick.views_open(trigger_id=trigger_id, view=view)
    except (SlackApiError, OSError) as error:
        code = error.response.get("error") if isinstance(error, SlackApiError) else type(error).__name__
        log.warning("a form could not be opened: %s", code)
        return None
    shown: dict[str, Any] = opened["view"]
    return shown
