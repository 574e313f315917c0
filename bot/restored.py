"""What a restored database remembers: its restoring, in an entry of its audit, and the ids given since the backup.

Owns that entry, in the form that the backup's own revision has. Both are written into the copy before that
takes the database's place: then there is no restored database without them.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

from bot.database_files import reading
from curation import audit
from curation.errors import ErrataError
from curation.people import Actor, PersonId
from curation.store.engine import Store, open_engine

HOST = Actor(PersonId("system/host"))
"""Who the audit names for what is done at the host's own shell: whoever has that needs no role."""

ACTION = "database.restored"
SUBJECT = "database:errata"

_CHAINED = "0002"  # the first revision whose entries form a chain


def remember(copy: Path, now: datetime, *, backup: str, revision: str, replaced: Path) -> None:
    """Put the entry into a closed SQLite file of this revision, which is one file again afterwards.

    Args:
        backup: the name of the file that was restored, without its folder.
        replaced: the database whose place the file takes, if there is one.

    Raises:
        OSError: the disk refuses.
    """
    details: dict[str, str | int | bool] = {"backup": backup, "revision": revision}
    try:
        if revision >= _CHAINED:
            _chain(copy, now, details)
        with closing(sqlite3.connect(copy)) as connection, connection:
            if revision < _CHAINED:  # the migration that has to follow makes a chain of what is there
                at = now.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
                connection.execute(
                    "INSERT INTO audit_entries (at, actor, action, subject, details) VALUES (?, ?, ?, ?, ?)",
                    (at, HOST.person_id, ACTION, SUBJECT, json.dumps(details)),
                )
        given = _given(replaced) if replaced.exists() and _given(copy) else []
        with closing(sqlite3.connect(copy)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")
            with connection:
                for newest in given:
                    connection.execute("UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = ?", newest)
    except (ErrataError, sqlite3.Error) as error:
        raise OSError(0, str(error)) from error


def _given(database: Path) -> list[tuple[int, str]]:
    """The newest id that each table has given, with its name. None where it is damaged, or of a program before 0021.

    Buttons, forms and messages in Slack name rows that were made after the backup: the next ones are not theirs.
    """
    with suppress(sqlite3.DatabaseError), closing(reading(database)) as connection:
        return connection.execute("SELECT seq, name FROM sqlite_sequence").fetchall()
    return []


def _chain(copy: Path, now: datetime, details: dict[str, str | int | bool]) -> None:
    store = Store(open_engine(f"sqlite:///{copy}"))
    try:
        with store.write() as session:
            audit.record(session, HOST, now, ACTION, subject=SUBJECT, details=details)
    finally:
        store.close()
