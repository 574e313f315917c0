"""One row of a dataset version, and the bytes it becomes.

Owns the released text: a row is what its example says under the prompt it was frozen with, and it is
nothing else, so that a version always gives the same bytes. Whatever treats text on its way out has
its place in ``release``, before the digest is taken. Knows no database.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from curation.conversation import Conversation, Role
from curation.datasets.split import Side
from curation.formats.exports import json_line

if TYPE_CHECKING:
    from curation.store.tables import Example

UNKNOWN = "unknown"
"""What stands for a topic or a language that nobody has said."""

_LABELS = ("topic", "language", "thread")
_RELEASED = ("messages", "rejected", "context", "toolbox", *_LABELS)


@dataclass(frozen=True, slots=True)
class Item:
    """One row of a version as it is trained on: the conversation under its system prompt, and its side.

    Attributes:
        prompt_id: the version of an assistant's prompt that the row is under; None where it has its own system
            turn, or none.
        rejected: the reply that the last turn is preferred to, as released.
        context: what the assistant had retrieved, as released.
        labels: ``topic``, ``language`` and ``thread`` as released, each None where nobody has said it.
        treated: what replaces the example's own, where something does; see ``release``.
    """

    example: Example
    side: Side
    prompt_id: int | None
    conversation: Conversation
    rejected: str | None
    context: Sequence[str] | None
    labels: Mapping[str, str | None]
    treated: Mapping[str, Any] | None

    def line(self) -> bytes:
        """The row's line of JSONL, newline included."""
        metadata: dict[str, Any] = {"example": self.example.key, "kind": self.example.kind, **self.labels}
        if self.context is not None:
            metadata["context"] = self.context
        return json_line({"messages": self.conversation.as_json(), **self.conversation.toolbox(), "metadata": metadata})

    @property
    def topic(self) -> str:
        """The topic, or ``unknown``."""
        return self.labels["topic"] or UNKNOWN

    @property
    def language(self) -> str:
        """The language's code, or ``unknown``."""
        return self.labels["language"] or UNKNOWN

    @property
    def system(self) -> str | None:
        """The system prompt that the row is under; None where it has no system turn."""
        first = self.conversation.messages[0]
        return first.content if first.role is Role.SYSTEM else None

    @property
    def asked(self) -> str:
        """What the reply answers: the turns before it, calls of tools included, without the system's."""
        turns = self.conversation.with_system(None).messages[:-1]
        return "\n".join(f"{turn.role}: {turn.text}" for turn in turns)

    @property
    def reply(self) -> str:
        """What the row teaches: its last turn's words."""
        return self.conversation.messages[-1].content

    @property
    def said(self) -> str:
        """The last turn with the calls of tools that it makes."""
        return self.conversation.messages[-1].text


def release(example: Example, side: Side, prompt: tuple[int, str] | None, treated: Mapping[str, Any] | None) -> Item:
    """The row that an example becomes: the one place where released words are made.

    Equal arguments give equal words for ever, or frozen files would not reproduce.

    Args:
        prompt: id and text of the assistant's prompt to put it under; None leaves its own system turn, or none.
        treated: what of the example leaves otherwise than it is kept, by the names of its attributes; kept with the
            row, since the treatment itself may change.
    """
    words = {name: getattr(example, name) for name in _RELEASED} | dict(treated or {})
    conversation = Conversation.from_json(words["messages"], words["toolbox"])
    if prompt is not None:
        conversation = conversation.with_system(prompt[1])
    return Item(
        example=example,
        side=side,
        prompt_id=prompt[0] if prompt is not None else None,
        conversation=conversation,
        rejected=words["rejected"],
        context=words["context"],
        labels={name: words[name] for name in _LABELS},
        treated=treated,
    )


def digest_of(rows: Iterable[Item]) -> str:
    """SHA-256 over every line with its side, in order."""
    digest = hashlib.sha256()
    for item in rows:
        digest.update(item.side.value.encode() + b"\0" + item.line())
    return digest.hexdigest()
