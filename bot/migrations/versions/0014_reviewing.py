"""Who reviews what, where and in which order; a channel has one message about its queue instead of a card for each.

Revision: 0014
Revises: 0013
"""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

# Written out: a migration stays as it was when it was first run.
_PLACES = """
    UPDATE candidates SET place = (
        SELECT destination FROM notices
        WHERE notices.message_key = 'candidate:' || candidates.id AND notices.kind = 'candidate.card'
        ORDER BY notices.id DESC LIMIT 1)
    WHERE status IN ('pending', 'returned')"""
_URGENCIES = """
    UPDATE candidates SET urgency = CASE
        WHEN reason = 'unsafe' THEN 3
        WHEN EXISTS (SELECT 1 FROM candidate_findings AS found
            WHERE found.candidate_id = candidates.id AND found.severity IN ('error', 'warning')) THEN 2
        WHEN reason IN ('policy', 'wrong_fact') THEN 1
        ELSE 0 END
    WHERE status IN ('pending', 'returned')"""
_NO_MORE_CARDS = """
    UPDATE notices SET status = 'failed', trouble = 'replaced by the queue message'
    WHERE kind = 'candidate.card' AND status IN ('queued', 'in_flight')"""


def upgrade() -> None:
    """Apply."""
    # Not as a batch: SQLite would copy the table, and leave the triggers of the search behind.
    op.add_column("candidates", sa.Column("place", sa.String(), nullable=True))
    op.add_column("candidates", sa.Column("urgency", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("reviews", sa.Column("correction_id", sa.Integer(), nullable=True))
    op.add_column("reviews", sa.Column("batch", sa.Integer(), nullable=True))
    op.add_column("reviews", sa.Column("undone_at", sa.DateTime(), nullable=True))
    op.create_table(
        "claims",
        sa.Column("candidate_id", sa.Integer(), nullable=False),
        sa.Column("person_id", sa.String(), nullable=False),
        sa.Column("since", sa.DateTime(), nullable=False),
        sa.Column("until", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["candidate_id"], ["candidates.id"], name=op.f("fk_claims_candidate_id_candidates"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("candidate_id", name=op.f("pk_claims")),
    )
    op.create_index(op.f("ix_claims_person_id"), "claims", ["person_id"])
    messages = op.create_table(
        "queue_messages",
        sa.Column("place", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("begun_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("place", name=op.f("pk_queue_messages")),
    )
    for statement in (_PLACES, _URGENCIES, _NO_MORE_CARDS):
        op.execute(statement)
    op.create_index(
        "ix_candidates_review", "candidates", ["status", "urgency", "id", "place", "language", "flagged_by"]
    )
    op.create_index(op.f("ix_reviews_batch"), "reviews", ["batch"])
    op.create_index(op.f("ix_examples_topic_language"), "examples", ["topic", "language"])
    _begin_messages(messages)


def _begin_messages(messages: sa.Table) -> None:
    """Owe every channel in which something waits its first message about the queue."""
    connection, now = op.get_bind(), datetime.now(UTC).replace(tzinfo=None)
    waiting = sa.text("SELECT DISTINCT place FROM candidates WHERE status = 'pending' AND place IS NOT NULL")
    notices = sa.table(
        "notices",
        *(sa.column(name) for name in ("kind", "subject", "destination", "message_key", "status", "attempts")),
        sa.column("not_before", sa.DateTime()),
        sa.column("owed_at", sa.DateTime()),
    )
    for place in connection.execute(waiting).scalars().all():
        connection.execute(messages.insert().values(place=place, number=1, begun_at=now))
        owed = {"kind": "queue", "subject": f"queue:{place}", "destination": place, "message_key": f"queue:{place}:1"}
        times = {"not_before": now, "owed_at": now}
        connection.execute(notices.insert().values(**owed, status="queued", attempts=0, **times))
