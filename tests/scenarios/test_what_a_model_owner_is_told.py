"""What curation knows is told by the command that a model owner uses: check, freeze, export, train."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from builders import NOON, PROMPT, Team, new_team
from sqlmodel import select

from bot import cli
from curation import assistants, examples
from curation.conversation import Conversation, Message, Role
from curation.formats.jsonl import Row
from curation.store.tables import DatasetVersion, Example

MODEL = ("--model", "phi-4-mini-instruct")
PNG = b"\x89PNG\r\n\x1a\n"
ASKED = "I am at kari@nordmann.no, is it broken?"


@pytest.fixture
def crew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Team]:
    """A team whose home is the working directory of the commands."""
    monkeypatch.chdir(tmp_path)
    for name in ("ERRATA_PRIVACY", "ERRATA_ACTOR"):
        monkeypatch.delenv(name, raising=False)
    made = new_team(tmp_path)
    yield made
    made.store.close()


@pytest.fixture
def errata(crew: Team, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command as Olga; gives its exit code, stdout and stderr."""

    def run(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.run(["--home", ".", "--as", "Olga", *words])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    assert crew
    return run


def answered(question: str, reply: str, *, system: str | None = None) -> Conversation:
    return Conversation((Message(Role.USER, question), Message(Role.ASSISTANT, reply))).with_system(system)


def attest(team: Team, *rows: Row, origin: str = "import:old") -> None:
    with team.store.write() as session:
        examples.attest(session, team.olga, NOON, rows, origin=origin, reason="Known.")


def varied(count: int) -> list[Row]:
    """Rows that are nothing like each other."""
    words = [f"{'abcdefghijklmnopqrstuvwxyzäöüåøæ'[number] * 9} {number * 7919}" for number in range(count)]
    return [Row(number, answered(f"{word}?", "Yes.", system=PROMPT), {}) for number, word in enumerate(words)]


def write(path: str, *systems: str | None) -> str:
    """A file with a row under each of these prompts."""
    asked = [answered(f"{'abcdef'[number] * 9}?", "Yes.", system=system) for number, system in enumerate(systems)]
    rows = [{"messages": one.as_json(), "metadata": {"topic": "lamps", "language": "en"}} for one in asked]
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def rules(shown: str) -> dict[str, str]:
    return {one["rule"]: one["message"] for one in json.loads(shown)["findings"]}


def test_that_nothing_is_approved_is_a_state_and_no_wrong_use(errata: Any) -> None:
    for words in (("dataset", "freeze"), ("export", "--format", "openai", "--out", "rows.jsonl")):
        code, _, err = errata(*words)
        assert (code, "approved yet" in err) == (1, True)


def test_a_check_of_a_dataset_compares_its_prompts_with_those_in_use_today(crew: Team, errata: Any) -> None:
    attest(crew, *varied(30))
    assert errata("dataset", "freeze", "v1")[0] == 0
    assert "prompt.stale" not in rules(errata("check", "v1", *MODEL, "--json")[1])
    with crew.store.write() as session:
        assistants.set_prompt(session, crew.olga, NOON, name="Bris", text="Another prompt.")
    told = "30 of 30 rows are under version 1 of Bris's prompt, which is at version 2."
    assert rules(errata("check", "v1", *MODEL, "--json")[1])["prompt.stale"] == told
    code, out, _ = errata("check", "v1", *MODEL)
    assert (code, f"{told} Freeze again" in out) == (0, True)
    assert errata("check", "v1", *MODEL, "--strict")[0] == 1
    told_of = [line for line in out.splitlines() if line.startswith(("error: ", "warning: ", "info: "))]
    assert len(told_of) == len(set(told_of))  # what both the rows and the dataset tell is told once


def test_a_check_of_a_file_compares_its_prompts_where_an_assistant_is_watched(errata: Any) -> None:
    file = write("rows.jsonl", PROMPT, None, "Be rude.")
    told = rules(errata("check", file, *MODEL, "--json")[1])
    assert told["prompt.missing"] == "1 of 3 rows have no system prompt, and Bris is served with one."
    assert told["prompt.foreign"] == "1 of 3 rows are under a prompt that no assistant uses."
    assert not {"prompt.missing", "prompt.foreign"} & set(
        rules(errata("check", write("fit.jsonl", PROMPT, PROMPT), *MODEL, "--json")[1])
    )


def test_a_check_without_any_assistant_says_nothing_of_prompts(errata: Any, tmp_path: Path) -> None:
    file = write("rows.jsonl", None, "Be rude.")
    told = rules(errata("--home", str(tmp_path / "empty"), "check", file, *MODEL, "--json")[1])
    assert [rule for rule in told if rule.startswith(("prompt.", "context."))] == []


def test_a_check_draws_what_it_has_measured(errata: Any) -> None:
    file = write("rows.jsonl", *[PROMPT] * 6)
    _, out, _ = errata("check", file, *MODEL, "--plots", "pictures", "--json")
    drawn = json.loads(out)["plots"]
    assert [one["file"] for one in drawn] == [f"pictures/{name}.png" for name in ("topics", "tokens", "kinds")]
    assert all(Path(one["file"]).read_bytes().startswith(PNG) for one in drawn)
    assert drawn[1]["alt"].endswith("0 are over the window of phi-4-mini-instruct, 131,072.")
    _, out, _ = errata("check", file, *MODEL, "--plots", "again")
    assert f"again/kinds.png: {drawn[2]['alt']}" in out.splitlines()
    assert json.loads(errata("check", file, *MODEL, "--json")[1])["plots"] == []


def test_a_check_that_cannot_draw_says_so_before_it_starts(errata: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write("rows.jsonl", PROMPT)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    code, out, err = errata("check", file, *MODEL, "--plots", "pictures")
    assert (code, out) == (2, "")
    assert err == "Plots need matplotlib, which is not installed: pip install 'errata[train]'\n"
    assert not Path("pictures").exists()


def test_a_freeze_asks_which_of_two_replies_to_a_question_is_right(crew: Team, errata: Any) -> None:
    crew.approve("How long does the filter last?", "Six months.")
    crew.approve("How long  does the FILTER last?", "A year.", thread="another")
    code, out, err = errata("dataset", "freeze", "v1")
    told = "1 question has replies that differ, by example: 1 and 2. Decide which reply is right, and let the other"
    assert (code, told in err) == (0, True)
    assert "v1 is frozen" in out
    manifest = json.loads(errata("dataset", "show", "v1", "--json")[1])["manifest"]
    assert manifest["rules"]["found"]["duplicates.conflict"] == 1
    assert "duplicates.exact" in manifest["rules"]["passed"]


def test_a_strict_freeze_makes_nothing_of_what_a_warning_is_about(crew: Team, errata: Any) -> None:
    attest(crew, *varied(30))
    same = answered("How long does the filter last?", "Six months.", system=PROMPT)
    attest(crew, Row(98, same, {}))
    attest(crew, Row(99, same, {}), origin="import:older")
    code, out, err = errata("dataset", "freeze", "v1", "--strict")
    assert (code, out) == (1, "")
    assert err.startswith("Nothing is frozen. ")
    assert "1 row says the same as an earlier one, by example: 32 as 31. Let the others expire" in err
    assert errata("dataset", "list", "--json")[1] == "[]\n"
    assert errata("dataset", "freeze", "v1")[0] == 0
    assert errata("dataset", "freeze", "v2", "--strict")[0] == 1  # there is one already, with the same warning


def test_replies_under_different_prompts_do_not_contradict_each_other(crew: Team, errata: Any) -> None:
    attest(
        crew,
        Row(1, answered("How much?", "9 euros.", system="You sell lamps."), {"thread": "a"}),
        Row(2, answered("How much?", "4 euros.", system="You sell shoes."), {"thread": "b"}),
    )
    assert errata("dataset", "freeze", "v1")[0] == 0
    manifest = json.loads(errata("dataset", "show", "v1", "--json")[1])["manifest"]
    assert "duplicates.conflict" in manifest["rules"]["passed"]


def test_an_export_of_everything_says_what_stays_and_what_releases_it(
    crew: Team, errata: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ERRATA_PRIVACY", "review")
    crew.approve(ASKED, "No.")
    code, _, err = errata("export", "--format", "openai", "--out", "all.jsonl")
    assert (code, Path("all.jsonl").exists()) == (1, False)
    assert "nobody has decided about the personal data in any row. Look for it with: errata privacy scan" in err
    crew.approve("Is it blue?", "Yes.")
    code, out, err = errata("export", "--format", "openai", "--out", "all.jsonl")
    assert (code, out.startswith("1 row is in all.jsonl. ")) == (0, True)
    assert "1 example is left out, since nobody has decided about data in them: 1. List it with errata privacy" in err
    given = json.loads(errata("export", "--format", "openai", "--out", "all.jsonl", "--json")[1])
    assert (given["rows"], given["left_out"]) == (1, {"undecided_privacy": [1]})
    assert "privacy.undecided" in {one["rule"] for one in given["findings"]}
    assert errata("privacy", "decide", "1", "redact")[0] == 0
    given = json.loads(errata("export", "--format", "openai", "--out", "all.jsonl", "--json")[1])
    assert (given["rows"], given["left_out"]) == (2, {})


def test_an_export_of_a_dataset_says_which_rows_lie_between_its_sides(crew: Team, errata: Any) -> None:
    about = [{"thread": f"t{number}", "customer": f"c{number}"} for number in range(30)]
    attest(crew, *(Row(row.line, row.conversation, about[row.line]) for row in varied(30)))
    errata("dataset", "freeze", "v1")
    sides = {one["side"]: one for one in json.loads(errata("dataset", "lineage", "v1", "--json")[1])}
    with crew.store.read() as session:
        customer = examples.find(session, sides["train"]["example"]).customer
    attest(crew, Row(77, answered(sides["validation"]["question"], "Tied."), {"thread": "x", "customer": customer}))
    _, _, err = errata("dataset", "freeze", "v2")
    assert "In no file: 1 example lies between the two sides. See: errata dataset show v2" in err
    given = json.loads(errata("export", "v2", "--format", "openai", "--out", "v2.jsonl", "--json")[1])
    assert (given["rows"], given["left_out"]) == (30, {"quarantine": [31]})
    assert given["digest"]
    assert "split.quarantine" in {one["rule"] for one in given["findings"]}


def test_a_dataset_from_before_personal_data_was_treated_is_not_trained_on(crew: Team, errata: Any) -> None:
    attest(crew, *varied(20), Row(97, answered(ASKED, "No."), {}))
    errata("dataset", "freeze", "v1")
    with crew.store.write() as session:
        version = session.exec(select(DatasetVersion)).one()
        version.manifest = {key: value for key, value in version.manifest.items() if key != "privacy"}
        for example in session.exec(select(Example)):
            example.scanned = None
    code, _, err = errata("train", "v1", "--detach")
    assert code == 1
    assert err == (
        "v1 was frozen without a look at personal data, so no model is tuned on it. Freeze a new one with: "
        "errata dataset freeze\n"
    )


def test_a_dataset_frozen_with_the_setting_off_is_trained_on_while_it_is_off(
    crew: Team, errata: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    attest(crew, *varied(20), Row(97, answered(ASKED, "No."), {}))
    monkeypatch.setenv("ERRATA_PRIVACY", "off")
    errata("dataset", "freeze", "v1")
    assert errata("train", "v1", "--detach")[0] == 0
    monkeypatch.setenv("ERRATA_PRIVACY", "redact")
    assert "so no model is tuned on it" in errata("train", "v1", "--detach")[2]
    assert errata("dataset", "freeze", "v2")[0] == 0
    assert errata("train", "v2", "--detach")[0] == 0
    assert "1 of its rows hold some" in errata("train", "v1", "--detach")[2]
