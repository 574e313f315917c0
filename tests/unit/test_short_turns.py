"""Whoever holds the writer's lock holds it briefly: what a decision costs, and what is done while others wait.

Counted in SQLite's own steps and in functions called, never in seconds: a busy machine changes neither.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from builders import NOON, Team, new_team
from sqlmodel import Session

from bot import cli
from curation import claims, examples
from curation.conversation import Conversation, Message, Role
from curation.datasets import requested
from curation.formats.jsonl import Row
from curation.queue import tally
from curation.reviews import Verdict
from curation.screening import worklist
from curation.screening.harms import Severities, Watch
from curation.store.engine import Store
from training.visits import Visits

QUESTION = "How long is the filter good for, in the model {number}, and who tells me?"
CORRECTION = "Six months in the model {number}; the lamp turns yellow. Write to help{number}@klarbris.example."
THINKING = {"credentials", "detection", "disguises", "diversity", "duplicates", "likeness", "outliers", "phones"}
"""The modules that look at texts."""
PATIENCE_SECONDS = 20.0


@pytest.fixture
def team(tmp_path: Path) -> Team:
    return new_team(tmp_path)


@pytest.fixture
def thoughts(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """What is called of ``THINKING`` from now on while a unit of work of this thread holds the writer's lock."""
    found: set[str] = set()
    real = Store.write

    def called(frame: FrameType, what: str, _argument: object) -> None:
        file = Path(frame.f_code.co_filename)
        if what == "call" and file.stem in THINKING and "curation" in file.parts:
            found.add(f"{file.stem}.{frame.f_code.co_name}")

    @contextmanager
    def write(store: Store) -> Iterator[Session]:
        with real(store) as session:
            sys.setprofile(called)
            try:
                yield session
            finally:
                sys.setprofile(None)

    monkeypatch.setattr(Store, "write", write)
    return found


def test_what_a_reviewer_is_shown_next_costs_the_same_however_much_they_have_decided(team: Team) -> None:
    waiting = [_flagged(team, number) for number in range(24)]
    at_first = _steps(team.store, lambda session: _next(session, team))
    for candidate in waiting[:12]:
        team.decide(candidate, Verdict.APPROVE)
    for number in range(24, 36):
        _flagged(team, number)  # as many wait as before
    assert _steps(team.store, lambda session: _next(session, team)) < 1.2 * at_first


def test_screening_holds_the_lock_only_to_write_down_what_it_found(team: Team, thoughts: set[str]) -> None:
    for number in range(3):
        _flagged(team, number)
    _attested(team, 2)
    thoughts.clear()
    assert worklist.step(team.store, NOON) == 3 + 2
    assert thoughts == set()


@pytest.mark.parametrize(
    "command", ["privacy scan --examples", "export --format openai --out out.jsonl"], ids=["scan", "export"]
)
def test_a_look_for_personal_data_keeps_no_reviewer_waiting(
    team: Team, thoughts: set[str], command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _attested(team, 3)
    monkeypatch.chdir(tmp_path)
    thoughts.clear()
    assert cli.run(["--home", ".", "--as", "Olga", *command.split()]) == 0
    with team.store.read() as session:
        assert all(example.scanned for example in examples.approved(session))
    assert thoughts == set()


def test_while_a_dataset_is_frozen_others_write_and_it_is_begun_once(team: Team) -> None:
    _attested(team, 12)
    with team.store.write() as session:
        requested.ask(session, team.olga, NOON, name="v1", validation_share=0.1, destination=team.place)
    reached, answered, asked = threading.Event(), threading.Event(), list[int]()

    def slow(texts: Sequence[str]) -> list[Severities | None]:
        asked.append(len(texts))
        reached.set()
        assert answered.wait(PATIENCE_SECONDS)
        return [{} for _ in texts]

    with Visits() as visits:
        freezing = partial(requested.step, team.store, NOON, watch=Watch(slow))
        visits.start("freezing", freezing)
        assert reached.wait(PATIENCE_SECONDS)
        _flagged(team, 1)
        visits.start("freezing", freezing)
        assert len(asked) == 1
        answered.set()
        end = time.monotonic() + PATIENCE_SECONDS
        while _waiting(team):
            assert time.monotonic() < end
            time.sleep(0.01)  # nothing tells of the commit but the row


def _flagged(team: Team, number: int) -> int:
    return team.flag(QUESTION.format(number=number), CORRECTION.format(number=number))


def _attested(team: Team, number: int) -> None:
    rows = [
        Row(
            one,
            Conversation(
                (
                    Message(Role.USER, QUESTION.format(number=one)),
                    Message(Role.ASSISTANT, CORRECTION.format(number=one)),
                )
            ),
            {},
        )
        for one in range(100, 100 + number)
    ]
    with team.store.write() as session:
        examples.attest(session, team.olga, NOON, rows, origin="import:old", reason="Known.")


def _waiting(team: Team) -> int:
    with team.store.read() as session:
        return len(requested.waiting(session))


def _next(session: Session, team: Team) -> None:
    """As after each decision in the review window."""
    claims.take_next(session, team.ben, NOON)
    tally(session, team.ben, NOON)


def _steps(store: Store, do: Callable[[Session], object]) -> int:
    """How many tens of instructions of its virtual machine SQLite executes for this."""
    counted = 0

    def count() -> None:
        nonlocal counted
        counted += 1

    with store.write() as session:
        driver: Any = session.connection().connection.driver_connection
        driver.set_progress_handler(count, 10)
        do(session)
        driver.set_progress_handler(None, 10)
    return counted
