"""Role, Message, ToolCall, Tool, Conversation: the turns that everything else is about.

Owns their shape and their digest. Whether a conversation is fit for training is decided by the
rules in ``curation.formats.profile``; how one is captured from a thread is decided in ``bot.threads``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self


class Role(StrEnum):
    """Who speaks in a turn."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The assistant's wish to have a function run; ``arguments`` is a JSON object, as text."""

    id: str
    name: str
    arguments: str

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        """Read what ``as_json`` wrote, or what has passed the rules."""
        return cls(row["id"], row["function"]["name"], row["function"]["arguments"])

    def as_json(self) -> dict[str, Any]:
        """``{"id": "c1", "type": "function", "function": {"name": "track", "arguments": "{}"}}``."""
        return {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": self.arguments}}


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the assistant may call; ``parameters`` is a JSON schema of its arguments."""

    name: str
    description: str | None = None
    parameters: Mapping[str, Any] | None = None
    strict: bool | None = None

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        """Read what ``as_json`` wrote, or what has passed the rules."""
        function = row["function"]
        return cls(
            function["name"], function.get("description"), function.get("parameters"), strict=function.get("strict")
        )

    def as_json(self) -> dict[str, Any]:
        """``{"type": "function", "function": {"name": "track"}}``, the other keys only where set."""
        keys = {
            "name": self.name,
            "description": self.description,
            "parameters": self.parameters,
            "strict": self.strict,
        }
        return {"type": "function", "function": {key: value for key, value in keys.items() if value is not None}}


@dataclass(frozen=True, slots=True)
class Message:
    """One turn.

    Attributes:
        role: who speaks.
        content: the words; empty only where the assistant calls tools and says nothing.
        weight: 0 or 1 on assistant turns (0: not learned from), None where unsaid.
        name: the speaker's, where known.
        tool_calls: on assistant turns, what is to be run before the assistant speaks again.
        tool_call_id: on tool turns, the call that the content is the result of.
    """

    role: Role
    content: str
    weight: int | None = None
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        """Read what ``as_json`` wrote, or what has passed the rules."""
        return cls(
            Role(row["role"]),
            row.get("content") or "",
            weight=row.get("weight"),
            name=row.get("name"),
            tool_calls=tuple(ToolCall.from_json(call) for call in row.get("tool_calls", ())),
            tool_call_id=row.get("tool_call_id"),
        )

    @property
    def text(self) -> str:
        """All that the turn says, tool calls as JSON included, a line each; ``content`` where there are none."""
        if not self.tool_calls:
            return self.content
        calls = (json.dumps(call.as_json()["function"], ensure_ascii=False) for call in self.tool_calls)
        return "\n".join([self.content, *calls] if self.content else calls)

    def as_json(self) -> dict[str, Any]:
        """``{"role": "user", "content": "Hello"}``, with the other keys only where set.

        A turn that calls tools and says nothing has no ``content``, as in OpenAI's own examples.
        """
        row: dict[str, Any] = {"role": self.role.value}
        if self.content or not self.tool_calls:
            row["content"] = self.content
        if self.name is not None:
            row["name"] = self.name
        if self.weight is not None:
            row["weight"] = self.weight
        if self.tool_calls:
            row["tool_calls"] = [call.as_json() for call in self.tool_calls]
        if self.tool_call_id is not None:
            row["tool_call_id"] = self.tool_call_id
        return row


@dataclass(frozen=True, slots=True)
class Conversation:
    """Turns in order, oldest first, and the tools at hand; a system turn, if any, comes first.

    ``parallel_tool_calls`` is None where unsaid; False: a turn makes one call at most.
    """

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    parallel_tool_calls: bool | None = None

    @classmethod
    def from_json(cls, rows: Iterable[Mapping[str, Any]], toolbox: Mapping[str, Any] | None = None) -> Self:
        """Read turns that ``as_json`` wrote or that have passed the rules, with the tools of ``toolbox()``."""
        box = toolbox or {}
        return cls(
            tuple(Message.from_json(row) for row in rows),
            tuple(Tool.from_json(tool) for tool in box.get("tools", ())),
            box.get("parallel_tool_calls"),
        )

    def as_json(self) -> list[dict[str, Any]]:
        """The value of the ``messages`` key of a chat-completions row."""
        return [message.as_json() for message in self.messages]

    def toolbox(self) -> dict[str, Any]:
        """``{"tools": [...], "parallel_tool_calls": false}``, each only where set: a row's keys beside ``messages``."""
        box: dict[str, Any] = {}
        if self.tools:
            box["tools"] = [tool.as_json() for tool in self.tools]
        if self.parallel_tool_calls is not None:
            box["parallel_tool_calls"] = self.parallel_tool_calls
        return box

    @property
    def uses_tools(self) -> bool:
        """Whether tools are offered, called or answered."""
        return bool(self.toolbox()) or any(turn.tool_calls or turn.role is Role.TOOL for turn in self.messages)

    def with_system(self, prompt: str | None) -> Conversation:
        """The same turns under this system prompt; with None, without any system turn."""
        turns = tuple(message for message in self.messages if message.role is not Role.SYSTEM)
        return self._with((Message(Role.SYSTEM, prompt), *turns) if prompt else turns)

    def answered(self, reply: str) -> Conversation:
        """The same turns with ``reply`` as the assistant's next one."""
        return self._with((*self.messages, Message(Role.ASSISTANT, reply)))

    def first_user_text(self) -> str:
        """The first thing the user said; empty where no user speaks."""
        return next((message.content for message in self.messages if message.role is Role.USER), "")

    def user_text(self) -> str:
        """Everything the user said, a line a turn."""
        return "\n".join(message.content for message in self.messages if message.role is Role.USER)

    @property
    def digest(self) -> str:
        """SHA-256 over the canonical JSON of turns and tools, in hex; equal conversations have equal digests."""
        # Without tools, of the turns alone: so it was before there were tools, and datasets are named by it.
        box = self.toolbox()
        whole = {"messages": self.as_json(), **box} if box else self.as_json()
        canonical = json.dumps(whole, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def _with(self, messages: tuple[Message, ...]) -> Conversation:
        return Conversation(messages, self.tools, self.parallel_tool_calls)
