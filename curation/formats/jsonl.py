"""Chat JSONL: bytes in, rows and findings out, one line at a time.

Owns the way from a line to ``Row``; what a row must be is in ``curation.formats.profile``, other shapes of rows in
``curation.formats``, the writers for each target in ``curation.formats.exports``. Nothing is repaired, skipped or
cut silently: managed trainers drop bad lines with a log entry at best, so every one of them is a finding here.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from curation.conversation import Conversation, Message, Role
from curation.findings import Finding, Severity
from curation.formats.lines import MAX_LINE_BYTES, bounded_lines, opened
from curation.formats.parsing import parse_line
from curation.formats.profile import judge
from curation.formats.rules import found
from curation.formats.unseen import is_blank
from curation.labels import LABELS, is_label


@dataclass(frozen=True, slots=True)
class Row:
    """One valid row: its line in the file (from 1), its turns, and what else is known about it.

    ``metadata`` may carry ``topic``, ``language``, ``thread``, ``customer`` and ``kind``; nothing in it is required.
    ``rejected`` is the reply that the last turn is preferred to, where the row is a preference pair.
    """

    line: int
    conversation: Conversation
    metadata: dict[str, Any] = field(default_factory=dict)
    rejected: str | None = None


Careful = Callable[[bytes, int], Iterator[Row | Finding]]
"""Everything there is to say about one line: its findings, and the row where none of them is an error."""


def open_jsonl(path: Path) -> Iterator[Row | Finding]:
    """Rows and findings of the chat JSONL at ``path``, in constant memory; ``-`` is standard input.

    The file is opened when the first item is asked for.

    Raises:
        Invalid: there is no such file, it is a directory, or it may not be read.
        Unavailable: the disk refuses half way.
    """
    with opened(path) as handle:
        yield from read(bounded_lines(handle, name=str(path)))


def read_range(
    path: Path, start: int, end: int, first_line: int, careful: Careful | None = None
) -> Iterator[Row | Finding]:
    """Rows and findings of the lines that begin in the bytes from ``start`` up to, not including, ``end``.

    Args:
        path: a file of chat JSONL, not a pipe.
        start: where a line begins, in bytes from 0.
        end: where to stop; the line that begins before it is read to its end.
        first_line: number in the file of the line at ``start``, from 1.
        careful: judges the lines that are not plainly chat rows; without it as chat JSONL.

    Raises:
        Invalid, Unavailable: as ``open_jsonl``.
    """
    with opened(path) as handle:
        handle.seek(start)
        lines = bounded_lines(handle, name=str(path), size=end - start)
        yield from _rows(lines, first_line, careful or careful_row)


def read(lines: Iterable[bytes]) -> Iterator[Row | Finding]:
    """Rows and findings, in the order of ``lines``; blank lines are passed over.

    A row with a warning gives the finding and the row; a row with an error gives findings only, all of them.
    ``[b'{"messages": [{"role": "user", "content": "Hi"}]}']`` gives one finding, ``turns.last`` on line 1.
    """
    yield from read_with(lines, careful_row)


def read_with(lines: Iterable[bytes], careful: Careful, *, fast: bool = True) -> Iterator[Row | Finding]:
    """The same with another judgement of the lines that are not plainly chat rows; without ``fast``, of every line."""
    empty = True
    for item in _rows(lines, 1, careful, fast=fast):
        empty = False
        yield item
    if empty:
        yield found("file.empty", "The file holds no rows.", None)


def _rows(lines: Iterable[bytes], first_line: int, careful: Careful, *, fast: bool = True) -> Iterator[Row | Finding]:
    for number, raw in enumerate(lines, start=first_line):
        line = raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw
        if not line or line.isspace():
            continue
        row = _plain_row(line, number) if fast else None
        if row is None:
            yield from careful(line, number)
        else:
            yield row


def careful_row(line: bytes, number: int) -> Iterator[Row | Finding]:
    """Everything there is to say about a line of chat JSONL that did not pass at once."""
    parsed = parse_line(line, number)
    findings = parsed.findings
    if not parsed.broken:
        findings.extend(judge(parsed.value, number))
    yield from findings
    if all(finding.severity is not Severity.ERROR for finding in findings):
        yield row_of(parsed.value, number)


def row_of(record: dict[str, Any], number: int, *, rejected: str | None = None) -> Row:
    """The row of a decoded record that has passed ``judge``."""
    conversation = Conversation.from_json(record["messages"], record)
    return Row(number, conversation, record.get("metadata", {}), rejected)


class _Shape(msgspec.Struct, gc=False):
    """What msgspec decodes a plainly valid line into: turns without tools, and metadata without objects in it."""

    messages: tuple[Message, ...]
    metadata: dict[str, str | int | bool | list[str] | None] | msgspec.UnsetType = msgspec.UNSET


_DECODER = msgspec.json.Decoder(_Shape)
# A key's colon set apart from it, and what only an escape can bring into a valid line that needs a closer look: a key
# that ends in a backslash or a quote (each would be miscounted), NUL, and U+FEFF.
_COLON_APART = re.compile(rb'"\s+:')
_ESCAPES = re.compile(rb'\\\\":|\\u0000|\\u[fF][eE][fF][fF]')


def _plain_row(line: bytes, number: int) -> Row | None:
    """The row, where the line is plainly valid and uses no tools; None where a careful look must decide.

    msgspec is several times as fast as json, but lets a repeated or unknown key pass. So the keys are
    counted: one that the decoded row does not account for is one too many.
    """
    if len(line) > MAX_LINE_BYTES or _COLON_APART.search(line) or (b"\xef" in line and codecs.BOM_UTF8 in line):
        return None
    counted = line.count(b'":')
    if b"\\" in line:
        if _ESCAPES.search(line):
            return None
        # An escaped quote before a colon is text.
        counted -= line.count(b'\\":')
    try:
        shape = _DECODER.decode(line)
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
        return None
    turn_keys = _keys_of(shape.messages)
    metadata: dict[str, Any] = {} if shape.metadata is msgspec.UNSET else shape.metadata
    if turn_keys is None or not all(is_label(metadata.get(name)) for name in LABELS):
        return None
    keys = 1 + turn_keys + (0 if shape.metadata is msgspec.UNSET else 1 + len(metadata))
    if keys != counted:
        return None
    return Row(number, Conversation(shape.messages), metadata)


def _keys_of(messages: tuple[Message, ...]) -> int | None:
    """How many keys the turns have, where they are plainly valid; else None."""
    due, learned, keys = Role.USER, False, 2 * len(messages)
    for position, message in enumerate(messages):
        role, weight = message.role, message.weight
        if is_blank(message.content):
            return None
        if message.name is not None:
            keys += 1
        if role is Role.SYSTEM and position == 0 and weight is None:
            continue
        if role is not due:
            return None
        if role is Role.ASSISTANT:
            due = Role.USER
            if weight is None or weight == 1:
                learned = True
            elif weight != 0:
                return None
            keys += weight is not None
        elif weight is not None:
            return None
        else:
            due = Role.ASSISTANT
    return keys if learned and due is Role.USER else None
