"""What Errata owes as the assistant itself, and system prompts of single channels.

Revision: 0008
Revises: 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("system_prompts", sa.Column("place", sa.String(), nullable=True))
    op.create_table(
        "chat_tasks",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("thread", sa.String(), nullable=False),
        sa.Column("asked_by", sa.String(), nullable=False),
        sa.Column("asked_at", sa.DateTime(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("not_before", sa.DateTime(), nullable=False),
        sa.Column("message_ref", sa.String(), nullable=True),
        sa.Column("model_version", sa.String(), nullable=True),
        sa.Column("prompt_id", sa.Integer(), nullable=True),
        sa.Column("trouble", sa.String(), nullable=True),
        sa.Column("ended_at", sa.DateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["prompt_id"], ["system_prompts.id"], name=op.f("fk_chat_tasks_prompt_id_system_prompts")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chat_tasks")),
        sa.UniqueConstraint("source", name=op.f("uq_chat_tasks_source")),
    )
    op.create_index("ix_chat_tasks_asked_by_asked_at", "chat_tasks", ["asked_by", "asked_at"])
    op.create_index("ix_chat_tasks_status", "chat_tasks", ["status"])
