"""ShareGPT: ``{"conversations": [{"from": "human", "value": ...}, {"from": "gpt", "value": ...}]}``.

Owns both directions. There is no standard, so the names in use for a speaker are all read, and LLaMA-Factory's are
written: its data/README.md is the source for system, tools, function_call and observation. The shape has no ids of
calls: they are numbered, ``call_1`` first. Refuses rows in which a turn speaks and calls, or makes several calls:
LLaMA-Factory drops such a row, since its turns no longer alternate.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeGuard

from curation.conversation import Conversation, Message, Role
from curation.findings import Finding
from curation.formats.rules import found, kind_of, short, unknown_keys
from curation.formats.translation import Translation

_CALL = "function_call"
_SPEAKERS = {
    **dict.fromkeys(("system",), Role.SYSTEM.value),
    **dict.fromkeys(("human", "user"), Role.USER.value),
    **dict.fromkeys(("gpt", "assistant", "chatgpt", "bard", "bing", "model"), Role.ASSISTANT.value),
    **dict.fromkeys((_CALL, "function-call", "tool_call"), _CALL),
    **dict.fromkeys(("observation", "tool", "tool_response", "function_response"), Role.TOOL.value),
}
_WRITTEN = {Role.SYSTEM: "system", Role.USER: "human", Role.ASSISTANT: "gpt", Role.TOOL: "observation"}
_ROW_KEYS = ("conversations", "system", "tools", "metadata")
_TURN_KEYS = ("from", "value", "weight", "name")
_FIXES = {"content.missing": 'Add "value".', "content.type": "Write the value as one string."}


def translate(row: Mapping[str, Any], line: int) -> Translation:
    """A decoded row as chat.

    ``[{"from": "human", "value": "Hi"}]`` gives ``{"messages": [{"role": "user", "content": "Hi"}]}``.
    """
    made = Translation(fixes=_FIXES)
    made.findings += unknown_keys(row, _ROW_KEYS, "row.keys", "the row", line)
    turns = row.get("conversations")
    if not isinstance(turns, list) or not turns:
        what = "an empty list" if turns == [] else f"{kind_of(turns)}, not a list"
        made.findings.append(found("sharegpt.conversations", f"conversations is {what}.", line))
        return made
    reading = _Reading(line)
    messages = [reading.message(turn, f"turn {position}") for position, turn in enumerate(turns, start=1)]
    box = _tools(row, reading)
    made.findings += reading.findings
    if any(message is None for message in messages) or box is None:
        return made
    system = [{"role": "system", "content": row["system"]}] if row.get("system") not in (None, "") else []
    made.record = {"messages": [*system, *messages], **box}
    if "metadata" in row:
        made.record["metadata"] = row["metadata"]
    return made


def carries(conversation: Conversation) -> bool:
    """Whether the shape can hold the turns: none speaks and calls at once, none makes several calls."""
    return all(
        not turn.tool_calls or (len(turn.tool_calls) == 1 and not turn.content) for turn in conversation.messages
    )


def record_of(conversation: Conversation) -> dict[str, Any]:
    """The row of a conversation that the shape can hold."""
    record: dict[str, Any] = {"conversations": [_turn(message) for message in conversation.messages]}
    if conversation.tools:
        record["tools"] = json.dumps(
            [tool.as_json()["function"] for tool in conversation.tools], ensure_ascii=False, separators=(",", ":")
        )
    return record


def _turn(message: Message) -> dict[str, str]:
    if not message.tool_calls:
        return {"from": _WRITTEN[message.role], "value": message.content}
    (call,) = message.tool_calls
    # The arguments stand as they were written: read and written again, a number might change.
    value = f'{{"name": {json.dumps(call.name, ensure_ascii=False)}, "arguments": {call.arguments}}}'
    return {"from": _CALL, "value": value}


class _Reading:
    """One walk through the turns of a row: numbers the calls, and gives each result to the call it follows."""

    def __init__(self, line: int) -> None:
        self.line = line
        self.findings: list[Finding] = []
        self._calls = 0
        self._waiting: list[str] = []

    def message(self, turn: object, where: str) -> dict[str, Any] | None:
        if not isinstance(turn, dict):
            what = f"{where} is {kind_of(turn)}, not an object."
            self.add("message.not_object", what, fix='Write {"from": "human", "value": "..."}.')
            return None
        self.findings += unknown_keys(turn, _TURN_KEYS, "message.keys", where, self.line)
        speaker = turn.get("from")
        role = _SPEAKERS.get(speaker) if isinstance(speaker, str) else None
        if role is None:
            what = f"is from {short(speaker)}" if "from" in turn else "does not say whom it is from"
            self.add("sharegpt.speaker", f"{where} {what}.")
            return None
        marks = {key: turn[key] for key in ("weight", "name") if key in turn}
        if role == _CALL:
            calls = self._read_calls(turn.get("value"), where)
            return {"role": "assistant", "tool_calls": calls, **marks} if calls else None
        message = {"role": role, **({"content": turn["value"]} if "value" in turn else {}), **marks}
        if role == Role.TOOL and self._waiting:
            message["tool_call_id"] = self._waiting.pop(0)
        return message

    def add(self, rule: str, what: str, *, fix: str | None = None) -> None:
        self.findings.append(found(rule, what, self.line, fix=fix))

    def _read_calls(self, value: object, where: str) -> list[dict[str, Any]]:
        read = _decoded(value)
        calls = [call for call in (read if isinstance(read, list) else [read]) if _is_call(call)]
        if not calls or (isinstance(read, list) and len(calls) < len(read)):
            self.add("sharegpt.call", f"the value of {where} is no call of a function.")
            return []
        made: list[dict[str, Any]] = []
        for call in calls:
            self._calls += 1
            arguments = call["arguments"]
            text = arguments if isinstance(arguments, str) else _encoded(arguments)
            function = {"name": call["name"], "arguments": text}
            made.append({"id": f"call_{self._calls}", "type": "function", "function": function})
        self._waiting = [call["id"] for call in made]
        return made


def _is_call(value: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict) and {"name", "arguments"} <= value.keys()


def _tools(row: Mapping[str, Any], reading: _Reading) -> dict[str, Any] | None:
    """``{"tools": [...]}`` in chat's shape, empty where the row has none; None where they cannot be read."""
    given = row.get("tools")
    if given in (None, "", "[]", []):
        return {}
    tools = _decoded(given) if isinstance(given, str) else given
    if not isinstance(tools, list):
        reading.add("sharegpt.tools", "tools holds no list of function definitions.")
        return None
    # Definitions stand bare in LLaMA-Factory's files and in OpenAI's shape in others.
    bare = [tool if isinstance(tool, dict) and "function" in tool else {"function": tool} for tool in tools]
    return {"tools": [{"type": "function", **tool} for tool in bare]}


def _encoded(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError:
        # It could be read with the last of the stack; judged as arguments, this is refused.
        return ""


def _decoded(value: object) -> object:
    try:
        return json.loads(value) if isinstance(value, str) else None
    except (ValueError, RecursionError):
        return None
