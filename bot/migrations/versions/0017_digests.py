"""Flags can be dismissed, good replies are sampled, digests are ordered; authors hear everything in one message each.

Revision: 0017
Revises: 0016
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "flag_dismissals",
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("dismissed_by", sa.String(), nullable=False),
        sa.Column("dismissed_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("source", name=op.f("pk_flag_dismissals")),
    )
    op.create_table(
        "reply_samples",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("week", sa.String(), nullable=False),
        sa.Column("assistant_id", sa.Integer(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("drawn_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["assistant_id"], ["assistants.id"], name=op.f("fk_reply_samples_assistant_id_assistants")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reply_samples")),
        sa.UniqueConstraint("week", "assistant_id", name=op.f("uq_reply_samples_week_assistant_id")),
    )
    op.create_table(
        "sampled_replies",
        sa.Column("sample_id", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("place", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(
            ["sample_id"], ["reply_samples.id"], name=op.f("fk_sampled_replies_sample_id_reply_samples")
        ),
        sa.PrimaryKeyConstraint("sample_id", "source", name=op.f("pk_sampled_replies")),
    )
    op.create_index(op.f("ix_sampled_replies_source"), "sampled_replies", ["source"])
    op.create_table(
        "digest_orders",
        sa.Column("place", sa.String(), nullable=False),
        sa.Column("ordered_by", sa.String(), nullable=False),
        sa.Column("ordered_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("place", name=op.f("pk_digest_orders")),
    )
    op.create_table(
        "weekly_digests",
        sa.Column("week", sa.String(), nullable=False),
        sa.Column("place", sa.String(), nullable=False),
        sa.Column("owed_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("week", "place", name=op.f("pk_weekly_digests")),
    )
    _readdress_returned()


def _readdress_returned() -> None:
    """A returned correction was told by its review; now one message of each author tells all of a candidate."""
    op.execute(
        """
        UPDATE notices SET
            kind = 'candidate.author',
            message_key = 'author:' || (
                SELECT candidate_id FROM reviews WHERE 'review:' || reviews.id = notices.subject
            ),
            subject = 'candidate:' || (
                SELECT candidate_id FROM reviews WHERE 'review:' || reviews.id = notices.subject
            )
        WHERE kind = 'candidate.returned'
            AND EXISTS (SELECT 1 FROM reviews WHERE 'review:' || reviews.id = notices.subject)
        """
    )
    # Of what is erased there is nothing to tell any more.
    op.execute("UPDATE notices SET kind = 'candidate.author', status = 'failed' WHERE kind = 'candidate.returned'")
