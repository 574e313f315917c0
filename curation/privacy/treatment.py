"""What becomes of personal data on its way out: the policy of an installation, the decisions of people, and the text.

Owns which texts of an example leave the house and how decided ones are put back. Knows neither how personal data is
found (``curation.privacy.detection``) nor where decisions are kept (``curation.privacy.personal``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from itertools import chain, count
from typing import Any

REGIONS = ("US", "DE", "NO", "PH", "CN", "ID")
"""Where callers are who write their number without a country code, unless the settings say otherwise."""

REJECTED = -1
"""The number of the flagged reply among an example's passages; messages count from 0, all others down from -2."""


class Policy(StrEnum):
    """What happens to a finding that nobody has decided about when its row leaves."""

    REDACT = "redact"
    """It is redacted."""
    REVIEW = "review"
    """The row stays until somebody has decided."""
    OFF = "off"
    """Nothing is looked for; the audit says so."""


@dataclass(frozen=True, slots=True)
class Terms:
    """Under which terms examples leave an installation.

    Attributes:
        policy: what becomes of findings that nobody has decided about.
        regions: where callers are who write their number without a country code.
    """

    policy: Policy = Policy.REDACT
    regions: tuple[str, ...] = REGIONS


DEFAULT_TERMS = Terms()


class Decision(StrEnum):
    """What a reviewer has decided about a finding."""

    REDACT = "redact"
    PSEUDONYMISE = "pseudonymise"
    KEEP = "keep"


@dataclass(frozen=True, slots=True)
class Words:
    """What of an example leaves the house.

    Attributes:
        messages: as ``Conversation.as_json`` gives them.
        rejected: the flagged reply.
        context: what the assistant had retrieved.
        toolbox: the tools at hand, as ``Conversation.toolbox`` gives them.
        topic, language: as somebody named them, in words of their own perhaps.
    """

    messages: Sequence[Mapping[str, Any]]
    rejected: str | None = None
    context: Sequence[str] | None = None
    toolbox: Mapping[str, Any] | None = None
    topic: str | None = None
    language: str | None = None

    def passages(self) -> Iterator[tuple[int, str]]:
        """Every text with its number; an example never changes, so that a number always means the same text.

        ``messages=[user "Hi"], rejected="No."`` → ``(0, "Hi"), (-1, "No.")``.
        """
        for number, message in enumerate(self.messages):
            if isinstance(content := message.get("content"), str):
                yield number, content
        if self.rejected is not None:
            yield REJECTED, self.rejected
        others = (self.context or (), self._arguments(), self._names(), self._definitions(), self._labels())
        yield from zip(count(REJECTED - 1, -1), chain(*others), strict=False)

    def with_passages(self, texts: Mapping[int, str]) -> Words:
        """The same with these texts in the place of those that have the numbers."""
        whole = dict(self.passages()) | dict(texts)
        rest = (whole[number] for number in count(REJECTED - 1, -1))
        # Taken in the order in which ``passages`` gives them.
        context = None if self.context is None else [next(rest) for _ in self.context]
        messages = [
            {**message, "content": whole[number]} if number in whole else {**message}
            for number, message in enumerate(self.messages)
        ]
        for message in messages:
            if "tool_calls" in message:
                message["tool_calls"] = [
                    {**call, "function": {**call["function"], "arguments": next(rest)}}
                    for call in message["tool_calls"]
                ]
        for message in messages:
            if "name" in message:
                message["name"] = next(rest)
        return Words(
            messages,
            None if self.rejected is None else whole[REJECTED],
            context,
            None if self.toolbox is None else _with_definitions(self.toolbox, rest),
            None if self.topic is None else next(rest),
            None if self.language is None else next(rest),
        )

    def as_json(self) -> dict[str, Any]:
        """``{"messages": [...], "rejected": "..." or None, …}``, every attribute, as a dataset row keeps it."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def _arguments(self) -> Iterator[str]:
        return (_said(call) for message in self.messages for call in message.get("tool_calls", ()))

    def _names(self) -> Iterator[str]:
        return (message["name"] for message in self.messages if "name" in message)

    def _definitions(self) -> Iterator[str]:
        return (
            text for function in _functions(self.toolbox) for part in _SAID for text in _strings(function.get(part))
        )

    def _labels(self) -> Iterator[str]:
        return (label for label in (self.topic, self.language) if label is not None)


_SAID = ("description", "parameters")
"""What of a definition is somebody's words; a function's name is an identifier, by which it is called."""


def _said(call: Mapping[str, Any]) -> str:
    arguments = call["function"]["arguments"]
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)


def _functions(toolbox: Mapping[str, Any] | None) -> Iterator[Mapping[str, Any]]:
    return (tool["function"] for tool in (toolbox or {}).get("tools", ()))


def _strings(value: object) -> Iterator[str]:
    """Every string of a JSON value, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield key
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)


def _with_strings(value: Any, rest: Iterator[str]) -> Any:
    """The same value with these strings, in the order of ``_strings``."""
    if isinstance(value, str):
        return next(rest)
    if isinstance(value, Mapping):
        return {next(rest): _with_strings(inner, rest) for inner in value.values()}
    return [_with_strings(inner, rest) for inner in value] if isinstance(value, list) else value


def _with_definitions(toolbox: Mapping[str, Any], rest: Iterator[str]) -> dict[str, Any]:
    tools = []
    for tool in toolbox.get("tools", ()):
        function = dict(tool["function"])
        for part in _SAID:
            if part in function:
                function[part] = _with_strings(function[part], rest)
        tools.append({**tool, "function": function})
    return {**toolbox, "tools": tools} if tools else dict(toolbox)
