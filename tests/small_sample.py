"""The demo's sample workspace, made small enough for a test."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path


def small_sample(folder: Path, *, corrected: bool = True, good: int = 6) -> Path:
    """Two wrong and some good conversations of the shipped sample; uncorrected, corrections repeat the replies."""
    shipped = files("bot.sandbox") / "sample"
    rows = [json.loads(line) for line in (shipped / "conversations.jsonl").read_text(encoding="utf-8").splitlines()]
    wrong = [row for row in rows if row["verdict"] == "wrong"]
    wrong.sort(key=lambda row: not row.get("first"))
    kept = [row for row in rows if row["verdict"] == "good" and row["language"] in {"en", "zh"}]
    chosen = wrong[:2] + kept[:good]
    if not corrected:
        for row in chosen[:2]:
            row["correction"] = row["turns"][-1]["text"]
    folder.mkdir()
    (folder / "conversations.jsonl").write_text(
        "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in chosen), encoding="utf-8"
    )
    (folder / "workspace.json").write_bytes((shipped / "workspace.json").read_bytes())
    return folder
