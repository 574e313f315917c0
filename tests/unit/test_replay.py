"""The gate's memory in the database: what a request did and that it was handled are one commit."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from builders import NOON, new_store
from sqlmodel import select

from bot import replay
from bot.gate import Outcome
from bot.replay import StoredReplays
from curation import people
from curation.errors import Overtaken
from curation.people import PersonId
from curation.store.engine import Store
from curation.store.tables import HandledRequest, Person

DONE = Outcome(200, "text/plain;charset=utf-8", b"")
SAID = Outcome(200, "text/plain;charset=utf-8", "Grüße".encode())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return new_store(tmp_path)


def meet(store: Store, name: str = "T1/U1") -> None:
    with store.write() as session:
        people.meet(session, NOON, PersonId(name))


def test_the_outcome_is_committed_with_the_work_even_if_the_process_ends_before_the_answer(store: Store) -> None:
    with StoredReplays(store).handling("key", NOON):
        meet(store)
    assert StoredReplays(store).recall("key") == DONE


def test_what_was_expected_is_not_written_again_and_what_was_not_replaces_it(store: Store) -> None:
    memory = StoredReplays(store)
    for key, answer in (("a", "Grüße"), ("b", "Another answer")):
        with memory.handling(key, NOON):
            with store.write() as session:
                people.meet(session, NOON, PersonId(f"T1/{key}"))
                replay.expect(answer)
            memory.remember(key, SAID, NOON)
    assert memory.recall("a") == memory.recall("b") == SAID


def test_work_that_was_undone_leaves_no_outcome_and_its_answer_is_kept_by_itself(store: Store) -> None:
    memory = StoredReplays(store)
    with memory.handling("key", NOON):
        with pytest.raises(ValueError, match="has no time zone"), store.write() as session:
            people.meet(session, NOON.replace(tzinfo=None), PersonId("T1/U1"))
        assert memory.recall("key") is None
        memory.remember("key", SAID, NOON)
    assert memory.recall("key") == SAID


def test_the_same_request_arriving_twice_at_once_is_done_once(store: Store) -> None:
    memory = StoredReplays(store)
    with memory.handling("key", NOON):
        assert memory.recall("key") is None
        with StoredReplays(store).handling("key", NOON):
            meet(store, "T1/FIRST")
        with pytest.raises(Overtaken):
            meet(store, "T1/SECOND")
        memory.remember("key", SAID, NOON)
    assert memory.recall("key") == DONE
    with store.read() as session:
        assert session.exec(select(Person.id)).all() == ["T1/FIRST"]


def test_commits_outside_a_request_keep_no_outcome(store: Store) -> None:
    meet(store)
    replay.expect("nobody asked")
    with store.read() as session:
        assert session.exec(select(HandledRequest)).all() == []


def test_outcomes_are_forgotten_once_no_clock_would_let_their_requests_in(store: Store) -> None:
    memory = StoredReplays(store)
    for minutes in range(0, 30, 5):
        now = NOON + timedelta(minutes=minutes)
        with memory.handling(f"at {minutes}", now):
            meet(store, f"T1/U{minutes}")
            memory.remember(f"at {minutes}", DONE, now)
    with store.read() as session:
        assert sorted(session.exec(select(HandledRequest.key))) == ["at 15", "at 20", "at 25"]
