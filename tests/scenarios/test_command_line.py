"""The command line through its front door: what people type, what they read, and the exit code."""

from __future__ import annotations

import json
import os
import random
import re
import shlex
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from bot import cli
from bot.sandbox.workspace import Workspace
from training.foreground import sole_worker

Errata = Callable[..., tuple[int, str, str]]

TINY_RECIPE = """
method = "full"
learning_rate = 3e-3
epochs = 2
batch_tokens = 512
warmup_share = 0.0
weight_decay = 0.0
max_grad_norm = 1.0
seed = 1
max_length = 256

[rehearsal]
hidden = 16
layers = 1
heads = 2
vocabulary = 400
"""


@pytest.fixture(autouse=True)
def outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A shell of its own: no settings of whoever runs the tests, a fresh folder."""
    for name in list(os.environ):
        if name.startswith(("ERRATA_", "SLACK_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("ERRATA_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def errata(capsys: pytest.CaptureFixture[str]) -> Errata:
    """Run a command as ana, or as whom it says; gives its exit code, stdout and stderr."""

    def run(*arguments: str, acting: str | None = "ana") -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.run([*(["--as", acting] if acting else []), *arguments])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    run("people", "grant", "ana", "owner", acting=None)
    return run


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
    rows = (json.dumps(dialogue(number)) + "\n" for number in range(first, first + count))
    path.write_text("".join(rows), encoding="utf-8")
    return path


@pytest.fixture
def frozen(errata: Errata, tmp_path: Path) -> Errata:
    """Sixty attested examples in the dataset v1."""
    file = write_dialogues(tmp_path / "dialogues.jsonl", 60)
    assert errata("import", str(file), "--approve-as", "ana", "--reason", "Checked by hand.")[0] == 0
    assert errata("dataset", "freeze", "v1")[0] == 0
    return errata


def test_the_first_owner_is_granted_on_the_host_and_everybody_after_by_an_owner(errata: Errata) -> None:
    assert errata("people", "grant", "ben", "owner", acting=None)[0] == 1
    assert errata("people", "grant", "ben", "reviewer", "--name", "Ben Ortiz")[0] == 0
    code, out, _ = errata("people", "list", "--json", acting=None)
    assert code == 0
    assert json.loads(out) == [
        {"id": "local/ben", "name": "Ben Ortiz", "roles": ["reviewer"]},
        {"id": "local/ana", "name": "ana", "roles": ["owner"]},
    ]
    code, _, err = errata("people", "revoke", "ana", "owner")
    assert code == 1
    assert "last owner" in err


def test_a_slack_user_needs_a_workspace(errata: Errata) -> None:
    code, _, err = errata("people", "grant", "U0123ABCD", "agent")
    assert code == 2
    assert "--team" in err
    assert errata("people", "grant", "U0123ABCD", "agent", "--team", "T0123ABCD")[0] == 0
    # From now on the one known workspace is meant.
    assert "T0123ABCD/U0456EFGH" in errata("people", "grant", "U0456EFGH", "agent")[1]


def test_who_lacks_the_role_is_told_which_one_it_takes(errata: Errata) -> None:
    errata("people", "grant", "cara", "agent")
    code, _, err = errata("assistants", "add", "Fjord", "--bot", "U0123BOT1", "--team", "T1", acting="cara")
    assert code == 1
    assert err.count("\n") == 1
    assert "cara may not change assistants" in err


def test_the_least_privileged_role_that_suffices_is_the_one_to_ask_for(errata: Errata) -> None:
    for acting in ("cara", "dan"):
        errata("people", "grant", acting, "operator")
    assert "errata people grant local/cara agent" in errata("queue", "--returned", acting="cara")[2]
    assert "errata people grant local/dan reviewer" in errata("queue", acting="dan")[2]
    assert "errata people grant local/dan owner" in errata("dataset", "freeze", acting="dan")[2]


def test_nobody_acting_is_wrong_use(errata: Errata) -> None:
    code, _, err = errata("queue", acting=None)
    assert code == 2
    assert "--as" in err


def test_an_assistant_is_watched_under_its_prompt(errata: Errata, tmp_path: Path) -> None:
    assert errata("assistants", "add", "Fjord", "--bot", "U0123BOT1", "--bot", "B1", "--team", "T1")[0] == 0
    prompt = tmp_path / "prompt.txt"
    prompt.write_text("You help customers.\n", encoding="utf-8")
    assert "version 1" in errata("assistants", "prompt", "Fjord", "--file", str(prompt))[1]
    assert "version 2" in errata("assistants", "prompt", "Fjord", "--text", "Be brief.")[1]
    [listed] = json.loads(errata("assistants", "list", "--json")[1])
    assert (listed["speaks_as"], listed["prompt_version"]) == (["B1", "U0123BOT1"], 2)
    assert errata("assistants", "prompt", "Fjord")[0] == 2
    assert errata("assistants", "prompt", "Fjord", "--file", str(tmp_path / "none.txt"))[0] == 2


def test_a_broken_file_is_refused_whole_with_line_rule_and_fix(errata: Errata, tmp_path: Path) -> None:
    file = tmp_path / "broken.jsonl"
    lines = [json.dumps(dialogue(1)), '{"messages": [{"role": "user", "content": "Hi"}]}', "no JSON"]
    file.write_text("\n".join(lines), encoding="utf-8")
    code, out, err = errata("import", str(file))
    assert (code, out) == (1, "")
    assert re.search(r"line 2: .*Add the reply.*\[turns\.last\]", err)
    assert re.search(r"line 3: .*\[json\.syntax\]", err)
    assert json.loads(errata("queue", "--json")[1]) == []
    code, out, _ = errata("import", str(file), "--json")
    assert code == 1
    assert [finding["line"] for finding in json.loads(out)["findings"]] == [2, 3]
    assert "1 candidates added" in errata("import", str(file), "--skip-invalid")[1]


def test_many_equal_findings_are_told_once_with_their_lines(errata: Errata, tmp_path: Path) -> None:
    file = tmp_path / "broken.jsonl"
    file.write_text("no JSON\n" * 500, encoding="utf-8")
    code, _, err = errata("import", str(file))
    assert code == 1
    assert "json.syntax (500)" in err
    assert len(err.splitlines()) < 10


def test_imported_rows_wait_for_a_second_person_and_importing_again_adds_nothing(
    errata: Errata, tmp_path: Path
) -> None:
    file = write_dialogues(tmp_path / "dialogues.jsonl", 3)
    errata("people", "grant", "ben", "reviewer")
    errata("import", str(file))
    assert "0 candidates added from dialogues.jsonl, 3 known already" in errata("import", str(file))[1]
    code, _, err = errata("review", "1", "--approve")
    assert code == 1
    assert "second person" in err
    assert "#1 is approved." in errata("review", "1", "--approve", acting="ben")[1]
    assert "#2 is rejected." in errata("review", "2", "--reject", "Outdated.", acting="ben")[1]
    assert "#3 is edited and approved." in errata("review", "3", "--edit", "It costs 2 euros.", acting="ben")[1]
    assert errata("review", "1", "--approve", "--reject", "No.", acting="ben")[0] == 2
    assert "0 candidates added" in errata("import", str(file))[1]
    assert json.loads(errata("queue", "--json")[1]) == []


def test_the_queue_is_walked_with_single_keys(errata: Errata, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    errata("import", str(write_dialogues(tmp_path / "dialogues.jsonl", 3)))
    errata("people", "grant", "ben", "reviewer")
    monkeypatch.setattr(sys, "stdin", StringIO("a\nr\nName the price.\nq\n"))
    code, out, _ = errata("review", acting="ben")
    assert code == 0
    assert "#1 is approved." in out
    assert "#2 is returned to ana. Next: errata amend 2 --text TEXT" in out
    assert "1 of 3 left undecided. Next: errata review" in out
    assert [row["id"] for row in json.loads(errata("queue", "--json")[1])] == [3]


def test_a_walk_counts_what_was_skipped_and_what_could_not_be_decided(
    errata: Errata, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    errata("import", str(write_dialogues(tmp_path / "dialogues.jsonl", 3)))
    errata("people", "grant", "ben", "reviewer")
    monkeypatch.setattr(sys, "stdin", StringIO("s\na\nx\nWrong.\n"))
    out = errata("review")[1]  # ana wrote all three: she may reject the third, and approve none
    assert "#3 is rejected." in out
    assert "2 of 3 left undecided" in out
    monkeypatch.setattr(sys, "stdin", StringIO("a\na\n"))
    assert "Nothing more waits. Next: errata dataset freeze" in errata("review", acting="ben")[1]


def test_a_returned_correction_comes_back_with_its_authors_new_text(errata: Errata, tmp_path: Path) -> None:
    errata("people", "grant", "ben", "reviewer")
    errata("people", "grant", "cara", "agent")
    errata("import", str(write_dialogues(tmp_path / "dialogues.jsonl", 2)), acting="cara")
    assert "Nothing is returned." in errata("queue", "--returned", acting="cara")[1]
    errata("review", "2", "--return", "Name the currency.", acting="ben")
    out = errata("queue", "--returned", acting="cara")[1]
    assert "Name the currency." in out
    assert "errata amend ID" in out
    assert errata("amend", "2", acting="cara")[0] == 2
    text = tmp_path / "reply.txt"
    text.write_text("It costs 1 euro a month.\n", encoding="utf-8")
    assert errata("amend", "2", "--text", "One.", "--file", str(text), acting="cara")[0] == 2
    code, out, _ = errata("amend", "2", "--file", str(text), acting="cara")
    assert (code, out) == (0, "#2 waits for review. Next, a second person: errata review 2\n")
    assert json.loads(errata("queue", "--returned", "--json", acting="cara")[1]) == []
    waiting = {row["id"]: row["correction"] for row in json.loads(errata("queue", "--json")[1])}
    assert waiting[2] == "It costs 1 euro a month."
    assert errata("amend", "9", "--text", "One.", acting="cara")[0] == 2
    errata("review", "2", "--approve", acting="ben")
    assert errata("amend", "2", "--text", "Two.", acting="cara")[0] == 1


def test_a_quoted_message_cannot_steer_the_screen(errata: Errata, tmp_path: Path) -> None:
    row = dialogue(1)
    row["messages"][1]["content"] = "Hello \x1b[2J\x1b]0;owned\x07 there"
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(row) + "\n", encoding="utf-8")
    assert errata("import", str(file))[0] == 0
    out = errata("queue")[1]
    assert "\x1b" not in out
    assert "\x07" not in out


def test_an_attested_import_needs_an_owner_and_a_reason(errata: Errata, tmp_path: Path) -> None:
    file = write_dialogues(tmp_path / "dialogues.jsonl", 2)
    errata("people", "grant", "ben", "reviewer")
    assert errata("import", str(file), "--approve-as", "ben", "--reason", "Mine.")[0] == 1
    assert errata("import", str(file), "--approve-as", "ana")[0] == 2
    code, out, _ = errata("import", str(file), "--approve-as", "ana", "--reason", "Checked.", "--json")
    assert code == 0
    assert (json.loads(out)["added"], json.loads(out)["known"]) == (2, 0)


def test_a_dataset_is_frozen_shown_and_traced(frozen: Errata) -> None:
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


def test_two_exports_are_equal_to_the_byte_and_can_be_read_back(frozen: Errata, tmp_path: Path) -> None:
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


def test_an_export_of_nothing_says_why_and_writes_nothing(frozen: Errata, tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    code, out, err = frozen("export", "v1", "--format", "dpo", "--out", str(path))
    assert (code, out, path.exists()) == (1, "", False)
    assert "nothing to hand over: none of the" in err
    assert "rejected reply" in err
    assert "Nothing to do" not in err


def test_without_an_approved_example_there_is_nothing_to_hand_over(errata: Errata, tmp_path: Path) -> None:
    code, out, err = errata("export", "--format", "openai", "--out", str(tmp_path / "rows.jsonl"))
    assert (code, out) == (1, "")
    assert "no example is approved yet" in err


def test_a_check_reports_and_its_exit_code_decides(frozen: Errata, tmp_path: Path) -> None:
    code, out, _ = frozen("check", "v1", "--model", "phi-4-mini-instruct", "--json")
    report = json.loads(out)
    assert code == 0
    assert report["tokens"]["exact"] is True
    assert report["balance"]["total"] == 60
    few = write_dialogues(tmp_path / "few.jsonl", 3)
    code, out, _ = frozen("check", str(few), "--model", "phi-4-mini-instruct")
    assert code == 1
    assert "dataset.too_small" in out
    some = write_dialogues(tmp_path / "some.jsonl", 20)
    assert frozen("check", str(some), "--model", "phi-4-mini-instruct")[0] == 0
    assert frozen("check", str(some), "--model", "phi-4-mini-instruct", "--strict")[0] == 1


def test_a_check_refuses_estimates_where_exact_counts_are_asked_for(frozen: Errata, tmp_path: Path) -> None:
    rows = str(write_dialogues(tmp_path / "some.jsonl", 20))
    code, out, err = frozen("check", rows, "--model", "phi-3-mini-4k-instruct", "--exact")
    assert (code, out) == (2, "")
    assert "can only be estimated here; give its tokenizer.json with --tokenizer" in err
    assert frozen("check", rows, "--model", "phi-4-mini-instruct", "--exact")[0] == 0
    code, out, _ = frozen("check", rows, "--model", "phi-3-mini-4k-instruct", "--json")
    estimated = [finding for finding in json.loads(out)["findings"] if finding["rule"] == "tokens.estimated"]
    assert (code, len(estimated), estimated[0]["severity"]) == (0, 1, "warning")


def test_a_check_names_what_stands_in_the_validation_file_too(frozen: Errata, tmp_path: Path) -> None:
    rows = write_dialogues(tmp_path / "some.jsonl", 20)
    others = write_dialogues(tmp_path / "others.jsonl", 5, first=18)
    code, out, _ = frozen("check", str(rows), "--model", "phi-4-mini-instruct", "--validation", str(others), "--json")
    across = [one["line"] for one in json.loads(out)["findings"] if one["rule"] == "duplicates.across_sides"]
    assert (code, across) == (0, [19, 20])
    missing = str(tmp_path / "none.jsonl")
    assert frozen("check", str(rows), "--model", "phi-4-mini-instruct", "--validation", missing)[0] == 2


def test_a_check_ends_with_what_the_subject_waits_for(frozen: Errata, tmp_path: Path) -> None:
    def following(subject: str) -> str:
        return frozen("check", subject, "--model", "phi-4-mini-instruct")[1].splitlines()[-1]

    assert following("v1") == "Next: errata train v1 --model rehearsal"
    assert following("dialogues.jsonl") == "Next: errata dataset freeze"  # attested already
    new = write_dialogues(tmp_path / "new.jsonl", 20, first=60)
    assert following(new.name) == "Next: errata import new.jsonl"
    frozen("import", str(new))
    assert following(new.name) == "Next: errata review"
    frozen("people", "grant", "ben", "reviewer")
    frozen("review", "1", "--approve", acting="ben")
    frozen("export", "--format", "openai", "--out", "all.jsonl")
    assert following("all.jsonl") == "Next: errata dataset freeze"  # importing it would repeat every row
    few = write_dialogues(tmp_path / "few.jsonl", 2)
    assert following(few.name) == "Next: correct what is named above, then check again."
    again = frozen("dataset", "freeze", "v2")[1]
    assert "Next: errata check v2 --model MODEL, then errata train v2 --model rehearsal" in again


def test_what_does_not_exist_is_wrong_use_and_named(frozen: Errata) -> None:
    for arguments, named in (
        (["check", "v1", "--model", "phi-9"], "phi-9"),
        (["check", "nothing.jsonl", "--model", "phi-4"], "nothing.jsonl"),
        (["train", "v1", "--model", "phi-9", "--detach"], "phi-9"),
        (["train", "v9", "--detach"], "v9"),
        (["train", "v1", "--recipe", "none", "--detach"], "none"),
        (["train", "v1", "--backend", "moon", "--detach"], "moon"),
        (["run", "show", "run-none"], "run-none"),
        (["deploy", "run-none"], "run-none"),
    ):
        code, out, err = frozen(*arguments)
        assert (code, out) == (2, ""), arguments
        assert named in err
        assert "Traceback" not in err


def test_a_run_is_asked_for_shown_and_cancelled(frozen: Errata) -> None:
    code, out, err = frozen("train", "v1", "--detach", "--json")
    run = json.loads(out)
    assert (code, run["status"], run["model"]) == (0, "requested", "rehearsal")
    assert "errata work" in err
    assert [one["id"] for one in json.loads(frozen("runs", "--json")[1])] == [run["id"]]
    assert run["id"] in frozen("runs")[1]
    out = frozen("run", "show", run["id"])[1]
    assert out.startswith(f"{run['id']}: requested\n")
    assert "errata run cancel" in out
    assert "no log" in frozen("run", "logs", run["id"])[1]
    code, _, err = frozen("evaluate", run["id"])
    assert code == 1
    assert "no evaluation yet" in err
    assert frozen("deploy", run["id"])[0] == 1
    assert f"{run['id']} is cancelled." in frozen("run", "cancel", run["id"])[1]
    out = frozen("run", "show", run["id"])[1]
    assert out.startswith(f"{run['id']} cancelled: Cancelled by a person.\n")
    assert "Next: errata train v1 --model rehearsal" in out


def test_production_is_the_model_that_the_settings_name_while_none_is_live(
    frozen: Errata, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    code, _, err = frozen("train", "v1", "--model", "production", "--detach")
    assert code == 1
    assert "ERRATA_PRODUCTION_MODEL" in err
    monkeypatch.setenv("ERRATA_PRODUCTION_MODEL", str(tmp_path / "no-model"))
    # Without a model there the run fails, and says where it looked, once.
    code, out, err = frozen("train", "v1", "--model", "production")
    assert code == 1
    [reason] = [line for line in (out + err).splitlines() if "no-model" in line]
    assert re.match(r"run-[0-9a-f]+ failed: ", reason)
    code, out, err = frozen("train", "v1", "--model", "production", "--json")
    assert (code, json.loads(out)["status"]) == (1, "failed")
    assert re.search(r"^run-[0-9a-f]+ failed: .*no-model", err, re.MULTILINE)


def test_a_second_worker_is_refused(errata: Errata, tmp_path: Path) -> None:
    with sole_worker(tmp_path / "home"):
        code, _, err = errata("work")
    assert code == 1
    assert "A worker runs on" in err


def test_an_unforeseen_error_is_one_sentence_and_debug_shows_the_rest(
    errata: Errata, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(_settings: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("bot.entry.open_store", explode)
    code, _, err = errata("runs")
    assert (code, err.count("\n")) == (1, 1)
    assert "ZeroDivisionError" in err
    assert "--debug" in err
    assert "Traceback" in errata("--debug", "runs", acting=None)[2]


def test_an_old_database_is_refused_until_it_is_migrated(errata: Errata, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "home" / "errata.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '0001'")
    database.close()
    code, _, err = errata("runs")
    assert code == 1
    assert "errata migrate" in err


def test_migrating_makes_the_tables_once(errata: Errata, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERRATA_HOME", str(tmp_path / "other"))
    assert "from nothing to" in errata("migrate")[1]
    assert "is at" in errata("migrate")[1]


def test_the_doctor_names_what_fails_and_its_remedy(errata: Errata, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_the_doctor_of_a_new_folder_sends_to_init(errata: Errata, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERRATA_HOME", "elsewhere")
    checks = {check["id"]: check for check in json.loads(errata("doctor", "--json", acting=None)[1])}
    assert checks["database"]["remedy"] == "Run: errata init"


def test_initialising_ends_with_the_link_for_the_app_and_with_what_comes_next(
    errata: Errata, monkeypatch: pytest.MonkeyPatch
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


def test_initialising_writes_a_private_file_and_overwrites_nothing(errata: Errata, tmp_path: Path) -> None:
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


@pytest.mark.parametrize("arguments", [["serve"], ["serve", "--http", "127.0.0.1:0"]])
def test_serving_without_a_token_says_which_one_is_missing(errata: Errata, arguments: list[str]) -> None:
    code, _, err = errata(*arguments)
    assert code == 2
    assert "SLACK_BOT_TOKEN is missing" in err


def test_an_address_needs_a_port(errata: Errata) -> None:
    code, _, err = errata("serve", "--http", "localhost")
    assert code == 2
    assert "HOST:PORT" in err


def test_a_taken_port_is_said_before_anything_starts(errata: Errata, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-1")
    monkeypatch.setenv("SLACK_SIGNING_SECRET", "secret")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        code, _, err = errata("serve", "--http", address)
    assert code == 1
    assert address in err


@pytest.fixture
def workspace() -> Iterator[Workspace]:
    made = Workspace(now=lambda: datetime.now(UTC), rng=random.Random(7))
    with made.serve() as served:
        yield served


def start(workspace: Workspace, *arguments: str, **environ: str) -> subprocess.Popen[str]:
    """The command in a process of its own, with the workspace's tokens."""
    given = {
        "SLACK_API_URL": workspace.api_url,
        "SLACK_BOT_TOKEN": workspace.bot_token,
        "SLACK_APP_TOKEN": workspace.app_token,
        "SLACK_SIGNING_SECRET": workspace.signing_secret,
    }
    return subprocess.Popen(  # noqa: S603 (our own module, no shell)
        [sys.executable, "-m", "bot.cli", *arguments],
        env={**os.environ, **given, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("over_http", [True, False], ids=["http", "socket"])
def test_the_bot_serves_with_a_worker_beside_it_and_ends_cleanly(
    workspace: Workspace, tmp_path: Path, over_http: bool
) -> None:
    ana = workspace.add_person("Ana Silva")
    channel = workspace.add_channel("support", [ana])
    bot = start(workspace, "serve", *(["--http", "127.0.0.1:0"] if over_http else []))
    try:
        assert bot.stdout is not None
        ready = bot.stdout.readline()
        if over_http:
            url = ready.split()[-1]
            assert httpx.get(f"{url}/healthz", trust_env=False).status_code == 200
            assert httpx.post(f"{url}/slack/events", trust_env=False).status_code in {400, 401, 411}
            workspace.deliver_to(f"{url}/slack/events")
        else:
            assert workspace.socket_connected.wait(5)
        assert "queue" in ana.command("/errata", "help", channel)["text"]
        lock = tmp_path / "home" / "worker.lock"
        workspace.wait_until(lock.exists, timeout_seconds=20, what="the worker's lock")
    finally:
        bot.send_signal(signal.SIGTERM)
        _, err = bot.communicate(timeout=20)
    assert bot.returncode == 0
    assert "Traceback" not in err
    with sole_worker(tmp_path / "home"):  # the worker went as well
        pass


def test_a_refused_token_is_one_sentence_and_the_providers_exit_code(workspace: Workspace) -> None:
    for arguments in (["serve", "--no-worker"], ["serve", "--no-worker", "--http", "127.0.0.1:0"]):
        bot = start(workspace, *arguments, SLACK_BOT_TOKEN="xoxb-somebody-else")
        _, err = bot.communicate(timeout=30)
        assert bot.returncode == 3
        assert "Slack refuses SLACK_BOT_TOKEN" in err
        assert "Traceback" not in err


def test_a_socket_payload_that_slack_would_not_send_is_acknowledged_and_dropped(workspace: Workspace) -> None:
    bot = start(workspace, "serve", "--no-worker")
    try:
        assert bot.stdout is not None
        bot.stdout.readline()
        assert workspace.socket_connected.wait(5)
        assert workspace.hand_over("interaction", {"type": "block_actions", "team": 7}) == {}
    finally:
        bot.send_signal(signal.SIGTERM)
        _, err = bot.communicate(timeout=20)
    assert '"reason": "payload"' in err
    assert "Traceback" not in err


def test_a_worker_whose_server_was_killed_ends_by_itself(workspace: Workspace, tmp_path: Path) -> None:
    bot = start(workspace, "serve")
    assert bot.stdout is not None
    bot.stdout.readline()
    workspace.wait_until((tmp_path / "home" / "worker.lock").exists, timeout_seconds=20, what="the worker's lock")
    bot.kill()
    bot.communicate(timeout=20)  # returns once the worker, too, has closed stderr
    with sole_worker(tmp_path / "home"):
        pass


@pytest.mark.slow
def test_a_rehearsal_goes_from_dataset_to_endpoint_in_one_terminal(frozen: Errata, tmp_path: Path) -> None:
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(TINY_RECIPE, encoding="utf-8")
    code, out, err = frozen("train", "v1", "--recipe", str(recipe), "--json")
    run = json.loads(out)
    assert (code, run["status"]) == (0, "completed"), err
    assert "Train" in err
    picture = tmp_path / "loss.png"
    code, out, err = frozen("evaluate", run["id"], "--plot", str(picture))
    assert code == 0
    assert "tuned" in out
    assert "No cases: " in out
    assert "production" not in out  # nothing is in production, so nothing stands for it
    assert out.splitlines()[-1].startswith("Next: approve more corrections and endorsements")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "training loss from" in err
    chat_with_its_own_endpoint(run["id"])
    try:
        code, out, _ = frozen("deploy", run["id"])
        assert code == 0
        url = re.search(r"http://127\.0\.0\.1:\d+/v1", out)
        assert url is not None
        [command] = [line for line in out.splitlines() if "curl" in line]
        body = json.loads(shlex.split(command)[-1])
        assert [turn["role"] for turn in body["messages"]] == ["system", "user"]
        replied = httpx.post(f"{url[0]}/chat/completions", json=body, timeout=30, trust_env=False).json()
        assert f"It answered:   {replied['choices'][0]['message']['content']}".rstrip() in out
        assert httpx.get(f"{url[0]}/models", trust_env=False).json()["data"][0]["id"] == run["id"]
    finally:
        code, out, _ = frozen("undeploy", run["id"])
    assert code == 0
    with pytest.raises(ConnectionError), socket.create_connection(("127.0.0.1", httpx.URL(url[0]).port or 0), 2):
        pass


def chat_with_its_own_endpoint(run_id: str) -> None:
    """Serve the run on a port of our choice, ask with OpenAI's own client, and end the command."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        taken = subprocess.run(  # noqa: S603 (our own module, no shell)
            [sys.executable, "-m", "bot.cli", "endpoint", run_id, "--port", str(port)],
            capture_output=True,
            text=True,
            check=False,
        )
    assert taken.returncode == 3
    assert f"Port {port} cannot be used" in taken.stderr
    serving = subprocess.Popen(  # noqa: S603 (as above)
        [sys.executable, "-m", "bot.cli", "endpoint", run_id, "--port", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert serving.stdout is not None
        assert f"{run_id} answers at http://127.0.0.1:{port}/v1" in serving.stdout.readline()
        with httpx.Client(trust_env=False) as line:
            client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", http_client=line)
            asked = [{"role": "user", "content": "What does it cost?"}]
            given = client.chat.completions.create(model=run_id, messages=asked, max_tokens=4)  # type: ignore[arg-type]
        assert given.usage is not None
        assert 0 < given.usage.completion_tokens <= 4
    finally:
        # As a supervisor would; Ctrl-C is ignored by whatever a shell starts in the background.
        serving.send_signal(signal.SIGTERM)
        _, err = serving.communicate(timeout=30)
    assert (serving.returncode, "Stopped." in err) == (0, True), err
    with pytest.raises(ConnectionError), socket.create_connection(("127.0.0.1", port), 2):
        pass
