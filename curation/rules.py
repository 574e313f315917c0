"""The strict profile: what one row of chat JSONL must be, rule by rule.

Owns ``Rule``, the list ``RULES`` from which the reference is generated, and the judgement of one
decoded row. Knows neither files nor bytes (``curation.jsonl``), neither tokens nor balance
(``curation.checks``). Refuses tool calls for now: no base model in the catalogue is tuned for them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from curation.conversation import Role
from curation.findings import Finding, Severity


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that is looked for.

    Attributes:
        id: stable and dotted, such as ``turns.last``.
        severity: of every finding under this rule.
        summary: what must hold, in one sentence.
        fix: what to do where it does not, in one imperative sentence.
    """

    id: str
    severity: Severity
    summary: str
    fix: str

    def found(self, message: str, line: int | None = None, *, fix: str | None = None) -> Finding:
        """A finding under this rule; ``fix`` replaces the general advice where more is known."""
        return Finding(self.id, self.severity, message, fix or self.fix, line)


def _error(rule: str, summary: str, fix: str) -> Rule:
    return Rule(rule, Severity.ERROR, summary, fix)


def _warning(rule: str, summary: str, fix: str) -> Rule:
    return Rule(rule, Severity.WARNING, summary, fix)


RULES: tuple[Rule, ...] = (
    _error("file.empty", "A file holds at least one row.", "Export the dialogues again, one JSON object per line."),
    _error("row.too_long", "A line is at most 10 MB.", "Split the dialogue, or check that lines end in a newline."),
    _error("encoding.utf8", "A file is UTF-8.", "Save the file as UTF-8."),
    _error(
        "encoding.bom",
        "A byte order mark stands only at the start of a file.",
        "Remove it; it is usually left over from joining two files.",
    ),
    _error("encoding.null", "Text holds no NUL character.", "Remove the character U+0000."),
    _error("encoding.surrogate", "Text holds no half of a surrogate pair.", "Write the whole character, or remove it."),
    _error("json.syntax", "A line is one JSON value.", "Write one complete JSON object on one line."),
    _error("json.not_object", "A row is a JSON object.", 'Write {"messages": [...]}.'),
    _error("json.duplicate_key", "No object names a key twice.", "Keep one of the two."),
    _error("json.number", "Numbers are finite.", "Write a finite number, or leave the key out."),
    _warning(
        "row.keys",
        "A row has only the keys messages and metadata.",
        "Move what you want to keep under metadata; other keys are ignored.",
    ),
    _error("metadata.type", "metadata is an object.", 'Write {"topic": "...", "language": "..."}, or leave it out.'),
    _error("messages.missing", "A row has a list of messages.", 'Write {"messages": [...]}.'),
    _error("messages.empty", "messages is not empty.", "Give at least one user and one assistant turn."),
    _error("message.not_object", "A message is a JSON object.", 'Write {"role": "user", "content": "..."}.'),
    _warning(
        "message.keys",
        "A message has only the keys role, content, weight and name.",
        "Leave other keys out; they are ignored.",
    ),
    _error("role.unknown", "A role is system, user or assistant.", "Write system, user or assistant."),
    _error("role.system_late", "A system turn comes first.", "Make it the first message, or remove it."),
    _error("turns.alternation", "User and assistant take turns, the user first.", "Join or remove turns."),
    _error("turns.last", "The last turn is the assistant's.", "Add the reply, or remove what follows the last one."),
    _error("turns.no_user", "A user speaks.", "Add the turn that the assistant replies to."),
    _error("content.missing", "A message has content.", 'Add "content".'),
    _error("content.empty", "Content is not blank.", "Write the text, or remove the turn."),
    _error("content.type", "Content is one string.", "Write the text as one string."),
    _error("weight.value", "A weight is the integer 0 or 1.", "Write 0, write 1, or leave the key out."),
    _error("weight.role", "Only assistant turns carry a weight.", "Remove it here."),
    _error("weight.all_zero", "At least one assistant turn is learned from.", "Give one reply the weight 1."),
    _error("name.type", "A name is a string.", "Write a string, or leave the key out."),
    _error(
        "tools.unsupported",
        "A row uses neither tools nor functions.",
        "Leave the row out, or rewrite it with system, user and assistant turns only.",
    ),
)
"""Every rule about the format of a row, in the order in which the reference lists them."""

_BY_ID = {rule.id: rule for rule in RULES}
_TOOL_KEYS = ("tools", "functions", "parallel_tool_calls", "tool_calls", "tool_call_id", "function_call")
_TOOL_ROLES = ("tool", "function")
_SURROGATE = re.compile("[\ud800-\udfff]")
_SHORT = 40
_SPEAKERS = (Role.SYSTEM.value, Role.USER.value, Role.ASSISTANT.value)


def found(rule: str, message: str, line: int | None) -> Finding:
    """A finding under the rule of that id in ``RULES``."""
    return _BY_ID[rule].found(message, line)


def judge(row: object, line: int) -> Iterator[Finding]:
    """Every violation of the profile in one decoded row.

    A row without a finding of severity error can be read with ``Conversation.from_json(row["messages"])``.
    ``{"messages": [{"role": "user", "content": "Hi"}]}`` gives one finding: ``turns.last``.
    """
    if not isinstance(row, dict):
        yield found("json.not_object", f"the row is {_kind(row)}, not an object.", line)
        return
    yield from _judge_text(row, line)
    yield from _judge_keys(row, ("messages", "metadata"), "row.keys", "the row", line)
    if "metadata" in row and not isinstance(row["metadata"], dict):
        yield found("metadata.type", f"metadata is {_kind(row['metadata'])}, not an object.", line)
    messages = row.get("messages")
    if not isinstance(messages, list):
        what = f"messages is {_kind(messages)}, not a list." if "messages" in row else "the row has no messages."
        yield found("messages.missing", what, line)
    elif not messages:
        yield found("messages.empty", "messages is an empty list.", line)
    else:
        for position, message in enumerate(messages, start=1):
            yield from _judge_message(message, position, line)
        yield from _judge_turns(messages, line)


def _judge_keys(
    record: Mapping[str, Any], known: tuple[str, ...], rule: str, where: str, line: int
) -> Iterator[Finding]:
    for key in record:
        if key in _TOOL_KEYS:
            yield found("tools.unsupported", f"{where} has {key}; tool calls are not supported yet.", line)
        elif key not in known:
            yield found(rule, f"{where} has the unknown key {_short(key)}.", line)


def _judge_message(message: object, position: int, line: int) -> Iterator[Finding]:
    where = f"turn {position}"
    if not isinstance(message, dict):
        yield found("message.not_object", f"{where} is {_kind(message)}, not an object.", line)
        return
    yield from _judge_keys(message, ("role", "content", "weight", "name"), "message.keys", where, line)
    role = message.get("role")
    if role in _TOOL_ROLES:
        yield found("tools.unsupported", f"{where} has the role {role}; tool calls are not supported yet.", line)
    elif role not in _SPEAKERS:
        what = f"has the role {_short(role)}" if "role" in message else "has no role"
        yield found("role.unknown", f"{where} {what}.", line)
    elif role == Role.SYSTEM and position > 1:
        yield found("role.system_late", f"{where} is a system turn.", line)
    content = message.get("content")
    if content is None:
        yield found("content.missing", f"{where} has no content.", line)
    elif not isinstance(content, str):
        yield found("content.type", f"the content of {where} is {_kind(content)}, not a string.", line)
    elif not content.strip():
        yield found("content.empty", f"{where} is blank.", line)
    yield from _judge_marks(message, where, line)


def _judge_marks(message: Mapping[str, Any], where: str, line: int) -> Iterator[Finding]:
    if "weight" in message:
        weight = message["weight"]
        # True == 1 and 1.0 == 1 in Python; trainers disagree about what they mean, so only the integer passes.
        if type(weight) is not int or weight not in (0, 1):
            yield found("weight.value", f"{where} has the weight {_short(weight)}.", line)
        if message.get("role") != Role.ASSISTANT:
            yield found("weight.role", f"{where} has a weight and is not the assistant's.", line)
    if "name" in message and not isinstance(message["name"], str):
        yield found("name.type", f"the name in {where} is {_kind(message['name'])}, not a string.", line)


def _judge_turns(messages: list[Any], line: int) -> Iterator[Finding]:
    roles = [message.get("role") if isinstance(message, dict) else None for message in messages]
    # Who speaks in the other turns is unclear and has its own finding: order would only repeat it.
    clear = all(role in _SPEAKERS for role in roles)
    if clear:
        yield from _judge_order(roles, line)
    if clear and Role.USER not in roles:
        yield found("turns.no_user", "no user speaks.", line)
    if roles[-1] in (Role.SYSTEM, Role.USER):
        yield found("turns.last", f"the last turn is the {roles[-1]}'s; it must be the assistant's.", line)
    weights = [message.get("weight") for message, role in zip(messages, roles, strict=True) if role == Role.ASSISTANT]
    if weights and all(type(weight) is int and weight == 0 for weight in weights):
        yield found("weight.all_zero", "every reply has the weight 0, so nothing is learned from the row.", line)


def _judge_order(roles: list[Any], line: int) -> Iterator[Finding]:
    expected = Role.USER
    for position, role in enumerate(roles, start=1):
        if role == Role.SYSTEM:
            continue
        if role != expected:
            yield found("turns.alternation", f"turn {position} is the {role}'s; the {expected}'s was due.", line)
        expected = Role.ASSISTANT if role == Role.USER else Role.USER


def _judge_text(row: dict[str, Any], line: int) -> Iterator[Finding]:
    """NUL, half surrogate pairs and byte order marks, once each, wherever in the row they stand."""
    text = "".join(_strings(row))
    if "\0" in text:
        yield found("encoding.null", "the row holds a NUL character.", line)
    if "\ufeff" in text:
        yield found("encoding.bom", "a text in the row holds a byte order mark (U+FEFF).", line)
    if _SURROGATE.search(text):
        yield found("encoding.surrogate", "the row holds half of a surrogate pair.", line)


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _short(value: object) -> str:
    """``repr``, cut: a finding is one sentence, whatever the file holds."""
    text = repr(value)
    return text if len(text) <= _SHORT else f"{text[:_SHORT]}…"
