"""Sentences for what a database refuses.

Owns the one place where a driver's error becomes one of ours. The driver's own words are kept only
where nothing better is known, and never the statement, which holds what people wrote.
"""

from __future__ import annotations

import sqlite3

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError

from curation.errors import ErrataError, Invalid, Overtaken, StoreUnavailable
from curation.wording import phrase

OVERTAKEN = phrase("Somebody else changed this at the same moment; look again before you decide.")

_LOCKED = phrase("The database is locked by another program; nothing was written. Try again in a moment.")
_FULL = phrase("The disk is full; nothing was written. Free some space and try again.")
_READ_ONLY = phrase("The database is read-only; nothing was written. Check the file's owner and the disk.")
_NO_TABLES = phrase("The database has no tables yet, or old ones. Run: errata migrate")
_OLD_TABLES = phrase("The database's tables are older than this program. Run: errata migrate")
_GONE = phrase(
    "The database server does not answer. Try again in a moment, and look first whether your last change was saved: "
    "its answer may have been lost."
)

_MARKS = (
    ("database is locked", _LOCKED),
    ("database or disk is full", _FULL),
    ("readonly database", _READ_ONLY),
    (
        "disk I/O error",
        phrase("The disk refuses to write the database; nothing was written. Check it, then try again."),
    ),
    ("no such table", _NO_TABLES),
    ("no such column", _OLD_TABLES),
    ("unable to open database", phrase("The database file cannot be opened. Check ERRATA_HOME and its permissions.")),
    ("malformed", phrase("The database file is damaged. Stop Errata, then restore a backup with: errata restore FILE")),
    ("password authentication failed", phrase("The database server refuses the login. Check ERRATA_DATABASE_URL.")),
    ("does not exist", phrase("The database server has no such database or user. Check ERRATA_DATABASE_URL.")),
)

_OVERTAKING_STATES = frozenset({"23505", "40001", "40P01"})  # unique key, serialization, deadlock
_STATES = {
    "55P03": _LOCKED,  # lock_timeout
    "53100": _FULL,
    "25006": phrase("The database is read-only; nothing was written. Ask whoever runs the server."),
    "42P01": _NO_TABLES,
    "42703": _OLD_TABLES,
}
_LOST_CLASSES = ("08", "57P", "25P03", "53300")  # connection, shutdown, ended while idle, too many connections
_UNIQUE = frozenset({sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY})


def refusal(error: SQLAlchemyError) -> ErrataError:
    """Our error for what SQLAlchemy raised: Overtaken, Invalid or StoreUnavailable."""
    if not isinstance(error, DBAPIError):  # the pool's timeout
        return StoreUnavailable("Too many people are being answered at this moment; try again in a moment.")
    cause = error.orig
    state = str(getattr(cause, "sqlstate", None) or "")
    if state in _OVERTAKING_STATES or (
        isinstance(error, IntegrityError) and getattr(cause, "sqlite_errorcode", None) in _UNIQUE
    ):
        return Overtaken(OVERTAKEN)
    if isinstance(error, DataError):
        return Invalid("A text holds a character that the database cannot keep (NUL); remove it and try again.")
    return StoreUnavailable(_sentence(error, state, str(cause)))


def _sentence(error: DBAPIError, state: str, words: str) -> str:
    if state in _STATES:
        return _STATES[state]
    if state.startswith(_LOST_CLASSES):
        return _GONE
    for mark, sentence in _MARKS:
        if mark in words:
            return sentence
    if error.connection_invalidated or "connection" in words:
        return _GONE
    if not words:
        return phrase("The database refused (no reason given).")
    return phrase("The database refused ({reason}).", reason=words.splitlines()[0])
