"""One app in two sandbox workspaces: secrets, tokens and OAuth, as the real WebClient meets them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.sandbox.errors import SandboxRefusal
from bot.sandbox.workspace import Workspace

BACK = "https://errata.example.com/slack/oauth_redirect"


@pytest.fixture
def first() -> Iterator[Workspace]:
    with Workspace(now=lambda: datetime.now(UTC), rng=random.Random(7)).serve() as served:
        yield served


@pytest.fixture
def second(first: Workspace) -> Iterator[Workspace]:
    with Workspace(now=lambda: datetime.now(UTC), rng=random.Random(8), beside=first).serve() as served:
        yield served


def page(workspace: Workspace, **changes: str) -> str:
    asked = {"client_id": workspace.app.client_id, "scope": "chat:write", "state": "s1", "redirect_uri": BACK}
    return f"https://slack.com/oauth/v2/authorize?{urlencode(asked | changes)}"


def code_in(address: str) -> str:
    return parse_qs(urlsplit(address).query)["code"][0]


def exchange(workspace: Workspace, code: str, **changes: str) -> Any:
    given = {"client_id": workspace.app.client_id, "client_secret": workspace.app.client_secret, "redirect_uri": BACK}
    return WebClient(base_url=workspace.api_url).oauth_v2_access(code=code, **(given | changes))


def test_two_workspaces_share_the_app_and_nothing_else(first: Workspace, second: Workspace) -> None:
    assert (second.app_id, second.signing_secret) == (first.app_id, first.signing_secret)
    assert {first.team_id, first.bot_token, first.bot_user_id}.isdisjoint(
        {second.team_id, second.bot_token, second.bot_user_id}
    )


def test_either_address_answers_the_tokens_of_both(first: Workspace, second: Workspace) -> None:
    channel = second.add_channel("support", [second.add_person("Zoe")])
    there = WebClient(token=second.bot_token, base_url=first.api_url)
    assert there.auth_test()["team_id"] == second.team_id
    there.chat_postMessage(channel=channel, text="Hello")
    assert [message["text"] for message in second.messages(channel)] == ["Hello"]
    with pytest.raises(SlackApiError, match="channel_not_found"):
        WebClient(token=first.bot_token, base_url=first.api_url).chat_postMessage(channel=channel, text="Hello")


def test_an_installation_gives_the_token_of_its_workspace_once(first: Workspace, second: Workspace) -> None:
    zoe = second.add_person("Zoe")
    address = second.install(zoe, page(second))
    assert address.startswith(f"{BACK}?")
    assert parse_qs(urlsplit(address).query)["state"] == ["s1"]
    answer = exchange(first, code_in(address))
    assert (answer["access_token"], answer["team"]["id"]) == (second.bot_token, second.team_id)
    assert (answer["authed_user"]["id"], answer["scope"]) == (zoe.user_id, "chat:write")
    with pytest.raises(SlackApiError, match="invalid_code"):
        exchange(first, code_in(address))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"client_secret": "wrong"}, "bad_client_secret"),
        ({"client_id": "1.2"}, "invalid_client_id"),
        ({"redirect_uri": "https://evil.example.com"}, "bad_redirect_uri"),
    ],
)
def test_an_exchange_that_does_not_fit_is_refused(first: Workspace, changes: dict[str, str], problem: str) -> None:
    code = code_in(first.install(first.add_person("Ana"), page(first)))
    with pytest.raises(SlackApiError, match=problem):
        exchange(first, code, **changes)


def test_the_authorize_page_of_another_app_shows_an_error(first: Workspace) -> None:
    with pytest.raises(SandboxRefusal, match="invalid client_id"):
        first.install(first.add_person("Ana"), page(first, client_id="1.2"))


def test_nothing_is_answered_once_the_app_was_taken_out(first: Workspace, second: Workspace) -> None:
    second.uninstall()
    with pytest.raises(SlackApiError, match="account_inactive"):
        WebClient(token=second.bot_token, base_url=first.api_url).auth_test()
    assert WebClient(token=first.bot_token, base_url=first.api_url).auth_test()["ok"]
