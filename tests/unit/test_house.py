"""The house's own rules, read from its code: what is loaded, documented, registered and asked for."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from slack_bolt import App, BoltRequest, BoltResponse
from slack_bolt.util.utils import get_name_for_callable

from bot.app import STORIES
from bot.blocks import chat as chat_blocks
from bot.blocks import correct as correct_blocks
from bot.blocks import home as home_blocks
from bot.blocks import queue as queue_blocks
from bot.blocks import review as review_blocks
from bot.blocks import runs as run_blocks
from bot.blocks import training as training_blocks
from bot.listeners import commands, correct, review
from bot.sandbox.web_api import METHODS

ROOT = Path(__file__).parents[2]
PACKAGES = ("curation", "training", "bot")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
MANIFEST = yaml.safe_load((ROOT / "app-manifest.yaml").read_text(encoding="utf-8"))

BUTTONS = {
    *("EDIT", "RETURN", "REJECT", "SKIP", "BACK", "UNDO", "AGAIN", "APPROVE_ON_CARD", "OPEN"),
    *("AMEND", "DEPLOY", "CANCEL", "FEEDBACK", "DETAILS", "OPEN_TRAIN", "REFRESH"),
}

# https://docs.slack.dev/reference/events
EVENT_SCOPES = {
    "app_context_changed": None,
    "app_home_opened": None,
    "app_mention": "app_mentions:read",
    "message.channels": "channels:history",
    "message.groups": "groups:history",
    "message.im": "im:history",
    "reaction_added": "reactions:read",
    "reaction_removed": "reactions:read",
    "app_uninstalled": None,
    "tokens_revoked": None,
    "subteam_members_changed": "usergroups:read",
    "subteam_updated": "usergroups:read",
    "user_change": "users:read",
}

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
                    if isinstance(method, ast.FunctionDef) and not method.name.startswith("_") and not _sets(method):
                        yield f"{node.name}.{method.name}", method


def _sets(method: ast.FunctionDef) -> bool:
    """Whether this is the second half of a property, whose docstring stands at the first."""
    return any(isinstance(one, ast.Attribute) and one.attr == "setter" for one in method.decorator_list)


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


@pytest.fixture(scope="module")
def bolt() -> App:
    """The app with every listener and no Slack behind it."""
    made = App(token="xoxb-none", token_verification_enabled=False, request_verification_enabled=False)
    for story in STORIES:
        story.register(made, None)  # nothing is asked of the desk before a request comes
    return made


def listening(bolt: App, body: dict[str, Any]) -> int:
    """How many listeners take this payload."""
    request = BoltRequest(body=body, mode="socket_mode")
    return sum(listener.matches(req=request, resp=BoltResponse(status=200)) for listener in bolt._listeners)


def test_the_manifest_offers_exactly_what_somebody_listens_to(bolt: App) -> None:
    features = MANIFEST["features"]
    offered = {shortcut["callback_id"] for shortcut in features["shortcuts"]}
    assert offered == {correct.CORRECT, correct.ENDORSE, review.SHORTCUT}
    for shortcut in features["shortcuts"]:
        kind = {"message": "message_action", "global": "shortcut"}[shortcut["type"]]
        assert listening(bolt, {"type": kind, "callback_id": shortcut["callback_id"]}) == 1
    assert listening(bolt, {"type": "message_action", "callback_id": "unheard_of"}) == 0
    (command,) = features["slash_commands"]
    assert listening(bolt, {"command": command["command"], "text": "help"}) == 1
    assert set(command["usage_hint"].split(" | ")) <= set(commands.SUBCOMMANDS)


@pytest.mark.parametrize("blocks", [review_blocks, queue_blocks, run_blocks, chat_blocks, training_blocks, home_blocks])
def test_every_button_has_one_listener(bolt: App, blocks: ModuleType) -> None:
    ids: set[str] = {value for name, value in vars(blocks).items() if name in BUTTONS}
    assert ids
    for action_id in ids:
        body: dict[str, Any] = {
            "type": "block_actions",
            "actions": [{"type": "button", "action_id": action_id, "block_id": "b"}],
        }
        assert listening(bolt, body) == 1, action_id


@pytest.mark.parametrize(
    "callback_id",
    [
        *(correct_blocks.CORRECT, correct_blocks.ENDORSE),
        *(review_blocks.REVIEW, review_blocks.VERDICT, review_blocks.AMENDED),
        *(training_blocks.TRAIN, training_blocks.CONFIRM, training_blocks.FREEZE),
    ],
)
def test_every_form_has_one_listener(bolt: App, callback_id: str) -> None:
    body: dict[str, Any] = {"type": "view_submission", "view": {"type": "modal", "callback_id": callback_id}}
    assert listening(bolt, body) == 1


def test_the_two_forms_are_filled_by_lazy_functions_of_different_names(bolt: App) -> None:
    lazy = [get_name_for_callable(one) for listener in bolt._listeners for one in listener.lazy_functions]
    assert len({name for name in lazy if name.startswith("_fill")}) == 2


def called_methods() -> set[str]:
    """The Web API methods that the bot calls, by the names of the SDK's methods; the sandbox and the demo are Slack."""
    known = {name.replace(".", "_"): {name} for name in METHODS} | {"files_upload_v2": UPLOAD}
    called: set[str] = set()
    for path in MODULES:
        package, *rest = path.relative_to(ROOT).parts
        if package == "bot" and rest[0] not in {"sandbox", "demo"}:
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Attribute):
                    called |= known.get(node.attr, set())
    return called


def test_the_manifest_asks_for_the_scopes_of_every_call_and_for_no_others() -> None:
    called = called_methods()
    assert {"chat.postMessage", "conversations.replies"} | UPLOAD <= called
    needed = {"commands"} | {scope for name in called if (scope := METHODS[name].scope)}
    if "channels:history" in needed:  # the same call needs it for private channels
        needed.add("groups:history")
    if "channels:read" in needed:  # likewise
        needed.add("groups:read")
    needed |= {EVENT_SCOPES[event] for event in MANIFEST["settings"]["event_subscriptions"]["bot_events"]} - {None}
    assert set(MANIFEST["oauth_config"]["scopes"]["bot"]) == needed


@pytest.mark.parametrize("event", MANIFEST["settings"]["event_subscriptions"]["bot_events"])
def test_every_event_of_the_manifest_has_a_listener_of_its_own(bolt: App, event: str) -> None:
    told = {"type": event.partition(".")[0], "tab": "messages"}  # of app_home_opened: the conversation
    body: dict[str, Any] = {"type": "event_callback", "event": told}
    assert listening(bolt, body) == 2  # it and the one that takes every event
    assert listening(bolt, {"type": "event_callback", "event": {"type": "emoji_changed"}}) == 1


def test_the_build_runs_what_the_readme_tells_people_to_run() -> None:
    steps = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert {"make test", "make check"} <= set(steps)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "\ntest: " in makefile
    assert "\ncheck: " in makefile


def test_no_machine_of_ours_is_named_in_the_code() -> None:
    marks = ("/home/", "localhost:", "--index-url", "--extra-index-url")
    found = [
        f"{path.relative_to(ROOT)}: {mark}"
        for path in [*MODULES, ROOT / "pyproject.toml", ROOT / "Makefile", ROOT / "constraints.txt"]
        for mark in marks
        if mark in path.read_text(encoding="utf-8")
    ]
    assert found == []
