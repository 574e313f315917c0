"""The sandbox's streams and assistant threads, as the real WebClient meets them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.sandbox.people import Person
from bot.sandbox.workspace import Workspace


@dataclass
class Room:
    """A channel with Ana's question in it, and Errata's client."""

    workspace: Workspace
    client: WebClient
    ana: Person
    channel: str
    asked: str

    @property
    def reader(self) -> dict[str, Any]:
        """Who reads along."""
        return {"recipient_user_id": self.ana.user_id, "recipient_team_id": self.workspace.team_id}

    def begin(self, text: str = "Six ") -> str:
        started = self.client.chat_startStream(
            channel=self.channel,
            thread_ts=self.asked,
            markdown_text=text,
            recipient_user_id=self.ana.user_id,
            recipient_team_id=self.workspace.team_id,
        )
        return str(started["ts"])


@pytest.fixture
def room() -> Iterator[Room]:
    with Workspace(now=lambda: datetime.now(UTC), rng=random.Random(7)).serve() as workspace:
        ana = workspace.add_person("Ana")
        channel = workspace.add_channel("support", [ana])
        client = WebClient(token=workspace.bot_token, base_url=workspace.api_url, retry_handlers=[])
        yield Room(workspace, client, ana, channel, ana.post(channel, "How long?"))


def refusal(call: Any, **arguments: Any) -> str:
    with pytest.raises(SlackApiError) as refused:
        call(**arguments)
    return str(refused.value.response["error"])


def test_a_stream_grows_and_ends_with_what_stands_below_it(room: Room) -> None:
    ts = room.begin()
    room.client.chat_appendStream(channel=room.channel, ts=ts, markdown_text="months")
    assert room.workspace.message(room.channel, ts)["text"] == "Six months"
    assert refusal(room.client.chat_update, channel=room.channel, ts=ts, text="x") == "streaming_state_conflict"
    metadata = {"event_type": "answer", "event_payload": {"id": 1}}
    room.client.chat_stopStream(
        channel=room.channel, ts=ts, markdown_text=".", blocks=[{"type": "divider"}], metadata=metadata
    )
    whole = room.workspace.message(room.channel, ts)
    assert (whole["text"], whole["metadata"], whole["thread_ts"]) == ("Six months.", metadata, room.asked)
    assert [block["type"] for block in whole["blocks"]] == ["markdown", "divider"]
    for call in (room.client.chat_appendStream, room.client.chat_stopStream):
        assert refusal(call, channel=room.channel, ts=ts, markdown_text="x") == "message_not_in_streaming_state"
    room.client.chat_update(channel=room.channel, ts=ts, text="Twelve months.")


def test_the_sdks_own_helper_streams(room: Room) -> None:
    stream = room.client.chat_stream(buffer_size=4, channel=room.channel, thread_ts=room.asked, **room.reader)
    for piece in ("Six ", "months", "."):
        stream.append(markdown_text=piece)
    stream.stop(blocks=[{"type": "divider"}])
    assert room.workspace.message(room.channel, str(stream.ts))["text"] == "Six months."


def test_a_stream_needs_a_thread_and_in_a_channel_its_reader(room: Room) -> None:
    start = room.client.chat_startStream
    assert refusal(start, channel=room.channel, thread_ts="1700000000.000001", **room.reader) == "thread_not_found"
    lone = {"channel": room.channel, "thread_ts": room.asked, "recipient_team_id": "T1"}
    assert refusal(start, **lone) == "missing_recipient_user_id"
    assert refusal(start, channel=room.channel, thread_ts=room.asked, markdown_text="x" * 12_001, **room.reader) == (
        "msg_too_long"
    )
    direct = room.ana.post(room.ana.dm_channel, "How long?")
    assert start(channel=room.ana.dm_channel, thread_ts=direct)["ok"]


def test_streamed_markdown_can_ping_and_link_as_slacks_own(room: Room) -> None:
    ts = room.begin("<!channel> [here](https://x.test) <b> & `1 < 2`")
    text = room.workspace.message(room.channel, ts)["text"]
    assert text == "<!channel> <https://x.test|here> &lt;b&gt; &amp; `1 &lt; 2`"


def test_a_status_is_shown_until_something_is_said(room: Room) -> None:
    where: dict[str, Any] = {"channel_id": room.channel, "thread_ts": room.asked}
    room.client.assistant_threads_setStatus(**where, status="is thinking…")
    assert room.workspace.state.thread_status == {(room.channel, room.asked): "is thinking…"}
    room.begin()
    assert room.workspace.state.thread_status == {}
    too_many = [str(number) for number in range(11)]
    for wrong, code in (
        ({"loading_messages": too_many}, "invalid_arguments"),
        ({"thread_ts": "1.000001"}, "invalid_thread_ts"),
        ({"channel_id": "C404"}, "channel_not_found"),
    ):
        assert refusal(room.client.assistant_threads_setStatus, **{**where, "status": "x", **wrong}) == code


def test_prompts_are_four_at_most_and_a_thread_makes_them_fail_silently(room: Room) -> None:
    prompt, suggest = {"title": "What?", "message": "What is it?"}, room.client.assistant_threads_setSuggestedPrompts
    suggest(channel_id=room.channel, thread_ts=room.asked, prompts=[prompt])
    assert room.workspace.state.suggested_prompts == {}
    suggest(channel_id=room.channel, title="Ask", prompts=[prompt] * 4)
    assert room.workspace.state.suggested_prompts == {room.channel: [prompt] * 4}
    for prompts in ([prompt] * 5, [], [{"title": "What?"}]):
        assert refusal(suggest, channel_id=room.channel, prompts=prompts) == "invalid_arguments"
    room.client.assistant_threads_setTitle(channel_id=room.channel, thread_ts=room.asked, title="Filters")
    assert room.workspace.state.thread_titles == {(room.channel, room.asked): "Filters"}
    room.workspace.scopes = {"chat:write"}
    assert refusal(suggest, channel_id=room.channel, prompts=[prompt]) == "missing_scope"


def test_a_mention_is_told_beside_its_message_but_not_in_a_direct_message_or_of_errata_itself(room: Room) -> None:
    told: list[str] = []
    room.workspace.state.on_event = lambda event: told.append(str(event["type"]))
    mention = f"<@{room.workspace.bot_user_id}> hello"
    room.ana.post(room.channel, mention, raw=True)
    room.ana.post(room.ana.dm_channel, mention, raw=True)
    room.client.chat_postMessage(channel=room.channel, text=mention)
    assert told == ["message", "app_mention", "message", "message"]
