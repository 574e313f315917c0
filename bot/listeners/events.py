"""Events: what happens in channels, told by Slack at least once and in no order.

Owns which events count: messages of watched assistants (a reply), a flag reaction (somebody minds one), the
loss of the app itself. Every other event is acknowledged, so that Slack does not bring it again; one that
could not be kept is not, so that Slack does.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from slack_bolt import Ack, App, BoltContext, BoltResponse

from bot import installations, revocations
from bot.desk import Desk, id_of, source
from curation import replies
from curation.errors import ErrataError, NotAllowed
from training import versions

log = logging.getLogger("errata.events")

REPLIES = frozenset({None, "bot_message", "file_share", "me_message", "thread_broadcast"})
"""The subtypes under which something new is said; every other one is about something that was said before.

https://docs.slack.dev/reference/events/message
"""

_TS = re.compile(r"(?P<seconds>[0-9]{10})\.(?P<microseconds>[0-9]{6})")
_CHANNEL = re.compile(r"[A-Z0-9]{2,30}")
_TOMBSTONE = "tombstone"


@dataclass(frozen=True, slots=True)
class Said:
    """A message, said or deleted: under which ids, and which one of its channel."""

    user: str | None
    bot: str | None
    ts: str
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Touch:
    """A reaction put on a message, or taken from it, at a moment."""

    user: str
    channel: str
    ts: str
    at: datetime


def register(app: App, desk: Desk) -> None:
    """Listen to every event."""
    app.event("message")(partial(_count, desk))
    app.event("reaction_added")(partial(_flag, desk, replies.flag))
    app.event("reaction_removed")(partial(_flag, desk, replies.take_back))
    for loss in ("app_uninstalled", "tokens_revoked"):
        app.event(loss)(partial(_lose, desk))
    app.event(re.compile(""))(_acknowledge)


def _count(desk: Desk, ack: Ack, body: dict[str, Any], context: BoltContext) -> BoltResponse:
    """Count a watched assistant's reply, or note that it was deleted."""
    said, channel = spoken(body["event"]), channel_of(body["event"])
    at = moment_of(said.ts) if said is not None else None
    if said is None or at is None or channel is None:
        return _acknowledge(ack)
    team = _team(context)
    try:
        with desk.store.write() as session:
            assistant_id = replies.speaker_of(session, team, user=said.user, bot=said.bot)
            if assistant_id is not None:
                change = replies.withdraw if said.deleted else replies.count
                change(
                    session,
                    assistant_id=assistant_id,
                    source=source(team, channel, said.ts),
                    said_at=at,
                    model_version=versions.live_at(session, at),
                )
    except ErrataError as error:
        return again(error)
    return _acknowledge(ack)


def _flag(
    desk: Desk, change: Callable[..., bool], ack: Ack, body: dict[str, Any], context: BoltContext
) -> BoltResponse:
    """Set or take back somebody's flag; whoever may not flag meant something else by the sign."""
    touched = touch(body["event"], desk.flag_reaction)
    if touched is None:
        return _acknowledge(ack)
    spot = source(_team(context), touched.channel, touched.ts)
    actor = desk.actor({**body, "user": {"id": touched.user, "team_id": _team(context)}})
    try:
        with desk.store.write() as session:
            change(session, actor, desk.clock(), source=spot, at=touched.at)
    except NotAllowed:
        log.debug("a flag of somebody who may not flag")
    except ErrataError as error:
        return again(error)
    return _acknowledge(ack)


def _lose(desk: Desk, ack: Ack, body: dict[str, Any], context: BoltContext) -> BoltResponse:
    """Keep that the app or its own token is gone; a person's token is none of Errata's."""
    event, told = body["event"], body.get("event_time")
    tokens = event.get("tokens")
    if event["type"] == "tokens_revoked" and not (isinstance(tokens, dict) and tokens.get("bot")):
        return _acknowledge(ack)
    at = moment_of(f"{told}.000000") or desk.clock()
    try:
        with desk.store.write() as session:
            installed_by_itself = installations.remove(session, _team(context), at)
            if not installed_by_itself:
                revocations.keep(session, team_id=_team(context), event=event["type"], at=at)
    except ErrataError as error:
        return again(error)
    if desk.workspaces is not None:
        desk.workspaces.forget(_team(context))
    if installed_by_itself:
        log.warning("a workspace has removed the app: team=%s code=%s", _team(context), event["type"])
        return _acknowledge(ack)
    log.error(
        "Slack has taken the app's token away, and nothing can be sent or answered any more: install the app again, "
        "put the new SLACK_BOT_TOKEN into .env and restart. code=%s",
        event["type"],
    )
    return _acknowledge(ack)


def _team(context: BoltContext) -> str:
    """The workspace that Errata is installed in; an event in a shared channel names the other one as its own."""
    return str(context.team_id)


def _acknowledge(ack: Ack) -> BoltResponse:
    return ack()


def again(error: ErrataError) -> BoltResponse:
    """Leave the event with Slack: it brings it again at once, after a minute and after five."""
    log.warning("an event waits to be brought again: error=%s", type(error).__name__)
    return BoltResponse(status=503, body="Not kept; bring it again.")


def spoken(event: Mapping[str, Any]) -> Said | None:
    """What a message event says was said or deleted; None for edits and everything else about older messages.

    ``{"subtype": "message_deleted", "deleted_ts": "1.2", "previous_message": {"bot_id": "B1"}}`` → B1, 1.2, deleted.
    """
    subtype, before = event.get("subtype"), event.get("previous_message") or {}
    if subtype == "message_deleted":
        return _said(before, event.get("deleted_ts"), deleted=True)
    after = event.get("message") or {}
    if subtype == "message_changed" and after.get("subtype") == _TOMBSTONE:  # deleted, with answers below it
        return _said(before, after.get("ts"), deleted=True)
    if subtype not in REPLIES or event.get("hidden"):
        return None
    return _said(event, event.get("ts"), deleted=False)


def touch(event: Mapping[str, Any], sign: str) -> Touch | None:
    """Who put or took back this sign, when, and on which message; None for other signs and on other things."""
    reaction, item = event.get("reaction"), event.get("item") or {}
    # "triangular_flag_on_post" has no skin tone, another sign may: "+1::skin-tone-2" is the same one.
    if not isinstance(reaction, str) or reaction.partition("::")[0] != sign or item.get("type") != "message":
        return None
    user, channel, ts, at = id_of(event.get("user")), channel_of(item), item.get("ts"), moment_of(event.get("event_ts"))
    if user is None or channel is None or at is None or moment_of(ts) is None:
        return None
    return Touch(user, channel, str(ts), at)


def _said(message: Mapping[str, Any], ts: Any, *, deleted: bool) -> Said | None:
    user, bot = id_of(message.get("user")), id_of(message.get("bot_id"))
    return Said(user, bot, ts, deleted) if isinstance(ts, str) and (user or bot) else None


def channel_of(holder: Mapping[str, Any]) -> str | None:
    """The channel that an event names; None where it names none."""
    channel = id_of(holder.get("channel"))
    return channel if channel is not None and _CHANNEL.fullmatch(channel) else None


def moment_of(ts: Any) -> datetime | None:
    """``"1700000000.000100"`` as a moment; None where it is none."""
    found = _TS.fullmatch(ts) if isinstance(ts, str) else None
    if found is None:
        return None
    return datetime.fromtimestamp(int(found["seconds"]), UTC) + timedelta(microseconds=int(found["microseconds"]))
