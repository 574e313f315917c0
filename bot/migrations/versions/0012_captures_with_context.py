"""A capture keeps what the assistant had retrieved for its reply, where the assistant says so.

Revision: 0012
Revises: 0011
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("captures") as batch_op:
        batch_op.add_column(sa.Column("context", sa.JSON(), nullable=True))
