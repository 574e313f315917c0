"""The reference pages of the docs, written from the code: ``make docs``.

Owns which pages there are, and the two that come from the command line and the settings; the others are in
``reference_lists``. Refuses to explain: a page lists what the code says, and a test fails where a page on disk
differs from it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import typer
from reference_lists import attributes, report_page, rules_page, schema_page, states_page, table

from bot import cli
from bot.settings import Settings
from training.backends.foundry.place import AzurePlace

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "docs" / "reference"
GROUPED = {"services", "azure"}
"""Attributes of the settings that hold the variables of services elsewhere, each of which has a line of its own."""
_WRITTEN = "<!-- Written by make docs from the code. Change the code, then run it again. -->"


def pages() -> dict[str, str]:
    """Every generated page: ``{"states.md": text, …}``."""
    made = {
        "command-line.md": _command_line(),
        "settings.md": _settings(),
        "states.md": states_page(),
        "schema.md": schema_page(),
        "rules.md": rules_page(),
        "report.md": report_page(),
    }
    return {name: f"{_WRITTEN}\n\n{_as_markdown(text)}\n" for name, text in made.items()}


def write() -> None:
    """Write every page into ``docs/reference``."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


def commands(command: Any = None, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """Every command of the program by its words, those that hold others left out: ``("dataset", "freeze")``."""
    command = command or typer.main.get_command(cli.app)
    inner = getattr(command, "commands", None)
    if not inner:
        return {path: command}
    return {found: one for name, child in inner.items() for found, one in commands(child, (*path, name)).items()}


def variables() -> set[str]:
    """The name of every variable that the settings document, those of services elsewhere among them."""
    described = {**attributes(Settings), **attributes(AzurePlace)}
    return {meaning.rpartition("; ")[2].rstrip(".") for name, meaning in described.items() if name not in GROUPED}


def _as_markdown(text: str) -> str:
    """Docstrings mark code with two backticks, Markdown with one; a fence keeps its three."""
    return re.sub(r"(?<!`)``(?!`)", "`", text).rstrip()


# -- the command line


def _command_line() -> str:
    root = typer.main.get_command(cli.app)
    top = root.make_context("errata", [], resilient_parsing=True)
    parts = [
        "# The command line",
        (
            "Global options stand before the command: `errata --as ana queue`. Results are printed on stdout, "
            "notes and progress on stderr."
        ),
        table(["Global option", ""], _options(root, top)),
        (
            "Exit codes: 0 fine (warnings are printed), 1 a failed check or an action that the state or a rule "
            "forbids, 2 wrong use, 3 the disk, the database or a provider refused, 130 stopped with Ctrl-C."
        ),
    ]
    for path, command in commands().items():
        name = " ".join(path)
        context = command.make_context(name, [], resilient_parsing=True)
        usage = " ".join(["errata", name, *command.collect_usage_pieces(context)])
        parts += [f"## errata {name}", command.help, f"```text\n{usage}\n```"]
        parts += [table(["", ""], options)] if (options := _options(command, context)) else []
        parts.append(f"`{command.epilog.removeprefix('Example: ')}`")
    return "\n\n".join(parts)


def _options(command: Any, context: Any) -> list[tuple[str, str]]:
    records = [
        parameter.get_help_record(context)
        for parameter in command.params
        if not (parameter.name or "").endswith("completion")
    ]
    return [(f"`{name}`", text) for name, text in filter(None, records)]


# -- settings


def _settings() -> str:
    rows: list[tuple[str, str, str]] = []
    comments: list[str] = []
    for line in (ROOT / ".env.example").read_text(encoding="utf-8").splitlines():
        match = re.fullmatch(r"(?:# )?(?P<name>[A-Z][A-Z_]+)=(?P<value>\S*)", line)
        if match is not None:
            rows.append((f"`{match['name']}`", " ".join(comments), f"`{match['value']}`" if match["value"] else ""))
        comments = [*comments, line.removeprefix("#").strip()] if line and match is None else []
    return "\n\n".join(
        [
            "# Settings",
            (
                "Read once, from the environment and from the file `.env` in the working directory; a variable of the "
                "environment wins over its line in the file. The global options `--as` and `--home` stand in for "
                "ERRATA_ACTOR and ERRATA_HOME. `errata doctor` says what is missing."
            ),
            table(["Variable", "Meaning", "Example"], rows),
        ]
    )


if __name__ == "__main__":
    write()
