"""The chain of the audit: it shows whoever touched an entry, and it is searched by who, what and when."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta, timezone
from pathlib import Path
from threading import Thread

import pytest
from builders import NOON, new_store
from sqlalchemy import text

from curation import audit
from curation.errors import Conflict
from curation.people import WORKER, Actor, PersonId
from curation.store.engine import Store
from curation.store.tables import AuditEntry


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Store]:
    """A store with twelve entries."""
    store = new_store(tmp_path / "written")
    for number in range(1, 13):
        with store.write() as session:
            audit.record(
                session,
                Actor(PersonId("T1/UANA")),
                NOON + timedelta(seconds=number),
                "candidate.proposed",
                subject=f"candidate:{number}",
                details={"number": number},
            )
    yield store
    store.close()


def verified(store: Store) -> audit.Verified:
    with store.read() as session:
        return audit.verify(session)


def newest(store: Store) -> AuditEntry:
    with store.read() as session:
        return audit.search(session)[-1]


def tamper(store: Store, *statements: str) -> None:
    with store.engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def test_an_untouched_chain_holds(written: Store) -> None:
    found = verified(written)
    assert (found.entries, found.broken) == (12, None)
    assert found.head is not None
    assert found.head.entry == 12


def test_an_empty_chain_holds(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    assert verified(store) == audit.Verified(0, None)
    store.close()


@pytest.mark.parametrize("column", list(AuditEntry.model_fields))
def test_whatever_is_edited_in_an_entry_is_found_there(written: Store, column: str) -> None:
    changed = {
        "id": "5000",
        "at": "'2026-11-20 12:00:05.000001'",
        "details": "json('{\"number\": 6}')",
    }.get(column, "'another'")
    tamper(written, f"UPDATE audit_entries SET {column} = {changed} WHERE id = 5")  # noqa: S608 (a test's own words)
    assert verified(written).broken == (6 if column == "id" else 5)


@pytest.mark.parametrize("entry", [1, 5, 11])
def test_a_removed_entry_is_found_at_the_one_after_it(written: Store, entry: int) -> None:
    tamper(written, f"DELETE FROM audit_entries WHERE id = {entry}")  # noqa: S608
    found = verified(written)
    assert (found.entries, found.broken) == (entry - 1, entry + 1)
    assert "removed" in found.why


def test_entries_that_changed_places_are_found(written: Store) -> None:
    tamper(
        written,
        "UPDATE audit_entries SET id = 99 WHERE id = 5",
        "UPDATE audit_entries SET id = 5 WHERE id = 6",
        "UPDATE audit_entries SET id = 6 WHERE id = 99",
    )
    assert verified(written).broken == 5


def test_entries_whose_contents_changed_places_are_found(written: Store) -> None:
    tamper(
        written,
        "UPDATE audit_entries SET subject = 'candidate:6' WHERE id = 5",
        "UPDATE audit_entries SET subject = 'candidate:5' WHERE id = 6",
    )
    assert verified(written).broken == 5


def test_an_entry_put_in_between_is_found_even_where_it_is_sealed_well(written: Store) -> None:
    with written.write() as session:
        before = session.get_one(AuditEntry, 5)
        session.connection().execute(text("UPDATE audit_entries SET id = id + 100 WHERE id > 5"))
        forged = AuditEntry(
            id=6,
            at=NOON,
            actor="T1/UEVE",
            action="candidate.approve",
            subject="candidate:5",
            details={},
            previous=before.hash,
            hash="",
        )
        forged.hash = audit.seal(forged)
        session.connection().execute(text("UPDATE audit_entries SET previous = 'out of the way' WHERE id = 106"))
        session.add(forged)
    assert verified(written).broken == 106


def test_a_chain_cannot_fork(written: Store) -> None:
    with written.read() as session:
        second = session.get_one(AuditEntry, 2).model_dump() | {"id": 99}
    with pytest.raises(Conflict, match="at the same moment"), written.write() as session:
        session.add(AuditEntry(**second))


def test_the_order_is_that_of_the_commits_when_the_clock_jumps_back(written: Store) -> None:
    with written.write() as session:
        audit.record(session, Actor(PersonId("T1/UANA")), NOON - timedelta(days=1), "late", subject="x:1")
    assert verified(written).broken is None
    assert newest(written).action == "late"


def test_an_entry_may_be_written_in_any_zone_and_hold_any_alphabet(written: Store) -> None:
    local = NOON.astimezone(timezone(timedelta(hours=5, minutes=45)))
    with written.write() as session:
        details = {"name": "Łódź", "solo": True}
        audit.record(session, Actor(PersonId("T1/UANA")), local, "x", subject="import:日本.jsonl", details=details)
    assert verified(written).broken is None
    assert newest(written).at == NOON


def test_writers_at_the_same_moment_form_one_chain(written: Store) -> None:
    def write(name: str) -> None:
        for _ in range(20):
            with written.write() as session:
                audit.record(session, Actor(PersonId(f"T1/{name}")), NOON, "x.y", subject="x:1")
                audit.record(session, Actor(PersonId(f"T1/{name}")), NOON, "x.z", subject="x:1")

    threads = [Thread(target=write, args=(f"U{number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = verified(written)
    assert (found.entries, found.broken) == (12 + 6 * 40, None)


def test_entries_are_found_by_who_what_and_when(written: Store) -> None:
    with written.write() as session:
        audit.record(session, WORKER, NOON + timedelta(hours=1), "run.started", subject="run:run-1")
    with written.read() as session:
        assert [entry.key for entry in audit.search(session, actor="system/worker")] == [13]
        assert [entry.key for entry in audit.search(session, subject="candidate:1")] == [1]
        assert len(audit.search(session, subject="candidate")) == 12
        assert audit.search(session, subject="candid") == []
        assert [entry.key for entry in audit.search(session, action="run")] == [13]
        assert [entry.key for entry in audit.search(session, action="run.started")] == [13]
        assert [entry.key for entry in audit.search(session, since=NOON + timedelta(seconds=12))] == [12, 13]
