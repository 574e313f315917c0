"""What a restored database remembers of its restoring: an entry in its audit.

Owns that entry, in the form that the backup's own revision has. It is written into the copy before that
takes the database's place: then there is no restored database without it.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from curation import audit
from curation.errors import ErrataError
from curation.people import Actor, PersonId
from curation.store.engine import Store, open_engine

HOST = Actor(PersonId("system/host"))
"""Who the audit names for what is done at the host's own shell: whoever has that needs no role."""

ACTION = "database.restored"
SUBJECT = "database:errata"

_CHAINED = "0002"  # the first revision whose entries form a chain


def remember(copy: Path, now: datetime, *, backup: str, revision: str) -> None:
    """Put the entry into a closed SQLite file of this revision, which is one file again afterwards.

    Args:
        backup: the name of the file that was restored, without its folder.

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
        with closing(sqlite3.connect(copy)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")
    except (ErrataError, sqlite3.Error) as error:
        raise OSError(0, str(error)) from error


def _chain(copy: Path, now: datetime, details: dict[str, str | int | bool]) -> None:
    store = Store(open_engine(f"sqlite:///{copy}"))
    try:
        with store.write() as session:
            audit.record(session, HOST, now, ACTION, subject=SUBJECT, details=details)
    finally:
        store.close()
