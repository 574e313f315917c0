"""Whose turn it is: alternation, the last turn, what is learned from, and results that answer calls.

Owns the order of turns in one row. Refuses to look at what is said (``curation.formats.profile``) or at how a call is
written (``curation.formats.tools``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from curation.conversation import Role
from curation.findings import Finding
from curation.formats.rules import found, short

SPEAKERS = tuple(role.value for role in Role)


def judge_turns(messages: list[Any], line: int) -> Iterator[Finding]:
    """Every violation of order in the turns of one row; what is no message has its finding elsewhere."""
    roles = [message.get("role") if isinstance(message, dict) else None for message in messages]
    # Who speaks in the other turns is unclear and has its own finding: order would only repeat it.
    clear = all(role in SPEAKERS for role in roles)
    if clear:
        yield from _Order(line).judge(messages)
    if clear and Role.USER not in roles:
        yield found("turns.no_user", "no user speaks.", line)
    if roles[-1] in (Role.SYSTEM, Role.USER, Role.TOOL):
        yield found("turns.last", f"the last turn is the {roles[-1]}'s; it must be the assistant's.", line)
    weights = [message.get("weight") for message, role in zip(messages, roles, strict=True) if role == Role.ASSISTANT]
    if weights and all(type(weight) is int and weight == 0 for weight in weights):
        yield found("weight.all_zero", "every reply has the weight 0, so nothing is learned from the row.", line)


def call_ids(message: Mapping[str, Any]) -> list[str]:
    """The ids of the calls in a turn, in order; of what is no call, none."""
    calls = message.get("tool_calls")
    if not isinstance(calls, list):
        return []
    ids = (call.get("id") for call in calls if isinstance(call, dict))
    return [key for key in ids if isinstance(key, str)]


class _Order:
    """One walk through the turns of a row."""

    def __init__(self, line: int) -> None:
        self._line = line
        self._due = Role.USER
        self._unanswered: list[str] = []

    def judge(self, messages: list[dict[str, Any]]) -> Iterator[Finding]:
        for position, message in enumerate(messages, start=1):
            role = Role(message["role"])
            if role is Role.TOOL:
                yield from self._result(message, position)
            elif role is not Role.SYSTEM:
                yield from self._speech(role, position)
                if role is Role.ASSISTANT:
                    self._unanswered = call_ids(message)
                    # After its results the assistant speaks again; a call in the last turn has none.
                    self._due = Role.ASSISTANT if message.get("tool_calls") else Role.USER
                else:
                    self._due = Role.ASSISTANT
        if self._unanswered and messages[-1]["role"] == Role.TOOL:
            yield self._missing("the dialogue ends")

    def _speech(self, role: Role, position: int) -> Iterator[Finding]:
        if self._unanswered:
            yield self._missing(f"turn {position} comes")
            self._unanswered = []
        elif role is not self._due:
            message = f"turn {position} is the {role}'s; the {self._due}'s was due."
            yield found("turns.alternation", message, self._line)

    def _missing(self, where: str) -> Finding:
        message = f"{where} before the result of the call {short(self._unanswered[0])}."
        return found("tools.unanswered", message, self._line)

    def _result(self, message: Mapping[str, Any], position: int) -> Iterator[Finding]:
        key = message.get("tool_call_id")
        if not isinstance(key, str):
            yield found("tools.unasked", f"turn {position} is a tool's and names no call that it answers.", self._line)
        elif key not in self._unanswered:
            message_text = f"turn {position} answers the call {short(key)}, which does not wait for a result there."
            yield found("tools.unasked", message_text, self._line)
        else:
            if key != self._unanswered[0]:
                message_text = f"turn {position} answers the call {short(key)} before {short(self._unanswered[0])}."
                yield found("tools.order", message_text, self._line)
            self._unanswered.remove(key)
