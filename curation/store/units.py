"""The session of one unit of work, over a transaction that somebody else begins and ends.

Owns what happens before the commit: what the session holds is written, then those who listen for
``before_commit`` write what belongs to the unit. Most units run prepared statements alone (``curation.store.rows``):
the session takes part in the transaction, which costs as much as ten of them, once an object is loaded or added.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.engine import Connection
from sqlmodel import Session


@contextmanager
def unit_on(connection: Connection) -> Iterator[Session]:
    """A session whose work is written when the block ends; committing or undoing it is the caller's."""
    # Where an object cannot be written, SQLAlchemy goes back to the connection's savepoint, if it has one.
    session = Session(connection, join_transaction_mode="rollback_only", expire_on_commit=False)
    try:
        yield session
        if not session.in_transaction():
            session.dispatch.before_commit(session)
        if session.in_transaction():
            session.commit()
    finally:
        session.close()
