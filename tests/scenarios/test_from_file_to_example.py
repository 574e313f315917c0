"""Rows of a file on their way to examples, in a terminal: imported, reviewed, returned, amended, attested."""

from __future__ import annotations

import json
import re
import sys
from io import StringIO
from pathlib import Path

import pytest
from shell import Shell, dialogue, write_dialogues

from curation.commands import files
from curation.errors import Conflict
from curation.formats.reading import open_rows


def test_a_broken_file_is_refused_whole_with_line_rule_and_fix(errata: Shell, tmp_path: Path) -> None:
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


def test_many_equal_findings_are_told_once_with_their_lines(errata: Shell, tmp_path: Path) -> None:
    file = tmp_path / "broken.jsonl"
    file.write_text("no JSON\n" * 500, encoding="utf-8")
    code, _, err = errata("import", str(file))
    assert code == 1
    assert "json.syntax (500)" in err
    assert len(err.splitlines()) < 10


def test_imported_rows_wait_for_a_second_person_and_importing_again_adds_nothing(errata: Shell, tmp_path: Path) -> None:
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


def test_a_renamed_copy_is_imported_and_named_as_one(errata: Shell, tmp_path: Path) -> None:
    first = write_dialogues(tmp_path / "first.jsonl", 3)
    assert "shares rows" not in errata("import", str(first))[2]
    copy = write_dialogues(tmp_path / "copy.jsonl", 4, first=1)
    code, out, err = errata("import", str(copy))
    assert (code, out) == (0, "4 candidates added from copy.jsonl, 0 known already. Next: errata review\n")
    assert err == (
        "copy.jsonl shares rows with what was imported before, 2 with first.jsonl; what stands twice is learned twice. "
        "Reject one of each: errata review\n"
    )
    assert errata("import", str(copy))[2] == ""
    words = ("--approve-as", "ana", "--reason", "Checked.")
    third = write_dialogues(tmp_path / "third.jsonl", 2, first=2)
    told = json.loads(errata("import", str(third), *words, "--json")[1])
    assert told["copies"] == {"import:copy.jsonl": 2, "import:first.jsonl": 1}
    fourth = write_dialogues(tmp_path / "fourth.jsonl", 1, first=3)
    assert "1 with third.jsonl" in (err := errata("import", str(fourth), *words)[2])
    assert "errata examples expire" in err


@pytest.mark.parametrize("meanwhile", ["no JSON", '{"messages": []}', None], ids=["broken", "invalid", "shorter"])
def test_a_row_that_turns_bad_between_two_readings_stops_the_import(tmp_path: Path, meanwhile: str | None) -> None:
    file = write_dialogues(tmp_path / "dialogues.jsonl", 3)
    rows, count, findings = files._read(lambda: open_rows(file), again=True)
    lines = file.read_text(encoding="utf-8").splitlines()
    changed = [lines[0], *([meanwhile] if meanwhile else []), lines[2]]
    file.write_text("\n".join(changed) + "\n", encoding="utf-8")
    assert (count, findings) == (3, [])
    with pytest.raises(Conflict, match=r"The file was changed while it was read, so nothing was imported\. Start"):
        list(rows)


def test_the_queue_is_walked_with_single_keys(errata: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    errata: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    errata("import", str(write_dialogues(tmp_path / "dialogues.jsonl", 3)))
    errata("people", "grant", "ben", "reviewer")
    assert "Nothing is left for you: 3 are yours." in errata("review")[1]  # ana wrote all three
    monkeypatch.setattr(sys, "stdin", StringIO("s\nr\n \nx\nWrong.\n"))
    _, out, err = errata("review", acting="ben")
    assert "#3 is rejected." in out
    assert "the comment is empty" in err
    assert "2 of 3 left undecided" in out
    monkeypatch.setattr(sys, "stdin", StringIO("a\na\n"))
    assert "Nothing more waits. Next: errata dataset freeze" in errata("review", acting="ben")[1]


def test_a_returned_correction_comes_back_with_its_authors_new_text(errata: Shell, tmp_path: Path) -> None:
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


def test_a_quoted_message_cannot_steer_the_screen(errata: Shell, tmp_path: Path) -> None:
    row = dialogue(1)
    row["messages"][1]["content"] = "Hello \x1b[2J\x1b]0;owned\x07 there"
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(row) + "\n", encoding="utf-8")
    assert errata("import", str(file))[0] == 0
    out = errata("queue")[1]
    assert "\x1b" not in out
    assert "\x07" not in out


def test_an_attested_import_needs_an_owner_and_a_reason(errata: Shell, tmp_path: Path) -> None:
    file = write_dialogues(tmp_path / "dialogues.jsonl", 2)
    errata("people", "grant", "ben", "reviewer")
    assert errata("import", str(file), "--approve-as", "ben", "--reason", "Mine.")[0] == 1
    assert errata("import", str(file), "--approve-as", "ana")[0] == 2
    code, out, _ = errata("import", str(file), "--approve-as", "ana", "--reason", "Checked.", "--json")
    assert code == 0
    assert (json.loads(out)["added"], json.loads(out)["known"]) == (2, 0)
