"""An id is given once: SQLite gave the newest row's again once that row was gone.

Messages, forms, buttons and the audit name rows by their ids, so the next candidate took over what had been said of an
erased one. The tables whose rows go are written anew with AUTOINCREMENT, and begin above every id that was ever given,
as far as the database still knows. PostgreSQL's sequences never went back.

Revision: 0021
Revises: 0020
"""

# ruff: noqa: S608 (statements made of this module's own constants)

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def _removed(what: str) -> str:
    """How many were ever erased or went by retention."""
    return f"""(SELECT coalesce(sum(json_extract(details, '$.{what}')), 0) FROM audit_entries
        WHERE action IN ('customer.erased', 'retention.swept'))"""


# The newest id that may have been given. Each id was one more than the newest row's of that moment: so no more were
# given above the newest row of today than rows have gone, and no more altogether than rows were ever written.
_NEWEST = {
    "captures": f"SELECT coalesce(max(id), 0) + {_removed('captures')} FROM captures",
    "candidates": f"SELECT coalesce(max(id), 0) + {_removed('candidates')} FROM candidates",
    # The entries of the first programs did not name the review.
    "reviews": """SELECT max(count(*), coalesce(max(json_extract(details, '$.review')), 0)) FROM audit_entries WHERE
        action IN ('candidate.approve', 'candidate.edit_and_approve', 'candidate.return', 'candidate.reject')""",
    "examples": """SELECT coalesce(max(id), 0)
        + (SELECT count(*) FROM audit_entries WHERE action = 'candidate.undone') FROM examples""",
    # Of these the audit names only those that somebody decided about, and nothing names the next one.
    "privacy_findings": """SELECT coalesce(max(CAST(substr(subject, 9) AS INTEGER)), 0) FROM audit_entries
        WHERE subject LIKE 'privacy:%'""",
    "notices": "SELECT 0",
}


def upgrade() -> None:
    """Apply."""
    connection = op.get_bind()
    if connection.dialect.name != "sqlite":
        return
    # They go with their table, and one that names a table which is not there stops any table's renaming.
    triggers = connection.execute(sa.text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")).all()
    for name, _ in triggers:
        connection.exec_driver_sql(f'DROP TRIGGER "{name}"')
    for table in _NEWEST:
        with op.batch_alter_table(table, recreate="always", table_kwargs={"sqlite_autoincrement": True}):
            pass
    for _, sql in triggers:
        connection.exec_driver_sql(sql)
    for table, newest in _NEWEST.items():
        _begin_above(connection, table, int(connection.exec_driver_sql(newest).scalar_one()))


def _begin_above(connection: sa.Connection, table: str, newest: int) -> None:
    """Have the table's next id be a larger one. An empty table has no line in SQLite's list until it gets one here."""
    named = {"name": table, "newest": newest}
    changed = sa.text("UPDATE sqlite_sequence SET seq = max(seq, :newest) WHERE name = :name")
    if connection.execute(changed, named).rowcount == 0:
        connection.execute(sa.text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :newest)"), named)
