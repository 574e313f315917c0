"""The sandbox over Socket Mode, against Bolt's own SocketModeHandler."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from slack_bolt import App
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_sdk import WebClient
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from bot.sandbox.errors import NotAnswered
from bot.sandbox.workspace import Workspace


@pytest.fixture
def workspace() -> Iterator[Workspace]:
    workspace = Workspace(now=lambda: datetime.now(UTC), rng=random.Random(7), answer_seconds=0.5)
    with workspace.serve() as served:
        yield served


@pytest.fixture
def app(workspace: Workspace) -> Iterator[App]:
    client = WebClient(token=workspace.bot_token, base_url=workspace.api_url)
    bolt = App(client=client, process_before_response=True)
    opener = WebClient(token=workspace.app_token, base_url=workspace.api_url)
    handler = SocketModeHandler(bolt, workspace.app_token, web_client=opener)
    handler.connect()
    assert workspace.socket_connected.wait(30)
    yield bolt
    handler.close()


def test_events_commands_and_interactions_travel_and_answers_come_back(workspace: Workspace, app: App) -> None:
    ana = workspace.add_person("Ana Silva")
    channel = workspace.add_channel("support", [ana])
    buttons = {
        "type": "actions",
        "elements": [{"type": "button", "action_id": "approve", "text": {"type": "plain_text", "text": "Approve"}}],
    }

    @app.message("refund")
    def offer(say: Any) -> None:
        say(text="Approve?", blocks=[buttons])

    @app.action("approve")
    def approve(ack: Any, body: dict[str, Any], respond: Any) -> None:
        respond(text=f"approved by {body['user']['name']}", replace_original=True)
        ack()

    @app.command("/errata")
    def answer(ack: Any) -> None:
        ack("Nothing waits")

    ana.post(channel, "refund")
    workspace.wait_until(lambda: len(workspace.messages(channel)) == 2, what="the offer")
    ana.click(channel, workspace.messages(channel)[1]["ts"], "approve")
    changed = workspace.messages(channel)[1]
    assert changed["text"] == "approved by ana.silva"
    assert "blocks" not in changed
    assert ana.command("/errata", "queue", channel) == {"text": "Nothing waits"}
    sent = [delivery.kind for delivery in workspace.deliveries if delivery.acknowledged]
    assert {"event", "interaction", "command"} == set(sent)


def test_silence_is_an_unanswered_interaction(workspace: Workspace, app: App, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    ana = workspace.add_person("Ana Silva")

    @app.shortcut("fails")
    def fail() -> None:
        raise RuntimeError("no ack")

    with pytest.raises(NotAnswered, match="shortcut: http_timeout"):
        ana.global_shortcut("fails")


def test_a_redelivered_event_carries_the_same_event_id(workspace: Workspace, app: App) -> None:
    ana = workspace.add_person("Ana Silva")
    heard: list[str] = []

    @app.event("app_home_opened")
    def opened(body: dict[str, Any]) -> None:
        heard.append(body["event_id"])

    ana.open_home()
    workspace.wait_until_delivered()
    assert workspace.redeliver(workspace.deliveries[0]).acknowledged
    assert len(heard) == 2
    assert len(set(heard)) == 1


def test_an_app_that_has_left_hears_nothing(workspace: Workspace) -> None:
    ana = workspace.add_person("Ana Silva")
    headers = {"authorization": f"Bearer {workspace.app_token}"}
    url = httpx.post(f"{workspace.api_url}apps.connections.open", headers=headers, trust_env=False).json()["url"]
    with connect(url, proxy=None):
        assert workspace.socket_connected.wait(30)
    workspace.wait_until(lambda: not workspace.socket_connected.is_set(), what="the app to leave")
    with pytest.raises(NotAnswered, match="no app is connected over Socket Mode"):
        ana.global_shortcut("review")


def test_a_link_works_once(workspace: Workspace) -> None:
    headers = {"authorization": f"Bearer {workspace.app_token}"}
    url = httpx.post(f"{workspace.api_url}apps.connections.open", headers=headers, trust_env=False).json()["url"]
    with connect(url, proxy=None) as websocket:
        assert '"type":"hello"' in str(websocket.recv(timeout=30))
        with pytest.raises(InvalidStatus), connect(url, proxy=None):
            pass
