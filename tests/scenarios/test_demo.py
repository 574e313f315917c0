"""The demo as a newcomer runs it, on a smaller sample, so that the tests stay quick."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from small_sample import small_sample

from bot.cli import run

TEXT = "Bitte sofort ausstecken! 🔌 今すぐ抜いて — ถอดปลั๊ก."


def report_of(out: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((out / "report.json").read_text(encoding="utf-8"))
    return report


@pytest.mark.slow
def test_a_correction_of_ones_own_reaches_the_dataset_the_lineage_the_model_and_the_endpoint(tmp_path: Path) -> None:
    sample, out = small_sample(tmp_path / "sample"), tmp_path / "out"
    assert run(["demo", "--headless", "--out", str(out), "--sample", str(sample), "--correction", TEXT]) == 0
    report = report_of(out)
    assert report["before"] != TEXT
    assert (report["after"], report["endpoint_reply"]) == (TEXT, TEXT)
    assert report["fixed"] >= 1
    assert (report["corrected"], report["endorsed"]) == (2, 6)
    assert TEXT in (out / report["dataset"]["train_file"]).read_text(encoding="utf-8")
    lineage = json.loads((out / report["dataset"]["lineage_file"]).read_text(encoding="utf-8"))
    (taught,) = [row for row in lineage if row["reply"] == TEXT]
    assert taught["authors"] != [taught["approved_by"]]
    assert taught["flagged"] == report["before"]
    assert any("Correct this reply" in line for line in report["transcript"])
    assert f"Errata: {report['claim']}" in report["transcript"]
    assert (out / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_a_folder_with_files_of_ones_own_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    assert run(["demo", "--headless", "--out", str(tmp_path)]) == 2
    assert "choose an empty or a new folder with --out" in capsys.readouterr().err
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("correction", ["", "   ", "x" * 1001])
def test_a_correction_that_cannot_be_one_is_refused_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], correction: str
) -> None:
    out = tmp_path / "out"
    assert run(["demo", "--headless", "--out", str(out), "--correction", correction]) == 2
    assert "takes 1 to 1000 characters" in capsys.readouterr().err
    assert not out.exists()
