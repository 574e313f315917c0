"""What the person sees, and what is kept, when something goes wrong between the shortcut and the queue."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from builders import Office, open_office
from sqlmodel import select, update

from bot.app import now
from curation import people
from curation.captures import READING_TIME
from curation.policies import RoleName
from curation.store.tables import Candidate, Capture, Correction, Example

WRONG, RIGHT = "It lasts for ever.", "A filter lasts six months."


def rows(office: Office, table: type) -> list[Any]:
    with office.store.read() as session:
        return list(session.exec(select(table)))


def shown(office: Office) -> str:
    return json.dumps(office.ana.modal, ensure_ascii=False).replace("\u2060", "")


def press(office: Office, reply: str) -> None:
    office.ana.message_shortcut(office.channel, reply, "correct_reply")


def settle(office: Office) -> None:
    """Wait until the thread was read, or could not be, whatever the form shows."""
    office.workspace.wait_until(
        lambda: all(one.turns is not None or one.trouble for one in rows(office, Capture)), what="the capture"
    )


# Before the form.


@pytest.mark.parametrize(
    "fault", ["expired_trigger_id", "exchanged_trigger_id", "invalid_trigger_id", 500, "ratelimited"]
)
def test_where_slack_opens_no_form_the_person_is_asked_to_press_again(office: Office, fault: str | int) -> None:
    _, reply = office.ask("How long?", WRONG)
    office.workspace.fail_next("views.open", fault)
    press(office, reply)
    office.workspace.wait_until(lambda: office.ana.ephemerals, what="the answer")
    assert "Nothing is lost: press the button again." in office.ana.ephemerals[-1]["text"]
    assert rows(office, Candidate) == []
    assert office.correct(office.ana, reply, RIGHT) == {}


def test_whoever_left_meanwhile_is_refused_in_a_modal(office: Office) -> None:
    _, reply = office.ask("How long?", WRONG)
    with office.store.write() as session:
        ana = office.actor("ana").person_id
        people.revoke(session, office.actor("olga"), now(), person=ana, role=RoleName.AGENT)
    press(office, reply)
    assert "may not flag" in shown(office)
    assert rows(office, Capture) == []


def test_whoever_loses_the_role_while_writing_saves_nothing_and_keeps_the_text(office: Office) -> None:
    _, reply = office.ask("How long?", WRONG)
    press(office, reply)
    office.wait_for_thread(office.ana)
    with office.store.write() as session:
        ana = office.actor("ana").person_id
        people.revoke(session, office.actor("olga"), now(), person=ana, role=RoleName.AGENT)
    assert "may not flag" in office.ana.submit({"correction": RIGHT})["correction"]
    assert RIGHT in shown(office)
    assert rows(office, Candidate) == []


def test_a_person_of_another_workspace_is_refused(office: Office) -> None:
    _, reply = office.ask("How long?", WRONG)
    zoe = office.workspace.add_person("Zoe", stranger=True)
    office.workspace.bring_in(office.channel, zoe)
    zoe.message_shortcut(office.channel, reply, "correct_reply")
    assert zoe.modal is None
    assert rows(office, Capture) == []


# While the thread is read.


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("not_in_channel", "invite it with /invite @Errata"),
        ("channel_not_found", "invite it with /invite @Errata"),
        ("missing_scope", "add the scope that errata doctor names"),
        ("thread_not_found", "The thread is deleted."),
        ("something_new", "The thread could not be read (something_new)."),
        (500, "The thread could not be read"),
        ("drop_answer", "Slack did not answer while the thread was read."),
    ],
)
def test_where_the_thread_cannot_be_read_the_form_says_why_and_asks_for_the_question(
    office: Office, fault: str | int, says: str
) -> None:
    _, reply = office.ask("How long?", WRONG)
    office.workspace.fail_next("conversations.replies", fault, times=3)
    press(office, reply)
    office.wait_for_thread(office.ana)
    assert says in shown(office)
    assert office.ana.submit({"correction": RIGHT, "question": "How long?"}) == {}
    (candidate,) = rows(office, Candidate)
    assert (candidate.turns, candidate.reply) == ([{"role": "user", "content": "How long?"}], WRONG)


def test_a_moment_of_too_many_questions_is_waited_out(office: Office) -> None:
    _, reply = office.ask("How long?", WRONG)
    office.workspace.fail_next("conversations.replies", "ratelimited", 1)
    assert office.correct(office.ana, reply, RIGHT) == {}
    assert rows(office, Candidate)[0].turns == [{"role": "user", "content": "How long?"}]


def test_a_reply_that_is_deleted_while_the_form_opens_is_corrected_as_it_was_pressed(office: Office) -> None:
    _, reply = office.ask("How long?", WRONG)
    office.workspace.fail_next("conversations.replies", "ratelimited", 1)  # so that it is read only after the deletion
    press(office, reply)
    office.bris.delete(office.channel, reply)
    office.wait_for_thread(office.ana)
    assert "is not in this thread" in shown(office)
    assert office.ana.submit({"correction": RIGHT, "question": "How long?"}) == {}
    assert rows(office, Candidate)[0].reply == WRONG


@pytest.mark.parametrize("fault", ["hash_conflict", "not_found", 500, "drop_answer"])
def test_where_the_open_form_cannot_be_changed_it_saves_all_the_same(office: Office, fault: str | int) -> None:
    _, reply = office.ask("How long?", WRONG)
    office.workspace.fail_next("views.update", fault, times=3)
    press(office, reply)
    settle(office)
    assert office.ana.submit({"correction": RIGHT}) == {}
    (candidate,) = rows(office, Candidate)
    assert candidate.turns == [{"role": "user", "content": "How long?"}]


def test_where_neither_the_thread_nor_the_form_can_be_had_save_asks_for_the_question(office: Office) -> None:
    _, reply = office.ask("How long?", WRONG)
    office.workspace.fail_next("conversations.replies", "missing_scope")
    office.workspace.fail_next("views.update", "hash_conflict")
    press(office, reply)
    settle(office)
    assert office.ana.submit({"correction": RIGHT, "topic": "filters"}) == {}
    assert "add the scope that errata doctor names" in shown(office)
    assert "What did the customer ask?" in shown(office)
    assert rows(office, Candidate) == []
    assert office.ana.submit({"question": "How long?"}) == {}
    (candidate,) = rows(office, Candidate)
    assert (candidate.topic, [one.text for one in rows(office, Correction)]) == ("filters", [RIGHT])


def test_what_a_process_that_died_left_unread_is_asked_for_after_a_minute(office: Office) -> None:
    _, reply = office.ask("How long?", WRONG)
    press(office, reply)
    settle(office)
    with office.store.write() as session:  # as if the process had ended before it read the thread
        session.connection().execute(update(Capture).values(turns=None, captured_at=now()))
    assert "save again in a moment" in office.ana.submit({"correction": RIGHT})["correction"]
    with office.store.write() as session:
        long_ago = now() - READING_TIME - timedelta(seconds=1)
        session.connection().execute(update(Capture).values(captured_at=long_ago))
    assert office.ana.submit({"correction": RIGHT}) == {}
    assert "What did the customer ask?" in shown(office)
    assert RIGHT in shown(office)
    assert office.ana.submit({"question": "How long?"}) == {}
    assert [one.text for one in rows(office, Correction)] == [RIGHT]


def test_a_form_that_was_closed_before_the_thread_was_read_stays_closed(office: Office) -> None:
    _, reply = office.ask("How long?", WRONG)
    office.workspace.fail_next("conversations.replies", "timeout", seconds=0.3)
    press(office, reply)
    office.ana.close_modal()
    settle(office)
    assert office.ana.modal is None
    assert rows(office, Candidate) == []


def test_what_somebody_wrote_before_a_slow_thread_was_read_stays(office: Office) -> None:
    """After some seconds the person may have begun to write: the colleague's answer is shown, not filled in."""
    root, reply = office.ask("How long?", WRONG)
    office.ben.post(office.channel, "Six months!", thread_ts=root)
    office.workspace.fail_next("conversations.replies", "timeout", seconds=3.2)
    press(office, reply)
    view = office.workspace.views.top(office.ana.user_id)
    assert view is not None
    typed = {"type": "plain_text_input", "value": RIGHT}
    view.entered = {"correction": {"value": typed}}
    office.wait_for_thread(office.ana)
    assert "What a colleague answered" in shown(office)
    assert office.ana.submit({}) == {}
    assert [one.text for one in rows(office, Correction)] == [RIGHT]


# On Save.


def test_a_blank_correction_is_refused_and_a_double_submit_is_one_candidate(office: Office) -> None:
    _, reply = office.ask("How long?", WRONG)
    assert "is empty" in office.correct(office.ana, reply, " \n ")["correction"]
    assert office.ana.submit({"correction": RIGHT}) == {}
    submission = next(one for one in reversed(office.workspace.deliveries) if one.kind == "interaction")
    office.workspace.redeliver(submission)
    assert len(rows(office, Candidate)) == 1


def test_a_form_of_the_last_version_with_the_bare_id_still_saves(office: Office) -> None:
    _, reply = office.ask("How long?", WRONG)
    press(office, reply)
    office.wait_for_thread(office.ana)
    view = office.workspace.views.top(office.ana.user_id)
    assert view is not None
    view.record["private_metadata"] = "1"
    assert office.ana.submit({"correction": RIGHT}) == {}
    assert len(rows(office, Candidate)) == 1


@pytest.mark.parametrize(
    "metadata",
    ["", "x", "[]", "null", "true", '{"capture": "x"}', '{"capture": 1, "reply": 7}', "9" * 5000, "[" * 2000],
)
def test_a_form_that_errata_cannot_read_is_refused_and_keeps_its_text(office: Office, metadata: str) -> None:
    _, reply = office.ask("How long?", WRONG)
    press(office, reply)
    office.wait_for_thread(office.ana)
    view = office.workspace.views.top(office.ana.user_id)
    assert view is not None
    view.record["private_metadata"] = metadata
    assert "another version of Errata" in office.ana.submit({"correction": RIGHT})["correction"]
    assert RIGHT in shown(office)
    assert rows(office, Candidate) == []


@pytest.mark.parametrize("metadata", ['{"capture": 2}', '{"capture": 99}'])
def test_a_form_with_somebody_elses_capture_saves_nothing(office: Office, metadata: str) -> None:
    _, reply = office.ask("How long?", WRONG)
    _, other = office.ask("How much?", "Nothing.")
    press(office, reply)
    office.wait_for_thread(office.ana)
    office.ben.message_shortcut(office.channel, other, "correct_reply")
    office.wait_for_thread(office.ben)
    view = office.workspace.views.top(office.ana.user_id)
    assert view is not None
    view.record["private_metadata"] = metadata
    (sentence,) = office.ana.submit({"correction": RIGHT}).values()
    assert "press the shortcut on the reply" in sentence
    assert "Nothing." not in shown(office)
    assert rows(office, Candidate) == []


def test_two_people_at_once_make_one_candidate_and_the_second_hears_of_the_first(office: Office) -> None:
    _, reply = office.ask("How long?", WRONG)
    for person in (office.ana, office.ben):
        person.message_shortcut(office.channel, reply, "correct_reply")
        office.wait_for_thread(person)
    assert office.ben.submit({"correction": "Ten years."}) == {}
    assert "Already corrected by Ben, pending" in office.ana.submit({"correction": RIGHT})["correction"]
    assert RIGHT in shown(office)
    assert len(rows(office, Candidate)) == 1


def test_a_form_that_is_opened_twice_makes_one_candidate_and_the_second_keeps_its_text(office: Office) -> None:
    """As with a telephone and a computer."""
    _, reply = office.ask("How long?", WRONG)
    press(office, reply)
    office.wait_for_thread(office.ana)
    first = (office.ana.modal or {})["private_metadata"]
    office.ana.close_modal()
    assert office.correct(office.ana, reply, RIGHT) == {}
    press(office, reply)
    assert "Already corrected by Ana" in shown(office)
    office.ana.close_modal()
    _, other = office.ask("How wide?", "A mile.")
    press(office, other)
    office.wait_for_thread(office.ana)
    office.forge(office.ana, "private_metadata", first)
    errors = office.ana.submit({"correction": "Half a year."})
    assert "Already corrected by Ana, pending" in errors["correction"]
    assert "Half a year." in shown(office)
    assert [one.text for one in rows(office, Correction)] == [RIGHT]


def test_a_reply_that_is_shown_in_the_channel_as_well_is_corrected_in_its_thread(office: Office) -> None:
    root = office.customer.post(office.channel, "How long?")
    reply = office.bris.post(office.channel, WRONG, thread_ts=root, broadcast=True)
    assert office.correct(office.ana, reply, RIGHT, post=["thread"]) == {}
    office.deliver()
    (candidate,) = rows(office, Candidate)
    assert (candidate.reply, candidate.turns) == (WRONG, [{"role": "user", "content": "How long?"}])
    assert any("corrects" in one["text"] for one in office.workspace.messages(office.channel, root))


def test_a_reply_of_blocks_alone_is_read_and_one_without_words_is_written_anew(office: Office) -> None:
    root = office.customer.post(office.channel, "How long?")
    said = [{"type": "section", "text": {"type": "mrkdwn", "text": WRONG}}]
    reply = office.bris.post(office.channel, "", thread_ts=root)
    with office.workspace.state.lock:
        kept = office.workspace.state.channels[office.channel].messages
        next(one for one in kept if one["ts"] == reply)["blocks"] = said
    assert office.correct(office.ana, reply, RIGHT) == {}
    assert rows(office, Candidate)[0].reply == WRONG
    empty = office.bris.post(office.channel, "", thread_ts=root)
    press(office, empty)
    office.wait_for_thread(office.ana)
    assert "has no text to correct" in shown(office)
    assert office.ana.submit({"correction": RIGHT, "question": "How wide?"}) == {}
    assert rows(office, Candidate)[1].reply == ""
    office.review(office.ben)
    assert office.approve(office.ben) == {}
    assert office.approve(office.ben) == {}
    pairs = [one.rejected for one in rows(office, Example)]
    assert pairs == [WRONG, None]  # to nothing at all no reply can be preferred


@pytest.mark.parametrize("language", ["de", "nb", "fil", "zh", "id"])
def test_the_form_opens_and_saves_in_every_language(tmp_path: Any, language: str) -> None:
    with open_office(tmp_path, ERRATA_LANGUAGE=language) as office:
        root, reply = office.ask("How long?", "x" * 5_000)
        office.customer.post(office.channel, "And then?", thread_ts=root)
        office.bris.post(office.channel, WRONG, thread_ts=root)
        press(office, reply)
        settle(office)
        office.workspace.wait_until(
            lambda: (office.ana.modal or {"blocks": []})["blocks"][0]["block_id"].startswith("turn:"),
            what="the thread in the form",
        )
        assert office.ana.submit({"correction": RIGHT, "correction:2": None, "correction:3": None}) == {}
        assert [one.text for one in rows(office, Correction)] == [RIGHT]
