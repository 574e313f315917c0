"""Examples that expire, the context and the tools that a reply was given with, and notes on datasets.

Revision: 0005
Revises: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    for table in ("candidates", "examples"):
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.add_column(sa.Column("context", sa.JSON(), nullable=True))
            batch_op.add_column(sa.Column("toolbox", sa.JSON(), nullable=True))

    op.create_table(
        "expiries",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("example_id", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=True),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("set_by", sa.String(), nullable=False),
        sa.Column("set_at", sa.DateTime(), nullable=False),
        sa.Column("candidate_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["candidate_id"], ["candidates.id"], name=op.f("fk_expiries_candidate_id_candidates")),
        sa.ForeignKeyConstraint(["example_id"], ["examples.id"], name=op.f("fk_expiries_example_id_examples")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_expiries")),
        sa.UniqueConstraint("candidate_id", name=op.f("uq_expiries_candidate_id")),
    )
    op.create_index(op.f("ix_expiries_example_id"), "expiries", ["example_id"], unique=False)

    op.create_table(
        "dataset_notes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("dataset_id", sa.Integer(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("written_by", sa.String(), nullable=False),
        sa.Column("written_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["dataset_id"], ["dataset_versions.id"], name=op.f("fk_dataset_notes_dataset_id_dataset_versions")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dataset_notes")),
    )
    op.create_index(op.f("ix_dataset_notes_dataset_id"), "dataset_notes", ["dataset_id"], unique=False)
