"""What an assistant had retrieved for a reply comes along with it, where the assistant says so."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from builders import Office
from sqlmodel import select

from bot.app import now
from bot.assistant.history import retrieved_for
from curation.people import WORKER
from curation.privacy import retention
from curation.store.tables import Candidate, Capture, Example

QUESTION = "How long is the filter good for?"
WRONG = "The filter lasts for ever."
RIGHT = "A filter lasts six months."
PAGES = ["Filters last six months.", "Die App meldet sich zwei Wochen vorher."]


def said(payload: Any, event_type: str = "errata_context") -> dict[str, Any]:
    return {"event_type": event_type, "event_payload": payload}


def corrected(office: Office, metadata: dict[str, Any] | None) -> Candidate:
    thread = office.customer.post(office.channel, QUESTION)
    reply = office.bris.post(office.channel, WRONG, thread_ts=thread, metadata=metadata)
    assert office.correct(office.ana, reply, RIGHT) == {}
    with office.store.read() as session:
        return session.exec(select(Candidate)).one()


def test_what_was_retrieved_for_a_reply_stays_with_its_example(office: Office) -> None:
    assert corrected(office, said({"context": PAGES, "model": "bris-2"})).context == PAGES
    office.review(office.ben)
    assert office.approve(office.ben) == {}
    with office.store.read() as session:
        assert session.exec(select(Example)).one().context == PAGES


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        said({"context": PAGES}, event_type="somebody_elses"),
        said({"context": [1, 2]}),
        said({"context": [" "]}),
        said({"documents": PAGES}),
    ],
    ids=["none", "of another type", "no texts", "blank", "under another name"],
)
def test_a_reply_that_does_not_say_it_is_corrected_all_the_same(
    office: Office, metadata: dict[str, Any] | None
) -> None:
    candidate = corrected(office, metadata)
    assert (candidate.context, candidate.status) == (None, "pending")


def test_what_no_database_holds_is_left_out_of_it() -> None:
    message = {"metadata": said({"context": "six\0 \ud83dmonths"})}
    assert retrieved_for(message) == ["six months"]


def test_it_goes_with_the_words_of_an_old_capture(office: Office) -> None:
    corrected(office, said({"context": PAGES}))
    office.review(office.ben)
    assert office.approve(office.ben) == {}
    with office.store.write() as session:
        retention.sweep(session, WORKER, now() + timedelta(days=40), days=30)
    with office.store.read() as session:
        kept = session.exec(select(Capture)).one()
        assert (kept.reply, kept.context) == ("", None)
