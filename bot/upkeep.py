"""Keeping the database: backing up, restoring, migrating, and refusing to work on a damaged one.

Owns what happens to the database's file as a file. A copy is made through SQLite's backup interface, which
reads one moment of the database whoever writes meanwhile; a plain ``cp`` of a file in use is no backup.
PostgreSQL has tools of its own: here it is only said how they are called.
"""

from __future__ import annotations

import os
import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from filelock import FileLock, Timeout
from sqlalchemy import inspect
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import DBAPIError

from bot import migrations, restored
from curation.errors import Conflict, ErrataError, Invalid, NotFound, Unavailable
from curation.store.engine import Store, open_engine
from training.foreground import sole_worker
from training.leases import Lease, somebody_leads

_BUSY_SECONDS = 2.0
_WAIT_SECONDS = 30.0
_SIDECARS = ("-wal", "-shm", "-journal")


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


def database_file(url: str) -> Path | None:
    """The file of an SQLite database; None for any other database."""
    parsed = make_url(url)
    return Path(parsed.database) if parsed.get_backend_name() == "sqlite" and parsed.database else None


def require_sound(url: str) -> None:
    """Read through the pages of an SQLite database that is there; ``count(*)`` would answer over a damaged one.

    Raises:
        Unavailable: it is damaged, or cannot be read.
    """
    file = database_file(url)
    if file is not None and file.exists() and (found := damage(file)) is not None:
        raise Unavailable(
            f"The database {file} is damaged ({found}). Stop Errata, then put a backup in its place with: "
            "errata restore FILE"
        )


def damage(file: Path) -> str | None:
    """The first thing that SQLite finds wrong with a database file; None where it finds nothing.

    Raises:
        Unavailable: the file cannot be read at all.
    """
    try:
        with closing(_reading(file)) as connection:
            found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.OperationalError as error:
        raise Unavailable(f"The database {file} cannot be read ({error}): check its owner and the disk.") from error
    except sqlite3.DatabaseError as error:
        return str(error)
    return None if found == "ok" else " ".join(found.split())


def back_up(url: str, home: Path, now: datetime, *, out: Path | None = None) -> Path:
    """Copy the database as it stands at one moment, while others may write; only the owner may read the copy.

    Args:
        url: of the database.
        home: where the copy goes, into ``backups``, without ``out``.
        now: the moment in the copy's name.
        out: the file to write; it must not exist.

    Raises:
        NotFound, Conflict, Invalid: no database yet; ``out`` exists; a database with tools of its own.
        Unavailable: the database is damaged, or the disk refuses; there is no half copy.
    """
    file = database_file(url)
    if file is None:
        raise Invalid(f"PostgreSQL is backed up with its own tool: {_pg_dump(url, now)}")
    if not file.exists():
        raise NotFound(f"There is no database {file} yet: nothing to back up.")
    require_sound(url)
    target = out or home / "backups" / f"errata-{_stamp(now)}.db"
    if target.is_dir():
        raise Invalid(f"{target} is a directory; name the file to write in it, such as {target / 'errata.db'}.")
    if target.exists():
        raise Conflict(f"{target} exists already, and a backup is never overwritten; name another with --out.")
    _copy(file, target)
    return target


def restore(url: str, home: Path, now: datetime, file: Path) -> tuple[Path | None, str]:
    """Put a backup in the place of the database, and keep what it replaces beside it; the audit in it says so.

    Returns:
        Where the replaced database lies, None where there was none; and the revision of the backup.

    Raises:
        NotFound, Invalid: no such backup; it is damaged, or no database of Errata's.
        Conflict: a program works on the database, or the backup is newer than this program.
        Unavailable: the disk refuses; the database is as it was.
    """
    database = database_file(url)
    if database is None:
        raise Invalid(f"PostgreSQL is restored with its own tool: {_pg_restore(url, file)}")
    revision = _checked(file, database)
    with _stopped(home, database):
        part = database.with_name(f".{database.name}.{os.getpid()}.part")
        _copy(file, part)
        try:
            restored.remember(part, now, backup=file.name, revision=revision)
            kept = _set_aside(database, now)
            part.replace(database)
        except OSError as error:
            for mark in ("", *_SIDECARS):
                part.with_name(part.name + mark).unlink(missing_ok=True)
            raise Unavailable(f"{database} cannot be replaced ({error.strerror}); it is as it was.") from error
    return kept, revision


def migrate(url: str, home: Path, now: datetime) -> Migrated:
    """Bring the database to this program's tables; a copy of an SQLite database is made beside it first.

    Raises:
        Conflict: the database is newer than this program, or a program works on it: on SQLite any, on PostgreSQL
            a worker. Web processes hold no lease there, and cannot be seen.
        Unavailable: it is damaged, or a migration failed; the tables are as they were.
    """
    file = database_file(url)
    engine = open_engine(url)
    try:
        with _sole_migration(home):
            require_sound(url)
            before, copy = migrations.current(engine), None
            if file is not None and before is not None and migrations.is_older(before):
                engine.dispose()  # our own connection is none of somebody else's
                with _stopped(home, file):
                    copy = _free(file.with_name(f"{file.stem}-{before}-{_stamp(now)}{file.suffix}"))
                    _copy(file, copy)
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


def _checked(file: Path, database: Path) -> str:
    """The revision of a backup that may take the database's place."""
    if not file.is_file():
        raise NotFound(f"There is no file {file}; errata backup makes one.")
    if database.exists() and file.samefile(database):
        raise Invalid(f"{file} is the database itself; name a backup of it.")
    if (found := damage(file)) is not None:
        raise Invalid(f"{file} is no sound SQLite database ({found}); nothing was replaced. Restore another backup.")
    with closing(_reading(file)) as connection, suppress(sqlite3.OperationalError):  # no such table
        for (revision,) in connection.execute("SELECT version_num FROM alembic_version"):
            migrations.require_known(str(revision), what=str(file))
            return str(revision)
    raise Invalid(f"{file} is not a database of Errata; nothing was replaced.")


@contextmanager
def _sole_migration(home: Path) -> Iterator[None]:
    try:
        home.mkdir(parents=True, exist_ok=True)
        with FileLock(home / migrations.LOCK, timeout=migrations.PATIENCE_SECONDS):
            yield
    except Timeout as error:
        raise Conflict("Another program migrates this database; wait for it, then look with errata doctor.") from error


@contextmanager
def _stopped(home: Path, database: Path) -> Iterator[None]:
    """Make sure that nobody else works on the database, and that no worker begins to within the block.

    Afterwards its file is whole: what lay in the journal beside it is in it.

    Raises:
        Conflict: a worker or another program has it open.
    """
    stop = "stop errata serve and errata work, then try again."
    with ExitStack() as stack:
        try:
            stack.enter_context(sole_worker(home))
        except Conflict as error:
            raise Conflict(f"A worker runs on {home}: {stop}") from error
        # Fails while any other connection is open. A damaged file may refuse for its own reasons, and be replaced.
        with suppress(sqlite3.DatabaseError), closing(_existing(database)) as held:
            try:
                held.execute("PRAGMA journal_mode = DELETE")
            except sqlite3.OperationalError as error:
                if "locked" in str(error):
                    raise Conflict(f"Another program has {database} open: {stop}") from error
        yield


def _copy(source: Path, target: Path) -> None:
    """Write a sound copy of one moment of the database, whole or not at all."""
    part = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(part, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600))
        with closing(_reading(source)) as reading, closing(sqlite3.connect(part)) as writing:
            reading.backup(writing)
            writing.execute("PRAGMA journal_mode = DELETE")  # one file, that a read-only disk can keep
        if (found := damage(part)) is not None:
            raise Unavailable(f"The copy {target} is damaged ({found}): do not trust this disk, name another place.")
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(target)
    except (sqlite3.Error, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise Unavailable(
            f"The copy {target} cannot be written ({reason}); nothing was changed. Free some space, or name another "
            "place."
        ) from error
    finally:
        for leftover in (part, *(part.with_name(part.name + mark) for mark in _SIDECARS)):
            leftover.unlink(missing_ok=True)


def _set_aside(database: Path, now: datetime) -> Path | None:
    """Give the database's file a second name. Its first is there all the time: nobody starts on an empty one."""
    if not database.exists():
        return None
    kept = _free(database.with_name(f"{database.stem}-replaced-{_stamp(now)}{database.suffix}"))
    for mark in _SIDECARS:
        beside = database.with_name(database.name + mark)
        if beside.exists():  # of a damaged file: left there, it would be played onto the new one
            beside.rename(kept.with_name(kept.name + mark))
    try:
        kept.hardlink_to(database)
    except OSError:  # a disk without links
        database.rename(kept)
    return kept


def _free(path: Path) -> Path:
    """``path``, or with a number where it is taken."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return free


def _reading(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(file.absolute()))}?mode=ro", uri=True, timeout=_WAIT_SECONDS)


def _existing(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(file.absolute()))}?mode=rw", uri=True, timeout=_BUSY_SECONDS)


def _stamp(now: datetime) -> str:
    return now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def _pg_dump(url: str, now: datetime) -> str:
    return f"pg_dump --format=custom --file=errata-{_stamp(now)}.dump --dbname={_for_tools(url)}"


def _pg_restore(url: str, file: Path) -> str:
    return f"pg_restore --clean --if-exists --single-transaction --dbname={_for_tools(url)} {shlex.quote(str(file))}"


def _for_tools(url: str) -> str:
    """The URL as PostgreSQL's tools take it; without the password, which they ask for or find in ~/.pgpass."""
    plain = make_url(url)._replace(drivername="postgresql", password=None)  # ``set`` keeps what is given as None
    return shlex.quote(plain.render_as_string())
