"""The docs cannot drift: generated pages are fresh, links lead somewhere, commands are ones that the program takes."""

from __future__ import annotations

import json
import os
import random
import re
import shlex
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
from reference_lists import attributes
from reference_pages import FOLDER, GROUPED, ROOT, commands, pages, variables

from bot import cli
from bot.settings import Settings
from training.backends.foundry.place import AzurePlace
from training.sandbox.azure import AzureSandbox

DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
QUICK = {"people", "assistants", "import", "export", "check", "queue", "review", "amend", "dataset"}
QUICK |= {"models", "runs", "migrate", "backup", "restore", "audit", "examples", "knowledge-gaps"}
"""Commands that need neither Slack nor a model, and end by themselves."""
ASKING_AZURE = {"foundry", "doctor", "models", "estimate", "train"}
AZURE_PAGES = [
    ROOT / "docs" / "how-to" / f"{name}.md"
    for name in (
        "use-azure-ai-foundry",
        "know-and-cap-what-azure-costs",
        "tune-in-foundry",
        "tune-with-the-openai-sdk",
        "train-on-rented-gpus",
        "clean-up-in-azure",
    )
]

_FENCE = re.compile(r"^(?P<indent> *)```(?P<info>[^\n]*)\n(?P<body>.*?)^ *```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)|<img [^>]*src=\"(?P<image>[^\"]+)\"")


@dataclass(frozen=True)
class Shown:
    """A command as a page shows it, with the lines of output below it, and whether it is shown to fail."""

    words: tuple[str, ...]
    output: tuple[str, ...]
    fails: bool


def name_of(document: Path) -> str:
    return str(document.relative_to(ROOT))


def fences(document: Path) -> list[tuple[str, str]]:
    """Each block of code: its info string, and its text without the indentation of the list it stands in."""
    found = _FENCE.finditer(document.read_text(encoding="utf-8"))
    return [(match["info"].strip(), textwrap.dedent(match["body"])) for match in found]


def shown(document: Path) -> Iterator[Shown]:
    for info, body in fences(document):
        if info.split()[:1] != ["console"]:
            continue
        for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
            command, *output = re.sub(r"\\\n\s*", "", part).splitlines()
            yield Shown(tuple(shlex.split(command)), tuple(line for line in output if line), "fails" in info.split())


def parsed(words: tuple[str, ...]) -> Any:
    """Parse as the program would, without running anything; raises what the program would print."""
    command: Any = typer.main.get_command(cli.app)
    arguments = list(words)
    context = command.make_context("errata", arguments)
    while hasattr(command, "commands"):
        name, command, arguments = command.resolve_command(context, [*context._protected_args, *context.args])
        assert command is not None, name
        context = command.make_context(name, arguments, parent=context)
    return command


def runs_quickly(words: tuple[str, ...]) -> bool:
    """Whether a test may run it: ``init`` and ``review`` only where they ask nothing."""
    parts = list(words)
    while parts and parts[0].startswith("--"):
        parts = parts[2:]
    if parts[0] == "init":
        return "--yes" in parts
    if "--search" in parts:
        return False  # that asks Azure
    if parts[0] == "review":
        return any(part in {"--approve", "--edit", "--return", "--reject"} for part in parts)
    return parts[0] in QUICK


def plain(line: str) -> str:
    """The line without what differs from run to run: figures and digests."""
    return " ".join(re.sub(r"\b[0-9a-f]{12,64}\b|\d[\d,.:]*", "#", line).split())


def dialogue(number: int) -> str:
    rng = random.Random(number)
    words = " ".join("".join(rng.choices("abdefgiklmnoprstu", k=6)) for _ in range(8))
    turns = [("system", "You book tables."), ("user", f"Is {words} open?"), ("assistant", f"Until {number} o'clock.")]
    row = {"messages": [{"role": role, "content": text} for role, text in turns]}
    return json.dumps({**row, "metadata": {"topic": "hours", "language": "en"}}) + "\n"


@pytest.mark.parametrize("name", pages())
def test_a_generated_page_is_what_the_code_says(name: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == pages()[name], "run: make docs"


def test_the_reference_holds_generated_pages_only() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(pages())


def test_the_command_line_page_has_every_command() -> None:
    page = pages()["command-line.md"]
    assert all(f"## errata {' '.join(path)}\n" in page for path in commands())


def test_every_setting_is_in_the_example_file_and_on_the_page() -> None:
    for described in (Settings, AzurePlace):
        assert len(attributes(described)) == len(described.__dataclass_fields__)
    assert len(variables()) == len(attributes(Settings)) - len(GROUPED) + len(attributes(AzurePlace))
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert set(re.findall(r"^(?:# )?([A-Z_]+)=", example, re.MULTILINE)) == variables()
    assert set(re.findall(r"^\| `([A-Z_]+)`", pages()["settings.md"], re.MULTILINE)) == variables()


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_relative_link_leads_to_a_file_and_its_heading(document: Path) -> None:
    text = _FENCE.sub("", document.read_text(encoding="utf-8"))
    for match in _LINK.finditer(text):
        link = match["target"] or match["image"]
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
            assert anchor in anchors, link


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        document = waiting.pop()
        if document in reached:
            continue
        reached.add(document)
        links = (match["target"] for match in _LINK.finditer(document.read_text(encoding="utf-8")))
        found = ((document.parent / link.partition("#")[0]).resolve() for link in links if link)
        waiting += [target for target in found if target.suffix == ".md" and target.is_file()]
    assert set(DOCUMENTS) <= reached, [name_of(one) for one in set(DOCUMENTS) - reached]


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_command_shown_is_one_that_the_program_takes(document: Path) -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for example in shown(document):
        program, *words = example.words
        if program == "make":
            assert set(words) <= targets, words
        elif program == "errata":
            parsed(tuple(words))
    known = {path[0] for path in commands()}
    for words in re.findall(r"`errata ([^`]+)`", _FENCE.sub("", document.read_text(encoding="utf-8"))):
        named = re.sub(r"--(?:as|home) \S+ ", "", words).split()[0]
        assert named in known or named.startswith("-"), words


@pytest.mark.parametrize(
    "document",
    [one for one in DOCUMENTS if any(example.words[0] == "errata" for example in shown(one))],
    ids=name_of,
)
def test_the_commands_of_a_page_do_in_order_what_it_shows(
    document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in list(os.environ):
        if name.startswith(("ERRATA_", "SLACK_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    # The README's dialogues are not ours to ship: any will do.
    Path("support_dialogues.jsonl").write_text("".join(map(dialogue, range(60))), encoding="utf-8")
    for info, body in fences(document):
        if len(info.split()) > 1 and info.split()[0] in {"jsonl", "text", "toml"}:
            Path(info.split()[1]).write_text(body, encoding="utf-8")
    for example in shown(document):
        if example.words[0] != "errata" or not runs_quickly(example.words[1:]):
            continue
        capsys.readouterr()
        code = cli.run(example.words[1:])
        printed = capsys.readouterr()
        assert (code != 0) == example.fails, (example.words, printed.err)
        lines = {plain(line) for line in (printed.out + printed.err).splitlines()}
        missing = [line for line in example.output if "…" not in line and plain(line) not in lines]
        assert not missing, (example.words, printed.out, printed.err)


def test_what_the_pages_about_azure_show_is_taken_by_a_place_like_azure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [one for one in os.environ if one.startswith(("ERRATA_", "SLACK_", "AZURE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    Path("dialogues.jsonl").write_text("".join(map(dialogue, range(60))), encoding="utf-8")
    attested = ["--approve-as", "ana", "--reason", "docs"]
    for words, more in (
        ("people grant ana owner", []),
        ("--as ana people grant olga owner", []),
        ("--as ana import dialogues.jsonl", attested),
        ("--as ana dataset freeze support", []),
    ):
        assert cli.run([*words.split(), *more]) == 0
    taken = []
    with AzureSandbox(tmp_path / "azure", trains=False) as azure:
        for name, value in azure.environ().items():
            monkeypatch.setenv(name, value)
        for words in (example.words[1:] for page in AZURE_PAGES for example in shown(page)):
            named = [word for word in words if not word.startswith("--")][words[0] == "--as" :]
            if named[0] not in ASKING_AZURE or "RUN" in words or "service-preference" in words:
                continue  # of the last: imported rows hold no pairs, and without any it is refused at once
            # Whether the order is taken is the question; a worker would carry it out.
            more = ["--detach", "--yes"] if named[0] == "train" else []
            assert cli.run([*words, *more]) == 0, (words, capsys.readouterr())
            taken.append(named[0])
    assert set(taken) == ASKING_AZURE
