"""Backing the database up, and putting a backup in its place.

PostgreSQL has tools of its own: here it is only said how they are called.
"""

from __future__ import annotations

import os
import shlex
import sqlite3
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path

from sqlalchemy.engine import make_url

from bot import database_files, migrations, restored
from curation.errors import Conflict, Invalid, NotFound, Unavailable


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
    file = database_files.database_file(url)
    if file is None:
        raise Invalid(f"PostgreSQL is backed up with its own tool: {_pg_dump(url, now)}")
    if not file.exists():
        raise NotFound(f"There is no database {file} yet: nothing to back up.")
    database_files.require_sound(url)
    target = out or home / "backups" / f"errata-{database_files.stamp(now)}.db"
    if target.is_dir():
        raise Invalid(f"{target} is a directory; name the file to write in it, such as {target / 'errata.db'}.")
    if target.exists():
        raise Conflict(f"{target} exists already, and a backup is never overwritten; name another with --out.")
    database_files.copy(file, target)
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
    database = database_files.database_file(url)
    if database is None:
        raise Invalid(f"PostgreSQL is restored with its own tool: {_pg_restore(url, file)}")
    revision = _checked(file, database)
    with database_files.stopped(home, database):
        part = database.with_name(f".{database.name}.{os.getpid()}.part")
        database_files.copy(file, part)
        try:
            restored.remember(part, now, backup=file.name, revision=revision, replaced=database)
            kept = _set_aside(database, now)
            part.replace(database)
        except OSError as error:
            for mark in ("", *database_files.SIDECARS):
                part.with_name(part.name + mark).unlink(missing_ok=True)
            raise Unavailable(f"{database} cannot be replaced ({error.strerror}); it is as it was.") from error
    return kept, revision


def _checked(file: Path, database: Path) -> str:
    """The revision of a backup that may take the database's place."""
    if not file.is_file():
        raise NotFound(f"There is no file {file}; errata backup makes one.")
    if database.exists() and file.samefile(database):
        raise Invalid(f"{file} is the database itself; name a backup of it.")
    if (found := database_files.damage(file)) is not None:
        raise Invalid(f"{file} is no sound SQLite database ({found}); nothing was replaced. Restore another backup.")
    with closing(database_files.reading(file)) as connection, suppress(sqlite3.OperationalError):  # no such table
        for (revision,) in connection.execute("SELECT version_num FROM alembic_version"):
            migrations.require_known(str(revision), what=str(file))
            return str(revision)
    raise Invalid(f"{file} is not a database of Errata; nothing was replaced.")


def _set_aside(database: Path, now: datetime) -> Path | None:
    """Give the database's file a second name. Its first is there all the time: nobody starts on an empty one."""
    if not database.exists():
        return None
    kept = database_files.free(
        database.with_name(f"{database.stem}-replaced-{database_files.stamp(now)}{database.suffix}")
    )
    for mark in database_files.SIDECARS:
        beside = database.with_name(database.name + mark)
        if beside.exists():  # of a damaged file: left there, it would be played onto the new one
            beside.rename(kept.with_name(kept.name + mark))
    try:
        kept.hardlink_to(database)
    except OSError:  # a disk without links
        database.rename(kept)
    return kept


def _pg_dump(url: str, now: datetime) -> str:
    return f"pg_dump --format=custom --file=errata-{database_files.stamp(now)}.dump --dbname={_for_tools(url)}"


def _pg_restore(url: str, file: Path) -> str:
    return f"pg_restore --clean --if-exists --single-transaction --dbname={_for_tools(url)} {shlex.quote(str(file))}"


def _for_tools(url: str) -> str:
    """The URL as PostgreSQL's tools take it; without the password, which they ask for or find in ~/.pgpass."""
    plain = make_url(url)._replace(drivername="postgresql", password=None)  # ``set`` keeps what is given as None
    return shlex.quote(plain.render_as_string())
