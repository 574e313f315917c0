"""The house's own rules, read from its code: what is loaded, documented, registered and asked for."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from slack_bolt import App

from bot.listeners import commands, correct, review, runs
from bot.sandbox.web_api import METHODS

ROOT = Path(__file__).parents[2]
PACKAGES = ("curation", "training", "bot")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
MANIFEST = yaml.safe_load((ROOT / "app-manifest.yaml").read_text(encoding="utf-8"))

# What the SDK turns one call into.
UPLOAD = {"files.getUploadURLExternal", "files.completeUploadExternal"}


def loaded_by(module: str) -> set[str]:
    """The top-level modules that a fresh interpreter has after this import."""
    code = f"import sys, {module}; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run(  # noqa: S603 (our own interpreter and code)
        [sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("bot.app", {"torch", "azure", "openai", "matplotlib", "transformers", "peft", "dbos"}),
        ("bot.cli", {"torch", "sqlmodel", "sqlalchemy", "slack_bolt", "slack_sdk", "tiktoken", "tokenizers", "rich"}),
        ("curation.store.tables", {"torch", "slack_bolt", "slack_sdk", "bot", "training"}),
        ("training.workflow", {"torch", "slack_bolt", "slack_sdk", "bot", "matplotlib"}),
    ],
)
def test_an_import_loads_nothing_that_it_should_not(module: str, forbidden: set[str]) -> None:
    loaded = loaded_by(module)
    assert module.split(".", maxsplit=1)[0] in loaded
    assert loaded & forbidden == set()


def public(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """Public classes and functions, and the public methods of public classes."""
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            yield node.name, node
            if isinstance(node, ast.ClassDef):
                for method in node.body:
                    if isinstance(method, ast.FunctionDef) and not method.name.startswith("_"):
                        yield f"{node.name}.{method.name}", method


def test_everything_public_has_a_docstring() -> None:
    bare = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in MODULES
        for name, node in public(ast.parse(path.read_text(encoding="utf-8")))
        if not ast.get_docstring(node)  # type: ignore[arg-type]  # public() yields what has one
    ]
    assert bare == []


def test_every_module_and_every_package_that_is_more_than_a_folder_says_what_it_owns() -> None:
    bare = [
        str(path.relative_to(ROOT))
        for path in MODULES
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert bare == []


def test_the_manifest_has_exactly_the_shortcuts_and_the_command_that_somebody_listens_to() -> None:
    features = MANIFEST["features"]
    offered = {shortcut["callback_id"] for shortcut in features["shortcuts"]}
    assert offered == {correct.CORRECT, correct.ENDORSE}
    assert [command["command"] for command in features["slash_commands"]] == [commands.COMMAND]
    hinted = features["slash_commands"][0]["usage_hint"].split(" | ")
    assert set(hinted) <= set(commands.SUBCOMMANDS)


def test_every_listener_is_registered_under_a_name_of_its_own() -> None:
    bolt = App(
        token="xoxb-none", signing_secret="none", token_verification_enabled=False, request_verification_enabled=False
    )
    for story in (correct, review, commands, runs):
        story.register(bolt, None)  # type: ignore[arg-type]  # nothing is asked of the desk before a request comes
    lazy = [function.__name__ for listener in bolt._listeners for function in listener.lazy_functions]
    assert len(bolt._listeners) == 13
    assert len({name for name in lazy if name.startswith("_fill")}) == 2


def called_methods() -> set[str]:
    """The Web API methods that the bot calls, by the names of the SDK's methods; the sandbox and the demo are Slack."""
    known = {name.replace(".", "_"): name for name in (*METHODS, "views.open", "views.update", "views.push")}
    called: set[str] = set()
    for path in MODULES:
        parts = path.relative_to(ROOT).parts
        if parts[0] != "bot" or parts[1] in {"sandbox", "demo"}:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                called |= (
                    UPLOAD
                    if node.attr == "files_upload_v2"
                    else {known[node.attr]} & {known[node.attr]}
                    if (node.attr in known)
                    else set()
                )
    return called


def test_the_manifest_asks_for_the_scopes_of_every_call_and_for_no_others() -> None:
    called = called_methods()
    assert {"chat.postMessage", "conversations.replies", "views.open"} | UPLOAD <= called
    needed = {"commands"} | {METHODS[name].scope for name in called if name in METHODS and METHODS[name].scope}
    if "channels:history" in needed:  # the same call needs it for private channels
        needed.add("groups:history")
    assert set(MANIFEST["oauth_config"]["scopes"]["bot"]) == needed


def test_the_build_runs_what_the_readme_tells_people_to_run() -> None:
    steps = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert {"make test", "make check"} <= set(steps)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "\ntest: " in makefile
    assert "\ncheck: " in makefile


def test_no_machine_of_ours_is_named_in_the_code() -> None:
    marks = ("/work/", "/root/", "/home/", "localhost:", "--index-url", "--extra-index-url")
    found = [
        f"{path.relative_to(ROOT)}: {mark}"
        for path in [*MODULES, ROOT / "pyproject.toml", ROOT / "Makefile", ROOT / "constraints.txt"]
        for mark in marks
        if mark in path.read_text(encoding="utf-8")
    ]
    assert found == []
