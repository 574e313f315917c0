"""Rows with tools are refused before a training on this machine starts."""

from __future__ import annotations

import json
from pathlib import Path

from training.backends.base import Base, Job
from training.backends.local.backend import LocalBackend
from training.recipe import load_recipe

ROW = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}
TOOLS = [{"type": "function", "function": {"name": "track"}}]


def findings(folder: Path, *rows: object) -> list[str]:
    for side in ("train", "validation"):
        (folder / f"{side}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    recipe = load_recipe("rehearsal")
    job = Job("r1", Base("rehearsal"), recipe, folder / "train.jsonl", folder / "validation.jsonl", folder / "r1")
    return [finding.message for finding in LocalBackend().preflight(job) if finding.rule == "local.tools"]


def test_rows_with_tools_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    assert findings(tmp_path, ROW, {**ROW, "tools": TOOLS}, {**ROW, "tools": TOOLS}) == [
        "2 rows of train.jsonl use tools, the first on line 2.",
        "2 rows of validation.jsonl use tools, the first on line 2.",
    ]


def test_rows_without_tools_pass(tmp_path: Path) -> None:
    assert findings(tmp_path, ROW, ROW) == []
