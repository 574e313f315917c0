"""``auth.*``, ``team.*``, ``users.*``, ``bots.*`` and ``conversations.*``: what the bot reads.

Owns the answers of these methods. Refuses to show a channel that Errata is not in.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any

from bot.sandbox import payloads
from bot.sandbox.arguments import Arguments
from bot.sandbox.errors import ApiRefusal
from bot.sandbox.payloads import Account, Json
from bot.sandbox.records import Channel
from bot.sandbox.state import State

DEFAULT_PAGE = 100
MOST_ON_A_PAGE = 1000
KINDS = {"public_channel": "channel", "private_channel": "group", "im": "im"}


def auth_test(state: State, _arguments: Arguments) -> Json:
    """``auth.test``: who the bot token speaks for."""
    identity = state.identity
    return {
        "url": f"https://{identity.team_domain}.slack.com/",
        "team": identity.team_domain,
        "team_id": identity.team_id,
        "user": "errata",
        "user_id": identity.bot_user_id,
        "bot_id": identity.bot_id,
        "is_enterprise_install": False,
    }


def team_info(state: State, _arguments: Arguments) -> Json:
    """``team.info``."""
    identity = state.identity
    return {"team": {"id": identity.team_id, "name": identity.team_domain, "domain": identity.team_domain}}


def bots_info(state: State, arguments: Arguments) -> Json:
    """``bots.info``: the account behind a bot id."""
    bot_id = arguments.text("bot")
    for account in state.accounts.values():
        if account.bot_id == bot_id:
            about = {"id": bot_id, "name": account.name, "app_id": account.app_id, "user_id": account.user_id}
            return {"bot": {**about, "deleted": False, "updated": 0}}
    raise ApiRefusal("bot_not_found")


def users_info(state: State, arguments: Arguments) -> Json:
    """``users.info``, with the locale where asked for."""
    return {"user": user_object(state, state.account(arguments.text("user")), arguments.flag("include_locale"))}


def users_list(state: State, arguments: Arguments) -> Json:
    """``users.list``: everybody, page by page."""
    locale = arguments.flag("include_locale")
    return _slice(arguments, "members", [user_object(state, each, locale) for each in state.accounts.values()])


def user_object(state: State, account: Account, include_locale: bool) -> Json:
    """The user object of ``users.info`` and of ``user_change``."""
    home, stranger = state.identity.team_id, state.is_stranger(account)
    return payloads.user(account, home_team_id=home, is_stranger=stranger, include_locale=include_locale)


def users_conversations(state: State, arguments: Arguments) -> Json:
    """``users.conversations``: where a person is, of what Errata sees; where Errata is, if nobody is named."""
    errata = state.identity.bot_user_id
    user_id = str(arguments.get("user") or errata)
    state.account(user_id)
    joined = [channel for channel in _listed(state, arguments) if user_id in channel.members]
    # Slack leaves out what the caller's own membership would be.
    found = [
        {key: value for key, value in channel_object(state, each).items() if key != "is_member"} for each in joined
    ]
    return _slice(arguments, "channels", found)


def channel_object(state: State, channel: Channel) -> Json:
    """The channel object of ``conversations.list`` and, without ``num_members``, of ``conversations.info``."""
    about: Json = {"id": channel.channel_id, "is_im": channel.is_im, "is_private": channel.is_private, "created": 0}
    about |= {"is_channel": channel.kind == "channel", "is_group": channel.kind == "group"}
    about["is_archived"] = channel.is_archived
    if channel.is_im:
        person = next(member for member in channel.members if member != state.identity.bot_user_id)
        return {**about, "user": person}
    about["is_ext_shared"] = state.is_shared(channel.channel_id)
    about |= {"name": channel.name, "is_member": state.identity.bot_user_id in channel.members}
    return {**about, "num_members": len(channel.members)}


def info(state: State, arguments: Arguments) -> Json:
    """``conversations.info``; public channels are visible to non-members."""
    about = channel_object(state, _visible(state, arguments.text("channel")))
    if not arguments.flag("include_num_members"):
        about.pop("num_members", None)
    if arguments.flag("include_locale"):
        about["locale"] = "en-US"
    return {"channel": about}


def _visible(state: State, channel_id: str) -> Channel:
    channel = state.channel(channel_id)
    return channel if channel.kind == "channel" else state.channel_with_bot(channel_id)


def list_channels(state: State, arguments: Arguments) -> Json:
    """``conversations.list``, by ``types``; public channels only where nothing is said."""
    return _slice(arguments, "channels", [channel_object(state, channel) for channel in _listed(state, arguments)])


def types_of(arguments: Arguments) -> list[str]:
    """``types`` of a list of conversations, as kinds of channels; ``invalid_types`` for any other word."""
    named = [name.strip() for name in str(arguments.get("types") or "public_channel").split(",")]
    if not set(named) <= KINDS.keys():
        raise ApiRefusal("invalid_types")
    return [KINDS[name] for name in named]


def _listed(state: State, arguments: Arguments) -> Iterable[Channel]:
    wanted, no_archived = types_of(arguments), arguments.flag("exclude_archived")
    for channel in state.channels.values():
        visible = channel.kind == "channel" or state.identity.bot_user_id in channel.members
        if channel.kind in wanted and visible and not (no_archived and channel.is_archived):
            yield channel


def members(state: State, arguments: Arguments) -> Json:
    """``conversations.members``, page by page."""
    return _slice(arguments, "members", _visible(state, arguments.text("channel")).members)


def open_direct_message(state: State, arguments: Arguments) -> Json:
    """``conversations.open`` with one person."""
    user_ids = str(arguments.get("users") or "").split(",")
    if len(user_ids) != 1 or not user_ids[0]:
        raise ApiRefusal("invalid_arguments", ["users: the sandbox opens a conversation with exactly one person"])
    return {"channel": {"id": state.direct_message_to_open(user_ids[0]).channel_id}}


def history(state: State, arguments: Arguments) -> Json:
    """``conversations.history``: newest first, without thread replies."""
    channel = state.channel_with_bot(arguments.text("channel"))
    top = [message for message in channel.messages if message.get("thread_ts", message["ts"]) == message["ts"]]
    return _page(arguments, top[::-1])


def replies(state: State, arguments: Arguments) -> Json:
    """``conversations.replies``: the parent, then its replies, oldest first."""
    channel = state.channel_with_bot(arguments.text("channel"))
    ts = arguments.text("ts")
    asked = next((message for message in channel.messages if message["ts"] == ts), None)
    if asked is None:
        raise ApiRefusal("thread_not_found")
    root = asked.get("thread_ts", ts)
    thread = [message for message in channel.messages if message.get("thread_ts", message["ts"]) == root]
    return _page(arguments, thread)


def _slice(arguments: Arguments, name: str, items: Sequence[Any]) -> Json:
    """One page of a list, and the cursor to the next; ``invalid_limit`` and ``invalid_cursor`` as in Slack."""
    limit, cursor = arguments.integer("limit", DEFAULT_PAGE), str(arguments.get("cursor") or "0")
    if not 1 <= limit <= MOST_ON_A_PAGE:
        raise ApiRefusal("invalid_limit")
    if not cursor.isdecimal():
        raise ApiRefusal("invalid_cursor")
    start, stop = int(cursor), int(cursor) + limit
    following = str(stop) if stop < len(items) else ""
    return {name: copy.deepcopy(list(items[start:stop])), "response_metadata": {"next_cursor": following}}


def _page(arguments: Arguments, messages: Sequence[Json]) -> Json:
    oldest, latest = arguments.get("oldest"), arguments.get("latest")
    inclusive = arguments.flag("inclusive")

    def within(ts: str) -> bool:
        edge = inclusive and ts in {oldest, latest}
        after = oldest is None or float(ts) > float(oldest)
        before = latest is None or float(ts) < float(latest)
        return edge or (after and before)

    hits = [message for message in messages if within(message["ts"])]
    start = arguments.integer("cursor", 0)
    stop = start + arguments.integer("limit", DEFAULT_PAGE)
    page = copy.deepcopy(hits[start:stop])
    if not arguments.flag("include_all_metadata"):
        for message in page:
            message.pop("metadata", None)
    more = stop < len(hits)
    return {"messages": page, "has_more": more, "response_metadata": {"next_cursor": str(stop) if more else ""}}
