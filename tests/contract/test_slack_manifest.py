"""The app's manifest: valid by Slack's own schema, with the scopes, events and entries that the code uses, no others.

What the schema cannot see (whether a scope or an event is needed) is held against the code and the how-to here. The
schema is a copy of Slack's, so that no network is needed.
"""

from __future__ import annotations

import ast
import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from bot.scopes import SCOPES

ROOT = Path(__file__).parents[2]
MANIFEST: dict[str, Any] = yaml.safe_load((ROOT / "app-manifest.yaml").read_text(encoding="utf-8"))
SCHEMA = json.loads(Path(__file__).with_name("slack_manifest.schema.json").read_text(encoding="utf-8"))
HOW_TO = (ROOT / "docs" / "how-to" / "install-in-slack.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")

NOT_SUBSCRIBED = {
    "assistant_thread_started": "apps of a manifest from before agent_view send it",
    "message": "subscribed to as message.channels, message.groups and message.im",
}


def troubles(manifest: dict[str, Any]) -> list[str]:
    return [error.message for error in Draft7Validator(SCHEMA).iter_errors(manifest)]


def test_the_manifest_is_valid_by_slacks_schema() -> None:
    assert troubles(MANIFEST) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("display_information", "name"), "E" * 36),
        (("features", "shortcuts"), [{"name": "No type"}]),
        (("settings", "socket_mode_enabled"), "yes"),
        (("oauth_config", "scopes", "bot"), "commands"),
    ],
)
def test_a_manifest_that_slack_would_refuse_is_noticed(path: tuple[str, ...], value: Any) -> None:
    broken = copy.deepcopy(MANIFEST)
    place = broken
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert troubles(broken)


def test_the_manifest_asks_for_the_scopes_that_the_code_gives_reasons_for() -> None:
    assert MANIFEST["oauth_config"]["scopes"] == {"bot": list(MANIFEST["oauth_config"]["scopes"]["bot"])}
    assert set(MANIFEST["oauth_config"]["scopes"]["bot"]) == set(SCOPES)


def test_the_how_to_gives_a_reason_for_each_scope_and_for_no_others() -> None:
    table = HOW_TO.partition("## What the app may do")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    named = [scope for row in rows for scope in re.findall(r"`([a-z_:.]+)`", row.split("|")[1])]
    assert sorted(named) == sorted(SCOPES)
    assert all(row.split("|")[2].strip() for row in rows)


def listened_to() -> set[str]:
    """The names of events in the listeners' ``app.event("…")``, also where a loop gives them."""
    found: set[str] = set()
    for path in (ROOT / "bot" / "listeners").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.For) and "app.event(" in ast.unparse(node):
                found |= {one.value for one in ast.walk(node.iter) if isinstance(one, ast.Constant)}
            called = isinstance(node, ast.Call) and ast.unparse(node.func) == "app.event"
            if called and isinstance(node.args[0], ast.Constant):
                found.add(node.args[0].value)
    return found


def test_every_event_that_the_code_listens_to_is_subscribed_to_and_no_other() -> None:
    subscribed = set(MANIFEST["settings"]["event_subscriptions"]["bot_events"])
    assert listened_to() - set(NOT_SUBSCRIBED) == {event for event in subscribed if not event.startswith("message.")}


@pytest.mark.parametrize(
    "steps", [HOW_TO.partition("\n## ")[0], README.partition("## Use it in Slack")[2].partition("\n## ")[0]]
)
def test_it_is_installed_in_under_ten_steps(steps: str) -> None:
    numbers = [int(number) for number in re.findall(r"^(\d+)\. ", steps, flags=re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert 1 < len(numbers) < 10
    assert "days" in steps  # until an administrator has approved it
    assert "demo" in steps  # what to try until then
