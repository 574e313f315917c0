"""A capture keeps the other replies of its thread, so that another one can be named the wrong one.

Revision: 0015
Revises: 0014
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("captures") as batch_op:
        batch_op.add_column(sa.Column("choices", sa.JSON(), nullable=True))
