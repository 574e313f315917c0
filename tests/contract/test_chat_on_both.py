"""What Errata owes as the assistant, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from builders import NOON, PROMPT, Team, new_store, new_team
from sqlmodel import select

from bot.assistant import tasks
from bot.assistant.tasks import TaskKind, TaskStep
from curation import assistants, audit
from curation.datasets import dataset
from curation.store.tables import ChatTask


@pytest.fixture(params=["sqlite", "postgres"])
def team(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Team]:
    store = new_store(tmp_path) if request.param == "sqlite" else request.getfixturevalue("postgres").new_store()
    made = new_team(tmp_path, store)
    yield made
    store.close()


def test_a_message_is_owed_one_answer_taken_by_one_and_counted_within_the_minute(team: Team) -> None:
    for number in (1, 1, 2, 3):
        with team.store.write() as session:
            at = NOON + timedelta(seconds=number)
            tasks.owe(
                session,
                at,
                TaskKind.ANSWER,
                source=f"T1/C1/{number}.0",
                thread=f"T1/C1/{number}.0",
                asked_by=team.ana.person_id,
                asked_at=at,
            )
    later = NOON + timedelta(seconds=10)
    for _ in range(2):
        with team.store.write() as session:
            due = tasks.next_due(session, later)
            assert due is not None
            tasks.end(tasks.take(session, later, due) or due, TaskStep.REFUSE, later)
    with team.store.read() as session:
        third = session.exec(select(ChatTask).where(ChatTask.source == "T1/C1/3.0")).one()
        assert tasks.asked_within_a_minute(session, third) == (0, 2)
        assert len(session.exec(select(ChatTask)).all()) == 3
    with team.store.write() as session:
        tasks.release(session, later)


def test_a_channels_own_prompt_goes_before_the_one_for_everywhere(team: Team) -> None:
    with team.store.write() as session:
        for text, channel in (("In C1.", "C1"), ("Again in C1.", "C1"), ("Again in C1.", "C1"), ("In C2.", "C2")):
            assistants.set_prompt(session, team.olga, NOON, name="Bris", text=text, channel=channel)
    with team.store.read() as session:
        found = [
            assistants.current_prompt(session, team.assistant_id, place) for place in ("T1/C1", "T1/C2", "T1/C3", None)
        ]
        assert [(one.version, one.text) for one in found if one is not None] == [
            (3, "Again in C1."),
            (4, "In C2."),
            (1, PROMPT),
            (1, PROMPT),
        ]
        assert [one.version for one in assistants.channel_prompts(session, team.assistant_id)] == [3, 4]
        current = {one.version for one in assistants.prompt_versions(session).values() if one.current}
        assert current == {1, 3, 4}


def test_an_example_is_frozen_under_the_prompt_of_its_channel(team: Team) -> None:
    with team.store.write() as session:
        assistants.set_prompt(session, team.olga, NOON, name="Bris", text="In C1.", channel="C1")
    team.approve("How long does the filter last?", "Six months.")
    team.place = "T1/C2"
    team.approve("Is the jug safe in the dishwasher?", "It is not.")
    frozen = team.freeze("v1")
    with team.store.read() as session:
        rows = [item.conversation.messages for item in dataset.items(session, frozen)]
        asked = {turns[1].content: turns[0].content for turns in rows}
    assert asked == {"How long does the filter last?": "In C1.", "Is the jug safe in the dishwasher?": PROMPT}


def test_errata_itself_is_watched_once_under_a_name_that_is_free(team: Team) -> None:
    ids = frozenset({"UERRATA", "BERRATA"})
    with team.store.write() as session:
        assistants.add(session, team.olga, NOON, name=assistants.ITSELF, team_id="T1", speaks_as={"UOTHER"})
    for _ in range(2):
        with team.store.write() as session:
            itself = assistants.itself(session, NOON, team_id="T1", speaks_as=ids)
            assert itself.name == "Errata in T1"
    with team.store.read() as session:
        assert len(assistants.listed(session)) == 3
        assert audit.verify(session).broken is None
