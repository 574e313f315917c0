"""Findings of personal data with their decisions, exports written, and what erasing a customer needs.

Revision: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("captures", schema=None) as batch_op:
        batch_op.add_column(sa.Column("speakers", sa.JSON(), nullable=True))
    with op.batch_alter_table("candidates", schema=None) as batch_op:
        batch_op.add_column(sa.Column("customer", sa.String(), nullable=True))
    with op.batch_alter_table("examples", schema=None) as batch_op:
        batch_op.add_column(sa.Column("scanned", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("erased_at", sa.DateTime(), nullable=True))
    with op.batch_alter_table("dataset_rows", schema=None) as batch_op:
        batch_op.add_column(sa.Column("treated", sa.JSON(), nullable=True))

    op.create_table(
        "privacy_findings",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("example_id", sa.Integer(), nullable=True),
        sa.Column("candidate_id", sa.Integer(), nullable=True),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("start_index", sa.Integer(), nullable=False),
        sa.Column("end_index", sa.Integer(), nullable=False),
        sa.Column("decision", sa.String(), nullable=True),
        sa.Column("everywhere", sa.Boolean(), nullable=False),
        sa.Column("replacement", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("decided_by", sa.String(), nullable=True),
        sa.Column("decided_at", sa.DateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["candidate_id"],
            ["candidates.id"],
            name=op.f("fk_privacy_findings_candidate_id_candidates"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["example_id"],
            ["examples.id"],
            name=op.f("fk_privacy_findings_example_id_examples"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_privacy_findings")),
        sa.UniqueConstraint(
            "candidate_id",
            "turn",
            "start_index",
            "kind",
            name=op.f("uq_privacy_findings_candidate_id_turn_start_index_kind"),
        ),
        sa.UniqueConstraint(
            "example_id",
            "turn",
            "start_index",
            "kind",
            name=op.f("uq_privacy_findings_example_id_turn_start_index_kind"),
        ),
    )
    op.create_index(op.f("ix_privacy_findings_decision"), "privacy_findings", ["decision"], unique=False)

    op.create_table(
        "exports",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("dataset_id", sa.Integer(), nullable=True),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("written_by", sa.String(), nullable=False),
        sa.Column("written_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["dataset_id"], ["dataset_versions.id"], name=op.f("fk_exports_dataset_id_dataset_versions")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_exports")),
    )
    op.create_index(op.f("ix_exports_dataset_id"), "exports", ["dataset_id"], unique=False)
