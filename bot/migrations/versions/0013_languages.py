"""People say in which language they are spoken to and which they read; what Slack says of it is kept as well.

Revision: 0013
Revises: 0012
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("people") as batch_op:
        batch_op.add_column(sa.Column("language", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("locale", sa.String(), nullable=True))
        batch_op.add_column(sa.Column("reads", sa.JSON(), nullable=True))
