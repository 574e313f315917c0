"""The id of a row that went is given to no other one, on SQLite as on PostgreSQL."""

from __future__ import annotations

from builders import NOON, Team
from sqlmodel import SQLModel, col, select

from curation import examples, undoing
from curation.privacy import erasure, personal
from curation.store.tables import Candidate, Capture, Example, Notice, PrivacyFinding, Review

THREAD = "T1/C1/9.0"


def newest(team: Team, table: type[SQLModel]) -> int:
    key = table.id  # type: ignore[attr-defined]  # each of these has one
    with team.store.read() as session:
        return int(session.exec(select(key).order_by(col(key).desc())).first() or 0)


def approve_and_scan(team: Team, thread: str) -> int:
    """An approved example with something personal in it, and an author who is told of both."""
    candidate = team.approve("I am at kari@nordmann.no, is it safe?", "Yes.", thread=thread)
    with team.store.write() as session:
        personal.look(session, examples.approved(session))
    return candidate


def test_after_an_erasure_every_row_that_went_leaves_its_id_unused(crew: Team) -> None:
    approve_and_scan(crew, THREAD)
    tables = (Capture, Candidate, Review, PrivacyFinding, Notice)
    gone = {table: newest(crew, table) for table in tables}
    with crew.store.write() as session:
        erasure.erase(session, crew.olga, NOON, THREAD)
    assert {newest(crew, table) for table in (Capture, Candidate, Review, PrivacyFinding)} == {0}
    approve_and_scan(crew, "T1/C1/10.0")
    assert [table.__name__ for table in tables if newest(crew, table) <= gone[table]] == []


def test_an_example_whose_approval_was_undone_leaves_its_id_unused(crew: Team) -> None:
    approve_and_scan(crew, THREAD)
    gone = newest(crew, Example)
    with crew.store.write() as session:
        undoing.undo(session, crew.ben, NOON, review_id=newest(crew, Review))
    assert newest(crew, Example) == 0
    approve_and_scan(crew, "T1/C1/10.0")
    assert newest(crew, Example) > gone
