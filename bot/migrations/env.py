"""How Alembic runs here: on the connection it is handed, all or nothing."""

from __future__ import annotations

from alembic import context
from sqlalchemy import text
from sqlmodel import SQLModel

import training.store.tables  # noqa: F401 (both modules register their tables)
from bot.migrations import is_modelled

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
with context.begin_transaction():
    if _connection.dialect.name != "sqlite":
        # Of two programs that migrate at once one waits, and then finds nothing to do. SQLite lets one writer in.
        _connection.execute(text("SET LOCAL lock_timeout = '60s'"))
        _connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    context.run_migrations()
