"""The audit chain, workers' leases, and when a notice was delivered.

Revision: 0002
Revises: 0001
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("audit_entries", schema=None) as batch_op:
        batch_op.add_column(sa.Column("previous", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("hash", sa.String(), nullable=True))
    _chain_what_is_there()
    with op.batch_alter_table("audit_entries", schema=None) as batch_op:
        batch_op.alter_column("previous", existing_type=sa.String(), nullable=False)
        batch_op.alter_column("hash", existing_type=sa.String(), nullable=False)
        batch_op.create_unique_constraint(batch_op.f("uq_audit_entries_previous"), ["previous"])

    with op.batch_alter_table("notices", schema=None) as batch_op:
        batch_op.add_column(sa.Column("delivered_at", sa.DateTime(), nullable=True))

    op.create_table(
        "worker_leases",
        sa.Column("worker_id", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("process", sa.Integer(), nullable=False),
        sa.Column("renewed_at", sa.DateTime(), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("worker_id", name=op.f("pk_worker_leases")),
    )


def _chain_what_is_there() -> None:
    # The form of a link as it was at this revision: a migration must not change when the program does.
    entries = sa.table(
        "audit_entries",
        sa.column("id", sa.Integer()),
        sa.column("at", sa.DateTime()),
        sa.column("actor", sa.String()),
        sa.column("action", sa.String()),
        sa.column("subject", sa.String()),
        sa.column("details", sa.JSON()),
        sa.column("previous", sa.String()),
        sa.column("hash", sa.String()),
    )
    columns = (entries.c.id, entries.c.at, entries.c.actor, entries.c.action, entries.c.subject, entries.c.details)
    connection = op.get_bind()
    previous = "0" * 64
    links = []
    for key, at, actor, action, subject, details in connection.execute(sa.select(*columns).order_by(entries.c.id)):
        moment = at.replace(tzinfo=UTC).isoformat(timespec="microseconds")
        linked = [previous, key, moment, actor, action, subject, details]
        canonical = json.dumps(linked, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        links.append({"key": key, "before": previous, "digest": digest})
        previous = digest
    if links:
        chained = sa.update(entries).where(entries.c.id == sa.bindparam("key"))
        connection.execute(chained.values(previous=sa.bindparam("before"), hash=sa.bindparam("digest")), links)
