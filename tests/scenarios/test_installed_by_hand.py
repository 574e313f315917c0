"""A new installation: the database migrated, the doctor's remedies, and ``errata init``."""

from __future__ import annotations

import json
import re
import sqlite3
import sys
from io import StringIO
from pathlib import Path

import pytest
from shell import Shell


def test_an_old_database_is_refused_until_it_is_migrated(errata: Shell, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "home" / "errata.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '0001'")
    database.close()
    code, _, err = errata("runs")
    assert code == 1
    assert "errata migrate" in err


def test_migrating_makes_the_tables_once(errata: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERRATA_HOME", str(tmp_path / "other"))
    assert "from nothing to" in errata("migrate")[1]
    assert "is at" in errata("migrate")[1]


def test_the_doctor_names_what_fails_and_its_remedy(errata: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    errata("assistants", "add", "Fjord", "--bot", "U0123BOT1", "--team", "T1")
    code, out, _ = errata("doctor", "--json", acting=None)
    checks = {check["id"]: check for check in json.loads(out)}
    assert code == 1
    assert checks["assistant"]["state"] == "failed"
    assert "errata assistants prompt" in checks["assistant"]["remedy"]
    assert checks["database.integrity"]["state"] == checks["owner"]["state"] == "ok"
    errata("assistants", "prompt", "Fjord", "--text", "Be brief.")
    code, out, _ = errata("doctor", acting=None)
    assert code == 0
    assert all(len(line) <= 100 for line in out.splitlines() if str(Path.cwd()) not in line)  # a path stays whole
    assert re.search(r"^warning +slack\.tokens +SLACK_BOT_TOKEN is missing", out, re.MULTILINE)
    assert re.search(r"^ +→ Start one with: errata serve, or errata work$", out, re.MULTILINE)
    monkeypatch.setenv("SLACK_BOT_TOKEN", "wrong")
    code, out, _ = errata("doctor", "--json", acting=None)
    assert code == 1
    assert json.loads(out)[-1]["id"] == "settings"


def test_the_doctor_of_a_new_folder_sends_to_init(errata: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERRATA_HOME", "elsewhere")
    checks = {check["id"]: check for check in json.loads(errata("doctor", "--json", acting=None)[1])}
    assert checks["database"]["remedy"] == "Run: errata init"


def test_initialising_ends_with_the_link_for_the_app_and_with_what_comes_next(
    errata: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", StringIO("\n\n\n\nana\n"))  # tokens are asked for without an echo
    code, out, _ = errata("init", "--bot-token", "", "--app-token", "", acting=None)
    assert code == 0
    links = [line for line in out.splitlines() if "https://api.slack.com/apps?new_app=1" in line]
    assert [line.startswith("https://") for line in links] == [True]
    assert out.index("The first owner") < out.index(links[0])
    assert out.splitlines()[-1].startswith("Next: errata people grant U… reviewer")
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-1")
    monkeypatch.setenv("SLACK_API_URL", "http://127.0.0.1:9/api/")  # nobody answers there
    code, out, _ = errata("init", "--yes", acting=None)
    assert (code, "https://api.slack.com" in out) == (0, False)
    assert out.splitlines()[-1] == "Next: errata doctor and errata serve"


def test_initialising_writes_a_private_file_and_overwrites_nothing(errata: Shell, tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("# mine\nOTHER=kept\n", encoding="utf-8")
    code, _, err = errata("init", "--yes", "--owner", "ana", "--review-channel", "C0123ABCD", acting=None)
    assert (code, err) == (0, "")
    assert dotenv.stat().st_mode & 0o777 == 0o600
    assert dotenv.read_text(encoding="utf-8").splitlines() == [
        "# mine",
        "OTHER=kept",
        "ERRATA_REVIEW_CHANNEL=C0123ABCD",
        "ERRATA_ACTOR=local/ana",
    ]
    before = dotenv.read_bytes()
    assert errata("init", "--yes", "--review-channel", "C0999ABCD", acting=None)[0] == 1
    assert errata("init", "--yes", "--bot-token", "wrong", acting=None)[0] == 2
    assert dotenv.read_bytes() == before
    assert errata("init", "--yes", "--review-channel", "C0999ABCD", "--force", acting=None)[0] == 0
    assert "C0999ABCD" in dotenv.read_text(encoding="utf-8")
