"""Freezing in two steps: what is written before the version, what a kill leaves, and what an owner hears."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from builders import NOON, PROMPT, Team
from sqlmodel import select

from curation import assistants, audit, examples, handover
from curation.conversation import Conversation, Message, Role
from curation.datasets import dataset, requested
from curation.datasets.requested import TRANSITIONS, Answered, RequestStatus, RequestStep
from curation.datasets.split import Side
from curation.errors import Conflict
from curation.formats.format import Format
from curation.formats.jsonl import Row
from curation.privacy.ahead import AT_ONCE, look_ahead
from curation.store.tables import DatasetVersion, Example, FreezeRequest, Notice, PrivacyFinding

QUESTION = "How long does the filter last?"

# A worker that is killed as it comes to a stage; without one, right after the commit of what it was asked for.
KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from curation.datasets import requested
from curation.store.engine import Store, open_engine

stage = sys.argv[2]

def told(what, done, total):
    if what == stage:
        os.kill(os.getpid(), signal.SIGKILL)

assert requested.step(Store(open_engine(sys.argv[1])), datetime(2026, 11, 20, 12, tzinfo=UTC), told=told)
os.kill(os.getpid(), signal.SIGKILL)
"""


def row(number: int, words: str = "") -> Row:
    asked = f"{'abcdefghijklmnopqrstuvwxyz'[number % 26] * 9} {number * 7919} {words}?"
    turns = (Message(Role.USER, asked), Message(Role.ASSISTANT, "Yes."))
    return Row(number, Conversation(turns), {"thread": f"t{number}"})


def attest(team: Team, *rows: Row) -> None:
    with team.store.write() as session:
        examples.attest(session, team.olga, NOON, rows, origin="import:old", reason="Known.")


def ask(team: Team, name: str) -> FreezeRequest:
    with team.store.write() as session:
        return requested.ask(session, team.olga, NOON, name=name, validation_share=0.1, destination=team.place)


def kill_a_worker(team: Team, stage: str) -> None:
    url = team.store.engine.url.render_as_string(hide_password=False)
    ended = subprocess.run(  # noqa: S603 (our own words)
        [sys.executable, "-c", KILLED, url, stage], cwd=Path(__file__).parents[2], env=dict(os.environ), check=False
    )
    assert ended.returncode == -signal.SIGKILL


@pytest.mark.parametrize("stage", ["Looking for personal data", "Reading", "Counting tokens", "Writing"])
def test_a_worker_that_is_killed_while_it_prepares_leaves_the_request_and_the_next_one_freezes(
    team: Team, stage: str
) -> None:
    attest(team, *(row(number) for number in range(20)))
    request = ask(team, "v1")
    kill_a_worker(team, stage)
    with team.store.read() as session:
        assert [one.key for one in requested.waiting(session)] == [request.key]
        assert dataset.listed(session) == []
        assert session.exec(select(Notice)).all() == []
    assert requested.step(team.store, NOON)
    assert not requested.step(team.store, NOON)
    once(team)


def test_a_worker_that_is_killed_after_the_commit_has_frozen_once_and_owes_the_notice(team: Team) -> None:
    attest(team, *(row(number) for number in range(20)))
    ask(team, "v1")
    kill_a_worker(team, "none")
    assert not requested.step(team.store, NOON)
    once(team)


def once(team: Team) -> None:
    """One version of everything, one entry, and one notice that waits to be delivered."""
    with team.store.read() as session:
        (version,) = dataset.listed(session)
        (notice,) = session.exec(select(Notice))
        assert (version.manifest["rows"], notice.status) == (20, "queued")
        assert requested.outcome_of(session, int(notice.subject.partition(":")[2])).name == version.name
        assert len(audit.search(session, action="dataset.frozen")) == 1
        assert len(audit.search(session, action="freezing.done")) == 1


def test_a_look_that_is_stopped_half_way_goes_on_where_it_was(team: Team) -> None:
    attest(team, *(row(number, "I am at kari@nordmann.no") for number in range(AT_ONCE + 3)))

    def stop(done: int, _total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        look_ahead(team.store, told=stop)
    with team.store.read() as session:
        assert len(session.exec(select(PrivacyFinding)).all()) == AT_ONCE
    assert look_ahead(team.store) == 3
    assert look_ahead(team.store) == 0
    with team.store.read() as session:
        assert len({found.example_id for found in session.exec(select(PrivacyFinding))}) == AT_ONCE + 3


def test_rows_of_a_validation_file_are_never_trained_on_even_if_the_freeze_is_refused_later(team: Team) -> None:
    attest(team, *(row(number) for number in range(20)))
    own = [row(number) for number in range(30, 34)]
    with pytest.raises(Conflict, match="Nothing is frozen"):
        dataset.freeze(team.store, team.olga, NOON, name="own", options=dataset.Options(validation=own, strict=True))
    version = team.freeze("later")
    with team.store.read() as session:
        kept = {example.key for example in session.exec(select(Example).where(Example.source == "validation:own"))}
        sides = {item.example.key: item.side for item in dataset.items(session, version)}
    assert len(kept) == 4
    assert {sides[key] for key in kept} == {Side.VALIDATION}


def test_a_validation_file_that_is_refused_leaves_nothing(team: Team) -> None:
    attest(team, *(row(number) for number in range(20)))
    version = team.freeze("v1")
    with team.store.read() as session:
        trained = next(item for item in dataset.items(session, version) if item.side is Side.TRAIN)
        before = len(audit.search(session))
    own = [Row(1, row(40).conversation, {}), Row(2, trained.conversation, {})]
    with pytest.raises(Conflict, match="line 2"):
        dataset.freeze(team.store, team.olga, NOON, name="own", options=dataset.Options(validation=own))
    with team.store.read() as session:
        assert len(session.exec(select(Example)).all()) == 20
        assert len(audit.search(session)) == before


def test_an_export_of_everything_is_under_the_same_prompts_as_a_dataset(team: Team) -> None:
    with team.store.write() as session:
        assistants.set_prompt(session, team.olga, NOON, name="Bris", text="In C1.", channel="C1")
    team.approve(QUESTION, "Six months.")
    team.place = "T1/C2"
    team.approve("Is the jug safe in the dishwasher?", "It is not.")
    team.freeze("v1")
    with team.store.write() as session:
        of_all, frozen = (
            handover.hand_over(session, team.olga, NOON, target=Format.OPENAI, name=name).rows for name in (None, "v1")
        )
    assert [row.conversation.messages[0].content for row in of_all] == ["In C1.", PROMPT]
    assert [row.conversation for row in of_all] == [row.conversation for row in frozen]


def test_a_name_that_is_being_frozen_already_is_not_asked_for_twice(team: Team) -> None:
    team.approve(QUESTION, "Six months.")
    ask(team, "v1")
    with pytest.raises(Conflict, match="v1 is being frozen already"):
        ask(team, "v1")


@pytest.mark.parametrize("status", RequestStatus)
@pytest.mark.parametrize("step", RequestStep)
def test_a_request_is_answered_once(status: RequestStatus, step: RequestStep) -> None:
    request = FreezeRequest(place="T1/C1", asked_by="T1/UOLGA", asked_at=NOON, options={}, status=status.value)
    if status is RequestStatus.REQUESTED:
        requested.take(request, step, NOON)
        assert (request.status, request.ended_at) == (TRANSITIONS[status, step].value, NOON)
    else:
        with pytest.raises(Answered):
            requested.take(request, step, NOON)


def test_the_same_rows_give_the_same_version_however_they_were_frozen(team: Team) -> None:
    attest(team, *(row(number) for number in range(20)))
    first = team.freeze("v1")
    request = ask(team, "v2")
    assert requested.step(team.store, NOON)
    with team.store.read() as session:
        outcome = requested.outcome_of(session, request.key)
        assert (outcome.name, outcome.digest, outcome.new) == ("v1", first.digest, False)
        assert [version.name for version in session.exec(select(DatasetVersion))] == ["v1"]
