"""What people think of an answer that Errata gave: an endorsement, a flag and its correction, or nothing allowed."""

from __future__ import annotations

import json

import pytest
from chat_endpoint import VERSION
from chatting import EVENTS, QUESTION, Chat, feedback
from sqlmodel import select

from bot.blocks.chat import FEEDBACK
from bot.variables import FLAG_REACTION
from curation.store.tables import Candidate, Capture, ReplyFlag


def test_a_good_answer_enters_review_as_an_endorsement(chat: Chat) -> None:
    asked = chat.mention(chat.office.customer, QUESTION)
    chat.settle()
    (answer,) = chat.answers(asked)
    chat.office.ana.click(chat.office.channel, answer["ts"], FEEDBACK, value=feedback(answer, "positive"))
    chat.office.workspace.wait_until(lambda: chat.office.ana.ephemerals, what="the thanks")
    chat.office.ana.click(chat.office.channel, answer["ts"], FEEDBACK, value=feedback(answer, "positive"))
    chat.settle()
    (told,) = chat.office.ana.ephemerals  # the first time; from then on Slack's own thumb says enough
    assert "second person" in told["text"]
    with chat.office.store.read() as session:
        (candidate,) = session.exec(select(Candidate))
    assert (candidate.kind, candidate.reply, candidate.status) == ("endorsement", "Six months.", "pending")
    assert candidate.turns == [{"role": "user", "content": QUESTION}]
    assert candidate.flagged_by == chat.office.actor("ana").person_id
    assert "Endorsement" in json.dumps(chat.office.review(chat.office.ben)["blocks"])
    assert chat.office.approve(chat.office.ben) == {}
    with chat.office.store.read() as session:
        assert session.exec(select(Candidate)).one().status == "approved"
    chat.office.ben.click(chat.office.channel, answer["ts"], FEEDBACK, value=feedback(answer, "positive"))
    chat.office.workspace.wait_until(lambda: chat.office.ben.ephemerals, what="the refusal")
    assert chat.office.ben.ephemerals[-1]["text"].startswith("Already endorsed by Ana")


def test_a_wrong_answer_is_flagged_at_once_and_the_form_is_prefilled_with_it(chat: Chat) -> None:
    asked = chat.mention(chat.office.customer, QUESTION)
    chat.settle()
    (answer,) = chat.answers(asked)
    chat.office.ana.click(chat.office.channel, answer["ts"], FEEDBACK, value=feedback(answer, "negative"))
    chat.office.wait_for_thread(chat.office.ana)
    modal = chat.office.ana.modal
    assert modal is not None
    assert any(one.get("element", {}).get("initial_value") == "Six months." for one in modal["blocks"])
    assert chat.figures() == [(VERSION, 1, 1)]
    assert chat.office.ana.submit({"correction": "Twelve months."}) == {}
    with chat.office.store.read() as session:
        (candidate,) = session.exec(select(Candidate))
    assert (candidate.kind, candidate.reply) == ("correction", "Six months.")
    assert candidate.turns == [{"role": "user", "content": QUESTION}]


def test_a_flag_reaction_below_an_answer_names_the_model_that_erred(chat: Chat) -> None:
    chat.office.workspace.subscriptions = EVENTS | {"reaction_added"}
    asked = chat.mention(chat.office.customer, QUESTION)
    chat.settle()
    chat.office.ana.react(chat.office.channel, chat.answers(asked)[0]["ts"], FLAG_REACTION)
    chat.office.workspace.wait_until_delivered()
    assert chat.figures() == [(VERSION, 1, 1)]


@pytest.mark.parametrize("side", ["positive", "negative"])
def test_whoever_may_not_flag_is_told_so_and_nothing_is_kept(chat: Chat, side: str) -> None:
    asked = chat.mention(chat.office.customer, QUESTION)
    chat.settle()
    (answer,) = chat.answers(asked)
    chat.office.customer.click(chat.office.channel, answer["ts"], FEEDBACK, value=feedback(answer, side))
    chat.office.workspace.wait_until(lambda: chat.office.customer.ephemerals, what="the refusal")
    assert "may not flag" in chat.office.customer.ephemerals[-1]["text"]
    assert chat.office.customer.modal is None
    chat.settle()
    with chat.office.store.read() as session:
        assert [*session.exec(select(Capture)), *session.exec(select(ReplyFlag))] == []
    assert len(chat.tasks()) == 1
