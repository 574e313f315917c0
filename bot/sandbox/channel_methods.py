"""``auth.*``, ``team.*``, ``users.*``, ``bots.*`` and ``conversations.*``: what the bot reads.

Owns the answers of these methods. Refuses to show a channel that Errata is not in.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

from bot.sandbox import payloads
from bot.sandbox.arguments import Arguments
from bot.sandbox.errors import ApiRefusal
from bot.sandbox.payloads import Json
from bot.sandbox.state import Channel, State

DEFAULT_PAGE = 100


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
    account = state.account(arguments.text("user"))
    home, locale = state.identity.team_id, arguments.flag("include_locale")
    return {"user": payloads.user(account, home_team_id=home, include_locale=locale)}


def users_list(state: State, arguments: Arguments) -> Json:
    """``users.list``: everybody on one page."""
    home, locale = state.identity.team_id, arguments.flag("include_locale")
    members = [payloads.user(account, home_team_id=home, include_locale=locale) for account in state.accounts.values()]
    return {"members": members, "response_metadata": {"next_cursor": ""}}


def channel_object(state: State, channel: Channel) -> Json:
    """The channel object of ``conversations.info``."""
    about: Json = {"id": channel.channel_id, "is_im": channel.is_im, "is_private": channel.is_private, "created": 0}
    about |= {"is_channel": channel.kind == "channel", "is_group": channel.kind == "group", "is_archived": False}
    if channel.is_im:
        person = next(member for member in channel.members if member != state.identity.bot_user_id)
        return {**about, "user": person}
    about["is_ext_shared"] = state.is_shared(channel.channel_id)
    about |= {"name": channel.name, "is_member": state.identity.bot_user_id in channel.members}
    return {**about, "num_members": len(channel.members)}


def info(state: State, arguments: Arguments) -> Json:
    """``conversations.info``; public channels are visible to non-members."""
    return {"channel": channel_object(state, _visible(state, arguments.text("channel")))}


def _visible(state: State, channel_id: str) -> Channel:
    channel = state.channel(channel_id)
    return channel if channel.kind == "channel" else state.channel_with_bot(channel_id)


def list_channels(state: State, arguments: Arguments) -> Json:
    """``conversations.list``, by ``types``; public channels only where nothing is said."""
    kinds = {"public_channel": "channel", "private_channel": "group", "im": "im"}
    wanted = {kinds.get(name.strip()) for name in str(arguments.get("types") or "public_channel").split(",")}
    visible = [
        channel_object(state, channel)
        for channel in state.channels.values()
        if channel.kind in wanted and (channel.kind == "channel" or state.identity.bot_user_id in channel.members)
    ]
    return {"channels": visible, "response_metadata": {"next_cursor": ""}}


def members(state: State, arguments: Arguments) -> Json:
    """``conversations.members``."""
    channel = _visible(state, arguments.text("channel"))
    return {"members": list(channel.members), "response_metadata": {"next_cursor": ""}}


def open_direct_message(state: State, arguments: Arguments) -> Json:
    """``conversations.open`` with one person."""
    user_ids = str(arguments.get("users") or "").split(",")
    if len(user_ids) != 1 or not user_ids[0]:
        raise ApiRefusal("invalid_arguments", ["users: the sandbox opens a conversation with exactly one person"])
    return {"channel": {"id": state.direct_message(user_ids[0]).channel_id}}


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
