"""Pointing at a reply by where it stands, from a list or a question instead of from the message itself.

Owns reading single messages for somebody, who sees only what Slack would show them (``bot.listeners.sight``). The form
is that of ``/errata correct``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import partial
from typing import Any

from slack_bolt import Ack, BoltContext
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.blocks.correct import looking_view
from bot.blocks.elements import notice_view
from bot.desk import Desk, team_of
from bot.links import Linked
from bot.listeners import entries, sight
from bot.listeners.answers import open_view, spoken
from bot.listeners.commands import links
from bot.outcomes import TROUBLES
from bot.threads import is_tombstone, text_of
from curation.errors import ErrataError, NotAllowed
from curation.people import PersonId

log = logging.getLogger("errata.flags")

_NOT_THERE = frozenset({"thread_not_found", "message_not_found"})


def correct(
    desk: Desk, ack: Ack, body: dict[str, Any], client: WebClient, context: BoltContext, action: dict[str, Any]
) -> None:
    """Open the form of a correction for the reply that a button names, and ack; its thread is read after that."""
    say = spoken(desk, body)
    try:
        channel, ts = entries.place(action).rsplit("/", 2)[1:]
    except ErrataError as error:
        open_view(context, client, body["trigger_id"], notice_view(say, say("Not this one"), say(error.sentence)), say)
        ack()
        return
    opened = open_view(context, client, body["trigger_id"], looking_view(say), say)
    if opened is not None:
        show = partial(links.show, desk, body, team_of(body), Linked(channel, ts), say)
        desk.executor.submit(_quietly, partial(show, client, opened["id"], opened["hash"]))
    ack()


def words_at(
    client: WebClient, sources: Iterable[str], *, team: str, person: PersonId
) -> tuple[dict[str, str], list[str]]:
    """What is said at these places, as far as this person may see it, and at which of them nothing is any more."""
    texts: dict[str, str] = {}
    gone: list[str] = []
    seen: dict[str, bool] = {}
    for source in sources:
        channel, ts = source.rsplit("/", 2)[1:]
        try:
            if channel not in seen:
                seen[channel] = _may_see(client, channel, team=team, person=person)
            message = _message(client, channel, ts) if seen[channel] else {}
        except TROUBLES as error:
            code = error.response.get("error") if isinstance(error, SlackApiError) else type(error).__name__
            log.info("a reply could not be read: code=%s", code)
            continue
        if message is None:
            gone.append(source)
        elif message:
            texts[source] = text_of(message)
    return texts, gone


def _may_see(client: WebClient, channel: str, *, team: str, person: PersonId) -> bool:
    try:
        sight.check(client, channel, team=team, person=person)
    except NotAllowed:
        return False
    return True


def _message(client: WebClient, channel: str, ts: str) -> dict[str, Any] | None:
    try:
        # With the ts of a reply Slack gives its thread, of which the parent comes first whatever is asked for.
        thread = client.conversations_replies(channel=channel, ts=ts, oldest=ts, latest=ts, inclusive=True, limit=2)
    except SlackApiError as error:
        if error.response.get("error") in _NOT_THERE:
            return None
        raise
    found = next((message for message in thread["messages"] if message.get("ts") == ts), None)
    return None if found is None or is_tombstone(found) else found


def _quietly(work: Any) -> None:
    try:
        work()
    except Exception as error:  # noqa: BLE001 (a thread's edge: nobody looks at the future)
        log.error("a form could not be completed: error=%s", type(error).__name__)  # noqa: TRY400 (no people's words)
