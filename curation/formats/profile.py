"""The strict profile: the judgement of one decoded row of chat JSONL.

Owns what a row and each of its turns must be; whose turn it is and which result answers which call is
``curation.formats.turns``'s, definitions and calls of tools are ``curation.formats.tools``'s. Knows neither files nor
bytes (``curation.formats.jsonl``), neither tokens nor balance (``curation.checking.checks``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from curation.conversation import Role
from curation.findings import Finding
from curation.formats.rules import MAX_DEPTH, found, kind_of, short, unknown_keys
from curation.formats.tools import LEGACY_KEYS, LEGACY_ROLE, judge_calls, judge_toolbox
from curation.formats.turns import SPEAKERS, judge_turns
from curation.formats.unseen import is_blank
from curation.labels import LABELS, is_label

_SURROGATE = re.compile("[\ud800-\udfff]")
_ROW_KEYS = ("messages", "tools", "parallel_tool_calls", "metadata")
_MESSAGE_KEYS = ("role", "content", "weight", "name", "tool_calls", "tool_call_id")


def judge(row: object, line: int) -> Iterator[Finding]:
    """Every violation of the profile in one decoded row.

    A row without a finding of severity error can be read with ``Conversation.from_json(row["messages"], row)``.
    ``{"messages": [{"role": "user", "content": "Hi"}]}`` gives one finding: ``turns.last``.
    """
    if not isinstance(row, dict):
        yield found("json.not_object", f"the row is {kind_of(row)}, not an object.", line)
        return
    yield from judge_text(row, line)
    yield from judge_row(row, line)


def judge_row(row: Mapping[str, Any], line: int) -> Iterator[Finding]:
    """The same for a record whose text was judged already, in the shape that it had in the file."""
    yield from _judge_keys(row, _ROW_KEYS, "row.keys", "the row", line)
    if "metadata" in row and not isinstance(row["metadata"], dict):
        yield found("metadata.type", f"metadata is {kind_of(row['metadata'])}, not an object.", line)
    else:
        for name in LABELS:
            if not is_label(value := row.get("metadata", {}).get(name)):
                what = f"the {name} in metadata is {kind_of(value)}, neither text nor a whole number."
                yield found("metadata.type", what, line)
    yield from judge_toolbox(row, line)
    messages = row.get("messages")
    if not isinstance(messages, list):
        what = f"messages is {kind_of(messages)}, not a list." if "messages" in row else "the row has no messages."
        yield found("messages.missing", what, line)
    elif not messages:
        yield found("messages.empty", "messages is an empty list.", line)
    else:
        for position, message in enumerate(messages, start=1):
            yield from _judge_message(message, position, line)
        yield from judge_calls(messages, row, line)
        yield from judge_turns(messages, line)


def judge_text(row: Mapping[str, Any], line: int) -> Iterator[Finding]:
    """NUL, half surrogate pairs, byte order marks and too much depth, once each, wherever in the row they stand."""
    texts, depth = _walk(row)
    text = "".join(texts)
    if "\0" in text:
        yield found("encoding.null", "the row holds a NUL character.", line)
    if "\ufeff" in text:
        yield found("encoding.bom", "a text in the row holds a byte order mark (U+FEFF).", line)
    if _SURROGATE.search(text):
        yield found("encoding.surrogate", "the row holds half of a surrogate pair.", line)
    if depth > MAX_DEPTH:
        yield found("json.depth", f"objects and lists nest {depth} deep.", line)


def _walk(row: object) -> tuple[list[str], int]:
    """Every text of the row, keys included, and how deep it nests; a loop, since what nests deep exhausts a stack."""
    texts: list[str] = []
    deepest = 0
    waiting: list[tuple[object, int]] = [(row, 1)]
    while waiting:
        value, depth = waiting.pop()
        if isinstance(value, str):
            texts.append(value)
            continue
        if not isinstance(value, dict | list):
            continue
        deepest = max(deepest, depth)
        if isinstance(value, dict):
            texts += value
            waiting += ((inner, depth + 1) for inner in value.values())
        else:
            waiting += ((inner, depth + 1) for inner in value)
    return texts, deepest


def _judge_keys(
    record: Mapping[str, Any], known: tuple[str, ...], rule: str, where: str, line: int
) -> Iterator[Finding]:
    for key in LEGACY_KEYS:
        if key in record:
            yield found("tools.legacy", f"{where} has {key}, the older form of tool calls.", line)
    yield from unknown_keys(record, (*known, *LEGACY_KEYS), rule, where, line)


def _judge_message(message: object, position: int, line: int) -> Iterator[Finding]:
    where = f"turn {position}"
    if not isinstance(message, dict):
        yield found("message.not_object", f"{where} is {kind_of(message)}, not an object.", line)
        return
    yield from _judge_keys(message, _MESSAGE_KEYS, "message.keys", where, line)
    role = message.get("role")
    if role == LEGACY_ROLE:
        yield found("tools.legacy", f"{where} has the role function, the older form of tool results.", line)
    elif role not in SPEAKERS:
        what = f"has the role {short(role)}" if "role" in message else "has no role"
        yield found("role.unknown", f"{where} {what}.", line)
    elif role == Role.SYSTEM and position > 1:
        yield found("role.system_late", f"{where} is a system turn.", line)
    yield from _judge_content(message, where, line)
    yield from _judge_marks(message, where, line)


def _judge_content(message: Mapping[str, Any], where: str, line: int) -> Iterator[Finding]:
    content = message.get("content")
    # Whoever calls a tool need not say anything; whether what stands there is a call is judged elsewhere.
    calls = message.get("role") == Role.ASSISTANT and ("tool_calls" in message or "function_call" in message)
    if content is None or content == "":
        if not calls:
            rule, what = ("content.missing", "has no content") if content is None else ("content.empty", "is blank")
            yield found(rule, f"{where} {what}.", line)
    elif not isinstance(content, str):
        yield found("content.type", f"the content of {where} is {kind_of(content)}, not a string.", line)
    elif is_blank(content):
        yield found("content.empty", f"{where} is blank.", line)


def _judge_marks(message: Mapping[str, Any], where: str, line: int) -> Iterator[Finding]:
    if "weight" in message:
        weight = message["weight"]
        # True == 1 and 1.0 == 1 in Python; trainers disagree about what they mean, so only the integer passes.
        if type(weight) is not int or weight not in (0, 1):
            yield found("weight.value", f"{where} has the weight {short(weight)}.", line)
        if message.get("role") != Role.ASSISTANT:
            yield found("weight.role", f"{where} has a weight and is not the assistant's.", line)
    if "name" in message and not isinstance(message["name"], str):
        yield found("name.type", f"the name in {where} is {kind_of(message['name'])}, not a string.", line)
