"""One case of a use case: what is called, and the entry that it leaves in the audit."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from builders import NOON, Team
from sqlmodel import Session

from curation.formats.jsonl import Row, open_jsonl
from curation.people import Actor

LATER = NOON + timedelta(days=3)


class Case(NamedTuple):
    """A use case, the action of its entry and whose it is, and the call."""

    name: str
    action: str
    actor: Actor
    call: Callable[[Session, Team, Path], object]


def rows_in(folder: Path, count: int, *, word: str) -> list[Row]:
    """The rows of a file of so many dialogues about something."""
    file = folder / f"{word}.jsonl"
    lines = [
        {"messages": [{"role": "user", "content": f"{word} {n}?"}, {"role": "assistant", "content": f"{word} is {n}."}]}
        for n in range(count)
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return [item for item in open_jsonl(file) if isinstance(item, Row)]
