"""The page itself in a real browser: every block, forms on forms, hostile words, keys instead of a mouse, a phone."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from builders import Office
from selenium.webdriver.common.keys import Keys
from visitor import Visitor, missing, visitor

from bot.demo.browser import SHORTCUTS
from bot.sandbox.page import Seat, Setting, open_page
from bot.sandbox.people import Person
from bot.sandbox.workspace import Workspace

REASON = missing()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

KEY = "a-key-that-nobody-guesses"
HOSTILE = "<img src=x onerror=\"document.title='taken'\"> <b>bold</b> javascript:alert(1)"


@pytest.fixture(scope="module")
def browser() -> Iterator[Visitor]:
    with visitor() as somebody:
        yield somebody


@pytest.fixture
def guest(browser: Visitor) -> Iterator[Visitor]:
    """The browser, which at the end must not have complained of anything."""
    yield browser
    assert browser.complaints() == []
    browser.visit("about:blank")


@pytest.fixture
def workspace() -> Iterator[Workspace]:
    with Workspace(now=lambda: datetime.now(UTC), rng=random.Random(5)).serve() as served:
        yield served


@pytest.fixture
def ana(workspace: Workspace) -> Person:
    return workspace.add_person("Ana")


def opened(workspace: Workspace, *people: Person) -> str:
    seats = [Seat(person, "agent") for person in people]
    return open_page(workspace, Setting("Klarbris", seats, SHORTCUTS, ("/errata",)), key=KEY)


def plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text}


def mrkdwn(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text}


def options(*words: str) -> list[dict[str, Any]]:
    return [{"text": plain(word), "value": word.lower()} for word in words]


def field(block_id: str, label: str, element: dict[str, Any], **more: Any) -> dict[str, Any]:
    element = {"action_id": "value", **element}
    return {"type": "input", "block_id": block_id, "label": plain(label), "element": element, **more}


def form(*blocks: dict[str, Any], title: str = "A form", **more: Any) -> dict[str, Any]:
    return {"type": "modal", "title": plain(title), "submit": plain("Save"), "blocks": list(blocks), **more}


def posted(workspace: Workspace, channel: str, *blocks: dict[str, Any], text: str = "") -> None:
    """A message of the bot's, without a bot: drawing is the page's affair."""
    state = workspace.state
    with state.lock:
        message = {"text": text, "user": workspace.bot_user_id, "bot_id": workspace.bot_id}
        state.post(state.channel(channel), message | ({"blocks": state.with_ids(blocks)} if blocks else {}))


def leaf(text: str, **style: bool) -> dict[str, Any]:
    return {"type": "text", "text": text, "style": style}


def button(label: str) -> dict[str, Any]:
    return {"type": "button", "text": plain(label), "action_id": label.lower(), "value": "1"}


def spoken(*leaves: dict[str, Any]) -> dict[str, Any]:
    return {"type": "rich_text_section", "elements": list(leaves)}


RICH = [
    spoken(leaf("Rich "), leaf("words", bold=True)),
    {"type": "rich_text_list", "style": "ordered", "elements": [spoken(leaf("step one"))]},
    {"type": "rich_text_preformatted", "elements": [leaf("a = 1")]},
]
CELLS = [[{"type": "raw_text", "text": word} for word in row] for row in (("Model", "Loss"), ("toy", "0.05"))]
FEEDBACK = {
    "type": "feedback_buttons",
    "positive_button": {"text": plain("Good"), "value": "good"},
    "negative_button": {"text": plain("Bad"), "value": "bad"},
}
MENU = {"type": "static_select", "placeholder": plain("Pick a topic"), "options": options("Billing", "Device")}
PIE = {"type": "pie", "segments": [{"label": "Fact", "value": 3}, {"label": "Tone", "value": 1}]}
TASK = {"type": "task_card", "title": "Train", "status": "in_progress"}
LINKED = "*bold* `code` <https://x.test|the guide> &amp; :tada:"

# A block, and words that must be visible in it.
GALLERY: list[tuple[dict[str, Any], str]] = [
    ({"type": "header", "text": plain("A headline")}, "A headline"),
    ({"type": "section", "text": mrkdwn(LINKED)}, "bold code the guide & 🎉"),
    ({"type": "section", "fields": [mrkdwn("*Left*"), plain("Right")]}, "Left"),
    ({"type": "section", "text": plain("More"), "accessory": {"type": "overflow", "options": options("One")}}, "⋯"),
    ({"type": "context", "elements": [plain("Small print"), mrkdwn("by <@U404|ana>")]}, "by @ana"),
    ({"type": "divider"}, ""),
    ({"type": "image", "image_url": "https://x.test/loss.png", "alt_text": "A falling curve"}, "A falling curve"),
    ({"type": "markdown", "text": "## Plan\n\n- **first**\n- second"}, "first"),
    ({"type": "rich_text", "elements": RICH}, "step one"),
    ({"type": "table", "rows": CELLS}, "0.05"),
    ({"type": "card", "title": plain("A card"), "body": plain("Body"), "actions": [button("Open card")]}, "Open card"),
    ({"type": "alert", "level": "warning", "text": mrkdwn("Look *twice*")}, "Look twice"),
    ({"type": "plan", "title": "The run", "tasks": [TASK]}, "Train"),
    ({**TASK, "title": "Judge", "output": {"type": "rich_text", "elements": [spoken(leaf("3 of 4"))]}}, "3 of 4"),
    ({"type": "data_table", "caption": "The queue", "rows": CELLS, "page_size": 1}, "The queue"),
    ({"type": "data_visualization", "title": "Reasons", "chart": PIE}, "Tone"),
    ({"type": "context_actions", "elements": [FEEDBACK]}, "👍 Good"),
    ({"type": "actions", "elements": [button("Approve"), MENU]}, "Pick a topic"),
    ({"type": "actions", "elements": [{"type": "checkboxes", "options": options("Kept")}]}, "Kept"),
    ({"type": "actions", "elements": [{"type": "radio_buttons", "options": options("Left side")}]}, "Left side"),
    ({"type": "hologram", "block_id": "h"}, "A hologram block, which this page does not draw."),
]


def test_every_block_is_drawn_and_an_unknown_one_says_so(workspace: Workspace, ana: Person, guest: Visitor) -> None:
    channel = workspace.add_channel("support", [ana])
    for block, _ in GALLERY:
        posted(workspace, channel, block)
    guest.visit(opened(workspace, ana))
    guest.sees("hologram")
    for block, words in GALLERY:
        assert words in guest.words(f"#room .block-{block['type']}"), block["type"]
    assert guest.asks("return document.querySelectorAll('.undrawn').length") == 1


def test_what_left_a_reply_is_struck_through_and_what_came_stands_out(
    workspace: Workspace, ana: Person, guest: Visitor
) -> None:
    workspace.add_channel("support", [ana])
    shown = [leaf("It lasts "), leaf("for ever", strike=True), leaf("six months", bold=True), leaf(".")]
    with workspace.state.lock:
        workspace.views.push_for(ana.user_id, form({"type": "rich_text", "elements": [spoken(*shown)]}))
    guest.visit(opened(workspace, ana))
    guest.sees("It lasts for eversix months.", "#modal")
    assert (guest.words("#modal s"), guest.words("#modal strong")) == ("for ever", "six months")
    style = "return getComputedStyle(document.querySelector('#modal s')).textDecorationLine"
    assert guest.asks(style) == "line-through"


def test_a_long_data_table_is_turned_page_by_page(workspace: Workspace, ana: Person, guest: Visitor) -> None:
    channel = workspace.add_channel("support", [ana])
    rows = [[{"type": "raw_text", "text": word}] for word in ("Question", "first one", "second one")]
    posted(workspace, channel, {"type": "data_table", "caption": "The queue", "rows": rows, "page_size": 1})
    guest.visit(opened(workspace, ana))
    guest.sees("first one", "#room")
    assert "second one" not in guest.words("#room")
    guest.presses("Next", "#room")
    guest.sees("second one", "#room")
    assert "2 of 2" in guest.words("#room")


def test_a_link_to_a_message_leads_to_it_on_the_page(workspace: Workspace, ana: Person, guest: Visitor) -> None:
    channel, other = workspace.add_channel("support", [ana]), workspace.add_channel("talk", [ana])
    thread = ana.post(other, "The question")
    reply = ana.post(other, "The reply", thread_ts=thread)
    link = f"https://sandbox.slack.com/archives/{other}/p{reply.replace('.', '')}?thread_ts={thread}&cid={other}"
    posted(workspace, channel, {"type": "section", "text": mrkdwn(f"<{link}|Where it was said>")})
    guest.visit(opened(workspace, ana))
    guest.sees("Where it was said")
    guest.asks("document.querySelector('main a').click()")
    guest.sees("The reply", "#thread")


def test_a_confirm_dialog_is_asked_before_anything_is_pressed(
    workspace: Workspace, ana: Person, guest: Visitor
) -> None:
    channel = workspace.add_channel("support", [ana])
    sure = {
        "title": plain("Reject it?"),
        "text": plain("It is gone then."),
        "confirm": plain("Yes"),
        "deny": plain("No"),
    }
    posted(workspace, channel, {"type": "actions", "elements": [{**button("Reject"), "confirm": sure}]})
    guest.visit(opened(workspace, ana))
    guest.presses("Reject", "#room")
    guest.sees("It is gone then.", "#question")
    guest.presses("No", "#question")
    assert "No bot is listening" not in guest.words("#toasts")
    guest.presses("Reject", "#room")
    guest.presses("Yes", "#question")
    guest.sees("No bot is listening", "#toasts")


def test_a_press_without_a_bot_is_told_as_slack_would_and_nothing_is_stuck(
    workspace: Workspace, ana: Person, guest: Visitor
) -> None:
    channel = workspace.add_channel("support", [ana])
    posted(workspace, channel, {"type": "actions", "elements": [button("Approve")]})
    guest.visit(opened(workspace, ana))
    guest.presses("Approve", "#room")
    guest.sees("No bot is listening", "#toasts")
    guest.presses("Approve", "#room")


def test_what_people_write_is_shown_as_they_wrote_it(workspace: Workspace, guest: Visitor) -> None:
    mallory = workspace.add_person(HOSTILE)
    channel = workspace.add_channel("support", [mallory])
    mallory.post(channel, HOSTILE)
    posted(
        workspace,
        channel,
        {"type": "section", "text": mrkdwn("<javascript:alert(1)|press me>")},
        {"type": "markdown", "text": HOSTILE},
    )
    guest.visit(opened(workspace, mallory))
    guest.sees("press me")
    assert guest.words("#room").count(HOSTILE) >= 2
    assert guest.asks("return document.querySelectorAll('main img, main b, main a').length") == 0
    assert guest.asks("return document.title") == "Klarbris · sandbox"


def test_fields_keep_what_was_typed_when_the_form_changes_and_send_what_was_chosen(
    workspace: Workspace, ana: Person, guest: Visitor
) -> None:
    workspace.add_channel("support", [ana])
    fields = [
        field("words", "What should it say?", {"type": "plain_text_input", "multiline": True, "initial_value": "old"}),
        field("kind", "Kind", {"type": "static_select", "options": options("Fact", "Tone")}, optional=True),
        field("sides", "Sides", {"type": "checkboxes", "options": options("Train", "Held out")}, optional=True),
        field("one", "Only one", {"type": "radio_buttons", "options": options("Yes", "No")}, optional=True),
        field("who", "Who", {"type": "users_select"}, optional=True),
        field("many", "Several", {"type": "multi_static_select", "options": options("A", "B")}, optional=True),
        field("rounds", "Rounds", {"type": "number_input", "is_decimal_allowed": False, "max_value": "9"}),
    ]
    with workspace.state.lock:
        shown = workspace.views.push_for(ana.user_id, form({"type": "section", "text": plain("Reading…")}, *fields))
    guest.visit(opened(workspace, ana))
    guest.sees("Reading…", "#modal")
    guest.writes("What should it say?", "new")
    guest.chooses("Kind", "Tone")
    with workspace.state.lock:
        changed = form({"type": "section", "text": plain("Here it is.")}, *fields)
        workspace.views.update(changed, view_id=shown["id"], external_id=None, view_hash=shown["hash"])
    guest.sees("Here it is.", "#modal")
    guest.keys("er")  # still in the field that was last chosen in: a menu takes letters, and stays as it is
    guest.writes("Rounds", "12")
    guest.presses("Save", "#modal")
    guest.sees("Please enter a whole number to 9.", "#modal .error")
    guest.writes("Rounds", "3")
    guest.presses("Save", "#modal")
    guest.sees("No bot is listening", "#toasts")
    values = {block: next(iter(entries.values())) for block, entries in (ana.modal or {})["state"]["values"].items()}
    assert values["words"]["value"] == "new"
    assert values["kind"]["selected_option"]["value"] == "tone"
    assert (values["sides"]["selected_options"], values["one"]["selected_option"]) == ([], None)
    assert (values["many"]["selected_options"], values["rounds"]["value"]) == ([], "3")


def test_a_required_field_is_asked_for_before_anything_is_sent(
    workspace: Workspace, ana: Person, guest: Visitor
) -> None:
    workspace.add_channel("support", [ana])
    with workspace.state.lock:
        workspace.views.push_for(ana.user_id, form(field("why", "Why?", {"type": "plain_text_input"})))
    guest.visit(opened(workspace, ana))
    guest.presses("Save", "#modal")
    guest.sees("Please complete this required field.", "#modal .error")
    assert guest.focus() == "Why?"


def test_forms_lie_on_forms_and_escape_goes_back_one(workspace: Workspace, ana: Person, guest: Visitor) -> None:
    workspace.add_channel("support", [ana])
    with workspace.state.lock:
        for title in ("First", "Second"):
            workspace.views.push_for(ana.user_id, form(field("why", "Why?", {"type": "plain_text_input"}), title=title))
    guest.visit(opened(workspace, ana))
    guest.sees("Second", "#modal h2")
    guest.keys(Keys.ESCAPE)
    guest.sees("First", "#modal h2")
    guest.presses("Close", "#modal")
    guest.until(lambda: not guest.words("#modal"), "the channel again")
    assert ana.modal is None


def test_app_home_is_shown_once_it_is_published_and_changes_in_place(
    workspace: Workspace, ana: Person, guest: Visitor
) -> None:
    workspace.add_channel("support", [ana])
    guest.visit(opened(workspace, ana))
    guest.presses("Home", "#side")
    guest.sees("has not published a Home", "#room")
    for words in ("12 wait for review", "11 wait for review"):
        with workspace.state.lock:
            home = {"type": "home", "blocks": [{"type": "section", "text": plain(words)}]}
            workspace.views.publish(ana.user_id, home, view_hash=None)
        guest.sees(words, "#room")


def test_a_reply_is_flagged_answered_and_corrected_with_keys_alone(office: Office, guest: Visitor) -> None:
    _, reply = office.ask("How long is it good for?", "For ever.")
    guest.visit(opened(office.workspace, office.ana))
    guest.presses("Open the thread: 1 reply")
    guest.sees("For ever.", "#thread")
    guest.until(lambda: tabbed_to(guest, "More actions"), "the menu's button")
    guest.until(lambda: tabbed_to(guest, "More actions"), "the reply's own")
    guest.keys(Keys.ENTER)
    guest.sees("Endorse this reply", "#menu")
    assert guest.focus() == "Correct this reply"
    guest.keys(Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ENTER)
    guest.sees("🚩 1", "#thread")
    assert office.workspace.message(office.channel, reply)["reactions"][0]["name"] == "triangular_flag_on_post"
    guest.writes("Reply in the thread", "I think that is wrong.", enter=True)
    guest.sees("I think that is wrong.", "#thread .message:last-child")
    guest.writes("Reply in the thread", "/errata help", enter=True)
    guest.sees("not in a thread", "#toasts")


def tabbed_to(guest: Visitor, name: str) -> bool:
    guest.keys(Keys.TAB)
    return guest.focus() == name


def test_what_a_reviewer_returns_is_reworked_from_the_direct_message(office: Office, guest: Visitor) -> None:
    _, reply = office.ask("How long is it good for?", "For ever.")
    assert office.correct(office.ana, reply, "Six.") == {}
    office.deliver()
    guest.visit(opened(office.workspace, office.ben, office.ana))
    guest.presses("Review", "#room")
    guest.presses("Return", "#modal")
    guest.writes("What should change?", "Six what?")
    guest.presses("Return", "#modal")
    guest.sees("Nothing is left for you to review", "#modal")
    guest.presses("Close", "#modal")
    guest.until(lambda: not guest.words("#modal"), "the channel again")
    guest.becomes("Ana, agent")
    office.deliver()
    guest.presses("Messages new", "#side")
    guest.sees("Six what?", "#room")
    guest.presses("Rework", "#room")
    guest.writes("What should it have said?", "Six months.")
    guest.presses("Send again", "#modal")
    guest.until(lambda: "Send again" not in guest.words("#modal"), "the message again")
    assert "Six months." in str(office.review(office.ben)["blocks"])


def test_on_a_phone_nothing_is_wider_than_the_screen_and_everything_is_reached(office: Office, guest: Visitor) -> None:
    office.ask("How long is it good for?", "For ever.")
    guest.visit(opened(office.workspace, office.ana), width=390, height=844)
    guest.presses("Open the thread: 1 reply")
    guest.sees("For ever.", "#thread")
    assert widest(guest) <= 390
    guest.presses("More actions", "#thread .message:last-child")
    guest.presses("Correct this reply", "#menu")
    guest.sees("How long", "#modal")
    assert widest(guest) <= 390
    guest.presses("Cancel", "#modal")
    guest.presses("Close the thread")
    guest.presses("Channels and steps")
    guest.presses("Home", "#side")
    guest.sees("has not published a Home", "#room")


def widest(guest: Visitor) -> int:
    """How far to the right anything reaches that is not scrolled or slid away, in CSS pixels."""
    return int(guest.asks("return document.documentElement.scrollWidth"))
