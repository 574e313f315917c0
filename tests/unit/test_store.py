"""The store on its ugly days: threads, clocks without a zone, locks, read-only files, full disks."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
import traceback
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from builders import NOON, Team, new_store, new_team
from sqlalchemy import event, text
from sqlmodel import Session, select

from bot.migrations import upgrade
from curation import candidates, people
from curation.errors import Conflict, Invalid, StoreUnavailable, Unavailable
from curation.people import PersonId
from curation.store.engine import Store, open_engine
from curation.store.tables import Candidate, Correction, Person


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = new_store(tmp_path)
    yield opened
    opened.close()


def limit(store: Store, pragma: str) -> None:
    """Let every connection from now on run this pragma after our own."""
    event.listen(store.engine, "connect", lambda connection, _record: connection.execute(f"PRAGMA {pragma}"))
    store.close()


def names(store: Store) -> list[str]:
    with store.read() as session:
        return sorted(session.exec(select(Person.display_name)))


def test_no_update_is_lost_between_eight_threads_of_two_processes(store: Store, tmp_path: Path) -> None:
    """The second store has a writer lock of its own, as the worker's process has."""
    other = Store(open_engine(f"sqlite:///{tmp_path / 'errata.db'}"))
    with store.write() as session:
        people.meet(session, NOON, PersonId("T1/U1"), display_name="0")

    def count_up(writer: Store) -> None:
        for _ in range(15):
            with writer.write() as session:
                person = session.get_one(Person, "T1/U1")
                person.display_name = str(int(person.display_name) + 1)

    threads = [threading.Thread(target=count_up, args=[writer]) for writer in (store, other) * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()
    assert names(store) == ["120"]


def test_a_moment_without_a_time_zone_is_refused(store: Store) -> None:
    naive = datetime(2026, 11, 20)  # noqa: DTZ001 (what the test is about)
    with pytest.raises(ValueError, match="has no time zone"), store.write() as session:
        people.meet(session, naive, PersonId("T1/U1"))
    assert names(store) == []


def test_a_moment_comes_back_as_the_same_moment_in_utc(store: Store) -> None:
    elsewhere = datetime.fromisoformat("2026-11-20T18:45:00+05:45")
    with store.write() as session:
        people.meet(session, elsewhere, PersonId("T1/U1"))
    with store.read() as session:
        kept = session.get_one(Person, "T1/U1").created_at
    assert kept == elsewhere
    assert kept.isoformat() == "2026-11-20T13:00:00+00:00"


def test_a_locked_database_is_said_so_and_nothing_is_written(store: Store, tmp_path: Path) -> None:
    limit(store, "busy_timeout = 20")
    other = sqlite3.connect(tmp_path / "errata.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    refused = pytest.raises(StoreUnavailable, match="locked by another program; nothing was written")
    with refused, store.write() as session:
        people.meet(session, NOON, PersonId("T1/U1"))
    other.execute("ROLLBACK")
    other.close()
    assert names(store) == []


def test_a_read_only_database_is_said_so_and_still_read(store: Store) -> None:
    with store.write() as session:
        people.meet(session, NOON, PersonId("T1/U1"), display_name="Ana")
    limit(store, "query_only = ON")  # what SQLite answers for a read-only file, which root could still write
    with pytest.raises(StoreUnavailable, match="read-only; nothing was written"), store.write() as session:
        people.meet(session, NOON, PersonId("T1/U2"), display_name="Ben")
    assert names(store) == ["Ana"]


def test_a_full_disk_leaves_no_half_of_a_correction(team: Team) -> None:
    kept = team.flag("How long does the filter last?", "Six months.")
    limit(team.store, "max_page_count = 1")  # SQLite takes the present size where that is more
    with pytest.raises(StoreUnavailable, match="The disk is full; nothing was written"):
        team.flag("Ä" * 50_000, "B" * 50_000)
    with team.store.read() as session:
        assert [candidate.id for candidate in session.exec(select(Candidate))] == [kept]
        assert [version.text for version in session.exec(select(Correction))] == ["Six months."]


def test_a_row_that_changed_in_between_is_a_conflict(team: Team) -> None:
    candidate_id = team.flag("How long does the filter last?", "Six months.")
    with team.store.read() as session:
        stale = candidates.find(session, candidate_id)
    team.flag("Is it dishwasher safe?", "No.")
    with team.store.write() as session:
        candidates.find(session, candidate_id).note = "first"
    stale.note = "second"
    with pytest.raises(Conflict, match="at the same moment; look again"), team.store.write() as session:
        session.add(stale)
    with team.store.read() as session:
        assert candidates.find(session, candidate_id).note == "first"


def _meet_and_fail(session: Session) -> None:
    people.meet(session, NOON, PersonId("T1/U1"))
    people.meet(session, NOON, PersonId("T2/U1"))
    people.resolve(session, "U1")


def test_a_unit_of_work_that_raises_leaves_nothing(store: Store) -> None:
    with pytest.raises(Invalid, match="could be"), store.write() as session:
        _meet_and_fail(session)
    assert names(store) == []


def test_a_database_without_tables_names_the_command_that_makes_them(tmp_path: Path) -> None:
    empty = Store(open_engine(f"sqlite:///{tmp_path / 'empty.db'}"))
    with pytest.raises(StoreUnavailable, match="Run: errata migrate"), empty.read() as session:
        session.exec(select(Person)).all()
    empty.close()


def test_a_damaged_database_says_what_to_restore(tmp_path: Path) -> None:
    new_team(tmp_path).store.close()
    path = tmp_path / "errata.db"
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    damaged = Store(open_engine(f"sqlite:///{path}"))
    with pytest.raises(StoreUnavailable, match="restore a backup with: errata restore FILE"), damaged.read() as session:
        session.exec(select(Person)).all()
    damaged.close()


@pytest.mark.parametrize("url", ["errata.db", "oracle://x", "mongodb://x/y", ""])
def test_a_url_that_is_no_database_names_the_setting(url: str) -> None:
    with pytest.raises(Invalid, match="ERRATA_DATABASE_URL"):
        open_engine(url)


def test_a_folder_that_cannot_be_made_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Unavailable, match="ERRATA_HOME or ERRATA_DATABASE_URL"):
        open_engine(f"sqlite:///{tmp_path / 'file' / 'errata.db'}")


def test_a_new_database_and_its_journals_are_readable_for_their_owner_only(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        engine = open_engine(f"sqlite:///{tmp_path / 'errata.db'}")
        upgrade(engine)
        with Store(engine).write() as session:
            session.add(Person(id="T1/U1", display_name="Ana", created_at=NOON))
            session.flush()
            assert {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.glob("errata.db*")} == {
                "errata.db": 0o600,
                "errata.db-wal": 0o600,
                "errata.db-shm": 0o600,
            }
        engine.dispose()
    finally:
        os.umask(before)


def test_the_mode_that_somebody_gave_a_database_is_theirs_to_choose(tmp_path: Path) -> None:
    new_store(tmp_path).close()
    (tmp_path / "errata.db").chmod(0o640)
    store = Store(open_engine(f"sqlite:///{tmp_path / 'errata.db'}"))
    with store.read() as session:
        session.exec(select(Person)).all()
    store.close()
    assert stat.S_IMODE((tmp_path / "errata.db").stat().st_mode) == 0o640


def test_an_error_of_the_database_repeats_nothing_of_what_was_to_be_written(store: Store) -> None:
    token = f"xoxb-{id(store)}"  # in no line of the traceback
    with pytest.raises(StoreUnavailable) as caught, store.write() as session:
        session.connection().execute(text("INSERT INTO people_of_no_table VALUES (:token)"), {"token": token})
    told = "".join(traceback.format_exception(caught.value))
    assert "people_of_no_table" in told
    assert token not in told
