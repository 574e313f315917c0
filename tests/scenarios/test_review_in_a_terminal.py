"""Reviewing in a terminal: the walk through the queue, what waits beside it, undoing, two approvals."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from builders import NOON
from shell import Shell, write_dialogues

from curation.screening import worklist
from curation.store.engine import Store, open_engine

QUESTION = "How long does the water filter last before I have to change it for a new one?"

Walk = Callable[..., tuple[str, str]]


@pytest.fixture
def desk(errata: Shell, tmp_path: Path) -> Shell:
    """Ben and Bea review; three questions of ana's wait, two of them nearly the same."""
    for name in ("ben", "bea"):
        errata("people", "grant", name, "reviewer")
    asked = [(QUESTION, "Six months."), (f"{QUESTION} Thanks", "Half a year."), ("Is the lamp waterproof?", "No.")]
    rows = [
        json.dumps({"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": reply}]})
        for question, reply in asked
    ]
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")
    assert errata("import", str(file))[0] == 0
    store = Store(open_engine(f"sqlite:///{tmp_path}/home/errata.db"))
    while worklist.step(store, NOON):
        pass
    store.close()
    return errata


@pytest.fixture
def walk(desk: Shell, monkeypatch: pytest.MonkeyPatch) -> Walk:
    """Type these lines into ``errata review``; what it says on stdout and stderr."""

    def typed(*lines: str, acting: str = "ben") -> tuple[str, str]:
        monkeypatch.setattr(sys, "stdin", StringIO("".join(f"{line}\n" for line in lines)))
        code, out, err = desk("review", acting=acting)
        assert code == 0
        return out, err

    return typed


def waiting(shell: Shell) -> list[int]:
    return [one["id"] for one in json.loads(shell("queue", "--json")[1])]


def test_the_queue_says_how_much_of_it_is_for_whom(desk: Shell) -> None:
    assert "3 wait: 3 for you. Next: errata review" in desk("queue", acting="ben")[1]
    assert "3 wait: 0 for you, 3 are yours. Next: errata review" in desk("queue")[1]
    assert len(json.loads(desk("queue", "--json", acting="ben")[1])) == 3


def test_near_duplicates_are_shown_beside_and_decided_together_and_undone_together(walk: Walk, desk: Shell) -> None:
    out, _ = walk("a", "y", "u", "a", "n", "q")
    assert f"Beside it, #2 by ana: {QUESTION} Thanks\n+ Half a year." in out
    assert "The same for #2 beside it?" in out
    assert "#1, #2 are approved." in out
    assert "#1, #2 wait for review again." in out
    assert out.count("#1 (") == 2
    assert "#1 is approved." in out
    assert waiting(desk) == [2, 3]
    assert "2 of 3 left undecided." in out


def test_an_undo_goes_back_to_what_was_decided_and_then_on(walk: Walk, desk: Shell) -> None:
    out, err = walk("u", "e", "Sechs.", "u", "e", "Six months, then change it.", "s", "a")
    assert "Nothing was decided in this walk yet" in err
    assert [line.split(" (")[0] for line in out.splitlines() if line.startswith("#") and " of 3)" in line] == [
        *("#1", "#1", "#2", "#1", "#2", "#3"),
    ]
    assert waiting(desk) == [2]
    told = json.loads(desk("queue", "--status", "approved", "--json")[1])
    assert {one["id"]: one["correction"] for one in told} == {1: "Six months, then change it.", 3: "No."}


def test_what_somebody_else_is_at_is_not_shown(desk: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def meanwhile(*_: object, **__: object) -> str:
        """While Ben looks at the first one, Bea walks as well, and counts."""
        if not asked:
            asked.append("ben")
            asked.append(desk("queue", acting="bea")[1])
            asked.append(desk("review", "--language", "en", acting="bea")[1])
        return "q"

    monkeypatch.setattr("typer.prompt", meanwhile)
    desk("review", acting="ben")
    assert "3 wait: 2 for you, 1 is with others." in asked[1]
    assert asked[2].lstrip().startswith("#2 (1 of 3)")
    assert "3 wait: 3 for you." in desk("queue", acting="bea")[1]  # who quits gives back


def test_single_decisions_are_of_several_and_are_taken_back(desk: Shell) -> None:
    out = desk("review", "1", "--reject", "Asked before.", "--with", "2", "--with", "9", acting="ben")
    assert out[1] == "#1, #2 are rejected.\n"
    assert "#9 is left out: There is no candidate 9" in out[2]
    assert desk("review", "2", "--undo", acting="bea")[0] == 1
    assert desk("review", "2", "--undo", acting="ben")[1] == "#1, #2 wait for review again.\n"
    assert waiting(desk) == [1, 2, 3]
    assert "Nothing was decided about candidate 3." in desk("review", "3", "--undo", acting="ben")[2]
    for wrong in (["--undo"], ["1", "--undo", "--approve"], ["1", "--with", "2"], ["--with", "2"]):
        assert desk("review", *wrong, acting="ben")[0] == 2


def test_where_two_have_to_approve_the_first_is_told_so(desk: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERRATA_APPROVALS", "2")
    out = desk("review", "1", "--approve", acting="ben")[1]
    assert out == "#1 is approved; a second person has to approve as well. Next, they: errata review 1\n"
    assert waiting(desk) == [1, 2, 3]
    monkeypatch.setattr(sys, "stdin", StringIO("q\n"))
    assert "Mind: Approved by ben; a second approval is needed." in desk("review", "1", acting="bea")[1]
    out = desk("review", "1", "--edit", "A year.", acting="bea")[1]
    assert "ben approved an earlier version: that counts no more." in out
    assert desk("review", "1", "--approve", acting="ben")[1] == "#1 is approved.\n"
    assert waiting(desk) == [2, 3]


def test_rows_of_a_file_wait_in_the_channel_of_reviews_if_there_is_one(
    errata: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ERRATA_TEAM", "T0123ABCD")
    monkeypatch.setenv("ERRATA_REVIEW_CHANNEL", "C0123ABCD")
    assert errata("import", str(write_dialogues(tmp_path / "dialogues.jsonl", 3)))[0] == 0
    store = Store(open_engine(f"sqlite:///{tmp_path}/home/errata.db"))
    with store.read() as session:
        from curation import queue  # noqa: PLC0415 (this test alone looks there)

        assert queue.tally_of(session, NOON, "T0123ABCD/C0123ABCD").waiting == 3
    store.close()
