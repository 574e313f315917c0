"""Rows of a file in any of the formats, found out from the file itself or named by whoever asks.

Owns the detection, what a file as a whole must be, and what one trainer takes beyond the strict profile. Every row is
judged by the same profile, whatever its shape. Refuses CSV and archives: they are unpacked by whoever imports them.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from curation.conversation import Conversation, Role
from curation.findings import Finding, Severity
from curation.formats import preferences, sharegpt
from curation.formats.format import AZURE_LIMIT_BYTES, Format, shapes_of
from curation.formats.jsonl import Careful, Row, read_range, read_with, row_of
from curation.formats.lines import STANDARD_INPUT, bounded_lines, opened
from curation.formats.parsing import parse_line
from curation.formats.profile import judge_text
from curation.formats.rules import found, kind_of
from curation.formats.translation import Translation

_TRANSLATIONS = {Format.SHAREGPT: sharegpt.translate, Format.DPO: preferences.translate}
_HEAD_LINES = 20
_HEAD_BYTES = 1_000_000
_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE, b"{\0", b"\0{", b"[\0", b"\0[")
_PACKED = {b"PK\x03\x04": "a zip archive", b"\x1f\x8b": "a gzip archive", b"PAR1": "a Parquet table", b"BZh": "bzip2"}


def open_rows(path: Path, format: Format | None = None) -> Iterator[Row | Finding]:  # noqa: A002 (as people call it)
    """Rows and findings of the file at ``path``, in constant memory; ``-`` is standard input.

    Args:
        path: a file or a pipe. It is opened when the first item is asked for.
        format: what the file is. Without it the first rows tell its shape, and nothing is asked of it that only one
            trainer asks.

    Raises:
        Invalid: there is no such file, it is a directory, it may not be read, or nobody writes to the pipe.
        Unavailable: the disk refuses half way.
    """
    with opened(path) as handle:
        counted = _Counted(bounded_lines(handle, name=str(path)))
        head = _head(counted)
        if head and (trouble := _unreadable(head)) is not None:
            yield trouble
            return
        shape = format.shape if format is not None else _shape_of(head)
        rows = read_with(chain(head, counted), _careful(shape), fast=shape is Format.OPENAI)
        yield from _asked_by_phi(rows) if format is Format.PHI else rows
        if format is Format.AZURE:
            yield from judge_azure(counted.size_bytes, marked=bool(head) and head[0].startswith(codecs.BOM_UTF8))


def in_ranges(path: Path, format: Format | None = None) -> bool:  # noqa: A002 (as people call it)
    """Whether ``open_range`` reads the file as ``open_rows`` does: chat rows on a disk, judged one by one.

    Raises:
        Invalid: as ``open_rows``.
    """
    if path == STANDARD_INPUT or (path.exists() and not path.is_file()):
        return False
    with opened(path) as handle:
        head = _head(bounded_lines(handle, name=str(path)))
    shape = format.shape if format is not None else _shape_of(head)
    # What azure and phi ask of a file as a whole takes one pass over all of it.
    return bool(head) and _unreadable(head) is None and shape is Format.OPENAI and format in (None, Format.OPENAI)


def open_range(path: Path, start: int, end: int, first_line: int) -> Iterator[Row | Finding]:
    """Rows and findings of the chat rows that begin in a range of bytes; of no rows, nothing. As ``read_range``."""
    return read_range(path, start, end, first_line, _careful(Format.OPENAI))


def judge_azure(size_bytes: int, *, marked: bool) -> Iterator[Finding]:
    """What Azure asks of a whole file: its size, and that a byte order mark starts it."""
    if not marked:
        yield found("azure.bom", "The file has no byte order mark.", None)
    if size_bytes >= AZURE_LIMIT_BYTES:
        yield found("azure.size", f"The file has {size_bytes:,} bytes; the limit is {AZURE_LIMIT_BYTES:,}.", None)


class _Counted:
    """Lines, and how many bytes went by."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = iter(lines)
        self.size_bytes = 0

    def __iter__(self) -> Iterator[bytes]:
        for line in self._lines:
            self.size_bytes += len(line)
            yield line


def _head(lines: Iterable[bytes]) -> list[bytes]:
    """The lines up to the first that tells the shape of the file, but not many."""
    head: list[bytes] = []
    size = 0
    for line in lines:
        head.append(line)
        size += len(line)
        if len(head) >= _HEAD_LINES or size >= _HEAD_BYTES or shapes_of(_loosely(line)):
            break
    return head


def _shape_of(head: list[bytes]) -> Format:
    shapes = shapes_of(_loosely(head[-1])) if head else []
    return shapes[0] if shapes else Format.OPENAI


def _loosely(line: bytes) -> Any:
    """What the line holds, as far as it can be read; None where it cannot."""
    try:
        return json.loads(line.decode("utf-8-sig", errors="replace"))
    except (ValueError, RecursionError):
        return None


def _unreadable(head: list[bytes]) -> Finding | None:
    """What makes every line of the file nonsense, so that one finding says more than one a line."""
    start = head[0]
    if start.startswith(_WIDE):
        return found("encoding.utf16", "The file is UTF-16 or UTF-32.", None)
    for mark, name in _PACKED.items():
        if start.startswith(mark):
            return found("file.packed", f"The file is {name}.", None)
    first = next((line for line in head if line.removeprefix(codecs.BOM_UTF8).strip()), b"")
    if first.removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"["):
        whole = _loosely(first)
        if whole is None or whole == [] or (isinstance(whole, list) and isinstance(whole[0], dict)):
            return found("file.array", "The file is one JSON array.", None)
    return None


def _careful(shape: Format) -> Careful:
    """The judgement of a line in a file of that shape."""

    def careful(line: bytes, number: int) -> Iterator[Row | Finding]:
        parsed = parse_line(line, number)
        yield from parsed.findings
        if parsed.broken:
            return
        if not isinstance(parsed.value, dict):
            yield found("json.not_object", f"the row is {kind_of(parsed.value)}, not an object.", number)
            return
        seen = shapes_of(parsed.value)
        if seen and shape not in seen:
            yield found("format.mixed", f"the row looks like {seen[0]} in a file of {shape}.", number)
            return
        translation = _translated(parsed.value, shape, number)
        findings = list(judge_text(parsed.value, number))
        if shape is not Format.OPENAI and translation.record is not None:
            # What stood as JSON in a string has been read only now.
            known = {finding.rule for finding in findings}
            findings += [one for one in judge_text(translation.record, number) if one.rule not in known]
        findings += translation.judged(number)
        yield from findings
        if translation.record is not None and not _blocked(parsed.findings + findings):
            yield row_of(translation.record, number, rejected=translation.rejected)

    return careful


def _translated(row: dict[str, Any], shape: Format, line: int) -> Translation:
    translate = _TRANSLATIONS.get(shape)
    return translate(row, line) if translate is not None else Translation(record=row)


def _blocked(findings: Iterable[Finding]) -> bool:
    return any(finding.severity is Severity.ERROR for finding in findings)


def _asked_by_phi(rows: Iterable[Row | Finding]) -> Iterator[Row | Finding]:
    """The rows that Azure ML's fine-tune component takes, with what it would do to them.

    Source: azureml-acft-contrib-hf-nlp. It reads roles and contents only, whatever else a turn carries. What it drops
    (bad lines, rows of fewer than two turns) the profile refuses; what it cuts off is ``tokens.over_window``.
    """
    prompted, first = 0, 0
    for row in rows:
        if isinstance(row, Finding):
            yield row
            continue
        turns = row.conversation.messages
        if row.conversation.uses_tools:
            yield found("phi.tools", f"the row {_use(row.conversation)}.", row.line)
            continue
        if turns[0].role is Role.SYSTEM:
            prompted, first = prompted + 1, first or row.line
        unlearned = sum(turn.weight == 0 for turn in turns)
        if unlearned:
            replies = "a reply has" if unlearned == 1 else f"{unlearned} replies have"
            yield found("phi.weight", f"{replies} the weight 0, and would be learned.", row.line)
        yield row
    if prompted:
        message = f"{prompted:,} rows open with a system turn, the first on line {first:,}."
        yield found("phi.system", message, None)


def _use(conversation: Conversation) -> str:
    return "calls tools" if any(turn.tool_calls for turn in conversation.messages) else "lists tools"
