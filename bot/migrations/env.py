"""How Alembic runs here: on the connection it is handed, all or nothing."""

from __future__ import annotations

from alembic import context
from sqlmodel import SQLModel

import training.store.tables  # noqa: F401 (both modules register their tables)

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    render_as_batch=True,
    # SQLite can roll a schema change back, as our BEGIN IMMEDIATE hook opens a real transaction:
    # without this a failed batch leaves its temporary table behind and the next try fails on it.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
