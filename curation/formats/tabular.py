"""Tables of dialogues: CSV rows in, rows of a conversation and findings out, one row at a time.

Owns how a table is read (its delimiter, its header, cells of many lines) and which column is which part of a
dialogue; whoever imports says the latter, nothing is guessed from a column's name. What a conversation must be is in
``curation.formats.profile``. Refuses to guess the encoding: UTF-8 unless somebody says otherwise, since every file
can be read as Windows-1252 and most of them wrongly.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import Any

from curation.errors import Invalid
from curation.findings import Finding, Severity
from curation.formats.format import TableEncoding
from curation.formats.jsonl import Row, row_of
from curation.formats.lines import MAX_LINE_BYTES, bounded_lines, opened
from curation.formats.profile import judge, judge_text
from curation.formats.rules import found

_DELIMITERS = (",", ";", "\t", "|")
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Part(StrEnum):
    """What a column holds."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    CORRECTION = "correction"
    TOPIC = "topic"
    LANGUAGE = "language"
    THREAD = "thread"
    CUSTOMER = "customer"


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column holds which part: ``{"question": Part.USER, "answer": Part.ASSISTANT}``."""

    parts: Mapping[str, Part]

    def __post_init__(self) -> None:
        given = list(self.parts.values())
        for part in Part:
            if given.count(part) > 1:
                named = " and ".join(name for name, one in self.parts.items() if one is part)
                raise Invalid(f"{named} cannot both be the {part.value}; map one column to it.")
        for part, example in ((Part.USER, "question"), (Part.ASSISTANT, "answer")):
            if part not in given:
                raise Invalid(f"Say which column the {part.value} speaks in, for example --map {example}={part.value}")


def columns_of(given: Iterable[str]) -> Columns:
    """The columns that somebody named: ``["question=user", "answer=assistant"]``.

    Raises:
        Invalid: it is no mapping, names no part, or leaves out the user or the assistant.
    """
    parts: dict[str, Part] = {}
    for one in given:
        name, separator, part = one.rpartition("=")
        if not separator or not name.strip() or part.strip() not in list(Part):
            raise Invalid(f"--map {one} is not COLUMN=PART; the parts are {', '.join(Part)}.")
        if name.strip() in parts:
            raise Invalid(f"--map names the column {name.strip()} twice; map it once.")
        parts[name.strip()] = Part(part.strip())
    return Columns(parts)


def open_table(path: Path, columns: Columns, encoding: TableEncoding = TableEncoding.UTF8) -> Iterator[Row | Finding]:
    """Rows and findings of the table at ``path``, in constant memory; ``-`` is standard input.

    ``question,answer`` and ``Open on Sunday?,No.`` give the row user: Open on Sunday?, assistant: No. A correction
    that differs makes it a pair: the correction is the last turn, and what the assistant said is rejected. A row's
    line is the first of its lines in the file.

    Raises:
        Invalid: no such file, not readable, or its header lacks a column that is mapped.
        Unavailable: the disk refuses half way.
    """
    with opened(path) as handle:
        lines = bounded_lines(handle, name=str(path))
        first = next(lines, b"")
        if first.startswith(_UTF16):
            yield found("encoding.utf16", "The file is UTF-16.", None)
            return
        if not first:
            yield found("file.empty", "The file holds no rows.", None, fix="Export the table again, with its header.")
            return
        decoded = (_decoded(line, encoding) for line in chain([first.removeprefix(codecs.BOM_UTF8)], lines))
        yield from _rows(decoded, columns, path.name, encoding)


def _decoded(line: bytes, encoding: TableEncoding) -> str:
    """Bytes that are none of the encoding's stand in the text as lone surrogates, to be found in their row."""
    if len(line) > MAX_LINE_BYTES:
        raise _TooLong
    return line.decode(encoding.value, errors="surrogateescape")


class _TooLong(Exception):
    """A line is longer than any cell may be."""


def _rows(lines: Iterator[str], columns: Columns, name: str, encoding: TableEncoding) -> Iterator[Row | Finding]:
    head = next(lines)
    delimiter, header = _header(head, columns)
    places = _places(header, columns, name)
    csv.field_size_limit(MAX_LINE_BYTES)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    line, empty = 1, True  # the header
    while True:
        start = line + reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            break
        except _TooLong:
            yield found(
                "row.too_long",
                "a cell is longer than 10 MB, or a quote is never closed; nothing after it was read.",
                start,
            )
            return
        except csv.Error as error:
            yield _broken(error, start)
            return
        if not any(cell.strip() for cell in cells):
            continue
        empty = False
        yield from _row(cells, len(header), places, start, encoding)
    if empty:
        yield found("file.empty", "The file holds no rows.", None, fix="Export the table again, with its header.")


def _header(line: str, columns: Columns) -> tuple[str, list[str]]:
    """The delimiter under which the header names most of the mapped columns, and the header's names."""
    best: tuple[int, str, list[str]] = (-1, ",", [])
    for delimiter in _DELIMITERS:
        try:
            names = [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter), [])]
        except csv.Error:
            continue
        hits = sum(name in columns.parts for name in names)
        if (hits, len(names)) > (best[0], len(best[2])):
            best = (hits, delimiter, names)
    return best[1], best[2]


def _places(header: Sequence[str], columns: Columns, name: str) -> dict[Part, int]:
    places = {}
    for column, part in columns.parts.items():
        if header.count(column) > 1:
            raise Invalid(f"{name}: {header.count(column)} columns are named {column}; rename all but one of them.")
        if column not in header:
            there = ", ".join(one for one in header if one)[:300]
            raise Invalid(
                f"{name}: no column is named {column}; the first line names {there or 'none'}. "
                "Correct --map, or put a line with the columns' names first."
            )
        places[part] = header.index(column)
    return places


def _broken(error: csv.Error, line: int) -> Finding:
    said = str(error)
    if "field larger" in said:
        return found(
            "row.too_long", "a cell is longer than 10 MB, or a quote is never closed; nothing after it was read.", line
        )
    if "new-line" in said:
        return found("row.line_break", "a carriage return stands alone; nothing after it was read.", line)
    return found("table.quotes", f"the quotes do not match ({said}); nothing after it was read.", line)


def _row(
    cells: Sequence[str], width: int, places: Mapping[Part, int], line: int, encoding: TableEncoding
) -> Iterator[Row | Finding]:
    if len(cells) != width:
        yield found("table.cells", f"the row has {len(cells)} cells, the header {width}.", line)
        return
    said = {part: cells[place].strip() for part, place in places.items()}
    if any("\udc80" <= character <= "\udcff" for text in said.values() for character in text):
        fix = "Save the file as UTF-8, or give --encoding cp1252." if encoding is TableEncoding.UTF8 else None
        yield found("encoding.utf8", f"a cell holds bytes that are not {encoding}.", line, fix=fix)
        return
    reply, better = said[Part.ASSISTANT], said.get(Part.CORRECTION, "")
    turns = [
        {"role": "system", "content": said.get(Part.SYSTEM, "")},
        {"role": "user", "content": said[Part.USER]},
        {"role": "assistant", "content": better or reply},
    ]
    record: dict[str, Any] = {"messages": turns if said.get(Part.SYSTEM) else turns[1:]}
    findings = [*judge(record, line), *judge_text({"rejected": reply if better else ""}, line)]
    if better and not reply:
        findings.append(found("content.empty", "there is a correction, and no reply that it corrects.", line))
    yield from findings
    if all(finding.severity is not Severity.ERROR for finding in findings):
        about = (Part.TOPIC, Part.LANGUAGE, Part.THREAD, Part.CUSTOMER)
        record["metadata"] = {part.value: said[part] for part in about if said.get(part)}
        yield row_of(record, line, rejected=reply if better and better != reply else None)
