"""Rows on their way into columns: a batch at a time for the counter, a block at a time for the file.

Owns what is kept of a row, whose names ``curation.checking.scanned`` explains.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any

from curation import cleaning
from curation.checking.columns import Block, Columns
from curation.checking.scanned import LABELS, Seen
from curation.conversation import Message, Role
from curation.findings import Finding
from curation.formats.jsonl import Row
from curation.labels import text_of
from curation.language import detect
from curation.measures.diversity import Sample
from curation.similarity.duplicates import normalised
from curation.similarity.shingles import Order, part_bounds, sketch
from curation.tokens.counters import TokenCounter

_BATCH = 512
_BLOCK_ROWS = 4_096
_BLOCK_CHARACTERS = 1_000_000
_SEED = 0
_USER = Role.USER.value
_TYPES = {
    "line": "u4",
    "lower": "u4",
    "upper": "u4",
    "learned": "u4",
    "turns": "u4",
    "system": "u1",
    "topic": "u4",
    "language": "u4",
    "kind": "u4",
    "thread": "i8",
    "customer": "i8",
}
_TYPES_OF_REPEATS = {"dialogue": "i8", "prompt": "i8", "reply": "i8", "said": "i8", "length": "u4"}


class Gathering:
    """One pass of one process.

    Args:
        counter: for the model's tokenizer family.
        order: of shingles; None where repeats are not asked for.
        columns: to write to.
        noise: whether a finding is to say what cleaning would change.
    """

    def __init__(self, counter: TokenCounter, order: Order | None, columns: Columns, *, noise: bool) -> None:
        self._counter = counter
        self._order = order
        self._columns = columns
        self._noise = noise
        self._codes: dict[str, dict[str, int]] = {name: {} for name in LABELS}
        self._seen = Seen([], {}, Sample(random.Random(_SEED)))
        self._characters = 0
        self._begin_block()

    @property
    def blocks(self) -> list[Block]:
        """Where in the columns' file the rows are."""
        return self._columns.blocks

    def over(self, rows: Iterable[Row | Finding], tell: Callable[[int], None] = lambda _: None) -> Seen:
        """Take every row; ``tell`` hears after each batch how many characters went by."""
        batch: list[Row] = []
        for row in rows:
            if isinstance(row, Finding):
                self._seen.findings.append(row)
                continue
            batch.append(row)
            if len(batch) == _BATCH:
                self._take(batch)
                batch = []
                tell(self._characters)
        self._take(batch)
        self._end_block()
        self._seen.labels = {name: list(codes) for name, codes in self._codes.items()}
        return self._seen

    def _begin_block(self) -> None:
        types = _TYPES | (_TYPES_OF_REPEATS if self._order is not None else {})
        self._block: dict[str, list[int]] = {name: [] for name in types}
        self._said: list[str] = []
        self._said_characters = 0

    def _take(self, batch: list[Row]) -> None:
        # A list at a time: a hundred thousand rows are a million numbers.
        conversations = [row.conversation for row in batch]
        turns = [conversation.messages for conversation in conversations]
        labels = [row.metadata for row in batch]
        languages = [
            text_of(label.get("language")) or detect(conversation.first_user_text())
            for label, conversation in zip(labels, conversations, strict=True)
        ]
        counts = self._counter.count_all(conversations, languages)
        system = [said[0].role is Role.SYSTEM for said in turns]
        block = self._block
        block["line"] += [row.line for row in batch]
        block["lower"] += [count.lower for count in counts]
        block["upper"] += [count.upper for count in counts]
        block["learned"] += [count.learned for count in counts]
        block["turns"] += [len(said) - first for said, first in zip(turns, system, strict=True)]
        block["system"] += system
        block["topic"] += [self._code("topic", text_of(label.get("topic"))) for label in labels]
        block["language"] += [self._code("language", language) for language in languages]
        block["kind"] += [self._code("kind", text_of(label.get("kind")) or "imported") for label in labels]
        block["thread"] += [_hash(label.get("thread")) for label in labels]
        block["customer"] += [_hash(label.get("customer")) for label in labels]
        if self._noise:
            for row in batch:
                self._seen.findings.extend(cleaning.findings(row.conversation, row.line))
        self._seen.rows += len(batch)
        self._characters += sum([len(turn.content) for said in turns for turn in said])
        if self._order is not None:
            for said, first in zip(turns, system, strict=True):
                self._take_words(said, system=first)
        if len(block["line"]) >= _BLOCK_ROWS or self._said_characters >= _BLOCK_CHARACTERS:
            self._end_block()

    def _take_words(self, turns: tuple[Message, ...], *, system: bool) -> None:
        roles = [turn.role.value for turn in turns[system:]]
        words = [normalised(turn.text) for turn in turns[system:]]
        said = " ".join([spoken for role, spoken in zip(roles, words, strict=True) if role == _USER])
        block = self._block
        # The hash of a text is kept with it, so a turn is hashed once.
        block["dialogue"].append(hash((*roles, *words)))
        block["prompt"].append(hash((turns[0].content if system else "", *roles, *words[:-1])))
        block["reply"].append(hash(words[-1]))
        block["said"].append(hash(said))
        self._said.append(said)
        self._said_characters += len(said)
        self._seen.sample.add("\n".join(words))

    def _end_block(self) -> None:
        import numpy as np  # noqa: PLC0415 (a tenth of a second that --help need not wait for)

        rows = len(self._block["line"])
        if not rows:
            return
        arrays: dict[str, Any] = {}
        types = _TYPES | _TYPES_OF_REPEATS
        if self._order is not None:
            said = [words.encode("utf-8", "surrogatepass") for words in self._said]
            self._block["length"] = [len(words) for words in said]
            sketches = sketch(self._said, self._order, first_row=self._seen.rows - rows)
            arrays = {
                "said_bytes": np.frombuffer(b"".join(said), np.uint8),
                "sizes": sketches.sizes,
                "bins": sketches.bins.reshape(-1),
                "postings": sketches.postings,
                "parts": part_bounds(sketches.postings),
            }
        arrays |= {name: np.array(values, types[name]) for name, values in self._block.items()}
        self._columns.append(arrays)
        self._begin_block()

    def _code(self, name: str, label: str | None) -> int:
        """The label's number from 1; 0 where there is none."""
        if label is None:
            return 0
        codes = self._codes[name]
        return codes.setdefault(label, len(codes) + 1)


def _hash(value: object) -> int:
    """Never 0 but for a value that is missing; the same in every process forked from this one."""
    text = text_of(value)
    return 0 if text is None else hash(text) or 1
