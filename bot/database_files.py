"""The database of SQLite as a file: whether it is sound, a copy of one moment of it, and that nobody works on it.

A copy is made through SQLite's backup interface, which reads one moment of the database whoever writes meanwhile; a
plain ``cp`` of a file in use is no backup.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from sqlalchemy.engine import make_url

from curation.errors import Conflict, Unavailable
from training.foreground import sole_worker

SIDECARS = ("-wal", "-shm", "-journal")
"""What SQLite puts behind a file's name for what lies beside it."""

_BUSY_SECONDS = 2.0
_WAIT_SECONDS = 30.0


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
        with closing(reading(file)) as connection:
            found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.OperationalError as error:
        raise Unavailable(f"The database {file} cannot be read ({error}): check its owner and the disk.") from error
    except sqlite3.DatabaseError as error:
        return str(error)
    return None if found == "ok" else " ".join(found.split())


@contextmanager
def stopped(home: Path, database: Path) -> Iterator[None]:
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


def copy(source: Path, target: Path) -> None:
    """Write a sound copy of one moment of the database, whole or not at all."""
    part = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(part, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600))
        with closing(reading(source)) as held, closing(sqlite3.connect(part)) as writing:
            held.backup(writing)
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
        for leftover in (part, *(part.with_name(part.name + mark) for mark in SIDECARS)):
            leftover.unlink(missing_ok=True)


def free(path: Path) -> Path:
    """``path``, or with a number where it is taken."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return free


def reading(file: Path) -> sqlite3.Connection:
    """A connection that cannot write."""
    return sqlite3.connect(f"file:{quote(str(file.absolute()))}?mode=ro", uri=True, timeout=_WAIT_SECONDS)


def _existing(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(file.absolute()))}?mode=rw", uri=True, timeout=_BUSY_SECONDS)


def stamp(now: datetime) -> str:
    """A moment in the name of a file: ``20261121T175300Z``."""
    return now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
