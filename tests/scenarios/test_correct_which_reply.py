"""The wrong reply is another one of the thread: the form offers them all, and shows what is chosen."""

from __future__ import annotations

import json
from typing import Any

import pytest
from builders import Office
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlmodel import select

from bot.blocks.correct import TURN
from bot.sandbox import inputs
from bot.sandbox.people import Person
from bot.threads import MOST_REPLIES, capture, replies
from curation.assistants import Speaker
from curation.errors import Invalid
from curation.store.tables import Candidate, Correction

FIRST, SECOND, THIRD = "It lasts for ever.", "Then buy two.", "Five kroner."


@pytest.fixture
def thread(office: Office) -> list[str]:
    """Three questions with their replies; Ben has answered below the second one. The ts of the replies."""
    root, first = office.ask("How long does it last?", FIRST)
    office.customer.post(office.channel, "And then?", thread_ts=root)
    second = office.bris.post(office.channel, SECOND, thread_ts=root)
    office.ben.post(office.channel, "One is enough.", thread_ts=root)
    office.customer.post(office.channel, "What is it?", thread_ts=root)
    return [first, second, office.bris.post(office.channel, THIRD, thread_ts=root)]


def rows(office: Office, table: type) -> list[Any]:
    with office.store.read() as session:
        return list(session.exec(select(table)))


def press(office: Office, ts: str, person: Person | None = None) -> dict[str, Any]:
    person = person or office.ana
    person.message_shortcut(office.channel, ts, "correct_reply")
    office.wait_for_thread(person)
    return person.modal or {}


def menu(person: Person) -> dict[str, Any]:
    assert person.modal is not None
    return next(block for block in person.modal["blocks"] if block["block_id"].startswith("turn:"))


def source(office: Office, ts: str) -> str:
    return f"{office.workspace.team_id}/{office.channel}/{ts}"


def choose(office: Office, ts: str) -> None:
    """Choose another reply, and wait until the form shows what came of it."""
    assert office.ana.modal is not None
    before = office.ana.modal["hash"]
    office.ana.click_in_modal(TURN, None, source(office, ts))
    office.workspace.wait_until(lambda: (office.ana.modal or {}).get("hash") != before, what="the other reply")


def fill(office: Office, values: dict[str, str]) -> None:
    """Write into the open form without saving it."""
    shown = office.workspace.views.top(office.ana.user_id)
    assert shown is not None
    shown.entered = inputs.fill(shown.record["blocks"], shown.entered, values)


def typed(person: Person) -> str:
    assert person.modal is not None
    (entry,) = person.modal["state"]["values"]["correction"].values()
    return str(entry["value"])


def test_one_reply_needs_no_menu(office: Office) -> None:
    _, reply = office.ask("How long?", FIRST)
    assert "Which reply is wrong?" not in json.dumps(press(office, reply))


def test_the_menu_offers_every_reply_and_the_pressed_one_is_chosen(office: Office, thread: list[str]) -> None:
    press(office, thread[1])
    element = menu(office.ana)["element"]
    assert [option["text"]["text"] for option in element["options"]] == [f"1. {FIRST}", f"2. {SECOND}", f"3. {THIRD}"]
    assert element["initial_option"]["value"] == source(office, thread[1])
    assert typed(office.ana) == "One is enough."


def test_choosing_another_reply_shows_it_and_cuts_the_conversation_there(office: Office, thread: list[str]) -> None:
    press(office, thread[2])
    assert typed(office.ana) == THIRD
    choose(office, thread[0])
    form = json.dumps(office.ana.modal)
    assert "How long does it last?" in form
    assert "And then?" not in form
    assert menu(office.ana)["element"]["initial_option"]["value"] == source(office, thread[0])
    assert office.ana.submit({"correction": "Six months."}) == {}
    (candidate,) = rows(office, Candidate)
    assert (candidate.reply, candidate.source) == (FIRST, source(office, thread[0]))
    assert candidate.turns == [{"role": "user", "content": "How long does it last?"}]


def test_the_staff_reply_below_the_chosen_one_becomes_the_correction(office: Office, thread: list[str]) -> None:
    press(office, thread[2])
    choose(office, thread[1])
    assert typed(office.ana) == "One is enough."
    assert office.ana.submit({}) == {}
    (candidate,) = rows(office, Candidate)
    assert candidate.reply == SECOND
    assert [turn["content"] for turn in candidate.turns] == ["How long does it last?", FIRST, "And then?"]
    assert [one.text for one in rows(office, Correction)] == ["One is enough."]


def test_what_somebody_wrote_stays_when_they_choose_another_reply(office: Office, thread: list[str]) -> None:
    press(office, thread[2])
    fill(office, {"correction": "Six months, says the manual.", "topic": "filters"})
    choose(office, thread[1])
    assert typed(office.ana) == "Six months, says the manual."
    assert "One is enough." in json.dumps(office.ana.modal)
    choose(office, thread[0])
    assert typed(office.ana) == "Six months, says the manual."
    assert office.ana.submit({}) == {}
    (candidate,) = rows(office, Candidate)
    assert (candidate.reply, candidate.topic) == (FIRST, "filters")
    assert [one.text for one in rows(office, Correction)] == ["Six months, says the manual."]


def test_there_and_back_again_shows_what_was_there_first(office: Office, thread: list[str]) -> None:
    press(office, thread[2])
    choose(office, thread[0])
    assert typed(office.ana) == FIRST
    choose(office, thread[2])
    assert typed(office.ana) == THIRD


def test_a_reply_that_somebody_corrected_already_is_refused_in_the_form(office: Office, thread: list[str]) -> None:
    office.correct(office.ben, thread[0], "Six months.")
    press(office, thread[2])
    fill(office, {"correction": "Ten kroner."})
    choose(office, thread[0])
    assert "Already corrected by Ben, pending" in json.dumps(office.ana.modal)
    assert typed(office.ana) == "Ten kroner."
    assert menu(office.ana)["element"]["initial_option"]["value"] == source(office, thread[2])
    assert office.ana.submit({}) == {}
    assert [candidate.reply for candidate in rows(office, Candidate)] == [FIRST, THIRD]


def test_a_form_that_slack_did_not_change_saves_nothing_under_the_other_reply(
    office: Office, thread: list[str]
) -> None:
    press(office, thread[2])
    office.workspace.fail_next("views.update", "hash_conflict")
    office.ana.click_in_modal(TURN, None, source(office, thread[0]))
    office.workspace.wait_until(lambda: office.workspace.faults_met == 1, what="the refused change")
    errors = office.ana.submit({"correction": "Six months."})
    assert list(errors.values()) == ["The form still shows the other reply: wait a moment, or choose it once more."]
    assert rows(office, Candidate) == []
    choose(office, thread[0])
    assert typed(office.ana) == "Six months."
    assert office.ana.submit({}) == {}
    assert [candidate.reply for candidate in rows(office, Candidate)] == [FIRST]


def test_nobody_chooses_in_the_form_of_somebody_else(office: Office, thread: list[str]) -> None:
    press(office, thread[2])
    assert office.ana.modal is not None
    forged = office.ana.modal["private_metadata"]
    office.ben.message_shortcut(office.channel, thread[1], "correct_reply")
    office.wait_for_thread(office.ben)
    shown = office.workspace.views.top(office.ben.user_id)
    assert shown is not None
    shown.record["private_metadata"] = forged
    before = shown.record["hash"]
    office.ben.click_in_modal(TURN, None, source(office, thread[0]))
    assert list(office.ben.submit({"correction": "Mine."}).values()) != []
    assert shown.record["hash"] == before
    assert rows(office, Candidate) == []


def test_a_reply_that_is_not_of_the_thread_is_refused(office: Office, thread: list[str]) -> None:
    press(office, thread[2])
    shown = office.workspace.views.top(office.ana.user_id)
    assert shown is not None
    shown.record["private_metadata"] = json.dumps({"capture": 1, "reply": "T1/C1/1.1"})
    shown.record["blocks"] = [block for block in shown.record["blocks"] if not block["block_id"].startswith("turn:")]
    (sentence,) = office.ana.submit({"correction": "Mine."}).values()
    assert "not in the thread as it was read" in sentence
    assert rows(office, Candidate) == []


def test_a_thread_of_very_many_replies_offers_the_last_ones_and_the_pressed_one(office: Office) -> None:
    root, first = office.ask("How long?", "Reply 0")
    for number in range(1, MOST_REPLIES + 20):
        office.bris.post(office.channel, f"Reply {number}", thread_ts=root)
    press(office, first)
    options = menu(office.ana)["element"]["options"]
    assert len(options) == MOST_REPLIES + 1
    assert options[0]["text"]["text"] == "1. Reply 0"
    assert options[-1]["text"]["text"].endswith(f"Reply {MOST_REPLIES + 19}")


SPEAKERS = st.sampled_from([Speaker.USER, Speaker.ASSISTANT, Speaker.ASIDE])


@settings(max_examples=200, deadline=None)
@given(st.lists(SPEAKERS, min_size=1, max_size=24))
def test_the_turns_before_every_reply_are_the_beginning_of_the_threads_turns(spoken: list[Speaker]) -> None:
    messages = [{"ts": f"17000000{number:02d}.000100", "text": f"said {number}"} for number in range(len(spoken))]
    by_ts = {message["ts"]: speaker for message, speaker in zip(messages, spoken, strict=True)}

    def speaker_of(message: Any) -> Speaker:
        return by_ts[message["ts"]]

    try:
        whole, found = replies(messages, wrong_ts=messages[-1]["ts"], speaker_of=speaker_of)
    except Invalid:
        whole, found = None, []
    offered = {one.ts: one for one in found}
    for message in messages:
        try:
            alone = capture(messages, wrong_ts=message["ts"], speaker_of=speaker_of)
        except Invalid:
            assert message["ts"] not in offered
            continue
        one = offered[message["ts"]]
        assert whole is not None
        assert whole.messages[: one.before] == alone.conversation.messages
        assert (one.text, one.staff_reply) == (alone.reply, alone.staff_reply)
