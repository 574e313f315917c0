"""A dataset as it is shown, traced and exported from the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path

from shell import Shell


def test_a_dataset_is_frozen_shown_and_traced(frozen: Shell) -> None:
    assert "holds exactly these examples already" in frozen("dataset", "freeze", "v2")[1]
    [listed] = json.loads(frozen("dataset", "list", "--json")[1])
    shown = json.loads(frozen("dataset", "show", "v1", "--json")[1])
    assert listed.items() <= shown.items()
    assert sum(shown["manifest"]["sides"].values()) == 60
    lines = frozen("dataset", "show", "v1")[1].splitlines()
    figures = dict(cells for line in lines if len(cells := re.split(r"\s{2,}", line)) == 2)
    assert (figures["kinds"], figures["attested"]) == ("60 imported", "60")
    rows = json.loads(frozen("dataset", "lineage", "v1", "--json")[1])
    assert len(rows) == 60
    [one] = json.loads(frozen("dataset", "lineage", "v1", "--example", str(rows[0]["example"]), "--json")[1])
    assert (one["source"], one["reviewed"]) == ("import:dialogues.jsonl", False)
    assert frozen("dataset", "show", "v9")[0] == 2


def test_two_exports_are_equal_to_the_byte_and_can_be_read_back(frozen: Shell, tmp_path: Path) -> None:
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    for path in (first, second):
        code, out, _ = frozen("export", "v1", "--format", "openai", "--side", "all", "--out", str(path))
        assert code == 0
        assert str(path) in out
    assert first.read_bytes() == second.read_bytes()
    rows = [json.loads(line) for line in first.read_text(encoding="utf-8").splitlines()]
    shown = json.loads(frozen("dataset", "show", "v1", "--json")[1])["manifest"]["sides"]
    assert len(rows) == shown["train"] + shown["validation"]
    assert set(rows[0]) == {"messages"}
    assert frozen("export", "v1", "--format", "phi", "--out", str(tmp_path))[0] == 2
    assert frozen("export", "v1", "--format", "parquet", "--out", str(first))[0] == 2
    assert frozen("export", "--side", "train", "--format", "phi", "--out", str(first))[0] == 2


def test_an_export_of_nothing_says_why_and_writes_nothing(frozen: Shell, tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    code, out, err = frozen("export", "v1", "--format", "dpo", "--out", str(path))
    assert (code, out, path.exists()) == (1, "", False)
    assert "nothing to hand over: none of the" in err
    assert "rejected reply" in err
    assert "Nothing to do" not in err


def test_without_an_approved_example_there_is_nothing_to_hand_over(errata: Shell, tmp_path: Path) -> None:
    code, out, err = errata("export", "--format", "openai", "--out", str(tmp_path / "rows.jsonl"))
    assert (code, out) == (1, "")
    assert "no example is approved yet" in err
