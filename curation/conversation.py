"""Role, Message, Conversation: the turns that everything else is about.

Owns their shape and their digest. Whether a conversation is fit for training is decided by the
rules in ``curation.jsonl``; how one is captured from a thread is decided in ``bot.threads``.
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
class Message:
    """One turn. ``weight`` is 0 or 1 on assistant turns (0: not learned from), None where unsaid."""

    role: Role
    content: str
    weight: int | None = None
    name: str | None = None

    def as_json(self) -> dict[str, Any]:
        """``{"role": "user", "content": "Hello"}``, with ``weight`` and ``name`` only where set."""
        row: dict[str, Any] = {"role": self.role.value, "content": self.content}
        if self.name is not None:
            row["name"] = self.name
        if self.weight is not None:
            row["weight"] = self.weight
        return row


@dataclass(frozen=True, slots=True)
class Conversation:
    """Turns in order, oldest first; a system turn, if any, comes first."""

    messages: tuple[Message, ...]

    @classmethod
    def from_json(cls, rows: Iterable[Mapping[str, Any]]) -> Self:
        """Read rows that were written by ``as_json`` or have passed the rules of ``curation.jsonl``."""
        return cls(
            tuple(
                Message(Role(row["role"]), row["content"], weight=row.get("weight"), name=row.get("name"))
                for row in rows
            )
        )

    def as_json(self) -> list[dict[str, Any]]:
        """The value of the ``messages`` key of a chat-completions row."""
        return [message.as_json() for message in self.messages]

    def with_system(self, prompt: str | None) -> Conversation:
        """The same turns under this system prompt; with None, without any system turn."""
        turns = tuple(message for message in self.messages if message.role is not Role.SYSTEM)
        return Conversation((Message(Role.SYSTEM, prompt), *turns) if prompt else turns)

    def answered(self, reply: str) -> Conversation:
        """The same turns with ``reply`` as the assistant's next one."""
        return Conversation((*self.messages, Message(Role.ASSISTANT, reply)))

    def first_user_text(self) -> str:
        """The first thing the user said; empty where no user speaks."""
        return next((message.content for message in self.messages if message.role is Role.USER), "")

    def user_text(self) -> str:
        """Everything the user said, a line a turn."""
        return "\n".join(message.content for message in self.messages if message.role is Role.USER)

    @property
    def digest(self) -> str:
        """SHA-256 over the canonical JSON of the turns, in hex; equal turns have equal digests."""
        canonical = json.dumps(self.as_json(), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()
