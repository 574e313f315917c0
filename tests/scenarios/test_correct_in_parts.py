"""A reply that is longer than Slack's fields is corrected in parts, and no character of it is lost."""

from __future__ import annotations

import json
from typing import Any

from builders import Office
from sqlmodel import select

from bot.sandbox import inputs
from curation.store.tables import Candidate, Correction

LONG = "\n\n".join(f"Step {number}. " + "Turn the filter to the left. " * 12 for number in range(24)).strip()


def rows(office: Office, table: type) -> list[Any]:
    with office.store.read() as session:
        return list(session.exec(select(table)))


def press(office: Office, reply: str) -> dict[str, Any]:
    office.ana.message_shortcut(office.channel, reply, "correct_reply")
    office.wait_for_thread(office.ana)
    assert office.ana.modal is not None
    return office.ana.modal


def parts(modal: dict[str, Any]) -> list[str]:
    return [block["block_id"] for block in modal["blocks"] if block["block_id"].startswith("correction")]


def test_saved_as_it_was_filled_in_the_text_is_the_reply_itself(office: Office) -> None:
    _, reply = office.ask("How?", LONG)
    assert len(parts(press(office, reply))) > 2
    assert office.ana.submit({}) == {} or "the same as the reply" in json.dumps(office.ana.modal)
    assert [one.text for one in rows(office, Correction)] == [LONG]
    assert rows(office, Candidate)[0].reply == LONG


def test_what_is_changed_in_one_part_changes_nothing_in_the_others(office: Office) -> None:
    _, reply = office.ask("How?", LONG)
    modal = press(office, reply)
    (second,) = [block for block in modal["blocks"] if block["block_id"] == "correction:2"]
    was = second["element"]["initial_value"]
    assert office.ana.submit({"correction:2": was.replace("left", "right")}) == {}
    assert [one.text for one in rows(office, Correction)] == [LONG.replace(was, was.replace("left", "right"))]


def test_a_colleagues_long_answer_is_what_the_parts_begin_with(office: Office) -> None:
    root, reply = office.ask("How?", "No idea.")
    office.ben.post(office.channel, LONG, thread_ts=root)
    assert len(parts(press(office, reply))) > 2
    assert office.ana.submit({}) == {}
    assert [one.text for one in rows(office, Correction)] == [LONG]


def test_what_was_written_into_the_parts_stays_when_another_reply_is_chosen(office: Office) -> None:
    root, first = office.ask("How?", "No idea.")
    office.customer.post(office.channel, "Please?", thread_ts=root)
    second = office.bris.post(office.channel, LONG, thread_ts=root)
    before = press(office, second)
    shown = office.workspace.views.top(office.ana.user_id)
    assert shown is not None
    shown.entered = inputs.fill(before["blocks"], shown.entered, {"correction:2": "Mine."})
    menu = next(block for block in before["blocks"] if block["block_id"].startswith("turn:"))
    office.ana.click_in_modal("correct_turn", None, menu["element"]["options"][0]["value"])
    office.workspace.wait_until(lambda: (office.ana.modal or {})["hash"] != before["hash"], what="the other reply")
    assert parts(office.ana.modal or {}) == parts(before)
    assert office.ana.submit({}) == {}
    (candidate,) = rows(office, Candidate)
    assert (candidate.reply, candidate.source.rsplit("/", 1)[-1]) == ("No idea.", first)
    (correction,) = rows(office, Correction)
    assert "\n\nMine.\n\n" in correction.text
    assert correction.text.startswith("Step 0.")
    assert correction.text.endswith("to the left.")


def test_a_refused_form_keeps_every_part_and_says_why_below_the_first(office: Office) -> None:
    _, reply = office.ask("How?", LONG)
    modal = press(office, reply)
    office.correct(office.ben, reply, "Ask the shop.")
    errors = office.ana.submit({"correction:2": "Mine."})
    assert list(errors) == ["correction"]
    assert "Already corrected by Ben" in errors["correction"]
    assert office.ana.modal is not None
    assert parts(office.ana.modal) == parts(modal)
    (kept,) = office.ana.modal["state"]["values"]["correction:2"].values()
    assert kept["value"] == "Mine."


def test_a_reply_that_no_form_holds_is_corrected_in_an_empty_field(office: Office) -> None:
    _, reply = office.ask("How?", "x" * 39_000)
    modal = press(office, reply)
    assert parts(modal) == ["correction"]
    assert "too many for a form, so it is not filled in" in json.dumps(modal)
    assert office.ana.submit({"correction": "Ask the shop."}) == {}
    assert [one.text for one in rows(office, Correction)] == ["Ask the shop."]
    assert rows(office, Candidate)[0].reply == "x" * 39_000


def test_a_heavy_thread_gives_way_to_a_heavy_reply(office: Office) -> None:
    """Slack takes 250 KB for a form; the newest turns are shown as far as there is room, all of them are kept."""
    root = office.customer.post(office.channel, "滤芯可以使用多久？" * 60)
    for _ in range(15):
        office.bris.post(office.channel, "滤芯。" * 200, thread_ts=root)
        office.customer.post(office.channel, "多久？" * 200, thread_ts=root)
    reply = office.bris.post(office.channel, "滤芯可以使用六个月。" * 2_400, thread_ts=root)
    modal = press(office, reply)
    assert len(parts(modal)) > 8
    assert len(json.dumps(modal["blocks"])) < 250_000
