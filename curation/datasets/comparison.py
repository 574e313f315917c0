"""How two dataset versions differ: rows that came, went or changed, and that no row changed its side.

Owns what counts as the same row: the same example, or another reply to the same turns. Pure: rows come in.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from curation.datasets.frozen import Item
from curation.similarity.duplicates import fingerprint

Cell = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Difference:
    """What became of the rows of one version in another.

    Attributes:
        added, removed: rows of the second and of the first that the other has not, under no reply at all.
        replies: the same turns with another reply, before and after.
        prompts: the same example under another system prompt.
        words: the same example with other words, since they were treated otherwise on their way out.
        moved: the same example, or another reply to the same turns, on another side. There must be none; into
            quarantine counts as well.
        cells: rows by topic and language, before and after, where they differ.
    """

    added: list[Item] = field(default_factory=list)
    removed: list[Item] = field(default_factory=list)
    replies: list[tuple[Item, Item]] = field(default_factory=list)
    prompts: list[tuple[Item, Item]] = field(default_factory=list)
    words: list[tuple[Item, Item]] = field(default_factory=list)
    moved: list[tuple[Item, Item]] = field(default_factory=list)
    unchanged: list[tuple[Item, Item]] = field(default_factory=list)
    cells: Mapping[Cell, tuple[int, int]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """As ``--json`` prints it, words included where they changed."""
        return {
            "unchanged": len(self.unchanged),
            "added": [_row(item) for item in self.added],
            "removed": [_row(item) for item in self.removed],
            "changed_reply": [
                {**_row(new), "before": old.example.key, "reply_before": old.reply, "reply": new.reply}
                for old, new in self.replies
            ],
            "changed_prompt": [
                {**_row(new), "prompt_before": old.system, "prompt": new.system} for old, new in self.prompts
            ],
            "changed_words": [_row(new) for _, new in self.words],
            "moved": [{**_row(new), "side_before": old.side.value} for old, new in self.moved],
            "cells": [
                {"topic": topic, "language": language, "before": before, "after": after}
                for (topic, language), (before, after) in self.cells.items()
            ],
        }


def compare(before: Sequence[Item], after: Sequence[Item]) -> Difference:
    """What changed from the rows ``before`` to the rows ``after``."""
    found = Difference(cells=_cells(before, after))
    was = {item.example.key: item for item in before}
    stays = {item.example.key for item in after}
    gone: dict[str, list[Item]] = defaultdict(list)
    for item in reversed(before):
        if item.example.key not in stays:
            gone[fingerprint(item.asked)].append(item)
    for item in after:
        old = was.get(item.example.key)
        if old is not None:
            _of_same_example(found, old, item).append((old, item))
        elif replaced := gone[fingerprint(item.asked)]:
            old = replaced.pop()
            said = [one.conversation.with_system(None) for one in (old, item)]
            # Reviewed once more with the same words, it is the same row under another id.
            (_of_same_example(found, old, item) if said[0] == said[1] else found.replies).append((old, item))
        else:
            found.added.append(item)
        if old is not None and old.side is not item.side:
            found.moved.append((old, item))
    found.removed.extend(sorted((item for items in gone.values() for item in items), key=lambda one: one.example.key))
    return found


def _of_same_example(found: Difference, old: Item, new: Item) -> list[tuple[Item, Item]]:
    """Where the pair belongs."""
    if old.conversation == new.conversation:
        return found.unchanged
    spoken = [item.conversation.with_system(None) for item in (old, new)]
    return found.prompts if spoken[0] == spoken[1] else found.words


def _cells(before: Sequence[Item], after: Sequence[Item]) -> dict[Cell, tuple[int, int]]:
    old, new = (Counter((item.topic, item.language) for item in rows) for rows in (before, after))
    return {cell: (old[cell], new[cell]) for cell in sorted({*old, *new}) if old[cell] != new[cell]}


def _row(item: Item) -> dict[str, Any]:
    return {
        "example": item.example.key,
        "side": item.side.value,
        "topic": item.labels["topic"],
        "language": item.labels["language"],
        "question": item.conversation.first_user_text(),
    }
