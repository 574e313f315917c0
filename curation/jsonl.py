"""Chat JSONL: bytes in, rows and findings out, one line at a time.

Owns the way from a file to ``Row``; the rules a row is judged by are in ``curation.rules``, the
writers for each target in ``curation.exports``. Nothing is repaired, skipped or cut silently:
managed trainers drop bad lines with a log entry at best, so every one of them is a finding here.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from curation.conversation import Conversation, Message, Role
from curation.errors import Invalid
from curation.findings import Finding, Severity
from curation.rules import RULES, found, judge

__all__ = ["MAX_LINE_BYTES", "RULES", "Row", "open_jsonl", "read"]

MAX_LINE_BYTES = 10_000_000


@dataclass(frozen=True, slots=True)
class Row:
    """One valid row: its line in the file (from 1), its turns, and what else is known about it.

    ``metadata`` may carry ``topic``, ``language``, ``thread``, ``customer`` and ``kind``; nothing in it is required.
    """

    line: int
    conversation: Conversation
    metadata: dict[str, Any] = field(default_factory=dict)


def open_jsonl(path: Path) -> Iterator[Row | Finding]:
    """Rows and findings of the file at ``path``, in constant memory.

    The file is opened when the first item is asked for.

    Raises:
        Invalid: there is no such file, it is a directory, or it may not be read.
    """
    try:
        handle = path.open("rb")
    except FileNotFoundError as error:
        raise Invalid(f"{path}: there is no such file; check the path.") from error
    except IsADirectoryError as error:
        raise Invalid(f"{path} is a directory; name one JSONL file in it.") from error
    except OSError as error:
        raise Invalid(f"{path} cannot be opened ({error.strerror}); check who may read it.") from error
    with handle:
        yield from read(_bounded_lines(handle))


def read(lines: Iterable[bytes]) -> Iterator[Row | Finding]:
    """Rows and findings, in the order of ``lines``; blank lines are passed over.

    A row with a warning gives the finding and the row; a row with an error gives findings only, all of them.
    ``[b'{"messages": [{"role": "user", "content": "Hi"}]}']`` gives one finding, ``turns.last`` on line 1.
    """
    empty = True
    for number, raw in enumerate(lines, start=1):
        line = raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw
        if not line.strip():
            continue
        empty = False
        row = _read_valid(line, number)
        if row is None:
            yield from _read_any(line, number)
        else:
            yield row
    if empty:
        yield found("file.empty", "The file holds no rows.", None)


def _bounded_lines(handle: BinaryIO) -> Iterator[bytes]:
    """Lines of at most ``MAX_LINE_BYTES`` + 1 bytes: a file without newlines must not fill the memory."""
    while line := handle.readline(MAX_LINE_BYTES + 1):
        yield line
        while len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
            line = handle.readline(MAX_LINE_BYTES + 1)


class _Shape(msgspec.Struct):
    """What msgspec decodes a valid line into; metadata stays raw, since it is judged by itself."""

    messages: tuple[Message, ...]
    metadata: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_DECODER = msgspec.json.Decoder(_Shape)
# Bytes that a valid line may hold but that need a closer look: a key's colon set apart, a key that ends in a
# backslash (either would be miscounted), an escaped NUL, U+FEFF in any spelling.
_CLOSER_LOOK = re.compile(rb'"\s+:|\\\\":|\\u0000|\\u[fF][eE][fF][fF]|\xef\xbb\xbf')


def _read_valid(line: bytes, number: int) -> Row | None:
    """The row, where the line is plainly valid; None where the slow path must decide.

    msgspec is several times as fast as json, but lets a repeated or unknown key pass. So the keys are
    counted: one that the decoded row does not account for is one too many.
    """
    if len(line) > MAX_LINE_BYTES or _CLOSER_LOOK.search(line):
        return None
    try:
        shape = _DECODER.decode(line)
        text = "" if isinstance(shape.metadata, msgspec.UnsetType) else bytes(shape.metadata).decode()
    except (ValueError, RecursionError):  # msgspec's errors and UnicodeDecodeError are ValueErrors
        return None
    messages = shape.messages
    keys = 1 + sum(2 + (message.weight is not None) + (message.name is not None) for message in messages)
    metadata: dict[str, Any] = {}
    if text:
        parsed = _parse(text, number)
        if parsed.findings or not isinstance(parsed.value, dict) or "\\u" in text:
            return None
        metadata = parsed.value
        keys += 1 + _count_keys(text.encode())
    if keys != _count_keys(line) or not _plainly_valid(messages):
        return None
    return Row(number, Conversation(messages), metadata)


def _count_keys(raw: bytes) -> int:
    """Keys in valid JSON without space before its colons; an escaped quote before a colon is text."""
    return raw.count(b'":') - raw.count(b'\\":')


def _plainly_valid(messages: tuple[Message, ...]) -> bool:
    expected, learned = Role.USER, False
    for position, message in enumerate(messages):
        if not message.content.strip():
            return False
        if message.role is Role.SYSTEM and position == 0:
            if message.weight is not None:
                return False
            continue
        if message.role is not expected:
            return False
        if message.role is Role.ASSISTANT:
            if message.weight not in (None, 0, 1):
                return False
            learned = learned or message.weight != 0
            expected = Role.USER
        else:
            if message.weight is not None:
                return False
            expected = Role.ASSISTANT
    return learned and expected is Role.USER


def _read_any(line: bytes, number: int) -> Iterator[Row | Finding]:
    """Everything there is to say about a line that did not pass at once."""
    if len(line.rstrip(b"\r\n")) > MAX_LINE_BYTES:
        yield found("row.too_long", f"the line is longer than {MAX_LINE_BYTES:,} bytes.", number)
        return
    findings: list[Finding] = []
    if line.startswith(codecs.BOM_UTF8):
        findings.append(found("encoding.bom", "the line starts with a byte order mark.", number))
        line = line.removeprefix(codecs.BOM_UTF8)
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        text = line.decode(errors="replace")
        findings.append(found("encoding.utf8", f"byte {error.start + 1} of the line is not UTF-8.", number))
    parsed = _parse(text, number)
    findings.extend(parsed.findings)
    if not parsed.broken:
        findings.extend(judge(parsed.value, number))
    yield from findings
    if all(finding.severity is not Severity.ERROR for finding in findings):
        yield Row(number, Conversation.from_json(parsed.value["messages"]), parsed.value.get("metadata", {}))


@dataclass(slots=True)
class _Parsed:
    value: Any = None
    broken: bool = False
    findings: list[Finding] = field(default_factory=list)


def _parse(text: str, number: int) -> _Parsed:
    """Decode with Python's json, which tells of repeated keys and of numbers that JSON has no name for."""
    parsed = _Parsed()

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        record = dict(items)
        if len(record) < len(items):
            key, _ = Counter(key for key, _ in items).most_common(1)[0]
            message = f"the key {key[:40]!r} stands more than once in one object."
            parsed.findings.append(found("json.duplicate_key", message, number))
        return record

    def constant(name: str) -> None:
        parsed.findings.append(found("json.number", f"{name} is not a JSON number.", number))

    def decimal(digits: str) -> float:
        value = float(digits)
        if math.isinf(value):
            parsed.findings.append(found("json.number", f"{digits[:20]} is too large for a number.", number))
        return value

    def integer(digits: str) -> int | None:
        try:
            return int(digits)
        except ValueError:  # Python refuses integers of more than 4,300 digits
            parsed.findings.append(found("json.number", f"a number has {len(digits):,} digits.", number))
            return None

    try:
        parsed.value = json.loads(
            text,
            object_pairs_hook=pairs,
            parse_constant=constant,
            parse_float=decimal,
            parse_int=integer,
        )
    except json.JSONDecodeError as error:
        parsed.broken = True
        parsed.findings.append(found("json.syntax", f"not JSON at character {error.pos + 1}: {error.msg}.", number))
    except RecursionError:
        parsed.broken = True
        parsed.findings.append(found("json.syntax", "the row is nested too deeply to be read.", number))
    return parsed
