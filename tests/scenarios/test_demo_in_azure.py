"""The demo's loop with its training in a sandbox that is shaped like Azure; half a minute, so for make test-azure."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from small_sample import small_sample

from bot.cli import run

TEXT = "Bitte sofort ausstecken! 🔌 今すぐ抜いて — ถอดปลั๊ก."


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("ERRATA_TEST_AZURITE"), reason="make test-azure runs this")
def test_a_correction_of_ones_own_reaches_a_model_in_azure_and_everything_there_is_cleaned_up(tmp_path: Path) -> None:
    sample, out = small_sample(tmp_path / "sample", good=12), tmp_path / "out"
    told = ["demo", "--headless", "--backend", "foundry", "--out", str(out), "--sample", str(sample)]
    assert run([*told, "--correction", TEXT]) == 0
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert (report["after"], report["endpoint_reply"]) == (TEXT, TEXT)
    assert report["before"] != TEXT
    lines = [line for line in report["transcript"] if not line.startswith("#")]
    refused = next(place for place, line in enumerate(lines) if "take it down before you delete it" in line)
    deleted = next(place for place, line in enumerate(lines) if "are deleted" in line)
    assert refused < deleted
    assert "What the provider lists: none." in "\n".join(lines[deleted:])


def test_a_backend_that_no_loop_is_played_with_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "--headless", "--backend", "azureml", "--out", str(tmp_path / "out")]) == 2
    assert "--backend takes local or foundry" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_without_the_extra_it_is_said_how_to_install_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [one for one in sys.modules if one == "bot.demo.elsewhere" or one.startswith("training.sandbox.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    assert run(["demo", "--headless", "--backend", "foundry", "--out", str(tmp_path / "out")]) == 3
    assert capsys.readouterr().err == "cryptography is not installed on this machine: pip install 'errata[azure]'\n"
    assert not (tmp_path / "out").exists()
