"""What one person sees of the workspace, as the page needs it.

Owns the choice: the channels a person is in, their own ephemeral messages, modal and App Home, and nobody
else's. Refuses to decide how any of it looks.
"""

from __future__ import annotations

from collections.abc import Mapping

from bot.sandbox.payloads import Json, username
from bot.sandbox.people import Person
from bot.sandbox.records import Channel
from bot.sandbox.state import State
from bot.sandbox.workspace import Workspace

SHOWN = (
    "ts",
    "thread_ts",
    "user",
    "bot_id",
    "username",
    "text",
    "blocks",
    "files",
    "reactions",
    "edited",
    "reply_count",
    "reply_users",
    "latest_reply",
    "is_ephemeral",
    "subtype",
)


def sight(workspace: Workspace, person: Person) -> Json:
    """Everything in front of this person at this moment; hold the state's lock while you use it."""
    state, views = workspace.state, workspace.views
    stack = views.stacks.get(person.user_id, [])
    home = views.homes.get(person.user_id)
    return {
        "revision": state.revision,
        "locale": state.account(person.user_id).locale,
        "channels": [_channel(state, channel, person) for channel in _joined(state, person)],
        "modal": {"view": stack[-1].as_json(), "depth": len(stack)} if stack else None,
        "home": home.as_json() if home is not None else None,
    }


def directory(state: State, roles: Mapping[str, str]) -> Json:
    """Who is who, by user, bot and group id; ``roles`` (user id → word) says what those in the seats are."""
    known: Json = {}
    for account in state.accounts.values():
        kind = "person"
        if account.bot_id is not None:
            kind = "errata" if account.bot_id == state.identity.bot_id else "app"
        if account.deleted:
            kind = "gone"
        about = {"name": account.name, "handle": username(account.name), "kind": kind}
        known[account.user_id] = about | {"role": roles.get(account.user_id, "")}
        if account.bot_id is not None:
            known[account.bot_id] = known[account.user_id]
    for group in state.groups.values():
        known[group.group_id] = {"name": group.handle, "handle": group.handle, "kind": "group", "role": ""}
    return known


def may_see(state: State, person: Person, file_id: str) -> bool:
    """Whether a file was shared in a channel of this person's."""
    file = state.files.get(file_id)
    return file is not None and any(channel.channel_id in file.channels for channel in _joined(state, person))


def _joined(state: State, person: Person) -> list[Channel]:
    return [channel for channel in state.channels.values() if person.user_id in channel.members]


def _channel(state: State, channel: Channel, person: Person) -> Json:
    private = [one for one in state.ephemerals.get(person.user_id, []) if one.get("channel") == channel.channel_id]
    messages = sorted([*channel.messages, *private], key=lambda message: float(message["ts"]))
    return {
        "id": channel.channel_id,
        "name": channel.name,
        "kind": channel.kind,
        "archived": channel.is_archived,
        "members": len(channel.members),
        "status": {
            thread: words for (place, thread), words in state.thread_status.items() if place == channel.channel_id
        },
        "prompts": state.suggested_prompts.get(channel.channel_id, []),
        "messages": [{key: message[key] for key in SHOWN if key in message} for message in messages],
    }
