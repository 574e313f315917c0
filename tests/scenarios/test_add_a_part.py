"""A text that outgrows its field goes on in another one, in each of the three forms, and nothing typed is lost."""

from __future__ import annotations

import json
from typing import Any

import pytest
from builders import Office
from sqlmodel import select

from bot.blocks.correct import is_reading
from bot.blocks.elements import INPUT_LIMIT
from bot.blocks.parts import LONGEST
from bot.sandbox import inputs
from bot.sandbox.people import Person
from curation.store.tables import Candidate, Correction, Example

WRONG, RIGHT = "It lasts for ever.", "A filter lasts six months."
FULL = "Turn the filter to the left, then pull. " * 74  # 2,960 characters


def rows(office: Office, table: type) -> list[Any]:
    with office.store.read() as session:
        return list(session.exec(select(table)))


def fields(person: Person, stem: str) -> list[str]:
    shown = (person.modal or {})["blocks"]
    return [block["block_id"] for block in shown if block["block_id"].partition(":")[0] == stem]


def labels(person: Person, stem: str) -> list[str]:
    shown = (person.modal or {})["blocks"]
    return [block["label"]["text"] for block in shown if block["block_id"].partition(":")[0] == stem]


def offers(person: Person) -> bool:
    return "add_part" in json.dumps((person.modal or {})["blocks"])


def type_in(office: Office, person: Person, values: dict[str, Any]) -> None:
    """Fill in without submitting."""
    shown = office.workspace.views.top(person.user_id)
    assert shown is not None
    shown.entered = inputs.fill(shown.record["blocks"], shown.entered, values)


def press(office: Office, reply: str) -> None:
    office.ana.message_shortcut(office.channel, reply, "correct_reply")
    office.wait_for_thread(office.ana)


def test_a_correction_that_outgrows_its_field_goes_on_in_another(office: Office) -> None:
    _, reply = office.ask("How?", WRONG)
    press(office, reply)
    type_in(office, office.ana, {"correction": FULL.strip(), "reason": "missing_step", "note": "It is long."})
    office.ana.click_in_modal("add_part")
    assert fields(office.ana, "correction") == ["correction", "correction:2"]
    assert labels(office.ana, "correction") == [
        "What should it have said? (part 1 of 2)",
        "What should it have said? (part 2 of 2)",
    ]
    assert office.ana.submit({"correction:2": "Then turn the water on."}) == {}
    assert [one.text for one in rows(office, Correction)] == [f"{FULL.strip()}\n\nThen turn the water on."]
    (candidate,) = rows(office, Candidate)
    assert (candidate.reason, candidate.note) == ("missing_step", "It is long.")


def test_a_part_that_is_left_empty_changes_nothing(office: Office) -> None:
    _, reply = office.ask("How?", WRONG)
    press(office, reply)
    type_in(office, office.ana, {"correction": RIGHT})
    office.ana.click_in_modal("add_part")
    office.ana.click_in_modal("add_part")
    assert office.ana.submit({}) == {}
    assert [one.text for one in rows(office, Correction)] == [RIGHT]


def test_a_reviewers_edit_goes_on_in_another_field_of_the_same_candidate(office: Office) -> None:
    office.flag("How long?", RIGHT)
    office.flag("And the lid?", "It is for ever.")
    office.review(office.ben)
    office.ben.click_in_modal("review_edit")
    type_in(office, office.ben, {"edited": FULL.strip()})
    office.ben.click_in_modal("add_part")
    assert office.ben.submit({"edited:2": "Then wait."}) == {}
    assert rows(office, Example)[0].messages[-1]["content"] == f"{FULL.strip()}\n\nThen wait."
    assert office.reviewed(office.ben) == 2
    office.ben.click_in_modal("review_edit")
    assert fields(office.ben, "edited") == ["edited"]
    office.ben.click_in_modal("add_part")
    assert office.ben.submit({}) == {}
    assert rows(office, Example)[1].messages[-1]["content"] == "It is for ever."


def test_back_leaves_a_form_with_more_parts_without_a_decision(office: Office) -> None:
    office.flag("How long?", RIGHT)
    office.review(office.ben)
    office.ben.click_in_modal("review_edit")
    office.ben.click_in_modal("add_part")
    office.ben.click_in_modal("review_back")
    assert office.approve(office.ben) == {}
    assert rows(office, Example)[0].messages[-1]["content"] == RIGHT


def test_a_reworked_correction_goes_on_in_another_field(office: Office) -> None:
    candidate = office.flag("How long?", RIGHT)
    office.review(office.ben)
    office.send_back(office.ben, "Say how.")
    office.deliver()
    office.ana.click(office.ana.dm_channel, office.ana.dms[0]["ts"], "review_amend")
    office.ana.click_in_modal("add_part")
    assert office.ana.submit({"correction:2": "Turn it."}) == {}
    assert rows(office, Correction)[-1].text == f"{RIGHT}\n\nTurn it."
    assert rows(office, Candidate)[0].id == candidate


def test_a_form_takes_no_more_than_a_form_can_show_again(office: Office) -> None:
    _, reply = office.ask("How?", WRONG)
    press(office, reply)
    while offers(office.ana):
        before = len(fields(office.ana, "correction"))
        office.ana.click_in_modal("add_part")
        assert len(fields(office.ana, "correction")) == before + 1
    assert len(fields(office.ana, "correction")) == LONGEST // INPUT_LIMIT
    assert len({*fields(office.ana, "correction")}) == LONGEST // INPUT_LIMIT


@pytest.mark.parametrize("language", ["english", "deutsch"])
def test_before_the_thread_is_read_nothing_is_offered_that_would_keep_it_out(office: Office, language: str) -> None:
    office.ana.command("/errata", f"language {language}", office.channel)
    _, reply = office.ask("How?", WRONG)
    office.workspace.fail_next("views.update", "hash_conflict")
    office.ana.message_shortcut(office.channel, reply, "correct_reply")
    assert office.ana.modal is not None
    assert is_reading(office.ana.modal)
    assert not offers(office.ana)


def test_a_part_that_was_added_stays_where_the_thread_cannot_be_read_and_the_form_asks(office: Office) -> None:
    _, reply = office.ask("How?", WRONG)
    office.workspace.fail_next("conversations.replies", "missing_scope")
    press(office, reply)
    office.ana.click_in_modal("add_part")
    errors = office.ana.submit({"question": " ", "correction": RIGHT, "correction:2": "Turn it."})
    assert errors
    assert office.ana.submit({"question": "How?"}) == {}
    assert [one.text for one in rows(office, Correction)] == [f"{RIGHT}\n\nTurn it."]


@pytest.mark.parametrize("fault", ["hash_conflict", "not_found", "ratelimited", 500, "drop_answer"])
def test_where_slack_does_not_add_the_part_the_form_stays_as_it_was_and_saves(office: Office, fault: str | int) -> None:
    _, reply = office.ask("How?", WRONG)
    press(office, reply)
    type_in(office, office.ana, {"correction": RIGHT})
    office.workspace.fail_next("views.update", fault)
    office.ana.click_in_modal("add_part")
    assert office.ana.submit({}) == {}
    assert [one.text for one in rows(office, Correction)] == [RIGHT]


def test_two_presses_at_once_add_one_part(office: Office) -> None:
    _, reply = office.ask("How?", WRONG)
    press(office, reply)
    office.ana.click_in_modal("add_part")
    pressed = next(one for one in reversed(office.workspace.deliveries) if one.kind == "interaction")
    office.workspace.redeliver(pressed)
    assert fields(office.ana, "correction") == ["correction", "correction:2"]


@pytest.mark.parametrize("forged", ["comment", "reason", "nonsense", "correction:2"])
def test_a_button_that_names_another_text_adds_nothing(office: Office, forged: str) -> None:
    _, reply = office.ask("How?", WRONG)
    press(office, reply)
    before = office.ana.modal
    office.forge(office.ana, "add_part", forged)
    office.ana.click_in_modal("add_part")
    assert fields(office.ana, "correction") == ["correction"]
    assert (office.ana.modal or {})["hash"] == (before or {})["hash"]
    assert office.ana.submit({"correction": RIGHT}) == {}


def test_another_reply_is_chosen_while_more_parts_are_written_in(office: Office) -> None:
    root, first = office.ask("How?", WRONG)
    office.customer.post(office.channel, "Please?", thread_ts=root)
    second = office.bris.post(office.channel, "No idea.", thread_ts=root)
    press(office, second)
    office.ana.click_in_modal("add_part")
    type_in(office, office.ana, {"correction": RIGHT, "correction:2": "Turn it."})
    before = office.ana.modal or {}
    menu = next(block for block in before["blocks"] if block["block_id"].startswith("turn:"))
    office.ana.click_in_modal("correct_turn", None, menu["element"]["options"][0]["value"])
    office.workspace.wait_until(lambda: (office.ana.modal or {})["hash"] != before["hash"], what="the other reply")
    assert office.ana.submit({}) == {}
    assert rows(office, Candidate)[0].source.endswith(first)
    assert [one.text for one in rows(office, Correction)] == [f"{RIGHT}\n\nTurn it."]
