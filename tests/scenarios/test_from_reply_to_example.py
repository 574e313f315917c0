"""Slice by slice through Slack: shortcut, form, review card, verdict, example."""

from __future__ import annotations

import json

from builders import PROMPT, Office
from sqlmodel import select

from bot.app import now
from curation import audit
from curation.datasets import dataset, requested
from curation.store.tables import Candidate, Capture, Correction, Example, HandledRequest

QUESTION = "How long is the filter good for?"
WRONG = "The filter lasts for ever."
RIGHT = "A filter lasts six months. The app tells you two weeks before."


def rows(office: Office, table: type) -> list:
    with office.store.read() as session:
        return list(session.exec(select(table)))


def card_text(message: dict) -> str:
    return json.dumps(message["blocks"], ensure_ascii=False)


def test_a_correction_is_captured_reviewed_and_becomes_an_example(office: Office) -> None:
    _, reply = office.ask(QUESTION, WRONG, aside="I think that is nonsense, let me check.")

    office.ana.message_shortcut(office.channel, reply, "correct_reply")
    office.wait_for_thread(office.ana)
    form = json.dumps(office.ana.modal)
    assert QUESTION in form
    assert "nonsense" not in form
    assert office.ana.submit({"correction": RIGHT, "reason": "wrong_fact", "topic": "filters"}) == {}

    assert RIGHT in card_text(office.review(office.ben))
    assert office.approve(office.ben) == {}

    (example,) = rows(office, Example)
    assert example.messages == [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": RIGHT}]
    assert example.rejected == WRONG
    assert example.topic == "filters"
    assert office.queue()["text"] == "Nothing waits for review. 1 was decided in the last 24 hours."


def test_a_nul_in_a_thread_is_left_out_of_what_is_captured(office: Office) -> None:
    _, reply = office.ask("How long is it\0 good for?", WRONG, aside="Nonsense\0.")
    assert office.correct(office.ana, reply, RIGHT) == {}
    (candidate,) = rows(office, Candidate)
    assert candidate.turns == [{"role": "user", "content": "How long is it good for?"}]
    (kept,) = rows(office, Capture)
    assert kept.staff_reply is None
    office.review(office.ben)
    assert office.approve(office.ben) == {}
    assert rows(office, Example)[0].messages[0]["content"] == "How long is it good for?"


def test_the_original_reply_and_every_version_of_the_correction_are_kept(office: Office) -> None:
    _, reply = office.ask(QUESTION, WRONG)
    office.correct(office.ana, reply, "Six months.")
    office.review(office.ben)
    assert office.approve(office.ben, edited=RIGHT) == {}

    (candidate,) = rows(office, Candidate)
    assert candidate.reply == WRONG
    assert [version.text for version in rows(office, Correction)] == ["Six months.", RIGHT]
    (example,) = rows(office, Example)
    assert example.messages[-1]["content"] == RIGHT
    assert example.authors == [office.actor("ana").person_id, office.actor("ben").person_id]


def test_somebody_without_a_role_cannot_correct(office: Office) -> None:
    _, reply = office.ask(QUESTION, WRONG)
    office.customer.message_shortcut(office.channel, reply, "correct_reply")
    assert "may not flag" in json.dumps(office.customer.modal)
    assert rows(office, Candidate) == []


def test_a_returned_correction_reaches_its_author_and_comes_back_better(office: Office) -> None:
    _, reply = office.ask(QUESTION, WRONG)
    office.correct(office.ana, reply, "Six months.")
    office.review(office.ben)
    assert office.send_back(office.ben, "Say that the app reminds them.") == {}
    office.deliver()
    (message,) = office.ana.dms
    assert "Say that the app reminds them." in card_text(message)
    office.ana.click(office.ana.dm_channel, message["ts"], "review_amend")
    assert office.ana.submit({"correction": RIGHT}) == {}
    office.review(office.ben)
    assert office.approve(office.ben) == {}
    assert rows(office, Example)[0].messages[-1]["content"] == RIGHT


def test_a_good_reply_is_endorsed_and_kept_unchanged(office: Office) -> None:
    _, reply = office.ask(QUESTION, RIGHT)
    assert office.endorse(office.ana, reply) == {}
    office.review(office.ben)
    assert office.approve(office.ben) == {}
    (example,) = rows(office, Example)
    assert (example.kind, example.rejected) == ("endorsement", None)
    assert example.messages[-1]["content"] == RIGHT


def test_a_reply_is_corrected_once_and_the_second_person_hears_by_whom(office: Office) -> None:
    _, reply = office.ask(QUESTION, WRONG)
    office.correct(office.ana, reply, RIGHT)
    office.ben.message_shortcut(office.channel, reply, "correct_reply")
    assert "Already corrected by Ana, pending" in json.dumps(office.ben.modal)
    assert len(rows(office, Candidate)) == 1


def test_a_form_delivered_twice_is_one_candidate(office: Office) -> None:
    _, reply = office.ask(QUESTION, WRONG)
    office.correct(office.ana, reply, RIGHT)
    submission = next(delivery for delivery in reversed(office.workspace.deliveries) if delivery.kind == "interaction")
    remembered = len(rows(office, HandledRequest))
    again = office.workspace.redeliver(submission)
    assert again.answer.status == 200
    assert len(rows(office, Candidate)) == 1
    assert len(office.cards()) == 1
    assert len(rows(office, HandledRequest)) == remembered


def test_a_message_by_nobody_errata_watches_is_refused_with_the_command_that_adds_it(office: Office) -> None:
    ts = office.customer.post(office.channel, "Hello?")
    office.ana.message_shortcut(office.channel, ts, "correct_reply")
    assert "errata assistants add" in json.dumps(office.ana.modal)


def test_where_the_thread_cannot_be_read_the_form_asks_for_the_question(office: Office) -> None:
    office.workspace.scopes = {"commands", "chat:write"}
    _, reply = office.ask(QUESTION, WRONG)
    assert office.correct(office.ana, reply, RIGHT, question=QUESTION) == {}
    (candidate,) = rows(office, Candidate)
    assert candidate.turns == [{"role": "user", "content": QUESTION}]


def test_a_thread_of_many_pages_is_read_to_the_reply(office: Office) -> None:
    thread = office.customer.post(office.channel, QUESTION)
    for number in range(205):
        office.customer.post(office.channel, f"Hello? ({number})", thread_ts=thread)
    reply = office.bris.post(office.channel, WRONG, thread_ts=thread)
    assert office.correct(office.ana, reply, RIGHT) == {}
    (candidate,) = rows(office, Candidate)
    assert "(204)" in candidate.turns[0]["content"]


def test_a_long_thread_and_hostile_words_can_still_be_reviewed(office: Office) -> None:
    _, reply = office.ask("<!channel> *bold* `code` <https://evil.test|click> " + "ä" * 4000, WRONG)
    office.correct(office.ana, reply, "@here " + "z" * 2900)
    assert "<!channel>" not in card_text(office.queue())
    office.review(office.ben)
    assert office.approve(office.ben) == {}


def test_every_change_of_a_candidate_is_in_the_audit(office: Office) -> None:
    _, reply = office.ask(QUESTION, WRONG)
    office.correct(office.ana, reply, RIGHT)
    office.review(office.ben)
    assert office.approve(office.ben) == {}
    with office.store.read() as session:
        entries = audit.about(session, "candidate:1")
    assert [entry.action for entry in entries] == ["candidate.proposed", "candidate.approve"]
    assert RIGHT not in str([entry.details for entry in entries])


def test_stats_and_queue_say_where_the_examples_stand_to_those_who_review(office: Office) -> None:
    def asked(words: str) -> str:
        return str(office.ben.command("/errata", words, office.channel)["text"])

    assert "No example has been approved yet" in asked("stats")
    for number in range(2):
        _, reply = office.ask(f"{QUESTION} ({number})", WRONG)
        office.correct(office.ana, reply, f"{RIGHT} ({number})", topic="filters")
    office.review(office.ben)
    office.approve(office.ben)
    assert asked("queue").startswith("1 waits for review:\n• #2 correction, en")
    told = asked("stats")
    assert told.startswith("*1 approved example*: 1 correction")
    assert "English filters examples" in told
    assert office.ana.command("/errata", "stats", office.channel)["text"].startswith("Ana may not")


def test_frozen_examples_carry_the_assistants_system_prompt(office: Office) -> None:
    for number in range(3):
        _, reply = office.ask(f"{QUESTION} ({number})", WRONG)
        office.correct(office.ana, reply, f"{RIGHT} ({number})")
    office.review(office.ben)
    for _ in range(3):
        office.approve(office.ben)
    office.olga.command("/errata", "freeze first", office.channel)
    assert requested.step(office.store, now())
    with office.store.read() as session:
        items = dataset.items(session, dataset.find(session, "first"))
    assert {item.conversation.messages[0].content for item in items} == {PROMPT}
    assert office.ana.command("/errata", "freeze second", office.channel)["text"].startswith("Ana may not")


def test_a_form_that_slack_does_not_open_is_told_and_pressing_again_works(office: Office) -> None:
    _, reply = office.ask(QUESTION, WRONG)
    office.workspace.fail_next("views.open", 500)
    office.ana.message_shortcut(office.channel, reply, "correct_reply")
    office.workspace.wait_until(lambda: office.ana.ephemerals, what="the answer")
    assert "press the button again" in office.ana.ephemerals[-1]["text"]
    assert office.correct(office.ana, reply, RIGHT) == {}


def test_a_correction_in_which_nobody_sees_anything_is_empty(office: Office) -> None:
    _, reply = office.ask(QUESTION, WRONG)
    office.ana.message_shortcut(office.channel, reply, "correct_reply")
    office.wait_for_thread(office.ana)
    assert "The correction is empty" in office.ana.submit({"correction": "\u200b \u2060"})["correction"]
    assert rows(office, Candidate) == []
