"""Replies counted per model version, flags on them, and when the app was taken away.

Revision: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "replies",
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("assistant_id", sa.Integer(), nullable=False),
        sa.Column("model_version", sa.String(), nullable=True),
        sa.Column("hour", sa.DateTime(), nullable=False),
        sa.Column("withdrawn", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["assistant_id"], ["assistants.id"], name=op.f("fk_replies_assistant_id_assistants")),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_replies")),
    )

    op.create_table(
        "reply_flags",
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("standing", sa.Boolean(), nullable=False),
        sa.Column("touched_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("source", "person_id", name=op.f("pk_reply_flags")),
    )

    op.create_table(
        "revocations",
        sa.Column("team_id", sa.String(), nullable=False),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("revoked_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("team_id", name=op.f("pk_revocations")),
    )
