"""What rows of files say of themselves: numbers count, spellings are one, and what cannot be taken is said."""

from __future__ import annotations

import json
from typing import Any

import pytest
from builders import NOON, Team
from sqlmodel import select

from curation import examples, imports
from curation.conversation import Conversation, Message, Role
from curation.formats.jsonl import Row, read
from curation.labels import labels_of, text_of
from curation.privacy import erasure
from curation.store.tables import Candidate, Example

TURNS = [{"role": "user", "content": "Blue?"}, {"role": "assistant", "content": "Yes."}]


def row(**metadata: Any) -> Row:
    return Row(1, Conversation((Message(Role.USER, "Blue?"), Message(Role.ASSISTANT, "Yes."))), metadata)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("billing", "billing"),
        (" billing ", "billing"),
        ("", None),
        (None, None),
        (1007, "1007"),
        (0, "0"),
        (True, None),
        (["a"], None),
        ("O’Neil-Mu\u0308ller", "O'Neil-Müller"),
    ],
    ids=str,
)
def test_a_label_is_text_and_a_number_counts_as_its_text(value: object, text: str | None) -> None:
    assert text_of(value) == text


def test_all_labels_are_read_and_nothing_else() -> None:
    assert labels_of({"customer": 7, "topic": "billing", "other": "x"}) == {
        "topic": "billing",
        "language": None,
        "thread": None,
        "customer": "7",
    }


def test_a_customer_who_is_a_number_keeps_their_rows_together_and_can_be_erased(team: Team) -> None:
    with team.store.write() as session:
        made = row(customer=1007, topic=5, thread=12)
        examples.attest(session, team.olga, NOON, [made], origin="import:a", reason="Reviewed")
        imports.propose_rows(session, team.ana, NOON, [made], origin="import:b")
    with team.store.write() as session:
        for table in (Example, Candidate):
            kept = session.exec(select(table)).one()
            assert (kept.customer, kept.topic) == ("1007", "5")
            assert kept.thread.endswith("/12")
        erased = erasure.erase(session, team.olga, NOON, "1007")
    assert (erased.examples, erased.candidates) == ([1], [1])


@pytest.mark.parametrize("fast", [True, False], ids=["plain", "with tools"])
@pytest.mark.parametrize("value", [True, 1.5, ["a"], {"id": 7}], ids=["true", "fraction", "list", "object"])
def test_what_cannot_be_a_label_is_said_and_stops_the_row(value: object, *, fast: bool) -> None:
    tools = {} if fast else {"tools": [{"type": "function", "function": {"name": "track"}}]}
    line = json.dumps({"messages": TURNS, **tools, "metadata": {"thread": value}}).encode()
    (found,) = read([line])
    assert not isinstance(found, Row)
    assert (found.rule, found.severity.value) == ("metadata.type", "error")
    assert found.message.startswith("the thread in metadata is ")
