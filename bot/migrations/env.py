"""How Alembic runs here: on the connection it is handed, all or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from alembic import context
from sqlalchemy import text
from sqlmodel import SQLModel

import training.store.tables  # noqa: F401 (both modules register their tables)
from bot.migrations import is_modelled
from curation.store.rows import run

_connection = context.config.attributes["connection"]
_LOCK = 0x4552_4D49  # one number of ours for PostgreSQL's advisory locks

context.configure(
    connection=_connection,
    target_metadata=SQLModel.metadata,
    render_as_batch=True,
    include_name=is_modelled,
    # SQLite can roll a schema change back, as our BEGIN IMMEDIATE hook opens a real transaction:
    # without this a failed batch leaves its temporary table behind and the next try fails on it.
    transactional_ddl=True,
)


@contextmanager
def _rewritable() -> Iterator[None]:
    """Let SQLite's tables be written anew: dropping the old one of them takes along no row that points at it.

    What the file no longer needs is overwritten: no erasure would find the customers' words of an old table there.
    """
    if _connection.dialect.name != "sqlite":
        yield
        return
    run(_connection, "PRAGMA foreign_keys = OFF")  # which SQLite takes outside of a transaction only
    run(_connection, "PRAGMA secure_delete = ON")
    try:
        yield
    finally:
        run(_connection, "PRAGMA foreign_keys = ON")


def _dangling() -> int:
    """How many references lead nowhere; whoever edits the file with a tool of SQLite's can leave some."""
    return len(_connection.execute(text("PRAGMA foreign_key_check")).all())


with _rewritable(), context.begin_transaction():
    if _connection.dialect.name == "sqlite":
        before = _dangling()
        context.run_migrations()
        if _dangling() > before:
            raise RuntimeError("a migration left references that lead nowhere")
    else:
        # Of two programs that migrate at once one waits, and then finds nothing to do. SQLite lets one writer in.
        _connection.execute(text("SET LOCAL lock_timeout = '60s'"))
        _connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        context.run_migrations()
