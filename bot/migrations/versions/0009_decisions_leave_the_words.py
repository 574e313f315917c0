"""A decision no longer has the words of its candidate indexed anew.

The search index's entries held the status as a label, so that each approval wrote every word of the candidate once
more. Questions now look the status up in the queue's index, which changes with it anyhow. Labels of a status that
entries have from before stay until the words change: nobody asks for them.

And what was delivered a moment ago is found without reading every notice that there ever was.

Revision: 0009
Revises: 0008
"""

# ruff: noqa: S608 (statements made of this module's own constants)

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.engine import Connection

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_LABEL = 0xE000
_SQLITE_LABEL = f"char({_LABEL}) || 's' || c.status || ' ' || "


def upgrade() -> None:
    """Apply."""
    delivered = sa.text("delivered_at IS NOT NULL")
    columns = ["delivered_at"]
    op.create_index("ix_notices_delivered_at", "notices", columns, sqlite_where=delivered, postgresql_where=delivered)
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        _rewrite_triggers(connection)
    else:
        for statement in _POSTGRES:
            connection.exec_driver_sql(statement)


def _rewrite_triggers(connection: Connection) -> None:
    """SQLite keeps the words of a trigger as 0007 wrote them: the same ones without the status."""
    kept = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'search\\_%' ESCAPE '\\'"
    for name, words in connection.exec_driver_sql(kept).all():
        without = words.replace(_SQLITE_LABEL, "").replace("UPDATE OF status, ", "UPDATE OF ")
        if without != words:
            connection.exec_driver_sql(f"DROP TRIGGER {name}")
            connection.exec_driver_sql(without)


_POSTGRES = [
    # The newest correction is found by ``id + 0``: in the order of the key itself a server that has no statistics
    # yet, as after a restore, would look for it backwards through the whole table, once for each candidate.
    f"""CREATE OR REPLACE FUNCTION errata_lexemes(c candidates) RETURNS tsvector LANGUAGE sql STABLE AS $$
        SELECT array_to_tsvector(array_remove(errata_words(concat_ws(' ', ' ',
                (SELECT text FROM corrections WHERE candidate_id = c.id ORDER BY id + 0 DESC LIMIT 1),
                c.reply, c.note, errata_turns(c.turns)))
            || ARRAY[
                U&'\\{_LABEL:04X}k' || c.kind,
                U&'\\{_LABEL:04X}t' || encode(convert_to(c.topic, 'UTF8'), 'hex'),
                U&'\\{_LABEL:04X}l' || encode(convert_to(c.language, 'UTF8'), 'hex'),
                U&'\\{_LABEL:04X}a' || c.assistant_id], NULL))
    $$""",
    "DROP TRIGGER search_candidate ON candidates",
    """CREATE TRIGGER search_candidate
        AFTER UPDATE OF kind, topic, language, assistant_id, reply, note, turns ON candidates
        FOR EACH ROW EXECUTE FUNCTION errata_search()""",
]
