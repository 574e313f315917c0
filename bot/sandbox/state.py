"""What the workspace knows: people, channels, messages, files, one-time links.

Owns the in-memory records and every change to them, under one lock, and says each change as the
event that Slack would send. Refuses to know how events travel, and knows nothing of modals
(``views``) or of HTTP (``server``).
"""

from __future__ import annotations

import copy
import random
import threading
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from bot.sandbox.errors import ApiRefusal
from bot.sandbox.groups import UserGroup
from bot.sandbox.inputs import elements
from bot.sandbox.payloads import Account, Identity, Json
from bot.sandbox.records import Channel, ResponseUrl, UploadedFile

ID_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


class State:
    """Records of one workspace; ``lock`` guards them all and is reentrant."""

    def __init__(self, identity: Identity, *, now: Callable[[], datetime], rng: random.Random) -> None:
        self.identity = identity
        self.now = now
        self.rng = rng
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.revision = 0  # grows with every change
        self.closed = False  # the server is going: nobody should wait for a change any more
        self.accounts: dict[str, Account] = {}
        self.channels: dict[str, Channel] = {}
        self.groups: dict[str, UserGroup] = {}
        self.files: dict[str, UploadedFile] = {}
        self.ephemerals: dict[str, list[Json]] = {}
        self.response_urls: dict[str, ResponseUrl] = {}
        self.streams: dict[tuple[str, str], str] = {}  # (channel, ts) of messages that grow → their markdown so far
        self.thread_status: dict[tuple[str, str], str] = {}  # (channel, thread) → "is thinking…"
        self.thread_titles: dict[tuple[str, str], str] = {}
        self.suggested_prompts: dict[str, list[Json]] = {}  # by channel
        self.on_event: Callable[[Json], None] = lambda _event: None
        self.origin = ""  # http://127.0.0.1:PORT, known once the server listens
        self._last_microseconds = 0

    def mark_changed(self) -> None:
        """Tell whoever waits that something is new; the lock must be held."""
        self.revision += 1
        self.changed.notify_all()

    def new_id(self, prefix: str, length: int = 10) -> str:
        """``U0AB12CD34E``: an id in Slack's alphabet, from ``rng``."""
        return prefix + "".join(self.rng.choices(ID_ALPHABET, k=length))

    def new_ts(self) -> str:
        """The next message time, ``1700000000.000100``: never given twice, even while the clock stands."""
        self._last_microseconds = max(self._last_microseconds + 100, int(self.now().timestamp() * 1_000_000))
        return f"{self._last_microseconds // 1_000_000}.{self._last_microseconds % 1_000_000:06d}"

    def account(self, user_id: str) -> Account:
        """The account by user id; ``user_not_found`` where there is none."""
        if user_id not in self.accounts:
            raise ApiRefusal("user_not_found")
        return self.accounts[user_id]

    def channel(self, channel_id: str) -> Channel:
        """The channel by id; ``channel_not_found`` where there is none."""
        if channel_id not in self.channels:
            raise ApiRefusal("channel_not_found")
        return self.channels[channel_id]

    def channel_with_bot(self, channel_id: str) -> Channel:
        """The channel by id, where Errata is a member; ``not_in_channel`` where it is not."""
        channel = self.channel(channel_id)
        if self.identity.bot_user_id not in channel.members:
            # Slack hides private channels and other people's direct messages altogether.
            raise ApiRefusal("not_in_channel" if channel.kind == "channel" else "channel_not_found")
        return channel

    def channel_to_post(self, channel_id: str) -> Channel:
        """The channel by id, where Errata may say something new; ``is_archived`` where nobody may any more."""
        channel = self.channel_with_bot(channel_id)
        if channel.is_archived:
            raise ApiRefusal("is_archived")
        return channel

    def direct_message(self, user_id: str) -> Channel:
        """The direct message between Errata and this person; made where there is none yet."""
        for channel in self.channels.values():
            if channel.is_im and user_id in channel.members:
                return channel
        self.account(user_id)
        channel = Channel(self.new_id("D"), "", [user_id, self.identity.bot_user_id], is_im=True)
        self.channels[channel.channel_id] = channel
        return channel

    def direct_message_to_open(self, user_id: str) -> Channel:
        """The direct message that Errata opens with this person: with nobody who left, and with no bot."""
        account = self.account(user_id)
        if account.deleted:
            raise ApiRefusal("user_disabled")
        if account.bot_id is not None:
            raise ApiRefusal("cannot_dm_bot")
        return self.direct_message(user_id)

    def is_stranger(self, account: Account) -> bool:
        """Whether somebody of another workspace shares no channel with Errata."""
        shared = any(
            {account.user_id, self.identity.bot_user_id} <= set(each.members) for each in self.channels.values()
        )
        return account.team_id != self.identity.team_id and not shared

    def is_shared(self, channel_id: str | None) -> bool:
        """Whether people of another workspace are in the channel (Slack Connect)."""
        members = self.channels[channel_id].members if channel_id in self.channels else []
        return any(self.accounts[member].team_id != self.identity.team_id for member in members)

    def message(self, channel_id: str, ts: str) -> Json:
        """The stored message itself, not a copy; ``message_not_found`` where there is none."""
        for message in self.channel(channel_id).messages:
            if message["ts"] == ts:
                return message
        raise ApiRefusal("message_not_found")

    def with_ids(self, blocks: Iterable[Json]) -> list[Json]:
        """A copy of the blocks with a block_id and action_ids everywhere, as Slack gives where none is set."""
        copied = copy.deepcopy(list(blocks))
        for block in copied:
            block["block_id"] = block.get("block_id") or self.new_id("", 5)
        for _block, element in elements(copied):
            element["action_id"] = element.get("action_id") or self.new_id("", 5)
        return copied

    def post(self, channel: Channel, message: Json, *, thread_ts: str | None = None) -> Json:
        """Append a message (``text`` and author keys given), link it into its thread and say the event."""
        with self.changed:
            message = {"type": "message", **message, "ts": self.new_ts()}
            if thread_ts is not None:
                self._link_reply(channel, message, thread_ts)
            channel.messages.append(message)
            self.emit_message(channel, message)
            self.mark_changed()
            return message

    def _link_reply(self, channel: Channel, reply: Json, thread_ts: str) -> None:
        parent = next((message for message in channel.messages if message["ts"] == thread_ts), None)
        if parent is None:
            raise ApiRefusal("thread_not_found")
        if parent.get("thread_ts", thread_ts) != thread_ts:  # a reply was named: the thread is its parent's
            self._link_reply(channel, reply, parent["thread_ts"])
            return
        parent["thread_ts"] = reply["thread_ts"] = thread_ts
        reply["parent_user_id"] = parent.get("user")
        parent["reply_count"] = parent.get("reply_count", 0) + 1
        repliers = [*parent.get("reply_users", []), reply.get("user") or reply["bot_id"]]
        parent["reply_users"] = list(dict.fromkeys(repliers))
        parent["reply_users_count"] = len(parent["reply_users"])
        parent["latest_reply"] = reply["ts"]

    def edit(self, channel: Channel, message: Json, changes: Json, *, editor: str | None = None) -> None:
        """Change a stored message in place, as ``chat.update`` does, and say so; the editor is Errata unless named."""
        with self.changed:
            before = dict(message)
            message.update(changes)
            message["edited"] = {"user": editor or self.identity.bot_user_id, "ts": self.new_ts()}
            hidden = {
                "subtype": "message_changed",
                "hidden": True,
                "message": dict(message),
                "previous_message": before,
            }
            self.emit_message(channel, {"type": "message", **hidden, "ts": message["edited"]["ts"]})
            self.mark_changed()

    def delete(self, channel: Channel, message: Json) -> None:
        """Take a message out of its channel and say so."""
        with self.changed:
            channel.messages.remove(message)
            gone = {
                "subtype": "message_deleted",
                "hidden": True,
                "deleted_ts": message["ts"],
                "previous_message": message,
            }
            self.emit_message(channel, {"type": "message", **gone, "ts": self.new_ts()})
            self.mark_changed()

    def react(self, channel: Channel, message: Json, user_id: str, name: str, *, added: bool = True) -> None:
        """Add or take back one person's reaction; ``already_reacted`` and ``no_reaction`` as in Slack."""
        with self.changed:
            reactions: list[Json] = message.setdefault("reactions", [])
            entry = next((reaction for reaction in reactions if reaction["name"] == name), None)
            present = entry is not None and user_id in entry["users"]
            if present == added:
                raise ApiRefusal("already_reacted" if added else "no_reaction")
            if entry is None:
                entry = {"name": name, "users": [], "count": 0}
                reactions.append(entry)
            if added:
                entry["users"].append(user_id)
            else:
                entry["users"].remove(user_id)
            entry["count"] = len(entry["users"])
            message["reactions"] = [reaction for reaction in reactions if reaction["count"]]
            if self.identity.bot_user_id in channel.members:
                item = {"type": "message", "channel": channel.channel_id, "ts": message["ts"]}
                kind = "reaction_added" if added else "reaction_removed"
                event = {"type": kind, "user": user_id, "reaction": name, "item": item, "event_ts": self.new_ts()}
                self.on_event({**event, "item_user": message.get("user")})
            self.mark_changed()

    def show_only_to(self, user_id: str, message: Json) -> Json:
        """Give one person an ephemeral message; nobody else, and no history, ever sees it."""
        with self.changed:
            message = {"type": "message", **message, "ts": self.new_ts(), "is_ephemeral": True}
            self.ephemerals.setdefault(user_id, []).append(message)
            self.mark_changed()
            return message

    def emit_message(self, channel: Channel, message: Json) -> None:
        """Say a message event, if Errata is in the channel to hear it."""
        if self.identity.bot_user_id in channel.members:
            place: dict[str, Any] = {"channel": channel.channel_id, "channel_type": channel.kind}
            self.on_event({**message, **place, "event_ts": message["ts"]})
            if self._mentions(channel, message):
                named = {name: value for name, value in message.items() if name not in {"parent_user_id", "subtype"}}
                named |= {"type": "app_mention", "channel": channel.channel_id, "event_ts": message["ts"]}
                self.on_event(named)

    def _mentions(self, channel: Channel, message: Json) -> bool:
        """Whether somebody else names Errata in a new message; in a direct message nobody has to."""
        errata = self.identity.bot_user_id
        named = f"<@{errata}>" in str(message.get("text"))
        return named and not (channel.is_im or message.get("hidden") or message.get("user") == errata)

    def new_response_url(self, user_id: str, channel_id: str, message_ts: str | None, thread_ts: str | None) -> str:
        """A fresh link for answering one interaction."""
        key = self.new_id("", 24)
        self.response_urls[key] = ResponseUrl(user_id, channel_id, message_ts, self.now(), thread_ts)
        return f"{self.origin}/response/{key}"
