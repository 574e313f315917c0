"""The one engine factory, and the unit of work over it.

Owns how SQLite and PostgreSQL are opened, how a transaction begins, and which sentence a refusal
becomes. One writer at a time on either database: SQLite's BEGIN IMMEDIATE, PostgreSQL's advisory
lock. Their defaults lose updates between threads and let two people win one review.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, event
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm.exc import StaleDataError
from sqlmodel import Session

from curation.errors import Invalid, Overtaken, Unavailable
from curation.store.groups import GroupCommit
from curation.store.refusals import OVERTAKEN, refusal
from curation.store.rows import run
from curation.store.units import unit_on

BUSY_TIMEOUT_MILLISECONDS = 30_000
CONNECT_SECONDS = 5
IDLE_TRANSACTION_SECONDS = 60
READS = "errata_reads"
"""Execution option of connections that only look: they wait for no writer."""

_WRITER_LOCK = 0x45525257
"""Our number among PostgreSQL's advisory locks."""


def open_engine(url: str) -> Engine:
    """An engine on ``sqlite:///PATH`` or ``postgresql://…`` with the settings that hold.

    Raises:
        Invalid: the URL is none that Errata can use.
        Unavailable: the folder of the SQLite file cannot be made.
    """
    try:
        parsed = make_url(url)
        opened = _OPENERS[parsed.drivername]
    except (ArgumentError, KeyError) as error:
        raise Invalid(
            "ERRATA_DATABASE_URL is not a database that can be opened: "
            "use sqlite:///path/to/errata.db or postgresql://user@host/name."
        ) from error
    try:
        return opened(parsed)
    except ModuleNotFoundError as error:
        raise Invalid(
            "ERRATA_DATABASE_URL names PostgreSQL, and its driver is not installed: pip install 'errata[postgres]'"
        ) from error


def _sqlite(url: URL) -> Engine:
    if url.database:
        try:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Unavailable(
                "The folder of the database {file} cannot be made: {cause}. Choose another with ERRATA_HOME or "
                "ERRATA_DATABASE_URL.",
                file=url.database,
                cause=error.strerror,
            ) from error
    # What was written stays out of errors, and so out of the log: tokens and people's words.
    engine = create_engine(url, connect_args={"check_same_thread": False}, hide_parameters=True)
    event.listen(engine, "do_connect", _begin_private)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    # SQLAlchemy makes a savepoint's three statements anew for each unit of a group.
    for what, words in (
        ("do_savepoint", "SAVEPOINT"),
        ("do_release_savepoint", "RELEASE SAVEPOINT"),
        ("do_rollback_to_savepoint", "ROLLBACK TO SAVEPOINT"),
    ):
        setattr(engine.dialect, what, _plainly(words))
    return engine


def _begin_private(_dialect: Any, _record: Any, where: list[Any], _how: Any) -> None:
    """A new database's file is readable for its owner only; SQLite gives the journals beside it the same mode.

    Where it cannot be made, SQLite says why.
    """
    name = str(where[0])
    if name != ":memory:" and not name.startswith("file:"):
        with suppress(OSError):
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _plainly(words: str) -> Callable[[Connection, str], None]:
    return lambda connection, name: run(connection, f"{words} {name}")


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy's begin event below owns BEGIN, not the driver
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",
        f"busy_timeout = {BUSY_TIMEOUT_MILLISECONDS}",
        "foreign_keys = ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    run(connection, "BEGIN" if connection.get_execution_options().get(READS) else "BEGIN IMMEDIATE")


def _postgres(url: URL) -> Engine:
    settings = {
        "lock_timeout": BUSY_TIMEOUT_MILLISECONDS,
        "idle_in_transaction_session_timeout": IDLE_TRANSACTION_SECONDS
        * 1_000,  # a frozen writer stops nobody for long
        "timezone": "UTC",
        "jit": "off",  # compiling a question of ours takes longer than answering it
    }
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        hide_parameters=True,  # as above
        pool_pre_ping=True,  # the server may have been restarted since
        pool_size=10,
        connect_args={
            "connect_timeout": CONNECT_SECONDS,
            "tcp_user_timeout": 2 * CONNECT_SECONDS * 1_000,  # a server that was cut off is noticed as well
            "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
        },
    )
    event.listen(engine, "begin", _begin_postgres)
    return engine


def _begin_postgres(connection: Connection) -> None:
    # READ COMMITTED on purpose: what comes after the lock has to see what was committed while it was awaited.
    if not connection.get_execution_options().get(READS):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITER_LOCK})")


_OPENERS: dict[str, Callable[[URL], Engine]] = {
    "sqlite": _sqlite,
    "sqlite+pysqlite": _sqlite,
    "postgresql": _postgres,
    "postgresql+psycopg": _postgres,
}


class Store:
    """The database as use cases see it: ``write()`` for one unit of work, ``read()`` for a look.

    Attributes:
        shared: whether several web processes and workers, on several machines, may work on it.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.shared = engine.dialect.name != "sqlite"
        # A reader sees one moment, as SQLite's do by themselves.
        snapshot = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True} if self.shared else {}
        self._reader = engine.execution_options(**{READS: True}, **snapshot)
        self._aside = engine.execution_options(**{READS: True})
        self._group = None if self.shared else GroupCommit(engine)
        self._lookers: deque[Connection] = deque()
        self._writer = threading.Lock()  # the writers of one process wait here, not with a connection each

    @contextmanager
    def write(self) -> Iterator[Session]:
        """One transaction: committed when the block ends, rolled back when it raises.

        Raises:
            Overtaken: another unit of work changed the same row, or took the same unique name, first.
            Invalid: a text that the database cannot keep.
            StoreUnavailable: the database is locked, full, read-only or gone.
        """
        with _sentences(), self._transaction() as connection, unit_on(connection) as session:
            yield session

    @contextmanager
    def write_rows(self) -> Iterator[Connection]:
        """The same for prepared statements alone, which need no session.

        Raises:
            Overtaken, Invalid, StoreUnavailable: as for ``write``.
        """
        with _sentences(), self._transaction() as connection:
            yield connection

    def _transaction(self) -> AbstractContextManager[Connection]:
        return self._group.connection() if self._group is not None else self._alone()

    @contextmanager
    def _alone(self) -> Iterator[Connection]:
        with self._writer, self.engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that only reads, and sees one moment.

        Raises:
            StoreUnavailable: the database cannot be read.
        """
        with _sentences(), Session(self._reader, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def look_up(self) -> Iterator[Connection]:
        """A connection outside any transaction, for one prepared statement that only reads.

        Raises:
            StoreUnavailable: the database cannot be read.
        """
        with _sentences(), self._aside.connect() if self.shared else self._looking() as connection:
            yield connection

    @contextmanager
    def _looking(self) -> Iterator[Connection]:
        # Kept: the pool takes ten times as long as SQLite for a row. PostgreSQL's would be left in a transaction.
        try:
            connection = self._lookers.pop()
        except IndexError:
            connection = self._aside.connect()
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        self._lookers.append(connection)

    @contextmanager
    def aside(self) -> Iterator[Connection]:
        """A transaction of bare statements that waits for no writer: for what is nobody's unit of work.

        Raises:
            StoreUnavailable, Overtaken: as for ``write``.
        """
        with _sentences(), self._aside.begin() as connection:
            yield connection

    def close(self) -> None:
        """Give the connections back."""
        if self._group is not None:
            self._group.close()
        while self._lookers:
            self._lookers.pop().close()
        self.engine.dispose()


@contextmanager
def _sentences() -> Iterator[None]:
    """What SQLAlchemy raises, as an error of ours that says what to do."""
    try:
        yield
    except StaleDataError as error:
        raise Overtaken(OVERTAKEN) from error
    except (DBAPIError, PoolTimeout) as error:
        raise refusal(error) from error
