"""The sandbox's Web API, as the real WebClient meets it."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.client import RemoteDisconnected
from typing import Any

import httpx
import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.sandbox.workspace import Workspace

HOME = {"type": "home", "blocks": [{"type": "divider"}]}


@pytest.fixture
def workspace() -> Iterator[Workspace]:
    with Workspace(now=lambda: datetime.now(UTC), rng=random.Random(7)).serve() as served:
        yield served


@pytest.fixture
def client(workspace: Workspace) -> WebClient:
    return WebClient(token=workspace.bot_token, base_url=workspace.api_url, retry_handlers=[])


def refusal(call: Any, *positional: Any, **arguments: Any) -> str:
    with pytest.raises(SlackApiError) as refused:
        call(*positional, **arguments)
    return str(refused.value.response["error"])


def test_calls_are_refused_with_slack_s_own_error_words(workspace: Workspace, client: WebClient) -> None:
    ana = workspace.add_person("Ana Silva")
    channel = workspace.add_channel("support", [ana])
    elsewhere = workspace.add_channel("private-talk", [ana], with_errata=False)
    stranger = WebClient(token="xoxb-wrong", base_url=workspace.api_url)
    assert refusal(stranger.auth_test) == "invalid_auth"
    assert refusal(client.api_call, "chat.nothing") == "unknown_method"
    assert refusal(client.apps_connections_open, app_token=workspace.bot_token) == "not_allowed_token_type"
    assert refusal(client.chat_postMessage, channel="C404", text="Hello") == "channel_not_found"
    assert refusal(client.chat_postMessage, channel=elsewhere, text="Hello") == "not_in_channel"
    assert refusal(client.chat_update, channel=channel, ts="1.000001", text="Hello") == "message_not_found"
    theirs = ana.post(channel, "Mine")
    assert refusal(client.chat_update, channel=channel, ts=theirs, text="Hello") == "cant_update_message"
    assert refusal(client.users_info, user="U404") == "user_not_found"


def test_a_missing_scope_is_named(workspace: Workspace, client: WebClient) -> None:
    channel = workspace.add_channel("support", [], is_private=True)
    workspace.scopes = {"chat:write", "channels:history"}
    assert client.chat_postMessage(channel=channel, text="Hello").headers["x-oauth-scopes"] == (
        "channels:history,chat:write"
    )
    with pytest.raises(SlackApiError) as refused:
        client.conversations_history(channel=channel)
    answer = refused.value.response
    assert (answer["error"], answer["needed"]) == ("missing_scope", "groups:history")
    assert answer["provided"] == "channels:history,chat:write"


def test_a_refused_block_is_named_in_the_answer(workspace: Workspace, client: WebClient) -> None:
    channel = workspace.add_channel("support", [])
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3001}}]
    with pytest.raises(SlackApiError) as refused:
        client.chat_postMessage(channel=channel, text="Hello", blocks=blocks)
    assert refused.value.response["response_metadata"]["messages"] == [
        "[ERROR] blocks[0].text.text: 3,001 characters; Slack takes 3,000"
    ]
    assert workspace.messages(channel) == []


def test_form_fields_and_json_bodies_mean_the_same(workspace: Workspace, client: WebClient) -> None:
    channel = workspace.add_channel("support", [])
    arguments = {"channel": channel, "text": "Hello", "blocks": '[{"type": "divider", "block_id": "line"}]'}
    for body in ({"params": arguments}, {"json": arguments}):
        assert client.api_call("chat.postMessage", **body)["ok"]
    assert [message["blocks"] for message in workspace.messages(channel)] == [
        [{"type": "divider", "block_id": "line"}]
    ] * 2


def test_metadata_is_found_again_only_when_asked_for(workspace: Workspace, client: WebClient) -> None:
    channel = workspace.add_channel("support", [])
    metadata = {"event_type": "errata_notice", "event_payload": {"notice": "n1"}}
    first = client.chat_postMessage(channel=channel, text="one", metadata=metadata)["ts"]
    second = client.chat_postMessage(channel=channel, text="two")["ts"]
    client.chat_postMessage(channel=channel, text="reply", thread_ts=first)
    history = client.conversations_history(channel=channel, include_all_metadata=True)["messages"]
    assert [message["ts"] for message in history] == [second, first]
    assert history[1]["metadata"] == metadata
    assert "metadata" not in client.conversations_history(channel=channel)["messages"][1]
    assert client.conversations_history(channel=channel, oldest=first)["messages"][0]["ts"] == second
    thread = client.conversations_replies(channel=channel, ts=first, limit=1)
    assert thread["has_more"]
    rest = client.conversations_replies(channel=channel, ts=first, cursor=thread["response_metadata"]["next_cursor"])
    assert [message["text"] for message in rest["messages"]] == ["reply"]


def test_a_lost_answer_leaves_its_effect_behind(workspace: Workspace, client: WebClient) -> None:
    channel = workspace.add_channel("support", [])
    workspace.fail_next("chat.postMessage", error="drop_answer")
    with pytest.raises(RemoteDisconnected):
        client.chat_postMessage(channel=channel, text="Did it arrive?")
    assert [message["text"] for message in workspace.messages(channel)] == ["Did it arrive?"]


def test_faults_come_as_often_as_asked_and_have_no_effect(workspace: Workspace, client: WebClient) -> None:
    channel = workspace.add_channel("support", [])
    workspace.fail_next("chat.postMessage", error="ratelimited", retry_after=7)
    workspace.fail_next("chat.postMessage", error=500)
    statuses = []
    for _ in range(2):
        with pytest.raises(SlackApiError) as failed:
            client.chat_postMessage(channel=channel, text="Hello")
        statuses.append((failed.value.response.status_code, failed.value.response.headers.get("retry-after")))
    assert statuses == [(429, "7"), (500, None)]
    assert workspace.messages(channel) == []
    assert client.chat_postMessage(channel=channel, text="Hello")["ok"]


def test_an_uploaded_file_keeps_its_bytes_and_alternative_text(workspace: Workspace, client: WebClient) -> None:
    channel = workspace.add_channel("support", [])
    parent = client.chat_postMessage(channel=channel, text="Run finished")["ts"]
    client.files_upload_v2(
        channel=channel,
        thread_ts=parent,
        filename="loss.png",
        content=b"\x89PNG",
        title="Loss",
        alt_txt="Loss falls from 2 to 1.",
        initial_comment="The curve",
    )
    (file,) = workspace.files
    assert (file.name, file.content, file.alt_text, file.channels) == (
        "loss.png",
        b"\x89PNG",
        "Loss falls from 2 to 1.",
        [channel],
    )
    shared = workspace.messages(channel, parent)[1]
    assert shared["text"] == "The curve"
    assert shared["files"][0]["title"] == "Loss"


def test_strangers_guests_and_locales_are_told_by_users_info(workspace: Workspace, client: WebClient) -> None:
    guest = workspace.add_person("Gast", locale="de-DE", guest=True)
    partner = workspace.add_person("Partner", team_id="T0PARTNER")
    about = client.users_info(user=guest.user_id, include_locale=True)["user"]
    assert (about["is_restricted"], about["locale"], about.get("is_stranger")) == (True, "de-DE", None)
    about = client.users_info(user=partner.user_id)["user"]
    assert (about["is_stranger"], about["team_id"], "locale" in about) == (True, "T0PARTNER", False)


def test_an_ephemeral_message_is_in_no_history(workspace: Workspace, client: WebClient) -> None:
    ana, ben = workspace.add_person("Ana Silva"), workspace.add_person("Ben Ito")
    channel = workspace.add_channel("support", [ana])
    client.chat_postEphemeral(channel=channel, user=ana.user_id, text="Only you")
    assert [message["text"] for message in ana.ephemerals] == ["Only you"]
    assert client.conversations_history(channel=channel)["messages"] == []
    outside = refusal(client.chat_postEphemeral, channel=channel, user=ben.user_id, text="Hello")
    assert outside == "user_not_in_channel"


def test_the_direct_message_of_a_person_is_one_however_it_is_named(workspace: Workspace, client: WebClient) -> None:
    ana = workspace.add_person("Ana Silva")
    opened = client.conversations_open(users=ana.user_id)["channel"]["id"]
    posted = client.chat_postMessage(channel=ana.user_id, text="Hello")["channel"]
    assert opened == posted == ana.dm_channel
    assert [message["text"] for message in ana.dms] == ["Hello"]


def test_a_view_is_published_for_its_person_only(workspace: Workspace, client: WebClient) -> None:
    ana, ben = workspace.add_person("Ana Silva"), workspace.add_person("Ben Ito")
    client.views_publish(user_id=ana.user_id, view=HOME)
    assert ana.home is not None
    assert ana.home["type"] == "home"
    assert ben.home is None
    assert refusal(client.views_open, trigger_id="1.2", view=HOME) == "invalid_arguments"


def test_equal_seeds_give_equal_ids() -> None:
    def ids() -> tuple[str, ...]:
        workspace = Workspace(now=lambda: datetime(2026, 1, 1, tzinfo=UTC), rng=random.Random(3))
        ana = workspace.add_person("Ana Silva")
        channel = workspace.add_channel("support", [ana])
        return workspace.team_id, workspace.bot_token, ana.user_id, channel, *(ana.post(channel, "x") for _ in "ab")

    assert ids() == ids()
    assert ids()[-2:] == ("1767225600.000000", "1767225600.000100")


def test_nothing_listens_and_nothing_runs_after_the_workspace_is_left() -> None:
    before = set(threading.enumerate())
    with Workspace(now=lambda: datetime.now(UTC), rng=random.Random(7)).serve() as workspace:
        address = workspace.api_url
        assert httpx.post(f"{address}api.test", trust_env=False).json() == {"ok": True}
    assert set(threading.enumerate()) <= before
    with pytest.raises(httpx.ConnectError):
        httpx.post(f"{address}api.test", trust_env=False)
