"""A slice of the benchmark: it runs, both sides count the same, and the figures have their names."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks import dialogues

FILE = Path(__file__).with_name("curation.py")


def loaded() -> Any:
    """The benchmark as a module: it is a program, in no package."""
    spec = importlib.util.spec_from_file_location("bench_curation", FILE)
    assert spec is not None
    assert spec.loader is not None
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    return program


def test_the_benchmark_measures_everything_against_the_same_peer() -> None:
    command = [sys.executable, str(FILE), "--examples", "300", "--rounds", "1", "--memory-examples", "400"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603 (ourselves)
    figures = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    speeds = ["same_work", "same_work_plain", "pipeline", "pipeline_plain", "pipeline_privacy"]
    assert [figure["name"] for figure in figures] == [f"curation.{name}" for name in (*speeds, "check_memory")]
    assert all(set(figure) == {"name", "ours", "peer", "ratio", "unit"} for figure in figures)
    assert len({figure["peer"] for figure in figures[:-1]}) == 1


def test_the_pipeline_gives_the_same_with_the_accelerators_and_without(tmp_path: Path) -> None:
    path = tmp_path / "dialogues.jsonl"
    dialogues.write(path, 300)
    program = loaded()
    fast, plain = (program.in_a_process(name, path)["figures"] for name in ("pipeline", "pipeline_plain"))
    assert fast == plain
    assert fast["rows"] == 300
    assert 0 < fast["repeats"] < fast["near"] < 60


def test_the_lines_of_a_side_are_those_of_its_numbers(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"".join(b"%d\n" % number for number in range(1, 5_001)))
    program = loaded()
    numbers = np.arange(3, 4_000, 3)
    assert b"".join(program.lines(path, numbers)) == b"".join(b"%d\n" % number for number in numbers.tolist())
    assert list(program.lines(path, numbers[:0])) == []


def test_dialogues_are_the_same_for_the_same_seed_and_differ_for_another() -> None:
    assert list(dialogues.dialogues(40, 3)) == list(dialogues.dialogues(40, 3))
    assert list(dialogues.dialogues(40, 3)) != list(dialogues.dialogues(40, 4))
    assert {row["metadata"]["language"] for row in dialogues.dialogues(100)} == {"en", "de", "nb", "id", "zh"}
