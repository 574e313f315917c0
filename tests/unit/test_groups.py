"""Group commit: writers that come together share one commit, and each fails or lasts by itself."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from builders import NOON, new_store
from sqlalchemy import event
from sqlmodel import Session, col, select

from curation import people
from curation.errors import ErrataError, Invalid, StoreUnavailable
from curation.people import PersonId
from curation.store.engine import Store
from curation.store.rows import insert_row
from curation.store.tables import Person, RoleGrant


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return new_store(tmp_path)


def names(store: Store) -> list[str]:
    with store.read() as session:
        return list(session.exec(select(Person.id).order_by(col(Person.id))))


Work = Callable[[Session], None]


class Queue:
    """Writers that all wait for their turn while the first has it, so that they form one group."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.commits = 0
        self.outcomes: dict[str, BaseException | None] = {}
        event.listen(store.engine, "commit", self._count)

    def _count(self, _connection: object) -> None:
        self.commits += 1

    def together(self, works: dict[str, Work]) -> None:
        """Each work after its person is met, in the order given."""
        threads = []
        with self.store._group._turn:  # type: ignore[union-attr]  # nobody begins before everybody waits
            for number, (name, work) in enumerate(works.items(), 1):
                thread = threading.Thread(target=self._write, args=(name, work))
                thread.start()
                threads.append(thread)
                while self.store._group._waiting < number:  # type: ignore[union-attr]
                    thread.join(0.001)
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()

    def _write(self, name: str, work: Work) -> None:
        try:
            with self.store.write() as session:
                people.meet(session, NOON, PersonId(name))
                work(session)
        except Exception as error:  # noqa: BLE001 (what the writer is told is what the test looks at)
            self.outcomes[name] = error
        else:
            self.outcomes[name] = None


def nothing(_session: Session) -> None:
    """A unit of work that goes well."""


def refuse(_session: Session) -> None:
    raise Invalid("No.")


def clash(session: Session) -> None:
    """Add an object that cannot be written."""
    session.add(Person(id="T1/UANA", display_name="Ana", created_at=NOON))
    session.add(RoleGrant(person_id="T1/UNOBODY", role="agent", granted_by="T1/UANA", granted_at=NOON))


def test_writers_that_come_together_share_one_commit(store: Store) -> None:
    queue = Queue(store)
    queue.together({f"T1/U{number}": nothing for number in range(8)})
    assert names(store) == [f"T1/U{number}" for number in range(8)]
    assert queue.commits == 1
    assert set(queue.outcomes.values()) == {None}


def test_a_writer_alone_commits_at_once(store: Store, tmp_path: Path) -> None:
    with store.write() as session:
        people.meet(session, NOON, PersonId("T1/U1"))
    with sqlite3.connect(tmp_path / "errata.db") as another:
        assert another.execute("SELECT count(*) FROM people").fetchone() == (1,)


@pytest.mark.parametrize("refusal", [refuse, clash])
@pytest.mark.parametrize("refused", [{0}, {1}, {3}, {0, 1}, {2, 3}, {0, 1, 2, 3}])
def test_a_unit_that_fails_takes_nobody_with_it(store: Store, refused: set[int], refusal: Work) -> None:
    queue = Queue(store)
    queue.together({f"T1/U{number}": refusal if number in refused else nothing for number in range(4)})
    assert names(store) == [f"T1/U{number}" for number in range(4) if number not in refused]
    assert {name for name, error in queue.outcomes.items() if isinstance(error, ErrataError)} == {
        f"T1/U{number}" for number in refused
    }


def test_a_commit_that_fails_fails_everybody_in_it_and_nobody_after(store: Store) -> None:
    queue = Queue(store)

    def full(_connection: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    real = store.engine.dialect.do_commit
    store.engine.dialect.do_commit = full  # type: ignore[method-assign]
    try:
        queue.together({f"T1/U{number}": nothing for number in range(3)})
    finally:
        store.engine.dialect.do_commit = real  # type: ignore[method-assign]
    assert all(isinstance(error, StoreUnavailable) for error in queue.outcomes.values())
    assert "disk is full" in str(queue.outcomes["T1/U0"])
    assert names(store) == []
    queue.together({"T1/U9": nothing})
    assert names(store) == ["T1/U9"]


def test_where_sqlite_undoes_the_whole_transaction_everybody_before_hears_of_it(store: Store) -> None:
    queue, order = Queue(store), []  # whoever waits is let in in no particular order

    def well(_session: Session) -> None:
        order.append("well")

    def undo(_session: Session) -> None:
        order.append("undo")
        store._group._open.connection.connection.driver_connection.rollback()  # type: ignore[union-attr]
        raise sqlite3.OperationalError("disk I/O error")

    queue.together({"T1/U0": well, "T1/U1": undo, "T1/U2": well})
    told = [isinstance(queue.outcomes[name], StoreUnavailable) for name in ("T1/U0", "T1/U2")]
    assert sum(told) == order.index("undo")
    assert queue.outcomes["T1/U1"] is not None
    assert len(names(store)) == 2 - order.index("undo")
    assert "T1/U1" not in names(store)


def test_nothing_is_seen_before_it_is_durable(store: Store) -> None:
    queue, seen = Queue(store), []
    queue.together({"T1/U0": nothing, "T1/U1": lambda _: seen.append(names(store)), "T1/U2": nothing})
    assert seen == [[]]
    assert len(names(store)) == 3


def test_units_of_prepared_statements_join_the_same_commit(store: Store) -> None:
    queue = Queue(store)

    def note(number: int) -> None:
        with store.write_rows() as work:
            insert_row(work, Person, id=f"T1/W{number}", display_name="Wes", created_at=NOON)

    with ThreadPoolExecutor(3) as pool:
        with store._group._turn:  # type: ignore[union-attr]  # nobody begins before everybody waits
            noted = [pool.submit(note, number) for number in range(3)]
            while store._group._waiting < 3:  # type: ignore[union-attr]
                time.sleep(0.001)
        assert [one.result(30) for one in noted] == [None] * 3
    assert names(store) == ["T1/W0", "T1/W1", "T1/W2"]
    assert queue.commits == 1
