"""The chain of the audit while many write at once, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from builders import NOON
from sqlmodel import Session

from curation import audit, people
from curation.people import Actor, PersonId
from curation.store.engine import Store, open_engine

WRITERS, ROUNDS = 6, 15


def test_writers_of_several_processes_at_the_same_moment_form_one_chain(empty: Store) -> None:
    """The second store has locks and a pool of its own, as another process has; the engine's session has neither."""
    other = Store(open_engine(empty.engine.url.render_as_string(hide_password=False)))
    gate = threading.Barrier(WRITERS)

    def change(session: Session, writer: int, number: int) -> None:
        person = PersonId(f"T1/U{writer}N{number}")
        audit.record(session, Actor(person), NOON, "person.met", subject=f"person:{person}")
        people.meet(session, NOON, person)
        audit.record(session, Actor(person), NOON, "person.named", subject=f"person:{person}")

    def write(writer: int) -> None:
        gate.wait()
        for number in range(ROUNDS):
            if writer % 3 == 2:
                with Session(empty.engine) as session:
                    change(session, writer, number)
                    session.commit()
            else:
                with (empty, other)[writer % 3].write() as session:
                    change(session, writer, number)

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(write, range(WRITERS)))
    other.close()
    with empty.read() as session:
        found = audit.verify(session)
        entries = audit.search(session)
    assert (found.broken, found.entries) == (None, 2 * WRITERS * ROUNDS)
    assert [first.subject for first in entries[::2]] == [second.subject for second in entries[1::2]]
