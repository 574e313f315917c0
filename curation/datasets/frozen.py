"""One row of a dataset version, and the bytes it becomes.

Owns the released text: a row is what its example says under the prompt it was frozen with, and it is
nothing else, so that a version always gives the same bytes. Whatever treats text on its way out has
its place in ``release``, before the digest is taken. Knows no database.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from curation.conversation import Conversation, Role
from curation.datasets.split import Side
from curation.formats.exports import json_line

if TYPE_CHECKING:
    from curation.store.tables import Example

UNKNOWN = "unknown"
"""What stands for a topic or a language that nobody has said."""


@dataclass(frozen=True, slots=True)
class Item:
    """One row of a version as it is trained on: the conversation under its system prompt, and its side.

    Attributes:
        prompt_id: the version of an assistant's prompt that the row is under; None where it has its own system
            turn, or none.
        rejected: the reply that the last turn is preferred to, as released.
        treated: the words that replace the example's own, where they do; see ``release``.
    """

    example: Example
    side: Side
    prompt_id: int | None
    conversation: Conversation
    rejected: str | None
    treated: Mapping[str, Any] | None

    def line(self) -> bytes:
        """The row's line of JSONL, newline included."""
        metadata: dict[str, Any] = {
            "example": self.example.key,
            "kind": self.example.kind,
            "topic": self.example.topic,
            "language": self.example.language,
            "thread": self.example.thread,
        }
        context = self.example.context if self.treated is None else self.treated.get("context")
        if context is not None:
            metadata["context"] = context
        return json_line({"messages": self.conversation.as_json(), **self.conversation.toolbox(), "metadata": metadata})

    @property
    def topic(self) -> str:
        """The topic, or ``unknown``."""
        return self.example.topic or UNKNOWN

    @property
    def language(self) -> str:
        """The language's code, or ``unknown``."""
        return self.example.language or UNKNOWN

    @property
    def system(self) -> str | None:
        """The system prompt that the row is under; None where it has no system turn."""
        first = self.conversation.messages[0]
        return first.content if first.role is Role.SYSTEM else None

    @property
    def reply(self) -> str:
        """What the row teaches: its last turn."""
        return self.conversation.messages[-1].content


def release(example: Example, side: Side, prompt: tuple[int, str] | None, treated: Mapping[str, Any] | None) -> Item:
    """The row that an example becomes: the one place where released words are made.

    Equal arguments give equal words for ever, or frozen files would not reproduce.

    Args:
        prompt: id and text of the assistant's prompt to put it under; None leaves its own system turn, or none.
        treated: the words in place of the example's own, ``Words.as_json``, where they were treated on their way
            out; kept with the row, since the treatment itself may change.
    """
    words: Mapping[str, Any] = (
        treated if treated is not None else {"messages": example.messages, "rejected": example.rejected}
    )
    conversation = Conversation.from_json(words["messages"], example.toolbox)
    if prompt is not None:
        conversation = conversation.with_system(prompt[1])
    return Item(
        example=example,
        side=side,
        prompt_id=prompt[0] if prompt is not None else None,
        conversation=conversation,
        rejected=words["rejected"],
        treated=treated,
    )


def digest_of(rows: Iterable[Item]) -> str:
    """SHA-256 over every line with its side, in order."""
    digest = hashlib.sha256()
    for item in rows:
        digest.update(item.side.value.encode() + b"\0" + item.line())
    return digest.hexdigest()
