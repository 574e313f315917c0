"""The sandbox in HTTP mode, against the real Bolt app and WebClient."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest
from slack_bolt import App
from slack_bolt.adapter.wsgi import SlackRequestHandler
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.sandbox.errors import NotAnswered, SandboxRefusal, WaitedInVain
from bot.sandbox.workspace import Workspace

REASON = {
    "type": "input",
    "block_id": "reason",
    "label": {"type": "plain_text", "text": "Reason"},
    "element": {
        "type": "static_select",
        "action_id": "choice",
        "options": [
            {"text": {"type": "plain_text", "text": "Wrong fact"}, "value": "wrong_fact"},
            {"text": {"type": "plain_text", "text": "Tone"}, "value": "tone"},
        ],
    },
}
REPLY = {
    "type": "input",
    "block_id": "reply",
    "label": {"type": "plain_text", "text": "Better reply"},
    "element": {"type": "plain_text_input", "action_id": "text", "initial_value": "Hello", "max_length": 20},
}


class Clock:
    """The real time, moved ahead at will."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


def modal(**changes: Any) -> dict[str, Any]:
    view = {
        "type": "modal",
        "callback_id": "correct",
        "title": {"type": "plain_text", "text": "Correct"},
        "submit": {"type": "plain_text", "text": "Send"},
        "blocks": [REASON, REPLY],
    }
    return view | changes


class Server(ThreadingMixIn, WSGIServer):
    request_queue_size = 64  # people who act at once must not wait a second for a retried connection


class QuietHandler(WSGIRequestHandler):
    def log_message(self, *_args: object) -> None:
        """Say nothing."""


@contextmanager
def listening(app: App) -> Iterator[str]:
    """Serve the Bolt app on a free loopback port."""
    server = make_server("127.0.0.1", 0, SlackRequestHandler(app), Server, QuietHandler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/slack/events"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


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


@pytest.fixture
def app(workspace: Workspace, client: WebClient) -> Iterator[App]:
    bolt = App(client=client, signing_secret=workspace.signing_secret, process_before_response=True)
    with listening(bolt) as url:
        workspace.deliver_to(url)
        yield bolt


def test_a_message_posted_by_a_person_reaches_the_app_and_is_answered_in_its_thread(
    workspace: Workspace, app: App
) -> None:
    ana = workspace.add_person("Ana Silva")
    channel = workspace.add_channel("support", [ana])

    @app.message("refund")
    def answer(message: dict[str, Any], say: Any) -> None:
        say(text=f"heard: {message['text']}", thread_ts=message["ts"])

    ts = ana.post(channel, "refund < 5 & more")
    workspace.wait_until(lambda: len(workspace.messages(channel, ts)) == 2, what="the answer")
    reply = workspace.messages(channel, ts)[1]
    assert reply["text"] == "heard: refund &lt; 5 &amp; more"
    assert reply["bot_id"] == workspace.bot_id
    assert workspace.message(channel, ts)["reply_count"] == 1


def test_a_shortcut_opens_a_modal_whose_submission_carries_every_value(workspace: Workspace, app: App) -> None:
    ana, helper = workspace.add_person("Ana Silva"), workspace.add_bot("Helper")
    channel = workspace.add_channel("support", [ana, helper])
    heard: list[dict[str, Any]] = []

    @app.shortcut("correct_reply")
    def open_modal(ack: Any, shortcut: dict[str, Any], client: WebClient) -> None:
        metadata = json.dumps({"author": shortcut["message"]["bot_id"]})
        client.views_open(trigger_id=shortcut["trigger_id"], view=modal(private_metadata=metadata))
        ack()

    @app.view("correct")
    def submitted(ack: Any, view: dict[str, Any]) -> None:
        heard.append(view)
        if view["state"]["values"]["reason"]["choice"]["selected_option"]["value"] == "tone":
            ack(response_action="errors", errors={"reason": "Say more."})
        else:
            ack()

    ts = helper.post(channel, "Refunds take a year.")
    ana.message_shortcut(channel, ts, "correct_reply")
    assert ana.modal is not None
    assert ana.submit({"reason": "tone"}) == {"reason": "Say more."}
    assert ana.submit({"reason": "wrong_fact"}) == {}
    assert ana.modal is None
    assert heard[0]["state"]["values"]["reply"] == {"text": {"type": "plain_text_input", "value": "Hello"}}
    assert json.loads(heard[0]["private_metadata"]) == {"author": helper.bot_id}


def test_the_client_refuses_what_slack_s_client_would_mark_red(workspace: Workspace, app: App) -> None:
    ana = workspace.add_person("Ana Silva")

    @app.shortcut("review")
    def open_modal(ack: Any, shortcut: dict[str, Any], client: WebClient) -> None:
        client.views_open(trigger_id=shortcut["trigger_id"], view=modal())
        ack()

    ana.global_shortcut("review")
    with pytest.raises(SandboxRefusal, match="reason: please complete this required field"):
        ana.submit({"reply": "Yes"})
    with pytest.raises(SandboxRefusal, match="reply: 21 characters; this field takes 0 to 20"):
        ana.submit({"reason": "tone", "reply": "x" * 21})
    with pytest.raises(SandboxRefusal, match="'style' is not on offer; choose one of"):
        ana.submit({"reason": "style"})
    assert [delivery.payload["type"] for delivery in workspace.deliveries] == ["shortcut"]


def test_a_trigger_id_runs_out_after_three_seconds_and_works_once(workspace: Workspace, app: App, clock: Clock) -> None:
    ana = workspace.add_person("Ana Silva")
    refusals: list[str] = []

    @app.shortcut("slow")
    def slow(ack: Any, shortcut: dict[str, Any], client: WebClient) -> None:
        clock.ahead += timedelta(seconds=4)
        with pytest.raises(SlackApiError) as refused:
            client.views_open(trigger_id=shortcut["trigger_id"], view=modal())
        refusals.append(refused.value.response["error"])
        ack()

    @app.shortcut("twice")
    def twice(ack: Any, shortcut: dict[str, Any], client: WebClient) -> None:
        client.views_open(trigger_id=shortcut["trigger_id"], view=modal())
        with pytest.raises(SlackApiError) as refused:
            client.views_open(trigger_id=shortcut["trigger_id"], view=modal())
        refusals.append(refused.value.response["error"])
        ack()

    ana.global_shortcut("slow")
    ana.global_shortcut("twice")
    assert refusals == ["expired_trigger_id", "exchanged_trigger_id"]


def test_an_update_with_an_old_hash_is_refused(workspace: Workspace, client: WebClient) -> None:
    ana = workspace.add_person("Ana Silva")
    home = {"type": "home", "blocks": [{"type": "divider"}]}
    first = client.views_publish(user_id=ana.user_id, view=home)["view"]
    client.views_update(view_id=first["id"], view=home, hash=first["hash"])
    with pytest.raises(SlackApiError, match="hash_conflict"):
        client.views_update(view_id=first["id"], view=home, hash=first["hash"])


def test_a_command_s_answer_is_seen_by_its_author_only(workspace: Workspace, app: App) -> None:
    ana, ben = workspace.add_person("Ana Silva"), workspace.add_person("Ben Ito")
    channel = workspace.add_channel("support", [ana, ben])

    @app.command("/errata")
    def answer(ack: Any, command: dict[str, Any]) -> None:
        ack(f"You said {command['text']}")

    assert ana.command("/errata", "stats & more", channel) == {"text": "You said stats & more"}
    assert [message["text"] for message in ana.ephemerals] == ["You said stats & more"]
    assert ben.ephemerals == []
    assert workspace.messages(channel) == []


@pytest.mark.usefixtures("app")
def test_an_interaction_that_nobody_takes_is_reported_and_sent_once(workspace: Workspace) -> None:
    ana = workspace.add_person("Ana Silva")
    with pytest.raises(NotAnswered, match="did not take the shortcut: 404"):
        ana.global_shortcut("nobody_listens")
    assert len(workspace.deliveries) == 1


def test_an_event_is_retried_three_times_with_its_retry_number(workspace: Workspace, app: App) -> None:
    ana = workspace.add_person("Ana Silva")

    @app.event("app_home_opened")
    def fail() -> None:
        raise RuntimeError("the first tries go wrong")

    @app.error
    def swallow() -> None:
        """Bolt's default handler would print the traceback."""

    ana.open_home()
    workspace.wait_until_delivered()
    numbers = [delivery.headers.get("x-slack-retry-num") for delivery in workspace.deliveries]
    assert len({delivery.payload["event_id"] for delivery in workspace.deliveries}) == 1
    assert numbers == [None, "1", "2", "3"]


def test_a_redelivered_request_is_the_same_to_the_byte_and_still_passes_verification(
    workspace: Workspace, app: App
) -> None:
    ana = workspace.add_person("Ana Silva")
    heard: list[str] = []

    @app.shortcut("review")
    def review(ack: Any, shortcut: dict[str, Any]) -> None:
        heard.append(shortcut["trigger_id"])
        ack()

    ana.global_shortcut("review")
    first = workspace.deliveries[0]
    again = workspace.redeliver(first)
    assert again.acknowledged
    assert (again.body, again.headers) == (first.body, first.headers)
    assert heard == [heard[0]] * 2


def test_feedback_buttons_and_menus_say_which_choice_was_made(workspace: Workspace, app: App) -> None:
    ana = workspace.add_person("Ana Silva")
    channel = workspace.add_channel("support", [ana])
    heard: list[dict[str, Any]] = []
    app.action("rate")(lambda ack, action: (heard.append(action), ack()))
    app.action("more")(lambda ack, action: (heard.append(action), ack()))
    rate = {
        "type": "feedback_buttons",
        "action_id": "rate",
        "positive_button": {"text": {"type": "plain_text", "text": "Good"}, "value": "good"},
        "negative_button": {"text": {"type": "plain_text", "text": "Bad"}, "value": "bad"},
    }
    option = {"text": {"type": "plain_text", "text": "Reject"}, "value": "reject"}
    blocks = [
        {"type": "context_actions", "elements": [rate]},
        {"type": "actions", "elements": [{"type": "overflow", "action_id": "more", "options": [option]}]},
    ]
    ts = app.client.chat_postMessage(channel=channel, text="A reply", blocks=blocks)["ts"]
    ana.click(channel, ts, "rate", value="bad")
    ana.click(channel, ts, "more", value="reject")
    assert heard[0]["value"] == "bad"
    assert heard[1]["selected_option"] == option
    with pytest.raises(SandboxRefusal, match="no such element"):
        ana.click(channel, ts, "approve")


def test_what_was_entered_survives_an_update_under_the_same_block_id_only(workspace: Workspace, app: App) -> None:
    ana = workspace.add_person("Ana Silva")
    live = [{**REASON, "dispatch_action": True}, REPLY]

    @app.shortcut("review")
    def open_modal(ack: Any, shortcut: dict[str, Any], client: WebClient) -> None:
        client.views_open(trigger_id=shortcut["trigger_id"], view=modal(blocks=live))
        ack()

    @app.action("choice")
    def chosen(ack: Any, body: dict[str, Any], client: WebClient) -> None:
        fresh = {**REPLY, "block_id": "reply_2"}
        view = body["view"]
        client.views_update(view_id=view["id"], hash=view["hash"], view=modal(blocks=[REASON, fresh]))
        ack()

    ana.global_shortcut("review")
    ana.click_in_modal("text", value="Hi")
    assert len(workspace.deliveries) == 1
    ana.click_in_modal("choice", value="tone")
    assert ana.modal is not None
    values = ana.modal["state"]["values"]
    assert values["reason"]["choice"]["selected_option"]["value"] == "tone"
    assert values["reply_2"]["text"]["value"] == "Hello"


def test_answers_to_a_submission_update_push_and_clear_the_stack(workspace: Workspace, app: App) -> None:
    ana = workspace.add_person("Ana Silva")
    plain = modal(blocks=[{"type": "divider"}])
    answers = [
        {"response_action": "update", "view": plain | {"callback_id": "second"}},
        {"response_action": "push", "view": plain | {"callback_id": "third"}},
        {"response_action": "clear"},
    ]
    answered = iter(answers)

    @app.shortcut("review")
    def open_modal(ack: Any, shortcut: dict[str, Any], client: WebClient) -> None:
        client.views_open(trigger_id=shortcut["trigger_id"], view=plain | {"callback_id": "first"})
        ack()

    for callback_id in ("first", "second", "third"):
        app.view(callback_id)(lambda ack: ack(**next(answered)))

    ana.global_shortcut("review")
    seen = []
    while ana.modal is not None:
        seen.append((ana.modal["callback_id"], ana.modal["root_view_id"] == ana.modal["id"]))
        ana.submit()
    assert seen == [("first", True), ("second", True), ("third", False)]


def test_a_closed_modal_is_told_only_where_asked_for_and_shows_the_one_below(workspace: Workspace, app: App) -> None:
    ana = workspace.add_person("Ana Silva")
    below = modal(callback_id="below", blocks=[{"type": "divider"}])
    closed: list[str] = []

    @app.shortcut("review")
    def open_modal(ack: Any, shortcut: dict[str, Any], client: WebClient) -> None:
        client.views_open(trigger_id=shortcut["trigger_id"], view=below)
        ack()

    @app.view_submission("below")
    def push(ack: Any) -> None:
        ack(response_action="push", view=below | {"callback_id": "above", "notify_on_close": True})

    @app.view_closed("above")
    def gone(ack: Any, view: dict[str, Any]) -> None:
        closed.append(view["callback_id"])
        ack()

    ana.global_shortcut("review")
    ana.submit()
    ana.close_modal()
    assert closed == ["above"]
    assert ana.modal is not None
    assert ana.modal["callback_id"] == "below"
    ana.close_modal()
    assert ana.modal is None
    assert [delivery.payload["type"] for delivery in workspace.deliveries].count("view_closed") == 1


def test_app_home_is_published_when_it_is_opened_and_its_buttons_work(workspace: Workspace, app: App) -> None:
    ana = workspace.add_person("Ana Silva")
    button = {"type": "button", "action_id": "refresh", "text": {"type": "plain_text", "text": "Refresh"}}
    heard: list[str] = []

    @app.event("app_home_opened")
    def publish(event: dict[str, Any], client: WebClient) -> None:
        view = {"type": "home", "blocks": [{"type": "actions", "elements": [button]}]}
        client.views_publish(user_id=event["user"], view=view)

    @app.action("refresh")
    def refresh(ack: Any, body: dict[str, Any]) -> None:
        heard.append(body["view"]["type"])
        ack()

    ana.open_home()
    workspace.wait_until(lambda: ana.home, what="App Home")
    ana.click_in_home("refresh")
    assert heard == ["home"]


def test_a_reaction_and_the_bot_s_own_edit_are_told_to_the_app(workspace: Workspace, app: App) -> None:
    ana = workspace.add_person("Ana Silva")
    channel = workspace.add_channel("support", [ana])
    heard: list[tuple[str, str]] = []

    @app.event("reaction_added")
    def flagged(event: dict[str, Any]) -> None:
        heard.append((event["reaction"], event["item"]["ts"]))

    ts = app.client.chat_postMessage(channel=channel, text="Training")["ts"]
    ana.react(channel, ts, "triangular_flag_on_post")
    app.client.chat_update(channel=channel, ts=ts, text="Done")
    workspace.wait_until_delivered()
    assert heard == [("triangular_flag_on_post", ts)]
    # Bolt itself passes over what its own bot did, so the edit is read from what was delivered.
    edit = workspace.deliveries[-1]
    assert edit.acknowledged
    assert edit.payload["event"]["subtype"] == "message_changed"
    assert edit.payload["event"]["message"]["text"] == "Done"
    assert edit.payload["event"]["previous_message"]["text"] == "Training"


def test_a_person_acts_only_where_they_are(workspace: Workspace, app: App) -> None:
    ana, ben = workspace.add_person("Ana Silva"), workspace.add_person("Ben Ito")
    channel = workspace.add_channel("support", [ana])
    ts = ana.post(channel, "Hello")
    with pytest.raises(SandboxRefusal, match=f"Ben Ito is not in channel {channel}"):
        ben.message_shortcut(channel, ts, "correct_reply")
    with pytest.raises(SandboxRefusal, match="Ana Silva has no modal open"):
        ana.submit()
    app.client.chat_postEphemeral(channel=channel, user=ana.user_id, text="psst")
    workspace.wait_until_delivered()
    assert {delivery.kind for delivery in workspace.deliveries} == {"event"}


def test_an_answer_link_works_five_times(workspace: Workspace, app: App) -> None:
    ana = workspace.add_person("Ana Silva")
    channel = workspace.add_channel("support", [ana])
    statuses: list[int] = []

    @app.shortcut("answer")
    def answer(ack: Any, respond: Any) -> None:
        statuses.extend(respond(text=f"answer {count}").status_code for count in range(6))
        ack()

    ana.message_shortcut(channel, ana.post(channel, "Hello"), "answer")
    assert statuses == [200] * 5 + [404]
    assert len(ana.ephemerals) == 5


def test_a_direct_message_is_told_as_one(workspace: Workspace, app: App) -> None:
    ana = workspace.add_person("Ana Silva")
    heard: list[str] = []
    app.event("message")(lambda event: heard.append(event["channel_type"]))
    ana.post(ana.dm_channel, "help")
    workspace.wait_until(lambda: heard, what="the message")
    assert heard == ["im"]


def test_people_acting_at_once_are_all_heard(workspace: Workspace, app: App) -> None:
    people = [workspace.add_person(f"Person {number}") for number in range(8)]
    channel = workspace.add_channel("support", people)

    @app.command("/errata")
    def answer(ack: Any, command: dict[str, Any], say: Any) -> None:
        say(text=command["user_id"])
        ack("taken")

    threads = [threading.Thread(target=person.command, args=("/errata", "queue", channel)) for person in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(message["text"] for message in workspace.messages(channel)) == sorted(p.user_id for p in people)
    assert [len(person.ephemerals) for person in people] == [1] * 8


def test_waiting_in_vain_says_what_was_delivered(workspace: Workspace, app: App) -> None:
    ana = workspace.add_person("Ana Silva")
    app.shortcut("review")(lambda ack: ack())
    ana.global_shortcut("review")
    with pytest.raises(WaitedInVain, match=r"for a modal, in vain\. Last deliveries: \['interaction shortcut → 200'\]"):
        workspace.wait_until(lambda: ana.modal, timeout_seconds=0.01, what="a modal")


def test_a_fourth_modal_on_the_stack_is_refused(workspace: Workspace, app: App) -> None:
    ana = workspace.add_person("Ana Silva")
    refused: list[str] = []
    touch = {"type": "button", "action_id": "deeper", "text": {"type": "plain_text", "text": "Deeper"}}
    view = modal(blocks=[{"type": "actions", "elements": [touch]}])

    @app.shortcut("review")
    def open_modal(ack: Any, shortcut: dict[str, Any], client: WebClient) -> None:
        client.views_open(trigger_id=shortcut["trigger_id"], view=view)
        ack()

    @app.action("deeper")
    def push(ack: Any, body: dict[str, Any], client: WebClient) -> None:
        try:
            client.views_push(trigger_id=body["trigger_id"], view=view)
        except SlackApiError as error:
            refused.append(error.response["error"])
        ack()

    ana.global_shortcut("review")
    for _ in range(3):
        ana.click_in_modal("deeper")
    assert refused == ["push_limit_reached"]
