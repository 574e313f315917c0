"""Also post in the thread: the correction is said where the wrong reply stands, once, under its author's name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from builders import Office
from sqlmodel import select

from bot.app import now
from bot.blocks.thread_posts import post, post_text
from bot.sandbox.limits import check_message
from bot.speech import ENGLISH_SPOKEN
from curation import proposals, reviews
from curation.notices import NoticeStatus
from curation.privacy import erasure
from curation.reviews import Verdict
from curation.store.tables import Candidate, Notice
from curation.thread_posts import ThreadPost

WRONG, RIGHT = "It lasts for ever.", "A filter lasts six months."
PINGS = "<!channel> <@U123> & <https://evil.test|your bank> @everyone"


def rows(office: Office, table: type) -> list[Any]:
    with office.store.read() as session:
        return list(session.exec(select(table)))


def posted(office: Office, root: str) -> list[dict[str, Any]]:
    """What Errata has said in the thread."""
    office.deliver()
    mine = office.workspace.bot_id
    return [one for one in office.workspace.messages(office.channel, root) if one.get("bot_id") == mine]


def correct(office: Office, reply: str, text: str = RIGHT, **values: Any) -> dict[str, str]:
    return office.correct(office.ana, reply, text, post=["thread"], **values)


def words(message: dict[str, Any]) -> str:
    return json.dumps(message["blocks"], ensure_ascii=False)


def test_by_default_nothing_is_said_in_the_thread(office: Office) -> None:
    root, reply = office.ask("How long?", WRONG)
    assert office.correct(office.ana, reply, RIGHT) == {}
    assert posted(office, root) == []


def test_the_correction_is_posted_once_with_its_authors_name(office: Office) -> None:
    root, reply = office.ask("How long?", WRONG)
    assert correct(office, reply) == {}
    (message,) = posted(office, root)
    assert "*Ana* corrects:" in words(message)
    assert RIGHT in words(message)
    assert message["thread_ts"] == root
    office.wait().deliver()
    assert len(posted(office, root)) == 1


def test_it_is_below_a_reply_that_opened_its_thread_itself(office: Office) -> None:
    """A form without a conversation before the reply asks for the question; its own message is the thread."""
    reply = office.bris.post(office.channel, WRONG)
    assert correct(office, reply, question="How long?") == {}
    (message,) = posted(office, reply)
    assert message["thread_ts"] == reply


def test_it_can_neither_ping_nor_link(office: Office) -> None:
    root, reply = office.ask("How long?", WRONG)
    assert correct(office, reply, PINGS) == {}
    (message,) = posted(office, root)
    head, body = message["blocks"]
    assert "<" not in head["text"]["text"]
    assert [leaf["type"] for quote in body["elements"] for leaf in quote["elements"]] == ["text"]
    assert "<" not in message["text"]


@pytest.mark.parametrize("length", [2_990, 10_000])
def test_a_long_correction_is_posted_whole(office: Office, length: int) -> None:
    root, reply = office.ask("How long?", "x" * length)
    office.ana.message_shortcut(office.channel, reply, "correct_reply")
    office.wait_for_thread(office.ana)
    assert office.ana.submit({"post": ["thread"], "note": "As it stands."}) == {}
    (message,) = posted(office, root)
    assert message["blocks"][1]["elements"][0]["elements"][0]["text"] == "x" * length


def test_of_what_no_message_holds_the_beginning_is_posted_and_the_rest_pointed_at(office: Office) -> None:
    root, reply = office.ask("How long?", ("x" * 999 + ".\n") * 13)
    office.ana.message_shortcut(office.channel, reply, "correct_reply")
    office.wait_for_thread(office.ana)
    assert office.ana.submit({"post": ["thread"]}) == {}
    (message,) = posted(office, root)
    assert message["blocks"][1]["elements"][0]["elements"][0]["text"] == "\n".join(["x" * 999 + "."] * 10)
    assert "The rest of it stands in the correction itself." in words(message)


def test_when_its_author_reworks_it_the_message_is_edited_in_place(office: Office) -> None:
    root, reply = office.ask("How long?", WRONG)
    correct(office, reply)
    (first,) = posted(office, root)
    with office.store.write() as session:
        proposals.amend(session, office.actor("ana"), now(), candidate_id=1, correction="Twelve months.")
    (message,) = posted(office, root)
    assert message["ts"] == first["ts"]
    assert "Twelve months." in words(message)


@pytest.mark.parametrize("verdict", [Verdict.REJECT, Verdict.APPROVE, Verdict.EDIT_AND_APPROVE])
def test_what_a_reviewer_decides_adds_nothing_to_the_thread(office: Office, verdict: Verdict) -> None:
    root, reply = office.ask("How long?", WRONG)
    correct(office, reply)
    before = posted(office, root)
    more: dict[str, Any] = {"comment": "No."} if verdict is Verdict.REJECT else {}
    more |= {"edited": "Six and a half."} if verdict is Verdict.EDIT_AND_APPROVE else {}
    with office.store.write() as session:
        reviews.decide(session, office.actor("ben"), now(), candidate_id=1, verdict=verdict, **more)
    assert posted(office, root) == before


def test_a_form_that_is_sent_twice_posts_once(office: Office) -> None:
    root, reply = office.ask("How long?", WRONG)
    correct(office, reply)
    submission = next(one for one in reversed(office.workspace.deliveries) if one.kind == "interaction")
    office.workspace.redeliver(submission)
    assert len(posted(office, root)) == 1


@pytest.mark.parametrize("fault", ["drop_answer", 500, "ratelimited"])
def test_where_slacks_answer_is_lost_the_message_is_looked_for_in_its_thread(office: Office, fault: str | int) -> None:
    root, reply = office.ask("How long?", WRONG)
    correct(office, reply)
    office.workspace.fail_next("chat.postMessage", fault, times=2)
    for _ in range(4):
        office.deliver()
        office.wait()
    assert len(posted(office, root)) == 1


def test_the_message_is_no_turn_of_the_conversation_for_the_next_correction(office: Office) -> None:
    root, first = office.ask("How long?", WRONG)
    correct(office, first)
    posted(office, root)
    office.customer.post(office.channel, "And the price?", thread_ts=root)
    second = office.bris.post(office.channel, "Free.", thread_ts=root)
    assert office.correct(office.ana, second, "Five kroner.") == {}
    assert [turn["content"] for turn in rows(office, Candidate)[-1].turns] == ["How long?", WRONG, "And the price?"]


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("is_archived", "The channel is archived."),
        ("not_in_channel", "invite it with /invite @Errata"),
        ("thread_not_found", "The thread is deleted."),
        ("missing_scope", "errata doctor names what is missing"),
        ("restricted_action", "a workspace admin can let Errata"),
    ],
)
def test_where_the_thread_does_not_take_it_the_author_hears_why_and_that_the_correction_is_safe(
    office: Office, fault: str, why: str
) -> None:
    root, reply = office.ask("How long?", WRONG)
    correct(office, reply)
    office.workspace.fail_next("chat.postMessage", fault, times=2)  # what the channel is owed goes first
    office.deliver()
    (told,) = [message["text"] for message in office.ana.dms]
    assert told.startswith("Your correction #1 is saved, but it could not be posted in the thread.")
    assert why in told.replace("\u2060", "")
    assert posted(office, root) == []
    assert len(rows(office, Candidate)) == 1


def test_in_a_channel_that_was_archived_meanwhile_the_correction_is_saved_all_the_same(office: Office) -> None:
    root, reply = office.ask("How long?", WRONG)
    office.ana.message_shortcut(office.channel, reply, "correct_reply")
    office.wait_for_thread(office.ana)
    office.workspace.archive(office.channel)
    assert office.ana.submit({"correction": RIGHT, "post": ["thread"]}) == {}
    assert posted(office, root) == []
    assert "The channel is archived." in office.ana.dms[-1]["text"]
    assert len(rows(office, Candidate)) == 1


def test_what_is_erased_is_gone_from_the_thread_as_well(office: Office) -> None:
    root, reply = office.ask("How long?", WRONG)
    correct(office, reply)
    posted(office, root)
    with office.store.write() as session:
        erasure.erase(session, office.actor("olga"), now(), office.actor("customer").person_id)
    (message,) = posted(office, root)
    assert RIGHT not in json.dumps(message)
    assert "This was erased" in json.dumps(message)
    with office.store.read() as session:
        assert {one.status for one in session.exec(select(Notice))} == {NoticeStatus.DELIVERED.value}


@pytest.mark.parametrize(
    "text", [PINGS * 40, "&" * 3000, "*bold* `code` ~no~\n> quote\n" * 100, "🦊" * 2000, "a\n" * 1500, "\u202egnp.exe"]
)
@pytest.mark.parametrize("name", ["Ana", PINGS[:80], "*_`" * 20])
def test_whatever_somebody_writes_slack_takes_the_message_and_nobody_is_pinged(text: str, name: str) -> None:
    shown = ThreadPost(name, text)
    message = {"text": post_text(ENGLISH_SPOKEN, shown), "blocks": post(ENGLISH_SPOKEN, shown)}
    check_message(message)
    assert "<" not in message["text"] + message["blocks"][0]["text"]["text"]
