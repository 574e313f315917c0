"""Group commit: writers of one process that come at the same moment share one commit.

Owns whose turn it is and when a group is made durable. A disk takes longer to keep a commit than a
unit of work takes to be done, and it keeps ten in the time of one. Each unit works alone, after and on
top of the one before it, inside one transaction; it fails alone, back to its savepoint; and it returns
only once the commit that holds it is on disk. If that commit fails, every unit in it fails.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

LARGEST = 16
"""Units of work in one commit, at most: the first of them waits for the last."""

_PATIENCE_SECONDS = 1.0


class _Group:
    """The units of work of one transaction."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.units = 0
        self.settled = threading.Event()
        self.error: SQLAlchemyError | None = None

    def commit(self) -> bool:
        """Make every unit durable, or none of them; whether they are."""
        try:
            self.connection.commit()
        except SQLAlchemyError as error:
            self.error = error
            # SQLAlchemy takes a transaction whose commit failed for ended; SQLite may have it open still.
            self.connection.invalidate()
        return self.error is None

    def end(self) -> None:
        """Give the connection up, which undoes what was not committed, and let everybody go on."""
        try:
            self.connection.close()
        finally:
            self.settled.set()


class GroupCommit:
    """The writers' door to one SQLite engine, whose ``begin`` takes the database's write lock."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._turn = threading.Lock()
        self._counting = threading.Lock()
        self._waiting = 0
        self._open: _Group | None = None  # guarded by the turn, like all of a group until it is settled
        self._kept: Connection | None = None  # for the next group: it has in memory what was written last

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """The connection for one unit of work, alone at the database while the block runs; durable after it.

        Raises:
            SQLAlchemyError: the work, or the commit that it was part of, failed; nothing of it was written.
        """
        self._wait_for_turn()
        try:
            group = self._open or self._begin()
            try:
                # The first unit needs no savepoint: if it fails, there is nothing else to keep.
                with group.connection.begin_nested() if group.units else nullcontext():
                    yield group.connection
                group.units += 1
            except BaseException as error:
                self._undone(group, error)
                raise
            finally:
                self._pass_on(group)
        finally:
            self._turn.release()
        while not group.settled.wait(_PATIENCE_SECONDS):
            self._look_after(group)
        if group.error is not None:
            raise group.error

    def _wait_for_turn(self) -> None:
        with self._counting:
            self._waiting += 1
        try:
            self._turn.acquire()
        finally:
            with self._counting:
                self._waiting -= 1

    def _look_after(self, group: _Group) -> None:
        """Commit what nobody will: whoever was to follow was interrupted while it waited for its turn."""
        with self._turn:
            if self._open is group:
                self._pass_on(group)

    def _begin(self) -> _Group:
        connection, self._kept = self._kept or self._engine.connect(), None
        try:
            connection.begin()
        except BaseException:
            connection.close()
            raise
        self._open = _Group(connection)
        return self._open

    def _undone(self, group: _Group, error: BaseException) -> None:
        """A unit failed. Where SQLite undid the whole transaction by itself, the group has failed with it."""
        whole = group.connection.connection.driver_connection
        if group.units and whole is not None and whole.in_transaction:
            return
        if group.units:
            group.error = error if isinstance(error, SQLAlchemyError) else SQLAlchemyError("the transaction was undone")
        self._open = None
        group.end()

    def _pass_on(self, group: _Group) -> None:
        """Leave the transaction to whoever waits, or commit it where nobody does."""
        if group.settled.is_set() or (self._waiting and group.units < LARGEST):
            return
        self._open = None
        durable = False
        try:
            durable = group.commit()
        finally:
            if durable:
                self._kept = group.connection
                group.settled.set()
            else:
                group.end()

    def close(self) -> None:
        """Close the connection that is kept between groups."""
        with self._turn:
            if self._kept is not None:
                self._kept.close()
                self._kept = None
