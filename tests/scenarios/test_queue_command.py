"""``errata queue`` and ``errata import`` of tables, through the front door."""

from __future__ import annotations

import json
import shlex
import sys
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest
from shell import Shell


@pytest.fixture
def errata(errata: Shell) -> Shell:
    """With ben, who reviews."""
    errata("people", "grant", "ben", "reviewer")
    return errata


@pytest.fixture
def tickets(tmp_path: Path) -> Path:
    """Eight rows; every other one is about billing, in German."""
    file = tmp_path / "tickets.csv"
    lines = ["frage;antwort;besser;thema;sprache"]
    for number in range(1, 9):
        german = number % 2 == 0
        question = f"Wo ist Rechnung {number}?" if german else f"Where is lamp {number}?"
        better = "Im Konto." if number == 2 else ""
        about = "billing;de" if german else "delivery;en"
        lines.append(f"{question};Answer {number}.;{better};{about}")
    file.write_bytes("\r\n".join(lines).encode())
    return file


MAPPED = ("--map", "frage=user", "--map", "antwort=assistant", "--map", "besser=correction")
LABELLED = (*MAPPED, "--map", "thema=topic", "--map", "sprache=language")


def ids(out: str) -> list[int]:
    return [row["id"] for row in json.loads(out)]


def test_a_table_becomes_candidates_whose_corrections_are_the_better_replies(errata: Shell, tickets: Path) -> None:
    code, out, _ = errata("import", str(tickets), *LABELLED)
    assert (code, out) == (0, "8 candidates added from tickets.csv, 0 known already. Next: errata review\n")
    assert "0 candidates added from tickets.csv, 8 known" in errata("import", str(tickets), *LABELLED)[1]
    rows: list[dict[str, Any]] = json.loads(errata("queue", "--json")[1])
    assert [(row["reply"], row["correction"]) for row in rows[:2]] == [
        ("Answer 1.", "Answer 1."),
        ("Answer 2.", "Im Konto."),
    ]
    assert [(row["topic"], row["language"]) for row in rows[:2]] == [("delivery", "en"), ("billing", "de")]
    errata("review", "2", "--approve", acting="ben")
    errata("export", "--format", "dpo", "--out", "pairs.jsonl")
    [pair] = Path("pairs.jsonl").read_text().splitlines()
    assert json.loads(pair)["non_preferred_output"][0]["content"] == "Answer 2."


def test_a_broken_table_is_refused_whole_unless_the_rest_is_wanted(errata: Shell, tickets: Path) -> None:
    tickets.write_bytes(tickets.read_bytes() + "\r\nnur eine Zelle\r\nTür?;Grün.;;;".encode("cp1252"))
    code, out, err = errata("import", str(tickets), *MAPPED)
    assert (code, out) == (1, "")
    assert "line 10: the row has 1 cells, the header 5." in err
    assert "line 11: a cell holds bytes that are not utf-8." in err
    assert ids(errata("queue", "--json")[1]) == []
    assert "8 candidates added" in errata("import", str(tickets), *MAPPED, "--skip-invalid")[1]
    assert "1 candidates added" in errata("import", str(tickets), *MAPPED, "--skip-invalid", "--encoding", "cp1252")[1]


def test_a_table_comes_through_a_pipe_as_well(errata: Shell, tickets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(tickets.read_bytes())))
    assert "8 candidates added" in errata("import", "-", *MAPPED)[1]


def test_what_a_table_lacks_is_asked_for(errata: Shell, tickets: Path) -> None:
    assert "say which column is what" in errata("import", str(tickets))[2]
    assert "--map is for CSV" in errata("import", str(tickets), *MAPPED, "--from", "openai")[2]
    assert "--encoding is for CSV" in errata("import", "rows.jsonl", "--encoding", "cp1252")[2]
    code, _, err = errata("import", str(tickets), "--map", "question=user", "--map", "antwort=assistant")
    assert code == 2
    assert "no column is named question; the first line names frage, antwort" in err


def test_the_queue_is_shown_a_page_at_a_time_with_the_command_for_the_next(errata: Shell, tickets: Path) -> None:
    errata("import", str(tickets), *LABELLED)
    out = errata("queue", "--limit", "3")[1]
    assert "8 wait: 0 for you, 8 are yours. Next: errata review" in out
    assert "3 of 8 are shown. The next ones: errata queue --limit 3 --after 3\n" in out
    code, out, err = errata("queue", "--limit", "3", "--after", "3", "--json")
    assert (code, ids(out), err) == (0, [4, 5, 6], "More: errata queue --limit 3 --after 6\n")
    out = errata("queue", "--limit", "3", "--after", "6")[1]
    assert "The next ones" not in out


def test_the_command_for_the_next_page_finds_it(errata: Shell, tickets: Path) -> None:
    errata("import", str(tickets), *LABELLED)
    asked = ("queue", "--topic", "billing", "--language", "de", "--search", "Rechnung wo", "--limit", "2")
    seen: list[int] = []
    command = list(asked)
    while command:
        _, out, err = errata(*command, "--json")
        seen += ids(out)
        command = shlex.split(err.removeprefix("More: errata "))
    assert seen == [2, 4, 6, 8]


def test_the_queue_is_narrowed_by_what_a_reviewer_looks_for(errata: Shell, tickets: Path) -> None:
    errata("import", str(tickets), *LABELLED)
    errata("review", "4", "--approve", acting="ben")
    errata("review", "6", "--return", "Say where.", acting="ben")
    assert ids(errata("queue", "--topic", "billing", "--json")[1]) == [2, 8]
    assert ids(errata("queue", "--language", "en", "--json")[1]) == [1, 3, 5, 7]
    assert ids(errata("queue", "--status", "approved", "--json")[1]) == [4]
    assert ids(errata("queue", "--status", "any", "--kind", "imported", "--json")[1]) == list(range(1, 9))
    assert ids(errata("queue", "--search", "konto", "--json")[1]) == [2]
    assert ids(errata("queue", "--status", "any", "--search", "Rechnung", "--json")[1]) == [2, 4, 6, 8]
    assert ids(errata("queue", "--not-mine", "--json")[1]) == []
    assert ids(errata("queue", "--not-mine", "--json", acting="ben")[1]) == [1, 2, 3, 5, 7, 8]
    assert "approved" in errata("queue", "--status", "approved")[1]
    assert "Nothing like that is there." in errata("queue", "--topic", "jobs")[1]


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (("--status", "done"), "There is no status done; choose one of pending, returned, approved, rejected, any."),
        (("--kind", "bad"), "There is no kind bad; choose one of correction, endorsement, imported."),
        (("--assistant", "Bris"), "There is no assistant named Bris"),
        (("--search", "?!"), "There is nothing to search for"),
        (("--returned", "--status", "pending"), "--returned is --status returned; give one of them."),
    ],
)
def test_what_cannot_be_looked_for_is_told_in_a_sentence(errata: Shell, asked: tuple[str, ...], sentence: str) -> None:
    code, out, err = errata("queue", *asked)
    assert (code, out) == (2, "")
    assert sentence in err


def test_the_queue_is_counted_by_what_it_holds_and_who_did_it(errata: Shell, tickets: Path) -> None:
    assert "There are no candidates yet." in errata("queue", "--counts")[1]
    errata("import", str(tickets), *LABELLED)
    errata("review", "2", "--edit", "Look into your account.", acting="ben")
    told = json.loads(errata("queue", "--counts", "--json")[1])
    assert told["candidates"] == [
        {"status": "approved", "topic": "billing", "language": "de", "candidates": 1},
        {"status": "pending", "topic": "billing", "language": "de", "candidates": 3},
        {"status": "pending", "topic": "delivery", "language": "en", "candidates": 4},
    ]
    assert told["people"] == [
        {"name": "ana", "person": "local/ana", "written": 8, "verdicts": {}},
        {"name": "ben", "person": "local/ben", "written": 1, "verdicts": {"edit_and_approve": 1}},
    ]
    out = errata("queue", "--counts")[1]
    assert "Edit and approve" in out
    assert "Next: errata queue --topic TOPIC --language CODE" in out


def test_a_review_walks_only_what_it_was_narrowed_to(
    errata: Shell, tickets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    errata("import", str(tickets), *LABELLED)
    monkeypatch.setattr(sys, "stdin", StringIO("a\na\ns\na\n"))
    out = errata("review", "--topic", "billing", acting="ben")[1]
    assert "#2 (1 of 4)" in out
    assert "1 of 4 left undecided" in out
    assert ids(errata("queue", "--json")[1]) == [1, 3, 5, 6, 7]
    assert errata("review", "1", "--topic", "billing", acting="ben")[0] == 2
