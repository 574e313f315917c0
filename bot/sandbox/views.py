"""Modals and App Home: each person's stack of views, trigger ids, hashes.

Owns when a view may be opened, pushed, updated or published. Refuses what Slack refuses: a trigger id that is too
old (three seconds, in Slack) or was used before, a hash that is no longer current, a fourth modal on the stack.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from bot.sandbox import limits
from bot.sandbox.errors import ApiRefusal, NotAnswered
from bot.sandbox.inputs import Entered, state_values
from bot.sandbox.payloads import Json
from bot.sandbox.state import State

STACK_LIMIT = 3
RESPONSE_ACTIONS = {None, "errors", "update", "push", "clear"}


@dataclass
class Trigger:
    """Permission to open one modal for one person, for a few seconds."""

    user_id: str
    issued_at: datetime
    from_modal: bool
    used: bool = False


@dataclass
class OpenView:
    """A view as a person has it in front of them, with what they have entered so far."""

    record: Json
    user_id: str
    entered: Entered = field(default_factory=dict)

    def as_json(self) -> Json:
        """The view object with its current ``state``."""
        return {**self.record, "state": {"values": state_values(self.record["blocks"], self.entered)}}


class Views:
    """Every open view of the workspace; guarded by the state's lock."""

    def __init__(self, state: State, *, trigger_seconds: float) -> None:
        self._state = state
        self._trigger_seconds = trigger_seconds
        self._triggers: dict[str, Trigger] = {}
        self.stacks: dict[str, list[OpenView]] = {}
        self.homes: dict[str, OpenView] = {}

    def new_trigger(self, user_id: str, *, from_modal: bool = False) -> str:
        """A fresh trigger id for something this person just did."""
        trigger_id = f"{self._state.new_id('', 12)}.{self._state.new_id('', 10)}"
        self._triggers[trigger_id] = Trigger(user_id, self._state.now(), from_modal)
        return trigger_id

    def top(self, user_id: str) -> OpenView | None:
        """The modal in front of this person; None where none is open."""
        stack = self.stacks.get(user_id)
        return stack[-1] if stack else None

    def open(self, trigger_id: str, view: Json) -> Json:
        """``views.open``: a new modal, on top of the one in which the trigger arose, if any."""
        trigger = self._take(trigger_id, view)
        if not trigger.from_modal:
            self.stacks[trigger.user_id] = []
        return self.push_for(trigger.user_id, view)

    def push(self, trigger_id: str, view: Json) -> Json:
        """``views.push``: a modal on top of the open one."""
        trigger = self._take(trigger_id, view)
        if not self.stacks.get(trigger.user_id):
            raise ApiRefusal("invalid_arguments", ["views.push needs an open modal; use views.open"])
        return self.push_for(trigger.user_id, view)

    def push_for(self, user_id: str, view: Json) -> Json:
        """Put a modal on this person's stack, as ``response_action: push`` does too."""
        limits.check_view(view, kind="modal")
        stack = self.stacks.setdefault(user_id, [])
        if len(stack) >= STACK_LIMIT:
            raise ApiRefusal("push_limit_reached", [f"{STACK_LIMIT} modals are open; Slack takes no more"])
        self._refuse_taken_external_id(view)
        record = self._built(view)
        record["root_view_id"] = stack[0].record["id"] if stack else record["id"]
        record["previous_view_id"] = stack[-1].record["id"] if stack else None
        stack.append(OpenView(record, user_id))
        return self._told(stack[-1])

    def update(self, view: Json, *, view_id: str | None, external_id: str | None, view_hash: str | None) -> Json:
        """``views.update``, by view id or external id; ``hash_conflict`` if the view moved on meanwhile."""
        for stack in [*self.stacks.values(), list(self.homes.values())]:
            for shown in stack:
                named = {shown.record["id"]} | ({shown.record["external_id"]} - {""})
                if (view_id or external_id) in named:
                    _check_hash(shown, view_hash)
                    return self.replace(shown, view)
        raise ApiRefusal("not_found")

    def replace(self, shown: OpenView, view: Json) -> Json:
        """Put new content into an open view, as ``response_action: update`` does too."""
        limits.check_view(view, kind=shown.record["type"])
        lasting = {key: shown.record[key] for key in ("id", "root_view_id", "previous_view_id")}
        shown.record = {**self._built(view), **lasting}
        return self._told(shown)

    def publish(self, user_id: str, view: Json, *, view_hash: str | None) -> Json:
        """``views.publish``: App Home of one person."""
        self._state.account(user_id)
        limits.check_view(view, kind="home")
        shown = self.homes.get(user_id)
        if shown is not None:
            _check_hash(shown, view_hash)
            return self.replace(shown, view)
        self.homes[user_id] = OpenView(self._built(view), user_id)
        return self._told(self.homes[user_id])

    def answer_submission(self, shown: OpenView, answer: Json) -> dict[str, str]:
        """Do to a submitted modal what the bot's answer says; the errors it shows by block_id, if any.

        Raises NotAnswered where Slack would refuse the answer and leave the person with a warning.
        """
        stack = self.stacks[shown.user_id]
        action = answer.get("response_action")
        if action not in RESPONSE_ACTIONS:
            raise NotAnswered(f"Slack knows no response_action {action!r}.")
        try:
            if action == "errors":
                return _shown_errors(shown, answer.get("errors"))
            if action == "update":
                self.replace(shown, answer["view"])
            elif action == "push":
                self.push_for(shown.user_id, answer["view"])
            elif action == "clear":
                stack.clear()
            elif shown in stack:
                stack.remove(shown)
        except ApiRefusal as refusal:
            raise NotAnswered(f"Slack refuses the bot's {action} answer: {refusal.sentence()}.") from refusal
        self._state.mark_changed()
        return {}

    def _take(self, trigger_id: str, view: Json) -> Trigger:
        limits.check_view(view, kind="modal")
        trigger = self._triggers.get(trigger_id)
        if trigger is None:
            raise ApiRefusal("invalid_trigger_id")
        if trigger.used:
            raise ApiRefusal("exchanged_trigger_id")
        if (self._state.now() - trigger.issued_at).total_seconds() > self._trigger_seconds:
            raise ApiRefusal("expired_trigger_id")
        trigger.used = True
        return trigger

    def _refuse_taken_external_id(self, view: Json) -> None:
        taken = {shown.record["external_id"] for stack in self.stacks.values() for shown in stack} - {""}
        if view.get("external_id") in taken:
            raise ApiRefusal("duplicate_external_id")

    def _built(self, view: Mapping[str, object]) -> Json:
        state, identity = self._state, self._state.identity
        defaults: Json = {
            "private_metadata": "",
            "callback_id": "",
            "external_id": "",
            "clear_on_close": False,
            "notify_on_close": False,
            "close": None,
            "submit": None,
            "title": {"type": "plain_text", "text": "View Title", "emoji": True},
            "previous_view_id": None,
        }
        record: Json = {**defaults, **view}
        record["id"] = record["root_view_id"] = state.new_id("V")
        record["blocks"] = state.with_ids(record["blocks"])
        record["hash"] = f"{int(state.now().timestamp())}.{state.new_id('', 8)}"
        record.update(team_id=identity.team_id, app_id=identity.app_id, bot_id=identity.bot_id)
        return {**record, "app_installed_team_id": identity.team_id}

    def _told(self, shown: OpenView) -> Json:
        self._state.mark_changed()
        return shown.as_json()


def _check_hash(shown: OpenView, view_hash: str | None) -> None:
    if view_hash is not None and view_hash != shown.record["hash"]:
        raise ApiRefusal("hash_conflict")


def _shown_errors(shown: OpenView, errors: object) -> dict[str, str]:
    if not isinstance(errors, dict) or not errors or not all(isinstance(each, str) for each in errors.values()):
        raise NotAnswered(f"The bot answers with errors that are no sentences by block_id: {errors!r}.")
    inputs_shown = {block["block_id"] for block in shown.record["blocks"] if block["type"] == "input"}
    stray = sorted(set(errors) - inputs_shown)
    if stray:
        raise NotAnswered(f"The bot reports errors on {stray}, which are no input blocks of this modal.")
    return dict(errors)
