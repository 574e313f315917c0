"""What was said of an erased customer stays theirs: whoever comes next has other ids, and other messages."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from builders import Office
from sqlmodel import select

from bot.app import now
from bot.sandbox.people import Person
from curation import audit
from curation.privacy import erasure, retention
from curation.reviews import Verdict
from curation.store.tables import Candidate, Capture, Review

WRONG = "It lasts for ever."
QUESTION, RIGHT = "How long is the filter of my lamp good for?", "It lasts six months."
OTHER_QUESTION, OTHER_RIGHT = "Is the jug safe in the dishwasher?", "The lid is not."


def rows(office: Office, table: type) -> list[Any]:
    with office.store.read() as session:
        return list(session.exec(select(table)))


def erase(office: Office, thread: str) -> None:
    with office.store.write() as session:
        erasure.erase(session, office.actor("olga"), now(), f"{office.workspace.team_id}/{office.channel}/{thread}")


def correct(office: Office, question: str, correction: str) -> tuple[str, int]:
    """Ana corrects a reply and says so in its thread: the thread, and the candidate's id."""
    thread, reply = office.ask(question, WRONG)
    assert office.correct(office.ana, reply, correction, post=["thread"]) == {}
    return thread, rows(office, Candidate)[-1].key


def said(office: Office, messages: list[dict[str, Any]]) -> list[str]:
    mine = office.workspace.bot_id
    return [json.dumps(one, ensure_ascii=False) for one in messages if one.get("bot_id") == mine]


def heard(office: Office, person: Person) -> list[str]:
    """What Errata wrote to this person alone, a message each."""
    office.deliver()
    return said(office, person.dms)


def in_thread(office: Office, thread: str) -> list[str]:
    office.deliver()
    return said(office, office.workspace.messages(office.channel, thread))


def front(person: Person) -> str:
    assert person.modal is not None
    return json.dumps(person.modal["blocks"], ensure_ascii=False).replace("\u2060", "")


def test_the_next_correction_is_told_in_messages_of_its_own(office: Office) -> None:
    erased_thread, erased = correct(office, QUESTION, RIGHT)
    office.decide("ben", erased, Verdict.APPROVE)
    assert len(heard(office, office.ana)) == len(in_thread(office, erased_thread)) == 1
    erase(office, erased_thread)
    left = in_thread(office, erased_thread)
    thread, candidate = correct(office, OTHER_QUESTION, OTHER_RIGHT)
    office.decide("ben", candidate, Verdict.APPROVE)
    before, after = heard(office, office.ana)
    assert candidate != erased
    assert f"#{candidate}" not in before
    assert f"Ben approved your correction #{candidate}" in after
    assert in_thread(office, erased_thread) == left
    (message,) = in_thread(office, thread)
    assert OTHER_RIGHT in message
    with office.store.read() as session:
        theirs = [[one.action for one in audit.about(session, f"candidate:{key}")] for key in (erased, candidate)]
    assert theirs[0] == theirs[1]  # each once


def test_a_form_of_an_erased_thread_corrects_no_other_reply(office: Office) -> None:
    """Ana has one open on her desk and, once that is erased, opens another one on her phone."""
    thread, reply = office.ask(QUESTION, WRONG)
    office.ana.message_shortcut(office.channel, reply, "correct_reply")
    office.wait_for_thread(office.ana)
    assert office.ana.modal is not None
    on_the_desk = office.ana.modal["private_metadata"]
    erase(office, thread)
    _, other = office.ask(OTHER_QUESTION, WRONG)
    office.ana.message_shortcut(office.channel, other, "correct_reply")
    office.wait_for_thread(office.ana)
    office.forge(office.ana, "private_metadata", on_the_desk)
    refused = office.ana.submit({"correction": RIGHT})
    assert refused == {"correction": "This form is no longer known; press the shortcut on the reply again."}
    assert rows(office, Candidate) == []


def test_a_review_form_of_an_erased_candidate_decides_no_other_one(office: Office) -> None:
    thread, erased = correct(office, QUESTION, RIGHT)
    office.review(office.ben)
    assert office.reviewed(office.ben) == erased
    erase(office, thread)
    correct(office, OTHER_QUESTION, OTHER_RIGHT)
    office.approve(office.ben)
    assert [(one.status, one.reply) for one in rows(office, Candidate)] == [("pending", WRONG)]
    assert rows(office, Review) == []


def test_the_button_that_undid_an_erased_decision_undoes_no_other_one(office: Office) -> None:
    thread, _ = correct(office, QUESTION, RIGHT)
    office.review(office.ben)
    assert office.approve(office.ben) == {}
    erase(office, thread)
    _, other = correct(office, OTHER_QUESTION, OTHER_RIGHT)
    office.decide("ben", other, Verdict.APPROVE)
    office.ben.click_in_modal("review_undo")
    assert "There is no decision" in front(office.ben)
    assert [one.status for one in rows(office, Candidate)] == ["approved"]


def test_what_retention_swept_leaves_its_ids_to_nobody(office: Office) -> None:
    correct(office, QUESTION, RIGHT)
    gone = [one.key for table in (Capture, Candidate) for one in rows(office, table)]
    with office.store.write() as session:
        later = office.ahead() + timedelta(days=400)
        assert retention.sweep(session, office.actor("olga"), later, days=365).candidates == 1
    correct(office, OTHER_QUESTION, OTHER_RIGHT)
    came = [one.key for table in (Capture, Candidate) for one in rows(office, table)]
    assert all(new > old for new, old in zip(came, gone, strict=True))
