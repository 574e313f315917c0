"""A shell for tests: ``errata`` as people type it, without the settings of whoever runs the tests."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bot import cli

USUAL = ""
"""As who acts: whoever does in this shell."""


@dataclass
class Shell:
    """Runs commands in this process; each gives its exit code, stdout and stderr.

    Attributes:
        acting: whom commands name with ``--as``; None for nobody.
    """

    capsys: pytest.CaptureFixture[str]
    acting: str | None = None

    def __call__(self, *arguments: str, acting: str | None = USUAL) -> tuple[int, str, str]:
        person = self.acting if acting == USUAL else acting
        self.capsys.readouterr()
        code = cli.run([*(["--as", person] if person else []), *arguments])
        shown = self.capsys.readouterr()
        return code, shown.out, shown.err

    def owned_by(self, person: str) -> Shell:
        """The same with its first owner, who acts from now on."""
        assert self("people", "grant", person, "owner", acting=None)[0] == 0
        self.acting = person
        return self


def dialogue(number: int) -> dict[str, Any]:
    """One dialogue; its words are its own, so that no two are near-duplicates that must share a side."""
    rng = random.Random(number)
    words = " ".join("".join(rng.choices("abdefgiklmnoprstu", k=6)) for _ in range(8))
    return {
        "messages": [
            {"role": "system", "content": "You help customers of Fjord Telecom."},
            {"role": "user", "content": f"What does {words} cost?"},
            {"role": "assistant", "content": f"It costs {number} euros."},
        ],
        "metadata": {"topic": "billing" if number % 2 else "plans", "language": "en"},
    }


def write_dialogues(path: Path, count: int, *, first: int = 0) -> Path:
    """So many of them, in a file of chat JSONL."""
    rows = (json.dumps(dialogue(number)) + "\n" for number in range(first, first + count))
    path.write_text("".join(rows), encoding="utf-8")
    return path
