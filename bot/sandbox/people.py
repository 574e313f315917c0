"""People of the workspace and what they do in channels: post, react, click, choose a shortcut, type a command.

Owns the person's side of each story: what they see and what their client sends. Refuses what
Slack's client would not let them do, with a SandboxRefusal that names the field or the element.
"""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any

from bot.sandbox import channel_methods, chat_methods, inputs, payloads
from bot.sandbox.errors import ApiRefusal, NotAnswered, SandboxRefusal
from bot.sandbox.inputs import Entered
from bot.sandbox.payloads import Account, Json
from bot.sandbox.records import Channel
from bot.sandbox.viewers import Viewer

if TYPE_CHECKING:
    from bot.sandbox.workspace import Workspace


class Person(Viewer):
    """One person, or a foreign bot, at work in the workspace; ``Viewer`` holds their modals and App Home."""

    def __init__(self, account: Account, workspace: Workspace) -> None:
        super().__init__(account, workspace)
        self._chosen: dict[str, Entered] = {}  # by ts: what stands chosen in a message until it is changed again

    # What they see.

    @property
    def ephemerals(self) -> list[Json]:
        """Messages that only this person sees, oldest first."""
        with self._state.lock:
            return copy.deepcopy(self._state.ephemerals.get(self.user_id, []))

    @property
    def dms(self) -> list[Json]:
        """Messages in the direct message with Errata, both sides, oldest first."""
        return self._workspace.messages(self.dm_channel)

    @property
    def acquaintances(self) -> dict[str, str]:
        """Everybody whom this person can mention: user id → name."""
        with self._state.lock:
            return {account.user_id: account.name for account in self._state.accounts.values()}

    # What they do in channels.

    def post(
        self,
        channel: str,
        text: str,
        thread_ts: str | None = None,
        *,
        raw: bool = False,
        broadcast: bool = False,
        metadata: Json | None = None,
    ) -> str:
        """Say something and return its ts.

        ``& < >`` are escaped as Slack's client does; ``raw`` keeps text as it is, for mentions such as ``<@U…>``.
        ``broadcast`` shows a thread's reply in the channel as well; ``metadata`` is what a bot says of its own message.
        """
        escaped = text if raw else text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        with self._state.lock:
            message = payloads.authored(self._state.identity, self._account, escaped)
            if self.bot_id is None:
                said = {"type": "rich_text_section", "elements": _leaves(escaped)}
                message["blocks"] = self._state.with_ids([{"type": "rich_text", "elements": [said]}])
            if thread_ts is not None:
                self._message(channel, thread_ts)
                message |= {"subtype": "thread_broadcast"} if broadcast else {}
            if metadata is not None:
                message["metadata"] = metadata
            posted = self._state.post(self._channel(channel, writing=True), message, thread_ts=thread_ts)
        return str(posted["ts"])

    def edit(self, channel: str, ts: str, text: str) -> None:
        """Change the text of one's own message."""
        with self._state.lock:
            self._state.edit(
                self._channel(channel, writing=True), self._own(channel, ts), {"text": text}, editor=self.user_id
            )

    def delete(self, channel: str, ts: str) -> None:
        """Take back one's own message."""
        with self._state.lock:
            self._state.delete(self._channel(channel), self._own(channel, ts))

    def react(self, channel: str, ts: str, name: str, *, added: bool = True) -> None:
        """Add a reaction, such as ``triangular_flag_on_post``, to a message, or take it back (``added=False``)."""
        with self._state.lock:
            place, message = self._channel(channel, writing=True), self._message(channel, ts)
            try:
                self._state.react(place, message, self.user_id, name, added=added)
            except ApiRefusal as refusal:
                raise SandboxRefusal(f"{self.name} cannot react with {name!r}: {refusal.sentence()}.") from refusal

    def message_shortcut(self, channel: str, ts: str, callback_id: str) -> None:
        """Choose a shortcut from a message's menu."""
        with self._state.lock:
            place, message = self._channel(channel), self._message(channel, ts)
            payload = payloads.message_action(
                self._base("message_action"),
                callback_id=callback_id,
                trigger_id=self._views.new_trigger(self.user_id),
                response_url=self._response_url(place, message),
                channel=self._place(place),
                message=copy.deepcopy(message),
                action_ts=self._state.new_ts(),
            )
        self._interact(payload)

    def global_shortcut(self, callback_id: str) -> None:
        """Choose a shortcut from the global menu."""
        with self._state.lock:
            trigger_id = self._views.new_trigger(self.user_id)
            base = self._base("shortcut")
            action_ts = self._state.new_ts()
        self._interact(payloads.shortcut(base, callback_id=callback_id, trigger_id=trigger_id, action_ts=action_ts))

    def command(self, name: str, text: str, channel: str) -> Json:
        """Type ``/errata …`` and return the bot's immediate answer ({} where it said nothing).

        An answer with content shows up as Slack shows it: to this person only, or in the channel.
        """
        with self._state.lock:
            place = self._channel(channel, writing=True)
            payload = payloads.command(
                self._state.identity,
                self._account,
                name=name,
                text=text,
                channel=self._place(place),
                trigger_id=self._views.new_trigger(self.user_id),
                response_url=self._state.new_response_url(self.user_id, channel, None, None),
            )
        answer = self._workspace.hand_over("command", payload)
        if answer.get("text") or answer.get("blocks"):
            with self._state.lock:
                self._show(answer, channel)
        return answer

    def click(self, channel: str, ts: str, action_id: str, block_id: str | None = None, value: Any = None) -> None:
        """Touch an element of a message; ``value`` chooses among options and feedback buttons."""
        with self._state.lock:
            place, message = self._channel(channel), self._message(channel, ts, private=True)
            blocks = message.get("blocks", [])
            block, element = inputs.find(blocks, action_id, block_id)
            self._must_be_on_offer(element, value)
            chosen = self._chosen.get(ts, {})
            if element["type"] in inputs.STATE_KEYS:
                chosen = self._chosen[ts] = inputs.choose(chosen, block["block_id"], element, value)
            if inputs.is_quiet(block):
                return
            payload = payloads.message_actions(
                self._base("block_actions"),
                action=inputs.action(block, element, value=value, action_ts=self._state.new_ts()),
                state=inputs.state_values(blocks, chosen),
                trigger_id=self._views.new_trigger(self.user_id),
                response_url=self._response_url(place, message),
                channel=self._place(place),
                message=copy.deepcopy(message),
            )
        self._interact(payload)

    # How it is sent.

    def _show(self, answer: Json, channel: str) -> None:
        try:
            chat_methods.say(self._state, self.user_id, channel, answer)
        except ApiRefusal as refusal:
            raise NotAnswered(f"Slack refuses the bot's answer to the command: {refusal.sentence()}.") from refusal

    def _channel(self, channel_id: str, *, writing: bool = False) -> Channel:
        self._must_be_active()
        channel = self._state.channels.get(channel_id)
        if channel is None or self.user_id not in channel.members:
            raise SandboxRefusal(f"{self.name} is not in channel {channel_id}.")
        if writing and channel.is_archived:
            raise SandboxRefusal(f"Channel {channel_id} is archived: nobody can write there.")
        return channel

    def _message(self, channel_id: str, ts: str, *, private: bool = False) -> Json:
        # Slack offers neither reactions, threads nor shortcuts on an ephemeral message, only its own buttons.
        ephemerals = self._state.ephemerals.get(self.user_id, []) if private else []
        for message in [*self._channel(channel_id).messages, *ephemerals]:
            if message["ts"] == ts:
                return message
        raise SandboxRefusal(f"{self.name} sees no message {ts} in {channel_id}.")

    def _own(self, channel_id: str, ts: str) -> Json:
        message = self._message(channel_id, ts)
        if message.get("user") != self.user_id:
            raise SandboxRefusal(f"{self.name} did not write the message {ts}.")
        return message

    def _response_url(self, channel: Channel, message: Json) -> str:
        thread_ts = message.get("thread_ts")
        return self._state.new_response_url(self.user_id, channel.channel_id, message["ts"], thread_ts)

    def _place(self, channel: Channel) -> Json:
        about = channel_methods.channel_object(self._state, channel)
        return {"id": channel.channel_id, "name": about.get("name", "directmessage")}


def _leaves(escaped: str) -> list[Json]:
    """``<@U1> is &lt; 3`` → the mention of a user and the text `` is < 3``."""
    leaves: list[Json] = []
    for place, part in enumerate(re.split(r"<@(\w+)>", escaped)):
        if place % 2:
            leaves.append({"type": "user", "user_id": part})
        elif part:
            text = part.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
            leaves.append({"type": "text", "text": text})
    return leaves
