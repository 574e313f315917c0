"""A person in front of Errata's modals and App Home: what they see, fill in, submit and close.

Owns the person's side of views. Refuses what Slack's client would not let them do, with a
SandboxRefusal that names the field or the element.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from bot.sandbox import inputs, payloads
from bot.sandbox.errors import SandboxRefusal
from bot.sandbox.payloads import Account, Json
from bot.sandbox.records import Channel
from bot.sandbox.views import OpenView

if TYPE_CHECKING:
    from bot.sandbox.workspace import Workspace


class Viewer:
    """Somebody with an account, their open modals and their App Home."""

    def __init__(self, account: Account, workspace: Workspace) -> None:
        self._account = account
        self._workspace = workspace
        self._state = workspace.state
        self._views = workspace.views

    @property
    def user_id(self) -> str:
        """``U…``."""
        return self._account.user_id

    @property
    def bot_id(self) -> str | None:
        """``B…`` for a foreign bot; None for a person."""
        return self._account.bot_id

    @property
    def name(self) -> str:
        """The display name."""
        return self._account.name

    @property
    def modal(self) -> Json | None:
        """The modal in front of this person, with its current state; None where none is open."""
        with self._state.lock:
            shown = self._views.top(self.user_id)
            return copy.deepcopy(shown.as_json()) if shown else None

    @property
    def home(self) -> Json | None:
        """App Home as Errata published it for this person; None before it did."""
        with self._state.lock:
            shown = self._views.homes.get(self.user_id)
            return copy.deepcopy(shown.as_json()) if shown else None

    @property
    def dm_channel(self) -> str:
        """The id of the direct message with Errata."""
        with self._state.lock:
            return self._state.direct_message(self.user_id).channel_id

    def open_home(self, tab: str = "home") -> None:
        """Open Errata's App Home; with ``tab="messages"``, the direct message, which Slack tells the same way."""
        with self._state.lock:
            shown = self._views.homes.get(self.user_id)
            event: Json = {"type": "app_home_opened", "user": self.user_id, "tab": tab}
            event |= {"channel": self.dm_channel, "event_ts": self._state.new_ts()}
            if shown is not None and tab == "home":
                event["view"] = copy.deepcopy(shown.as_json())
            self._state.on_event(event)

    def speak(self, locale: str) -> None:
        """Choose another language, such as ``de-DE``, in one's own preferences; Errata hears of it."""
        self._must_be_active()
        self._workspace.change(self, locale=locale)

    def click_in_home(self, action_id: str, block_id: str | None = None, value: Any = None) -> None:
        """Touch an element of App Home."""
        with self._state.lock:
            shown = self._views.homes.get(self.user_id)
            if shown is None:
                raise SandboxRefusal(f"Errata has not published App Home for {self.name}; call open_home() first.")
            payload = self._touch(shown, action_id, block_id, value)
        if payload is not None:
            self._interact(payload)

    def click_in_modal(self, action_id: str, block_id: str | None = None, value: Any = None) -> None:
        """Touch an element of the modal in front; a chosen option stays chosen."""
        with self._state.lock:
            payload = self._touch(self._modal_in_front(), action_id, block_id, value)
        if payload is not None:
            self._interact(payload)

    def submit(self, values: Mapping[str, Any] | None = None) -> dict[str, str]:
        """Fill in the modal in front and submit it; return the errors it shows ({} if it was accepted).

        ``values`` are plain, by block_id: a text, an option's value, or a list of them. Raises
        SandboxRefusal where the client would not submit, NotAnswered where the bot does not take it.
        """
        with self._state.lock:
            shown = self._modal_in_front()
            if not shown.record["submit"]:
                raise SandboxRefusal("This modal has no submit button.")
            blocks = shown.record["blocks"]
            for block, element in inputs.elements(blocks):
                if block["block_id"] in (values or {}):
                    self._must_be_on_offer(element, (values or {})[block["block_id"]])
            entered = inputs.fill(blocks, shown.entered, values or {})
            shown.entered = entered  # what was typed stays, even where the client then refuses to submit
            inputs.check(blocks, inputs.state_values(blocks, entered))
            trigger_id = self._views.new_trigger(self.user_id, from_modal=True)
            view = copy.deepcopy(shown.as_json())
            payload = payloads.view_submission(self._base("view_submission"), trigger_id=trigger_id, view=view)
        answer = self._workspace.hand_over("interaction", payload)
        with self._state.changed:
            return self._views.answer_submission(shown, answer)

    def close_modal(self) -> None:
        """Close the modal in front, with ``clear_on_close`` all those below it too.

        The bot hears of it if the modal asked to (``notify_on_close``).
        """
        with self._state.changed:
            shown = self._modal_in_front()
            stack, cleared = self._views.stacks[self.user_id], bool(shown.record["clear_on_close"])
            stack[:] = [] if cleared else stack[:-1]
            self._state.mark_changed()
            payload = payloads.view_closed(self._base("view_closed"), view=shown.as_json(), is_cleared=cleared)
        if shown.record["notify_on_close"]:
            self._interact(payload)

    def _base(self, kind: str) -> Json:
        self._must_be_active()
        return payloads.interaction(self._state.identity, kind, self._account)

    def _must_be_active(self) -> None:
        if self._account.deleted:
            raise SandboxRefusal(f"{self.name} was deactivated and can do nothing in the workspace any more.")

    def _interact(self, payload: Json) -> None:
        self._workspace.hand_over("interaction", payload)

    def _touch(self, shown: OpenView, action_id: str, block_id: str | None, value: Any) -> Json | None:
        block, element = inputs.find(shown.record["blocks"], action_id, block_id)
        self._must_be_on_offer(element, value)
        action = inputs.action(block, element, value=value, action_ts=self._state.new_ts())
        if element["type"] in inputs.STATE_KEYS:
            shown.entered = inputs.choose(shown.entered, block["block_id"], element, value)
        if inputs.is_quiet(block):
            return None
        from_modal = shown.record["type"] == "modal"
        trigger_id = self._views.new_trigger(self.user_id, from_modal=from_modal)
        view = copy.deepcopy(shown.as_json())
        return payloads.view_actions(self._base("block_actions"), action=action, trigger_id=trigger_id, view=view)

    def _must_be_on_offer(self, element: Json, value: Any) -> None:
        """Selects of people and channels offer what this person may see of the workspace; others their options."""
        offered: set[str] | None = None
        if element["type"] == "users_select":
            offered = {user_id for user_id, account in self._state.accounts.items() if not account.deleted}
        elif element["type"] in {"channels_select", "conversations_select"}:
            offered = {each.channel_id for each in self._on_offer(element)}
        if offered is not None and value and value not in offered:
            raise SandboxRefusal(f"{element['action_id']}: {value!r} is not on offer; choose one of {sorted(offered)}.")

    def _on_offer(self, element: Json) -> Iterator[Channel]:
        names = {"channel": "public", "group": "private", "im": "im"}
        wanted = set(element.get("filter", {}).get("include", names.values()))
        if element["type"] == "channels_select":
            wanted = {"public"}
        for channel in self._state.channels.values():
            visible = channel.kind == "channel" or self.user_id in channel.members
            if visible and names[channel.kind] in wanted and not channel.is_archived:
                yield channel

    def _modal_in_front(self) -> OpenView:
        shown = self._views.top(self.user_id)
        if shown is None:
            raise SandboxRefusal(f"{self.name} has no modal open.")
        return shown
