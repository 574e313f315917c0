"""What becomes of personal data on its way out: the policy of an installation, the decisions of people, and the text.

Owns which texts of an example leave the house and how decided ones are put back. Knows neither how personal data is
found (``curation.privacy.detection``) nor where decisions are kept (``curation.privacy.personal``).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
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
    """

    messages: Sequence[Mapping[str, Any]]
    rejected: str | None = None
    context: Sequence[str] | None = None

    def passages(self) -> Iterator[tuple[int, str]]:
        """Every text with its number; an example never changes, so that a number always means the same text.

        ``messages=[user "Hi"], rejected="No."`` → ``(0, "Hi"), (-1, "No.")``.
        """
        for number, message in enumerate(self.messages):
            if isinstance(content := message.get("content"), str):
                yield number, content
        if self.rejected is not None:
            yield REJECTED, self.rejected
        yield from zip(self._rest(), (*(self.context or ()), *self._arguments(), *self._names()), strict=False)

    def with_passages(self, texts: Mapping[int, str]) -> Words:
        """The same with these texts in the place of those that have the numbers."""
        context = list(self.context or ())
        rest = self._rest()
        replaced = [texts.get(next(rest), text) for text in context]
        messages = [
            {**message, "content": texts.get(number, message["content"])} if "content" in message else {**message}
            for number, message in enumerate(self.messages)
        ]
        for message in messages:
            if "tool_calls" in message:
                message["tool_calls"] = [
                    {**call, "function": {**call["function"], "arguments": texts.get(next(rest), _said(call))}}
                    for call in message["tool_calls"]
                ]
        for message in messages:
            if "name" in message:
                message["name"] = texts.get(next(rest), message["name"])
        return Words(
            messages,
            None if self.rejected is None else texts.get(REJECTED, self.rejected),
            None if self.context is None else replaced,
        )

    def as_json(self) -> dict[str, Any]:
        """``{"messages": [...], "rejected": "..." or None, "context": [...] or None}``, as a dataset row keeps it."""
        return {"messages": list(self.messages), "rejected": self.rejected, "context": self.context}

    @staticmethod
    def _rest() -> Iterator[int]:
        number = REJECTED
        while True:
            number -= 1
            yield number

    def _arguments(self) -> Iterator[str]:
        return (_said(call) for message in self.messages for call in message.get("tool_calls", ()))

    def _names(self) -> Iterator[str]:
        return (message["name"] for message in self.messages if "name" in message)


def _said(call: Mapping[str, Any]) -> str:
    arguments = call["function"]["arguments"]
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
