"""Tables of dialogues: CSV rows in, rows of a conversation and findings out, one row at a time.

Owns how a table is read (its delimiter, its header, cells of many lines) and which column is which part of a
dialogue; whoever imports says the latter, nothing is guessed from a column's name. What a conversation must be is in
``curation.formats.profile``. Refuses to guess the encoding: UTF-8 unless somebody says otherwise, since every file
can be read as Windows-1252 and most of them wrongly.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections import deque
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
# What Excel writes above the header, to tell itself the delimiter.
_SEPARATOR = re.compile(r'"?sep=([,;\t|])"?\r?\n', re.IGNORECASE)
_HALF = re.compile("[\udc80-\udcff]")  # what surrogateescape makes of a byte
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
                raise Invalid("{named} cannot both be the {part}; map one column to it.", named=named, part=part.value)
        for part, example in ((Part.USER, "question"), (Part.ASSISTANT, "answer")):
            if part not in given:
                raise Invalid(
                    "Say which column the {part} speaks in, for example --map {column}={part}",
                    part=part.value,
                    column=example,
                )


def columns_of(given: Iterable[str]) -> Columns:
    """The columns that somebody named: ``["question=user", "answer=assistant"]``.

    Raises:
        Invalid: it is no mapping, names no part, or leaves out the user or the assistant.
    """
    parts: dict[str, Part] = {}
    for one in given:
        name, separator, part = one.rpartition("=")
        if not separator or not name.strip() or part.strip() not in list(Part):
            raise Invalid("--map {text} is not COLUMN=PART; the parts are {parts}.", text=one, parts=tuple(Part))
        if name.strip() in parts:
            raise Invalid("--map names the column {column} twice; map it once.", column=name.strip())
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
            yield _no_rows()
            return
        yield from _table(_Lines(chain([first.removeprefix(codecs.BOM_UTF8)], lines), encoding), columns, path.name)


class _TooLong(Exception):
    """A line or a row is longer than any cell may be."""


class _Lines:
    """The lines of a table as text; those of a row that cannot be read are gone back to.

    Bytes that are none of the encoding's stand in the text as lone surrogates, to be found in their row.

    Attributes:
        number: of the last line that was given, from 1.
        encoding: of the bytes.
    """

    def __init__(self, lines: Iterator[bytes], encoding: TableEncoding) -> None:
        self.number = 0
        self.encoding = encoding
        self._lines = lines
        self._again: deque[bytes] = deque()
        self._row: deque[bytes] = deque()
        self._size = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._lines)
        self.number += 1
        self._row.append(line)
        self._size += len(line)
        if self._size > 2 * MAX_LINE_BYTES or len(line) > MAX_LINE_BYTES:
            raise _TooLong
        return line.decode(self.encoding.value, errors="surrogateescape")

    def next_number(self) -> int:
        """Begin a row, and say which line is its first."""
        self._row.clear()
        self._size = 0
        return self.number + 1

    def go_back(self) -> None:
        """Give the lines of the row again, but its first."""
        self._row.popleft()
        self.number -= len(self._row)
        self._again.extendleft(reversed(self._row))


def _table(lines: _Lines, columns: Columns, name: str) -> Iterator[Row | Finding]:
    try:
        head = next(lines)
        said = _SEPARATOR.fullmatch(head)
        head = next(lines, "") if said else head
    except _TooLong:
        yield found("row.too_long", "the line with the columns' names is longer than 10 MB.", lines.number)
        return
    if not head:
        yield _no_rows()
        return
    if _HALF.search(head):
        yield _not_encoded("the line with the columns' names", lines.number, lines.encoding)
        return
    if "\r" in head.rstrip("\r\n") and "\n" not in head:
        yield found("row.line_break", "the lines end in carriage returns.", lines.number)
        return
    delimiter, header = _header(head, columns, said[1] if said else _DELIMITERS)
    yield from _rows(lines, delimiter, len(header), _places(header, columns, name))


def _rows(lines: _Lines, delimiter: str, width: int, places: Mapping[Part, int]) -> Iterator[Row | Finding]:
    """Every row; after one that cannot be read, what is found from its second line on, and no row more.

    Where the next row begins is then a guess: the line after may be one, or the middle of a cell of many lines. A guess
    names the other lines to be corrected, but nothing may be learned from it.
    """
    csv.field_size_limit(MAX_LINE_BYTES)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    broken, empty = 0, True
    while True:
        start = lines.next_number()
        try:
            cells = next(reader)
        except StopIteration:
            break
        except (_TooLong, csv.Error) as error:
            yield _broken(error, start)
            broken = broken or start
            lines.go_back()
            continue
        if not any(cell.strip() for cell in cells):
            continue
        empty = False
        for item in _row(cells, width, places, start, lines.encoding):
            if not broken or isinstance(item, Finding):
                yield item
    if broken:
        yield found("table.rows", f"Where rows begin after line {broken:,} is a guess, so none of them is taken.", None)
    elif empty:
        yield _no_rows()


def _header(line: str, columns: Columns, delimiters: Sequence[str]) -> tuple[str, list[str]]:
    """The delimiter under which the header names most of the mapped columns, and the header's names."""
    best: tuple[int, str, list[str]] = (-1, delimiters[0], [])
    for delimiter in delimiters:
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
            raise Invalid(
                "{name}: {count} columns are named {column}; rename all but one of them.",
                name=name,
                count=header.count(column),
                column=column,
            )
        if column not in header:
            there = ", ".join(one for one in header if one)[:300]
            raise Invalid(
                "{name}: no column is named {column}; the first line names {columns}. Correct --map, or put a line "
                "with the columns' names first.",
                name=name,
                column=column,
                columns=there or "none",
            )
        places[part] = header.index(column)
    return places


def _no_rows() -> Finding:
    return found("file.empty", "The file holds no rows.", None, fix="Export the table again, with its header.")


def _broken(error: Exception, line: int) -> Finding:
    said = str(error)
    if isinstance(error, _TooLong) or "field larger" in said:
        return found("row.too_long", "a cell is longer than 10 MB, or a quote is never closed.", line)
    if "new-line" in said:
        return found("row.line_break", "a carriage return stands alone.", line)
    return found("table.quotes", f"the quotes do not match ({said}).", line)


def _not_encoded(where: str, line: int, encoding: TableEncoding) -> Finding:
    fix = "Save the file as UTF-8, or give --encoding cp1252." if encoding is TableEncoding.UTF8 else None
    return found("encoding.utf8", f"{where} holds bytes that are not {encoding}.", line, fix=fix)


def _row(
    cells: Sequence[str], width: int, places: Mapping[Part, int], line: int, encoding: TableEncoding
) -> Iterator[Row | Finding]:
    if len(cells) != width:
        yield found("table.cells", f"the row has {len(cells)} cells, the header {width}.", line)
        return
    said = {part: cells[place].strip() for part, place in places.items()}
    if any(_HALF.search(text) for text in said.values()):
        yield _not_encoded("a cell", line, encoding)
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
