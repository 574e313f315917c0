"""The one engine factory, and the unit of work over it.

Owns how SQLite and PostgreSQL are opened and how a transaction begins. On SQLite a writer begins
with BEGIN IMMEDIATE behind one in-process lock: the default deferred transactions lose updates
between threads, and SQLite's own busy wait is unfair under load.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, event
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.orm.exc import StaleDataError
from sqlmodel import Session

from curation.errors import Conflict, Invalid, StoreUnavailable, Unavailable

BUSY_TIMEOUT_MILLISECONDS = 30_000


def open_engine(url: str) -> Engine:
    """An engine on ``sqlite:///PATH`` or ``postgresql+psycopg://…`` with the settings that hold.

    Raises:
        Invalid: the URL is none that Errata can use.
        Unavailable: the folder of the SQLite file cannot be made.
    """
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() != "sqlite":
            return create_engine(parsed, pool_pre_ping=True)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise Invalid(
            f"ERRATA_DATABASE_URL is not a database that can be opened ({error}): "
            "use sqlite:///path/to/errata.db or postgresql+psycopg://user@host/name."
        ) from error
    if parsed.database:
        try:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Unavailable(
                f"The folder of the database {parsed.database} cannot be made: {error.strerror}. "
                "Choose another with ERRATA_HOME or ERRATA_DATABASE_URL."
            ) from error
    engine = create_engine(parsed, connect_args={"check_same_thread": False})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


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
    reading = connection.get_execution_options().get("errata_reads", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


class Store:
    """The database as use cases see it: ``write()`` for one unit of work, ``read()`` for a look."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._reader = engine.execution_options(errata_reads=True)
        self._writer = threading.Lock() if engine.dialect.name == "sqlite" else nullcontext()

    @contextmanager
    def write(self) -> Iterator[Session]:
        """One transaction: committed when the block ends, rolled back when it raises.

        Raises:
            Conflict: another unit of work changed the same row first.
            StoreUnavailable: the database is locked, full, read-only or gone; nothing was written.
        """
        try:
            with self._writer, Session(self.engine, expire_on_commit=False) as session, session.begin():
                yield session
        except StaleDataError as error:
            raise Conflict("Somebody else changed this at the same moment; look again before you decide.") from error
        except DBAPIError as error:
            raise _unavailable(error) from error

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that only reads.

        Raises:
            StoreUnavailable: the database cannot be read.
        """
        try:
            with Session(self._reader, expire_on_commit=False) as session:
                yield session
        except DBAPIError as error:
            raise _unavailable(error) from error

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()


_SENTENCES = (
    ("database is locked", "The database is locked by another program; nothing was written. Try again in a moment."),
    ("database or disk is full", "The disk is full; nothing was written. Free some space and try again."),
    ("readonly database", "The database is read-only; nothing was written. Check the file's owner and the disk."),
    ("no such table", "The database has no tables yet, or old ones. Run: errata migrate"),
    ("no such column", "The database's tables are older than this program. Run: errata migrate"),
    ("unable to open database", "The database file cannot be opened. Check ERRATA_HOME and its permissions."),
    ("malformed", "The database file is damaged. Stop Errata and restore a copy of the file."),
)


def _unavailable(error: DBAPIError) -> StoreUnavailable:
    """The sentence for a driver's error; an unforeseen one keeps the driver's own words, never the statement."""
    cause = str(error.orig)
    for mark, sentence in _SENTENCES:
        if mark in cause:
            return StoreUnavailable(sentence)
    return StoreUnavailable(f"The database refused ({cause.splitlines()[0] if cause else 'no reason given'}).")
