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

from curation.cleaning import clean_row
from curation.errors import Invalid
from curation.formats.exports import json_line, write_atomically

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
    """How many lines there were, and how many of them changed."""

    rows: int
    changed: int

    def as_json(self) -> dict[str, int]:
        """``{"rows": 100, "changed": 3}``."""
        return {"rows": self.rows, "changed": self.changed}


def mend(file: Path, out: Path | None, show: Callable[[Change], None]) -> Counted:
    """Clean every row of ``file``, show each change and, where ``out`` is given, write all rows there.

    Raises:
        Invalid: the file cannot be read as UTF-8.
        Unavailable: the disk refuses; ``out`` is as it was.
    """
    rows = changed = 0

    def lines() -> Iterator[bytes]:
        nonlocal rows, changed
        for line, text in enumerate(_lines_of(file), start=1):
            rows += 1
            change = _change(line, text)
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
    return Counted(rows, changed)


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


def _change(line: int, text: str) -> Change | None:
    try:
        row = json.loads(text.removeprefix(_BOM) if line == 1 else text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict):
        return None
    cleaned = clean_row(row)
    return Change(line, tuple(rule.id for rule in cleaned.broken), row, cleaned.value) if cleaned.broken else None


def _lines_of(file: Path) -> Iterator[str]:
    try:
        # Only "\n" ends a line of JSONL; a carriage return stays with its line.
        with file.open(encoding="utf-8", newline="\n") as lines:
            yield from lines
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{file} cannot be read; give a UTF-8 file that you may read.") from error


def _said(turn: dict[str, Any]) -> str:
    return f"{turn.get('role')}: {turn.get('content') or ''}"
