"""A file of chat JSONL, cleaned line by line: what changes, shown word by word, and the cleaned rows written.

Owns the way through the file, in constant memory, and the form of a change. What is noise is decided in
``curation.cleaning``. A line that is no row is passed on as it is: the check says what is wrong with it.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curation.cleaning import clean_row, has_markup
from curation.errors import Invalid
from curation.formats.exports import json_line, write_atomically
from curation.formats.lines import MAX_LINE_BYTES, bounded_lines, opened

_PIECES = re.compile(r"\w+|\s+|[^\w\s]")
_BOM = "\ufeff"


@dataclass(frozen=True, slots=True)
class Change:
    """One row as it was and as it would be, and the rules that it broke."""

    line: int
    rules: tuple[str, ...]
    before: dict[str, Any]
    after: dict[str, Any]

    def lines(self) -> Iterator[str]:
        """What somebody reads: a heading, then each turn that differs, ``Hei[-<zero width>-] {+du+}``."""
        yield f"line {self.line}: {', '.join(self.rules)}"
        old, new = ([_said(turn) for turn in row["messages"]] for row in (self.before, self.after))
        for tag, first, last, begin, end in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
            if tag == "equal":
                continue
            if last - first == end - begin:
                for one, other in zip(old[first:last], new[begin:end], strict=True):
                    yield f"  {word_diff(one, other)}"
                continue
            yield from (f"- {said}" for said in old[first:last])
            yield from (f"+ {said}" for said in new[begin:end])

    def as_json(self) -> dict[str, Any]:
        """``{"line": 3, "rules": ["clean.spaces"], "before": {...}, "after": {...}}``."""
        return {"line": self.line, "rules": list(self.rules), "before": self.before, "after": self.after}


@dataclass(frozen=True, slots=True)
class Counted:
    """How many lines there were and how many of them changed; of which lines more is to be said.

    Attributes:
        unread: the lines that are no rows of chat and are passed on as they are.
        marked: the rows in which a chat program's markup is left.
    """

    rows: int
    changed: int
    unread: tuple[int, ...] = ()
    marked: tuple[int, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """``{"rows": 100, "changed": 3, "unread": [7], "marked": []}``."""
        return {"rows": self.rows, "changed": self.changed, "unread": list(self.unread), "marked": list(self.marked)}


def mend(file: Path, out: Path | None, show: Callable[[Change], None]) -> Counted:
    """Clean every row of ``file``, show each change and, where ``out`` is given, write all rows there.

    Raises:
        Invalid: the file cannot be read, is not UTF-8, or has a line longer than any row may be.
        Unavailable: the disk refuses; ``out`` is as it was.
    """
    rows = changed = 0
    unread: list[int] = []
    marked: list[int] = []

    def lines() -> Iterator[bytes]:
        nonlocal rows, changed
        for line, text in enumerate(_lines_of(file), start=1):
            rows += 1
            row = _row(text.removeprefix(_BOM) if line == 1 else text)
            if row is None and text.strip():
                unread.append(line)
            elif row is not None and any(has_markup(turn) for turn in _texts(row)):
                marked.append(line)
            change = _change(line, row) if row is not None else None
            if change is None:
                yield text.encode() if text.endswith("\n") else text.encode() + b"\n"
                continue
            changed += 1
            show(change)
            yield json_line(change.after)

    if out is not None:
        write_atomically(out, lines())
    else:
        for _ in lines():
            pass
    return Counted(rows, changed, tuple(unread), tuple(marked))


def word_diff(before: str, after: str) -> str:
    """Both texts in one, what goes as ``[-so-]`` and what comes as ``{+so+}``."""
    old, new = _PIECES.findall(before), _PIECES.findall(after)
    parts = []
    for tag, first, last, begin, end in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            parts += old[first:last]
            continue
        gone, come = "".join(old[first:last]), "".join(new[begin:end])
        parts += [f"[-{gone}-]" if gone else "", f"{{+{come}+}}" if come else ""]
    return "".join(parts)


def _row(text: str) -> dict[str, Any] | None:
    """The row of chat in a line; None where there is none."""
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        return None
    turns = row.get("messages") if isinstance(row, dict) else None
    return row if isinstance(turns, list) and all(isinstance(turn, dict) for turn in turns) else None


def _texts(row: dict[str, Any]) -> Iterator[str]:
    contents = (turn.get("content") for turn in row["messages"])
    return (content for content in contents if isinstance(content, str))


def _change(line: int, row: dict[str, Any]) -> Change | None:
    cleaned = clean_row(row)
    return Change(line, tuple(rule.id for rule in cleaned.broken), row, cleaned.value) if cleaned.broken else None


def _lines_of(file: Path) -> Iterator[str]:
    # Only "\n" ends a line of JSONL; a carriage return stays with its line.
    with opened(file) as handle:
        for number, line in enumerate(bounded_lines(handle, name=str(file)), start=1):
            if len(line) > MAX_LINE_BYTES:
                raise Invalid(
                    "{file}, line {line}: it is longer than {most:,} bytes; split the dialogue.",
                    file=file,
                    line=number,
                    most=MAX_LINE_BYTES,
                )
            try:
                yield line.decode()
            except UnicodeDecodeError as error:
                raise Invalid(
                    "{file}, line {line}: it is not UTF-8; save the file as UTF-8 text.", file=file, line=number
                ) from error


def _said(turn: dict[str, Any]) -> str:
    return f"{turn.get('role')}: {turn.get('content') or ''}"
