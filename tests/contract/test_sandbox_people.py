"""People, channels and groups of the sandbox workspace, and how they change, as Slack tells an app about them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.sandbox.delivery import Answer, Delivery
from bot.sandbox.errors import SandboxRefusal
from bot.sandbox.workspace import Workspace

Json = dict[str, Any]


class Ear:
    """A line to a bot that takes everything and keeps the events."""

    def __init__(self) -> None:
        self.heard: list[Json] = []

    def prepare(self, kind: str, payload: Json, *, attempt: int, reason: str) -> Delivery:
        return Delivery(kind, payload, b"", {"reason": reason}, attempt)

    def send(self, delivery: Delivery) -> Answer:
        self.heard.append(delivery.payload.get("event", delivery.payload))
        return Answer(200, "", 0)

    def close(self) -> None:
        """Nothing to let go of."""


@pytest.fixture
def workspace() -> Iterator[Workspace]:
    with Workspace(now=lambda: datetime.now(UTC), rng=random.Random(7)).serve() as served:
        yield served


@pytest.fixture
def ear(workspace: Workspace) -> Ear:
    listening = Ear()
    workspace._deliverer.use(listening)
    return listening


@pytest.fixture
def client(workspace: Workspace) -> WebClient:
    return WebClient(token=workspace.bot_token, base_url=workspace.api_url, retry_handlers=[])


def refusal(call: Any, **arguments: Any) -> str:
    with pytest.raises(SlackApiError) as refused:
        call(**arguments)
    return str(refused.value.response["error"])


def heard(workspace: Workspace, ear: Ear, kind: str) -> list[Json]:
    workspace.wait_until_delivered()
    return [event for event in ear.heard if event["type"] == kind]


def test_a_guest_of_one_channel_is_a_guest_too(workspace: Workspace, client: WebClient) -> None:
    about = client.users_info(user=workspace.add_person("Gil", guest="single_channel").user_id)["user"]
    assert (about["is_restricted"], about["is_ultra_restricted"], about["deleted"]) == (True, True, False)


def test_a_partner_in_a_shared_channel_is_no_stranger_and_is_known_by_the_team_only(
    workspace: Workspace, client: WebClient
) -> None:
    partner = workspace.add_person("Pia", stranger=True)
    assert client.users_info(user=partner.user_id)["user"]["is_stranger"]
    workspace.add_channel("shared", [partner])
    about = client.users_info(user=partner.user_id)["user"]
    assert not about["is_stranger"]
    assert about["team_id"] != workspace.team_id


def test_somebody_who_left_is_told_as_deleted_and_does_nothing_any_more(
    workspace: Workspace, client: WebClient, ear: Ear
) -> None:
    ana = workspace.add_person("Ana")
    channel = workspace.add_channel("support", [ana])
    workspace.deactivate(ana)
    about = client.users_info(user=ana.user_id, include_locale=True)["user"]
    assert about["deleted"]
    assert "is_restricted" not in about
    assert ana.user_id not in client.conversations_members(channel=channel)["members"]
    assert refusal(client.conversations_open, users=ana.user_id) == "user_disabled"
    with pytest.raises(SandboxRefusal, match="Ana was deactivated"):
        ana.post(channel, "Still here?")
    (event,) = heard(workspace, ear, "user_change")
    assert (event["user"]["id"], event["user"]["deleted"]) == (ana.user_id, True)


def test_nobody_writes_to_a_bot_or_to_somebody_who_left(workspace: Workspace, client: WebClient) -> None:
    gone, bot = workspace.add_person("Gil", deactivated=True), workspace.add_bot("Bris")
    for call, name in ((client.conversations_open, "users"), (client.chat_postMessage, "channel")):
        more = {"text": "Hello"} if name == "channel" else {}
        assert refusal(call, **{name: gone.user_id}, **more) == "user_disabled"
        assert refusal(call, **{name: bot.user_id}, **more) == "cannot_dm_bot"


def test_a_new_language_is_told_and_read(workspace: Workspace, client: WebClient, ear: Ear) -> None:
    ana = workspace.add_person("Ana")
    workspace.change(ana, locale="zh-CN")
    assert client.users_info(user=ana.user_id, include_locale=True)["user"]["locale"] == "zh-CN"
    assert heard(workspace, ear, "user_change")[0]["user"]["locale"] == "zh-CN"


def test_where_a_person_is_is_told_as_far_as_errata_sees(workspace: Workspace, client: WebClient) -> None:
    ana = workspace.add_person("Ana")
    public, hidden = workspace.add_channel("support", [ana]), workspace.add_channel("talk", [ana], with_errata=False)
    workspace.add_channel("secret", [ana], with_errata=False, is_private=True)
    private = workspace.add_channel("team", [ana], is_private=True)
    types = "public_channel,private_channel"
    theirs = client.users_conversations(user=ana.user_id, types=types)["channels"]
    assert {channel["id"] for channel in theirs} == {public, hidden, private}
    assert "is_member" not in theirs[0]
    mine = client.users_conversations(types=types)["channels"]
    assert {channel["id"] for channel in mine} == {public, private}
    assert refusal(client.users_conversations, types="mpims") == "invalid_types"


def test_a_list_of_private_channels_takes_the_scope_for_them(workspace: Workspace, client: WebClient) -> None:
    workspace.scopes = {"channels:read"}
    assert client.conversations_list()["ok"]
    with pytest.raises(SlackApiError) as refused:
        client.conversations_list(types="public_channel,private_channel")
    assert refused.value.response["needed"] == "groups:read"


def test_members_come_page_by_page(workspace: Workspace, client: WebClient) -> None:
    people = [workspace.add_person(f"P{number}") for number in range(3)]
    channel = workspace.add_channel("support", people)
    first = client.conversations_members(channel=channel, limit=3)
    rest = client.conversations_members(channel=channel, cursor=first["response_metadata"]["next_cursor"])
    assert [*first["members"], *rest["members"]] == [*(one.user_id for one in people), workspace.bot_user_id]
    assert rest["response_metadata"]["next_cursor"] == ""
    assert refusal(client.conversations_members, channel=channel, limit=1001) == "invalid_limit"


def test_the_number_of_members_is_told_where_asked_for(workspace: Workspace, client: WebClient) -> None:
    channel = workspace.add_channel("support", [workspace.add_person("Ana")])
    assert "num_members" not in client.conversations_info(channel=channel)["channel"]
    about = client.conversations_info(channel=channel, include_num_members=True)["channel"]
    assert (about["num_members"], about["is_member"], about["is_archived"]) == (2, True, False)


def test_nothing_new_is_said_in_an_archived_channel(workspace: Workspace, client: WebClient, ear: Ear) -> None:
    ana = workspace.add_person("Ana")
    channel = workspace.add_channel("support", [ana])
    ts = client.chat_postMessage(channel=channel, text="Hello")["ts"]
    workspace.archive(channel)
    assert refusal(client.chat_postMessage, channel=channel, text="More") == "is_archived"
    assert refusal(client.chat_postEphemeral, channel=channel, user=ana.user_id, text="More") == "is_archived"
    assert refusal(client.chat_update, channel=channel, ts=ts, text="More") == "is_inactive"
    assert refusal(client.reactions_add, channel=channel, timestamp=ts, name="eyes") == "is_archived"
    assert client.conversations_info(channel=channel)["channel"]["is_archived"]
    assert client.conversations_history(channel=channel)["messages"][0]["ts"] == ts
    assert client.conversations_list(exclude_archived=True)["channels"] == []
    with pytest.raises(SandboxRefusal, match="is archived: nobody can write there"):
        ana.post(channel, "More")
    assert heard(workspace, ear, "channel_archive")[0]["channel"] == channel
    workspace.unarchive(channel)
    assert client.chat_postMessage(channel=channel, text="Back")["ok"]


def test_errata_hears_that_it_was_taken_out_of_a_channel_and_then_nothing(
    workspace: Workspace, client: WebClient, ear: Ear
) -> None:
    ana = workspace.add_person("Ana")
    channel = workspace.add_channel("support", [ana])
    workspace.remove_errata(channel)
    ana.post(channel, "Just us")
    assert heard(workspace, ear, "channel_left")[0]["channel"] == channel
    assert heard(workspace, ear, "message") == []
    assert refusal(client.chat_postMessage, channel=channel, text="Hello") == "not_in_channel"
    assert not client.conversations_info(channel=channel)["channel"]["is_member"]
    workspace.bring_in_errata(channel)
    assert heard(workspace, ear, "member_joined_channel")[0]["user"] == workspace.bot_user_id
    assert client.chat_postMessage(channel=channel, text="Hello")["ok"]


def test_who_leaves_a_channel_and_who_comes_is_told(workspace: Workspace, ear: Ear) -> None:
    ana, ben = workspace.add_person("Ana"), workspace.add_person("Ben")
    channel = workspace.add_channel("support", [ana])
    workspace.remove(channel, ana)
    workspace.bring_in(channel, ben)
    assert [event["user"] for event in heard(workspace, ear, "member_left_channel")] == [ana.user_id]
    assert [event["user"] for event in heard(workspace, ear, "member_joined_channel")] == [ben.user_id]


def test_groups_and_their_members_are_read_and_changes_are_told(
    workspace: Workspace, client: WebClient, ear: Ear
) -> None:
    ana, ben = workspace.add_person("Ana"), workspace.add_person("Ben")
    group = workspace.add_group("reviewers", [ana], name="Reviewers")
    (about,) = client.usergroups_list(include_users=True, include_count=True)["usergroups"]
    assert (about["id"], about["handle"]) == (group, "reviewers")
    assert (about["users"], about["user_count"]) == ([ana.user_id], 1)
    assert "users" not in client.usergroups_list()["usergroups"][0]
    workspace.change_group(group, [ben])
    assert client.usergroups_users_list(usergroup=group)["users"] == [ben.user_id]
    (event,) = heard(workspace, ear, "subteam_members_changed")
    assert (event["added_users"], event["removed_users"]) == ([ben.user_id], [ana.user_id])
    assert [each["subteam"]["users"] for each in heard(workspace, ear, "subteam_updated")] == [[ben.user_id]]
    workspace.disable_group(group)
    assert client.usergroups_list()["usergroups"] == []
    assert refusal(client.usergroups_users_list, usergroup=group) == "no_such_subteam"
    assert client.usergroups_users_list(usergroup=group, include_disabled=True)["users"] == [ben.user_id]


def test_groups_take_their_scope(workspace: Workspace, client: WebClient) -> None:
    workspace.scopes = {"users:read"}
    assert refusal(client.usergroups_list) == "missing_scope"
    assert refusal(client.usergroups_users_list, usergroup="S1") == "missing_scope"
