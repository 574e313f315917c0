"""What every command does alike: it needs to know who acts, and says in one sentence what is wrong."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from shell import Shell, write_dialogues

from bot import cli


def _examples(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    for name, child in getattr(command, "commands", {}).items():
        yield from _examples(child, (*path, name))
    if not getattr(command, "commands", {}):
        yield path, shlex.split(command.epilog.removeprefix("Example: errata "))


EXAMPLES = dict(_examples(typer.main.get_command(cli.app)))
"""The example of each command, in words."""


def test_nobody_acting_is_wrong_use(errata: Shell) -> None:
    code, _, err = errata("queue", acting=None)
    assert code == 2
    assert "--as" in err


def test_what_does_not_exist_is_wrong_use_and_named(frozen: Shell) -> None:
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


def test_an_unforeseen_error_is_one_sentence_and_debug_shows_the_rest(
    errata: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(_settings: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("bot.entry.open_store", explode)
    code, _, err = errata("runs")
    assert (code, err.count("\n")) == (1, 1)
    assert "ZeroDivisionError" in err
    assert "--debug" in err
    assert "Traceback" in errata("--debug", "runs", acting=None)[2]


@pytest.mark.parametrize("broken", ["Six\udce5 months", "Six\0 months"], ids=["bytes", "nul"])
def test_words_that_are_no_text_are_refused_before_they_are_kept(errata: Shell, tmp_path: Path, broken: str) -> None:
    refusal = (2, "", "A text is not UTF-8 or holds a NUL: 'Six months'. Type it again.\n")
    assert errata("assistants", "prompt", "Bris", "--text", broken) == refusal
    (tmp_path / "prompt.txt").write_bytes(broken.encode(errors="surrogateescape"))
    code, _, err = errata("assistants", "prompt", "Bris", "--file", "prompt.txt")
    assert (code, err.count("\n"), "unforeseen" in err) == (2, 1, False)


@pytest.mark.parametrize("broken", ["Six\udce5 months", "Six\0 months"], ids=["bytes", "nul"])
def test_words_typed_at_a_question_that_are_no_text_leave_the_candidate_waiting(
    errata: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, broken: str
) -> None:
    assert errata("import", str(write_dialogues(tmp_path / "one.jsonl", 1)))[0] == 0
    answers = iter(("e", broken))
    monkeypatch.setattr("typer.prompt", lambda *_, **__: next(answers))
    code, out, err = errata("review", "1")
    assert code == 0
    assert "A text is not UTF-8 or holds a NUL: 'Six months'. Type it again." in err
    assert "1 of 1 left undecided." in out


UNENDING = {("serve",), ("work",), ("demo",), ("init",), ("doctor",), ("endpoint",), ("restore",), ("backup",)}
"""What waits, asks the network or writes outside of a test's folder; none of them asks who acts."""


def test_an_example_says_who_acts_wherever_its_command_asks(frozen: Shell, tmp_path: Path) -> None:
    (tmp_path / "prompt.txt").write_text("You help customers.", encoding="utf-8")
    asking = set()
    for path, words in EXAMPLES.items():
        if path not in UNENDING:
            unsaid = words[2:] if words[0] == "--as" else words
            said = frozen(*unsaid, acting=None)[2]
            if "Say who acts" in said:
                asking.add(path)
                assert words[0] == "--as", f"errata {' '.join(path)}: {said}"
    assert {("train",), ("screen",), ("privacy", "list"), ("people", "grant"), ("queue",)} <= asking
