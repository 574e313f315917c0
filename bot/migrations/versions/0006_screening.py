"""What screening has looked at, and what it found.

Revision: 0006
Revises: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "screened_prompts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("candidate_id", sa.Integer(), nullable=True),
        sa.Column("example_id", sa.Integer(), nullable=True),
        sa.Column("correction_id", sa.Integer(), nullable=True),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("screened_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["candidate_id"],
            ["candidates.id"],
            name=op.f("fk_screened_prompts_candidate_id_candidates"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["example_id"], ["examples.id"], name=op.f("fk_screened_prompts_example_id_examples"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_screened_prompts")),
        sa.UniqueConstraint("candidate_id", name=op.f("uq_screened_prompts_candidate_id")),
        sa.UniqueConstraint("example_id", name=op.f("uq_screened_prompts_example_id")),
    )
    with op.batch_alter_table("screened_prompts", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_screened_prompts_correction_id"), ["correction_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_screened_prompts_author"), ["author"], unique=False)
        batch_op.create_index(batch_op.f("ix_screened_prompts_fingerprint"), ["fingerprint"], unique=False)

    op.create_table(
        "prompt_bands",
        sa.Column("band", sa.BigInteger(), nullable=False),
        sa.Column("prompt_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["prompt_id"],
            ["screened_prompts.id"],
            name=op.f("fk_prompt_bands_prompt_id_screened_prompts"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("band", "prompt_id", name=op.f("pk_prompt_bands")),
    )
    with op.batch_alter_table("prompt_bands", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_prompt_bands_prompt_id"), ["prompt_id"], unique=False)

    op.create_table(
        "candidate_findings",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("candidate_id", sa.Integer(), nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("severity", sa.String(), nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("fix", sa.String(), nullable=False),
        sa.Column("found_at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["candidate_id"],
            ["candidates.id"],
            name=op.f("fk_candidate_findings_candidate_id_candidates"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_candidate_findings")),
    )
    with op.batch_alter_table("candidate_findings", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_candidate_findings_candidate_id"), ["candidate_id"], unique=False)
