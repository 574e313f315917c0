"""The command line as it introduces itself: quick, and with an example everywhere."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from bot import cli

HEAVY = ("sqlmodel", "sqlalchemy", "slack_bolt", "slack_sdk", "torch", "tiktoken", "rich", "alembic", "py3langid")


def _commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, child in getattr(command, "commands", {}).items():
        yield from _commands(child, (*path, name))
    if not getattr(command, "commands", {}):
        yield path, command


ALL = dict(_commands(typer.main.get_command(cli.app)))


def test_every_story_of_the_design_has_its_command() -> None:
    wanted = [
        "init",
        "serve",
        "work",
        "migrate",
        "doctor",
        "demo",
        "import",
        "export",
        "check",
        "queue",
        "review",
        "amend",
    ]
    wanted += ["models", "train", "runs", "evaluate", "deploy", "undeploy", "endpoint"]
    groups = {"people": ["grant", "revoke", "list"], "assistants": ["add", "prompt", "list"]}
    groups |= {"dataset": ["freeze", "list", "show", "lineage"], "run": ["show", "logs", "card", "cancel", "resume"]}
    assert {(name,) for name in wanted} | {(group, name) for group in groups for name in groups[group]} <= ALL.keys()


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_explains_itself_with_an_example_of_its_own(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run([*path, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "Example: errata" in shown
    assert " ".join(path) in shown.split("Example: errata", 1)[1]


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_option_and_argument_says_what_it_takes(path: tuple[str, ...]) -> None:
    command = ALL[path]
    context = command.make_context(" ".join(path), [], resilient_parsing=True)
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record is not None:
            assert record[1], record
            assert not re.match(r"-\S+ <(?!\w+\|)", record[0]), record  # a bare type; choices are welcome
            assert record[0].startswith("-") or record[0].split()[0].isupper(), record


def test_choices_are_shown_where_there_are_some(capsys: pytest.CaptureFixture[str]) -> None:
    for words, choices in (
        (("train",), "local|foundry|openai|azureml"),
        (("export",), "openai|azure|phi|sharegpt|dpo"),
        (("export",), "train|validation|all"),
        (("people", "grant"), "agent|reviewer|owner|operator"),
    ):
        cli.run([*words, "--help"])
        assert choices in capsys.readouterr().out


def test_help_loads_neither_database_nor_slack_nor_torch() -> None:
    program = (
        "import json, sys; from bot import cli; code = cli.run(['--help']); "
        f"print(json.dumps([code, [name for name in {HEAVY!r} if name in sys.modules]]))"
    )
    done = subprocess.run(  # noqa: S603 (our own program, no shell)
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout.splitlines()[-1]) == [0, []]


def test_the_version_is_the_installed_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("errata 0.")
