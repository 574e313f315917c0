"""The sign that flags a reply: which one it is, and what counts as putting it on a message."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bot.listeners.events import Touch, touch
from bot.settings import Settings
from bot.variables import FLAG_REACTION
from curation.errors import Invalid

ITEM = {"type": "message", "channel": "C1", "ts": "1700000000.000100"}
EVENT: dict[str, Any] = {"reaction": "eyes", "user": "U1", "item": ITEM, "event_ts": "1700000001.000002"}
TOUCH = Touch("U1", "C1", "1700000000.000100", datetime(2023, 11, 14, 22, 13, 21, 2, tzinfo=UTC))


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("given", "sign"), [("", FLAG_REACTION), ("eyes", "eyes"), (":x:", "x"), ("+1", "+1")])
def test_the_sign_is_taken_with_and_without_colons(given: str, sign: str) -> None:
    assert Settings.from_environment({"ERRATA_FLAG_REACTION": given}).flag_reaction == sign


@pytest.mark.parametrize("given", ["two words", "Eyes", "👀", "a" * 101])
def test_what_is_no_name_of_a_reaction_is_refused(given: str) -> None:
    with pytest.raises(Invalid, match="ERRATA_FLAG_REACTION is not the name of a reaction"):
        Settings.from_environment({"ERRATA_FLAG_REACTION": given})


@pytest.mark.parametrize("reaction", ["eyes", "eyes::skin-tone-3"])
def test_the_sign_on_a_message_is_a_touch_in_any_skin_tone(reaction: str) -> None:
    assert touch({**EVENT, "reaction": reaction}, "eyes") == TOUCH


@pytest.mark.parametrize(
    "changes",
    [
        {"reaction": "x"},
        {"reaction": None},
        {"item": None},
        {"item": {**ITEM, "type": "file"}},
        {"item": {**ITEM, "ts": "1700000000"}},
        {"item": {**ITEM, "ts": "１７００００００００.000100"}},
        {"item": {**ITEM, "channel": "C1/../C2"}},
        {"user": None},
        {"event_ts": None},
        {"event_ts": 1700000001.0},
    ],
)
def test_anything_else_is_none(changes: dict[str, Any]) -> None:
    assert touch({**EVENT, **changes}, "eyes") is None
