"""Slack's answer breaks off in the middle: nobody sees a failure of Errata's, and nothing that was written is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from builders import served
from slack_bolt import BoltContext
from slack_sdk import WebClient

from bot.listeners.answers import open_view, send_answer, show_next

VIEW = {"type": "modal", "title": {"type": "plain_text", "text": "Review"}, "blocks": []}


def _torn(_environ: dict[str, Any], start: Callable[..., object]) -> list[bytes]:
    start("200 OK", [("Content-Type", "application/json"), ("Content-Length", "4096")])
    return [b'{"ok": true, "vi']


@pytest.fixture
def client() -> Iterator[WebClient]:
    with served(_torn) as url:
        yield WebClient(token="xoxb-1", base_url=f"{url}/")


def test_a_form_whose_opening_is_answered_by_half_is_to_be_opened_again(client: WebClient) -> None:
    context = BoltContext()
    assert open_view(context, client, "1.2.3", VIEW) is None
    assert "press the button again" in str(context)


def test_a_view_whose_change_is_answered_by_half_ends_no_press(client: WebClient) -> None:
    show_next(client, {"id": "V1", "hash": "1.a"}, VIEW)


def test_a_sentence_whose_sending_is_answered_by_half_ends_no_press(client: WebClient) -> None:
    context = BoltContext()
    open_view(context, client, "1.2.3", VIEW)
    body = {"channel": {"id": "C1"}, "user": {"id": "U1"}}
    send_answer(context, client, lambda **_: None, body)  # type: ignore[arg-type]
