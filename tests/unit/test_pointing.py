"""What is said at a place that somebody points at: a deleted message leaves Slack's own words there, which are none."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from builders import served
from slack_sdk import WebClient

from bot.listeners.commands import links
from bot.listeners.pointing import words_at
from curation.errors import NotFound

TS, REPLY_TS = "1700000001.000100", "1700000002.000100"
ROOT = {"ts": TS, "thread_ts": TS, "subtype": "tombstone", "user": "USLACKBOT", "text": "This message was deleted."}
REPLY = {"ts": REPLY_TS, "thread_ts": TS, "user": "UBRIS", "text": "Six months."}


def _slack(environ: dict[str, Any], start: Callable[..., object]) -> list[bytes]:
    start("200 OK", [("Content-Type", "application/json")])
    members = environ["PATH_INFO"].endswith("conversations.members")
    said = {"members": ["UANA"]} if members else {"messages": [ROOT, REPLY], "has_more": False}
    return [json.dumps({"ok": True, **said}).encode()]


@pytest.fixture
def client() -> Iterator[WebClient]:
    with served(_slack) as url:
        yield WebClient(token="xoxb-1", base_url=f"{url}/")


def test_what_slack_says_in_the_place_of_a_deleted_message_is_nobodys_reply(client: WebClient) -> None:
    places = [f"T1/C1/{TS}", f"T1/C1/{REPLY_TS}"]
    assert words_at(client, places, team="T1", person="T1/UANA") == ({places[1]: "Six months."}, [places[0]])


def test_a_link_to_a_deleted_message_with_a_thread_below_it_says_that_it_is_deleted() -> None:
    with pytest.raises(NotFound, match="is deleted"):
        links._in([ROOT, REPLY], TS)
    assert links._in([ROOT, REPLY], REPLY_TS) == REPLY
