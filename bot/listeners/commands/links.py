"""``/errata correct LINK``: the form of a correction for a reply that somebody has the address of.

``show`` does the same wherever a view is open already and the reply's place is known, as in the list of flags.
Owns that whoever asks may see the channel (``bot.listeners.sight``). The message is looked for after the form has
opened, and every reason why it cannot be corrected is said in the form.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from sqlmodel import Session

from bot.assistant.history import read_thread
from bot.blocks import correct as blocks
from bot.blocks.elements import Block, notice_view
from bot.desk import Desk
from bot.links import Linked, read_link
from bot.listeners import capturing, sight
from bot.listeners.capturing import Spot
from bot.listeners.commands.asked import Answer, Asked, View
from bot.outcomes import TROUBLES
from bot.speech import Say
from bot.threads import is_tombstone
from curation import people
from curation.errors import ErrataError, Invalid, NotFound, Unavailable
from curation.policies import Permission
from curation.wording import Phrase, phrase

GONE = phrase("That message is deleted, or it never was in this channel.")

_REFUSED = {
    "channel_not_found": sight.NOT_SEEN,
    "not_in_channel": phrase("Errata is not in that channel: invite it there with /invite @Errata, then try again."),
    "thread_not_found": GONE,
    "message_not_found": GONE,
    "is_archived": phrase("That channel is archived: nothing in it can be corrected any more."),
    "missing_scope": phrase(
        "Errata may not look into that channel: errata doctor names the missing scope. "
        "The shortcut on the message works without it."
    ),
    "ratelimited": phrase("Slack lets Errata look for no more messages right now: try again in a minute."),
}


def correct(session: Session, asked: Asked) -> Answer:
    """Open the form of the reply behind a link; without one, say where links come from.

    Raises:
        NotAllowed, Invalid: may not flag; the text is no link, or one to another workspace.
    """
    people.require(session, asked.actor, Permission.FLAG)
    if not asked.words:
        return asked.say(
            "Which reply? Open the menu of the message, choose *Copy link*, and send {command} with it. "
            "Or choose *Correct this reply* in the same menu. {flags} lists the replies that were flagged.",
            command="`/errata correct LINK`",
            flags="`/errata flags`",
        )
    linked = read_link(" ".join(asked.words))
    if linked is None:
        raise Invalid("This is no link to a message in Slack: choose Copy link in the menu of the message.")
    if linked.team is not None and linked.team.startswith("T") and linked.team != asked.team:
        raise Invalid("This link leads to another workspace: send it from there.")
    fill = partial(show, asked.desk, asked.body, asked.team, linked, asked.say)
    return View(blocks.looking_view(asked.say), fill)


def show(
    desk: Desk,
    body: dict[str, Any],
    team: str,
    linked: Linked,
    say: Say,
    client: WebClient,
    view_id: str,
    view_hash: str,
) -> None:
    """Lazy: look for the message and put its form, or why there is none, into an open view such as ``looking_view``."""
    view: Block
    try:
        view = _form(desk, body, team, linked, say, client)
    except ErrataError as error:
        view = notice_view(say, say("Not this one"), say(error.sentence))
    capturing.update(client, view_id=view_id, view_hash=view_hash, view=view)


def _form(desk: Desk, body: dict[str, Any], team: str, linked: Linked, say: Say, client: WebClient) -> Block:
    try:
        sight.check(client, linked.channel, team=team, person=desk.actor(body).person_id)
        thread = read_thread(client, linked.channel, linked.thread_ts or linked.ts)
        message = _in(thread, linked.ts)
        root = message.get("thread_ts") or linked.ts
        if thread[0].get("ts") != root:
            thread = read_thread(client, linked.channel, str(root))
            message = _in(thread, linked.ts)
    except TROUBLES as error:
        raise _refusal(client, linked, error) from error
    spot = Spot(team, linked.channel, message)
    with desk.store.write() as session:
        capture_id = capturing.keep(session, desk, desk.meet(session, body), spot)
        kept = capturing.fill(session, capture_id, spot, thread)
        form = capturing.form_of(desk, session, say, kept, prefill=kept.staff_reply or kept.reply)
        return blocks.correct_view(say, form)


def _in(thread: list[dict[str, Any]], ts: str) -> dict[str, Any]:
    for message in thread:
        if message.get("ts") == ts and not is_tombstone(message):
            return message
    raise NotFound(GONE)


def _refusal(client: WebClient, linked: Linked, error: Exception) -> ErrataError:
    """Why Slack does not show the message; a link into another workspace looks like a channel that is not there."""
    if not isinstance(error, SlackApiError):
        return Unavailable("Slack did not answer: try again in a moment.")
    code = capturing.code_of(error)
    if code == "channel_not_found" and _is_elsewhere(client, linked):
        return Invalid("This link leads to another workspace: send it from there.")
    sentence: Phrase = _REFUSED.get(code) or phrase("Slack does not show that message ({code}).", code=code[:40])
    return NotFound(sentence)


def _is_elsewhere(client: WebClient, linked: Linked) -> bool:
    if not linked.host or linked.host.endswith(".enterprise.slack.com"):
        return False
    try:
        return linked.host not in str(client.auth_test()["url"])
    except TROUBLES:
        return False
