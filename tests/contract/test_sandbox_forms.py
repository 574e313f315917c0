"""What people fill in, choose and close in modals of the sandbox workspace, and how the bot hears of it."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from bot.sandbox.delivery import Answer, Delivery
from bot.sandbox.errors import NotAnswered, SandboxRefusal
from bot.sandbox.people import Person
from bot.sandbox.workspace import Workspace

Json = dict[str, Any]


class Bot:
    """A bot that keeps what it hears and answers what it was told to."""

    def __init__(self) -> None:
        self.heard: list[Json] = []
        self.answer: Json = {}

    def prepare(self, kind: str, payload: Json, *, attempt: int, reason: str) -> Delivery:
        return Delivery(kind, payload, b"", {"reason": reason}, attempt)

    def send(self, delivery: Delivery) -> Answer:
        self.heard.append(delivery.payload)
        return Answer(200, json.dumps(self.answer), 0)

    def close(self) -> None:
        """Nothing to let go of."""


@pytest.fixture
def workspace() -> Iterator[Workspace]:
    with Workspace(now=lambda: datetime.now(UTC), rng=random.Random(7)).serve() as served:
        yield served


@pytest.fixture
def ana(workspace: Workspace) -> Person:
    return workspace.add_person("Ana")


@pytest.fixture
def bot(workspace: Workspace) -> Bot:
    listening = Bot()
    workspace._deliverer.use(listening)
    return listening


def plain(text: str) -> Json:
    return {"type": "plain_text", "text": text}


def options(*values: str) -> list[Json]:
    return [{"text": plain(value.title()), "value": value} for value in values]


def field(block_id: str, element: Json, **more: Any) -> Json:
    element = {"action_id": f"{block_id}_chosen", **element}
    return {"type": "input", "block_id": block_id, "label": plain(block_id), "element": element, **more}


def show(workspace: Workspace, person: Person, *blocks: Json, **changes: Any) -> None:
    """Put a modal in front of the person, on top of what is there."""
    view = {"type": "modal", "title": plain("Form"), "submit": plain("Save"), "blocks": list(blocks), **changes}
    with workspace.state.lock:
        workspace.views.push_for(person.user_id, view)


def test_every_kind_of_field_hands_in_what_was_chosen(workspace: Workspace, ana: Person, bot: Bot) -> None:
    channel = workspace.add_channel("support", [ana])
    show(
        workspace,
        ana,
        field("reasons", {"type": "multi_static_select", "options": options("fact", "tone", "format")}),
        field("parts", {"type": "checkboxes", "options": options("first", "second")}, optional=True),
        field(
            "way", {"type": "radio_buttons", "options": options("now", "later"), "initial_option": options("now")[0]}
        ),
        field("who", {"type": "users_select"}),
        field("where", {"type": "conversations_select"}),
        field("since", {"type": "datepicker", "initial_date": "2026-01-01"}),
        field("epochs", {"type": "number_input", "is_decimal_allowed": False, "min_value": "1", "max_value": "10"}),
    )
    ana.submit(
        {"reasons": ["fact", "tone"], "who": ana.user_id, "where": channel, "since": "2026-11-21", "epochs": "3"}
    )
    values = bot.heard[-1]["view"]["state"]["values"]
    assert {block: next(iter(entry.values())) for block, entry in values.items()} == {
        "reasons": {"type": "multi_static_select", "selected_options": options("fact", "tone")},
        "parts": {"type": "checkboxes", "selected_options": []},
        "way": {"type": "radio_buttons", "selected_option": options("now")[0]},
        "who": {"type": "users_select", "selected_user": ana.user_id},
        "where": {"type": "conversations_select", "selected_conversation": channel},
        "since": {"type": "datepicker", "selected_date": "2026-11-21"},
        "epochs": {"type": "number_input", "value": "3"},
    }


@pytest.mark.parametrize(
    ("element", "value", "problem"),
    [
        ({"type": "users_select"}, "U404", "'U404' is not on offer"),
        ({"type": "conversations_select"}, "C404", "'C404' is not on offer"),
        ({"type": "number_input", "is_decimal_allowed": False}, "1.5", "'1.5' is no number"),
        ({"type": "datepicker"}, "2026-02-30", "'2026-02-30' is no day"),
        ({"type": "number_input", "is_decimal_allowed": True, "max_value": "1"}, "1.5", "'1.5' is no number from -inf"),
        (
            {"type": "multi_static_select", "options": options("a", "b"), "max_selected_items": 1},
            ["a", "b"],
            "2 options were chosen; this field takes 1",
        ),
        ({"type": "multi_static_select", "options": options("a", "b")}, [], "please complete this required field"),
    ],
)
def test_a_field_takes_only_what_it_offers(
    workspace: Workspace, ana: Person, bot: Bot, element: Json, value: Any, problem: str
) -> None:
    show(workspace, ana, field("one", element))
    with pytest.raises(SandboxRefusal, match=problem):
        ana.submit({"one": value})
    assert bot.heard == []


def test_a_channel_that_a_person_is_not_in_is_not_on_offer(workspace: Workspace, ana: Person) -> None:
    secret = workspace.add_channel("secret", [workspace.add_person("Ben")], is_private=True)
    open_to_all = workspace.add_channel("open", [])
    show(workspace, ana, field("where", {"type": "conversations_select"}))
    with pytest.raises(SandboxRefusal, match="is not on offer") as refused:
        ana.submit({"where": secret})
    assert open_to_all in str(refused.value)


def test_a_button_in_a_modal_tells_the_view_its_hash_and_what_was_entered(
    workspace: Workspace, ana: Person, bot: Bot
) -> None:
    button = {"type": "button", "action_id": "skip", "text": plain("Skip"), "value": "7"}
    show(
        workspace,
        ana,
        {"type": "actions", "elements": [button]},
        field("why", {"type": "plain_text_input"}, optional=True),
    )
    ana.click_in_modal("why_chosen", value="Too long")
    ana.click_in_modal("skip")
    (told,) = bot.heard
    assert (told["type"], told["container"]["type"], told["actions"][0]["value"]) == ("block_actions", "view", "7")
    assert told["view"]["hash"] == ana.modal["hash"]  # type: ignore[index]
    assert told["view"]["state"]["values"]["why"]["why_chosen"]["value"] == "Too long"
    assert told["trigger_id"]
    assert "response_url" not in told


def test_closing_a_modal_that_clears_closes_those_below_and_says_so(
    workspace: Workspace, ana: Person, bot: Bot
) -> None:
    show(workspace, ana, {"type": "divider"})
    show(workspace, ana, {"type": "divider"}, notify_on_close=True, clear_on_close=True)
    ana.close_modal()
    assert ana.modal is None
    assert [(told["type"], told["is_cleared"]) for told in bot.heard] == [("view_closed", True)]


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ({"response_action": "close"}, "Slack knows no response_action 'close'"),
        ({"response_action": "errors"}, "errors that are no sentences"),
        ({"response_action": "errors", "errors": {}}, "errors that are no sentences"),
        ({"response_action": "errors", "errors": {"gone": "No."}}, r"errors on \['gone'\], which are no input blocks"),
        ({"response_action": "update", "view": {"type": "home", "blocks": []}}, "refuses the bot's update answer"),
    ],
)
def test_an_answer_that_slack_would_not_take_leaves_the_modal_open(
    workspace: Workspace, ana: Person, bot: Bot, answer: Json, problem: str
) -> None:
    show(workspace, ana, field("why", {"type": "plain_text_input"}))
    bot.answer = answer
    with pytest.raises(NotAnswered, match=problem):
        ana.submit({"why": "Too long"})
    assert ana.modal is not None
    assert ana.modal["state"]["values"]["why"]["why_chosen"]["value"] == "Too long"


def test_a_menu_of_people_in_app_home_offers_those_who_are_still_there(
    workspace: Workspace, ana: Person, bot: Bot
) -> None:
    gone = workspace.add_person("Gil", deactivated=True)
    pick = {"type": "users_select", "action_id": "pick"}
    home = {"type": "home", "blocks": [{"type": "actions", "block_id": "who", "elements": [pick]}]}
    with workspace.state.lock:
        workspace.views.publish(ana.user_id, home, view_hash=None)
    ana.click_in_home("pick", value=ana.user_id)
    told = bot.heard[-1]
    assert (told["view"]["type"], told["actions"][0]["selected_user"]) == ("home", ana.user_id)
    assert told["trigger_id"]
    with pytest.raises(SandboxRefusal, match="is not on offer"):
        ana.click_in_home("pick", value=gone.user_id)
