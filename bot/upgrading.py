"""Bringing the database to this program's tables, with a copy of what it was.

Refuses to touch the tables while anybody works on them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout
from sqlalchemy import inspect
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError

from bot import database_files, migrations
from curation.errors import Conflict, ErrataError, Unavailable
from curation.store.engine import Store, open_engine
from training.leases import Lease, somebody_leads


@dataclass(frozen=True, slots=True)
class Migrated:
    """What a migration did.

    Attributes:
        before: the revision it found; None where there were no tables.
        copy: the database as it was, where one was made.
    """

    before: str | None
    after: str
    copy: Path | None


def migrate(url: str, home: Path, now: datetime) -> Migrated:
    """Bring the database to this program's tables; a copy of an SQLite database is made beside it first.

    Raises:
        Conflict: the database is newer than this program, or a program works on it: on SQLite any, on PostgreSQL
            a worker. Web processes hold no lease there, and cannot be seen.
        Unavailable: it is damaged, or a migration failed; the tables are as they were.
    """
    file = database_files.database_file(url)
    engine = open_engine(url)
    try:
        with _sole_migration(home):
            database_files.require_sound(url)
            before, copy = migrations.current(engine), None
            if file is not None and before is not None and migrations.is_older(before):
                engine.dispose()  # our own connection is none of somebody else's
                with database_files.stopped(home, file):
                    copy = database_files.free(
                        file.with_name(f"{file.stem}-{before}-{database_files.stamp(now)}{file.suffix}")
                    )
                    database_files.copy(file, copy)
                    return Migrated(before, _upgraded(engine, before, copy), copy)
            if file is None and before is not None and migrations.is_older(before):
                _require_no_worker(engine)
            return Migrated(before, _upgraded(engine, before, copy), copy)
    except DBAPIError as error:
        raise Unavailable(f"The database cannot be migrated ({_cause(error)}); it is as it was.") from error
    finally:
        engine.dispose()


def _require_no_worker(engine: Engine) -> None:
    """Raise Conflict while a worker of the shared database lives: it would go on with tables that it does not know."""
    if not inspect(engine).has_table("worker_leases"):
        return
    store = Store(engine)
    alive = sorted(Lease(store).alive())
    if alive or somebody_leads(store):
        who = f"Workers run on the database ({', '.join(alive)})" if alive else "A command does a worker's part on it"
        raise Conflict(
            f"{who}: stop every errata serve and errata work, then try again. One that was killed counts for six "
            "seconds more."
        )


def _upgraded(engine: Engine, before: str | None, copy: Path | None) -> str:
    try:
        return migrations.upgrade(engine)
    except ErrataError:
        raise
    except Exception as error:  # whatever a migration meets: it is rolled back
        kept = f" A copy from before is {copy}." if copy is not None else ""
        raise Unavailable(
            f"The migration from {before or 'nothing'} failed ({_cause(error)}); the tables are as they were, and "
            f"the program that wrote them still runs on them.{kept}"
        ) from error


def _cause(error: Exception) -> str:
    """The driver's own words, never the statement: it may hold what people wrote."""
    words = str(error.orig) if isinstance(error, DBAPIError) else ""
    return words.splitlines()[0] if words else type(error).__name__


@contextmanager
def _sole_migration(home: Path) -> Iterator[None]:
    try:
        home.mkdir(parents=True, exist_ok=True)
        with FileLock(home / migrations.LOCK, timeout=migrations.PATIENCE_SECONDS):
            yield
    except Timeout as error:
        raise Conflict("Another program migrates this database; wait for it, then look with errata doctor.") from error
