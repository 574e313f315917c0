"""The sandbox on a bad day: too fast, too late, lost, twice, in the wrong order; always as ordered."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.client import RemoteDisconnected
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.sandbox.rates import POST_BURST
from bot.sandbox.workspace import Workspace


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 11, 20, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.moment

    def forward(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def workspace(clock: Clock) -> Iterator[Workspace]:
    with Workspace(now=clock, rng=random.Random(7)).serve() as served:
        yield served


@pytest.fixture
def client(workspace: Workspace) -> WebClient:
    return WebClient(token=workspace.bot_token, base_url=workspace.api_url, retry_handlers=[])


def outcome(call: Any, **arguments: Any) -> str:
    """``ok``, Slack's error word with Retry-After where given, or ``lost``."""
    try:
        call(**arguments)
    except SlackApiError as error:
        code, wait = error.response["error"], error.response.headers.get("retry-after")
        return f"{code} {wait}" if wait else str(code)
    except RemoteDisconnected:
        return "lost"
    return "ok"


def test_without_being_asked_the_workspace_limits_no_rate(workspace: Workspace, client: WebClient) -> None:
    channel = workspace.add_channel("support", [])
    assert {outcome(client.chat_postMessage, channel=channel, text="x") for _ in range(60)} == {"ok"}


def test_a_channel_takes_a_burst_and_then_a_message_a_second(
    workspace: Workspace, client: WebClient, clock: Clock
) -> None:
    workspace.rate_limits = True
    channel, other = workspace.add_channel("support", []), workspace.add_channel("other", [])
    said = [outcome(client.chat_postMessage, channel=channel, text="x") for _ in range(POST_BURST + 2)]
    assert said == ["ok"] * POST_BURST + ["ratelimited 1"] * 2
    assert outcome(client.chat_postMessage, channel=other, text="x") == "ok"
    for _ in range(3):
        clock.forward(1)
        assert outcome(client.chat_postMessage, channel=channel, text="x") == "ok"
        assert outcome(client.chat_postMessage, channel=channel, text="x") == "ratelimited 1"
    assert len(workspace.messages(channel)) == POST_BURST + 3
    workspace.rate_limits = False
    assert outcome(client.chat_postMessage, channel=channel, text="x") == "ok"


def test_a_method_of_the_third_tier_takes_fifty_calls_a_minute_and_says_when_the_next_may_come(
    workspace: Workspace, client: WebClient, clock: Clock
) -> None:
    workspace.rate_limits = True
    channel = workspace.add_channel("support", [])
    said = Counter(outcome(client.conversations_history, channel=channel) for _ in range(51))
    assert said == {"ok": 50, "ratelimited 2": 1}
    clock.forward(2)
    assert outcome(client.conversations_history, channel=channel) == "ok"
    assert outcome(client.auth_test) == "ok"


def test_an_answer_comes_as_late_as_ordered_and_its_effect_at_once(workspace: Workspace, client: WebClient) -> None:
    channel = workspace.add_channel("support", [])
    workspace.fail_next("chat.postMessage", "timeout", seconds=1.3)
    hasty = WebClient(token=workspace.bot_token, base_url=workspace.api_url, retry_handlers=[], timeout=1)
    with pytest.raises(TimeoutError):
        hasty.chat_postMessage(channel=channel, text="Did it arrive?")
    assert [message["text"] for message in workspace.messages(channel)] == ["Did it arrive?"]
    workspace.fail_next("chat.postMessage", "timeout", seconds=0.3)
    started = time.perf_counter()
    assert outcome(client.chat_postMessage, channel=channel, text="x") == "ok"
    assert time.perf_counter() - started >= 0.3


def test_chaos_has_the_shares_it_was_given_and_the_same_seed_gives_the_same_day(
    workspace: Workspace, client: WebClient
) -> None:
    days = []
    for channel in (workspace.add_channel("monday", []), workspace.add_channel("tuesday", [])):
        workspace.chaos(11, share_429=0.1, share_500=0.2, share_lost=0.1)
        days.append([outcome(client.chat_postMessage, channel=channel, text="x") for _ in range(300)])
        counted = Counter(days[-1])
        assert 15 <= counted["ratelimited 1"] <= 45
        assert 40 <= counted["internal_error"] <= 80
        assert 15 <= counted["lost"] <= 45
        arrived = len(workspace.messages(channel))
        # Lost answers took effect, and so did about half of the 500s.
        assert counted["ok"] + counted["lost"] < arrived < counted["ok"] + counted["lost"] + counted["internal_error"]
    assert days[0] == days[1]
    assert workspace.faults_met == sum(word != "ok" for day in days for word in day)
    workspace.chaos(11)
    assert {outcome(client.auth_test) for _ in range(50)} == {"ok"}
    with pytest.raises(ValueError, match="no shares"):
        workspace.chaos(11, share_429=0.6, share_500=0.6)


def test_events_come_newest_first_and_twice_where_that_is_ordered(workspace: Workspace) -> None:
    class Taking(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Taking)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    workspace.deliver_to(f"http://127.0.0.1:{server.server_port}/")
    ana = workspace.add_person("Ana Silva")
    channel = workspace.add_channel("support", [ana])
    with workspace.events_out_of_order(copies=2):
        for text in ("one", "two", "three"):
            ana.post(channel, text)
        workspace.wait_until_delivered()
        assert workspace.deliveries == []
    ana.post(channel, "four")
    workspace.wait_until_delivered()
    server.shutdown()
    thread.join()
    server.server_close()
    heard = [(one.payload["event"]["text"], one.payload["event_id"]) for one in workspace.deliveries]
    assert [text for text, _ in heard] == ["three", "three", "two", "two", "one", "one", "four"]
    assert len({event_id for _, event_id in heard}) == 4
