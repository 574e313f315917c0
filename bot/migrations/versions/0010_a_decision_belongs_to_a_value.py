"""A decision about personal data belongs to a value: findings bear its mark, and what holds everywhere has a table.

What was decided stays decided, about the value that stood at its place until now. Examples are scanned once more.

Revision: 0010
Revises: 0009
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import unicodedata
from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_RULING = ("decision", "replacement", "reason", "decided_by", "decided_at")
_FINDINGS = sa.table(
    "privacy_findings",
    *(sa.column(name, sa.Integer()) for name in ("id", "example_id", "candidate_id", "turn")),
    *(sa.column(name, sa.Integer()) for name in ("start_index", "end_index")),
    *(sa.column(name, sa.String()) for name in ("kind", "mark", *_RULING[:-1])),
    sa.column("decided_at", sa.DateTime()),
    sa.column("everywhere", sa.Boolean()),
)
_EXAMPLES = sa.table(
    "examples",
    sa.column("id", sa.Integer()),
    *(sa.column(name, sa.JSON()) for name in ("messages", "context")),
    *(sa.column(name, sa.String()) for name in ("rejected", "scanned")),
)
_CANDIDATES = sa.table(
    "candidates",
    sa.column("id", sa.Integer()),
    *(sa.column(name, sa.JSON()) for name in ("turns", "context")),
    sa.column("reply", sa.String()),
)
_CORRECTIONS = sa.table(
    "corrections",
    *(sa.column(name, sa.Integer()) for name in ("id", "candidate_id")),
    sa.column("text", sa.String()),
)


def upgrade() -> None:
    """Apply."""
    keys = op.create_table(
        "privacy_keys",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("secret", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_privacy_keys")),
    )
    values = op.create_table(
        "privacy_values",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("mark", sa.String(), nullable=False),
        sa.Column("decision", sa.String(), nullable=False),
        sa.Column("replacement", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("decided_by", sa.String(), nullable=True),
        sa.Column("decided_at", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("kind", "mark", name=op.f("pk_privacy_values")),
    )
    with op.batch_alter_table("privacy_findings", schema=None) as batch_op:
        batch_op.add_column(sa.Column("mark", sa.String(), nullable=True))
    key = secrets.token_bytes(32)
    connection = op.get_bind()
    connection.execute(sa.insert(keys), {"secret": key.hex()})
    _mark(connection, key, values)
    connection.execute(sa.update(_EXAMPLES).values(scanned=None))
    with op.batch_alter_table("privacy_findings", schema=None) as batch_op:
        batch_op.alter_column("mark", existing_type=sa.String(), nullable=False)
        batch_op.drop_column("everywhere")
        for owner in ("example", "candidate"):
            batch_op.drop_constraint(f"uq_privacy_findings_{owner}_id_turn_start_index_kind", type_="unique")
            batch_op.create_unique_constraint(
                f"uq_privacy_findings_in_{owner}", [f"{owner}_id", "turn", "start_index", "end_index", "kind"]
            )
    op.create_index(op.f("ix_privacy_findings_mark"), "privacy_findings", ["mark"])


def _mark(connection: sa.Connection, key: bytes, values: sa.Table) -> None:
    """Give every finding the mark of what stands at its place, and values what was decided about them everywhere."""
    marks, everywhere = [], []
    texts: tuple[tuple[int | None, int | None], dict[int, str]] = ((None, None), {})
    ordered = sa.select(_FINDINGS).order_by(_FINDINGS.c.example_id, _FINDINGS.c.candidate_id, _FINDINGS.c.id)
    for row in connection.execute(ordered).all():
        owner = (row.example_id, row.candidate_id)
        if texts[0] != owner:
            texts = (owner, dict(_passages(connection, *owner)))
        said = texts[1].get(row.turn, "")[row.start_index : row.end_index]
        canonical = f"{row.kind}:{_canonical(row.kind, said)}".encode("utf-8", "surrogatepass")
        mark = hmac.new(key, canonical, hashlib.sha256).hexdigest()[:32]
        marks.append({"key": row.id, "said": mark})
        if row.everywhere and row.decision is not None and said:
            everywhere.append({"kind": row.kind, "mark": mark, **{name: getattr(row, name) for name in _RULING}})
    if marks:
        marked = sa.update(_FINDINGS).where(_FINDINGS.c.id == sa.bindparam("key"))
        connection.execute(marked.values(mark=sa.bindparam("said")), marks)
    everywhere.sort(key=lambda one: one["decided_at"])
    newest = {(one["kind"], one["mark"]): one for one in everywhere}
    if newest:
        connection.execute(sa.insert(values), list(newest.values()))


# Passages and the form of a value as they were at this revision: a migration must not change when the program does.


def _passages(connection: sa.Connection, example_id: int | None, candidate_id: int | None) -> Iterator[tuple[int, str]]:
    if example_id is not None:
        found = connection.execute(sa.select(_EXAMPLES).where(_EXAMPLES.c.id == example_id)).one()
        messages, rejected = list(found.messages), found.rejected
    else:
        found = connection.execute(sa.select(_CANDIDATES).where(_CANDIDATES.c.id == candidate_id)).one()
        newest = sa.select(_CORRECTIONS.c.text).where(_CORRECTIONS.c.candidate_id == candidate_id)
        reply = connection.execute(newest.order_by(_CORRECTIONS.c.id.desc()).limit(1)).scalar()
        messages, rejected = [*(found.turns or ()), {"content": reply or ""}], found.reply
    for number, message in enumerate(messages):
        if isinstance(content := message.get("content"), str):
            yield number, content
    if rejected is not None:
        yield -1, rejected
    calls = [call["function"]["arguments"] for message in messages for call in message.get("tool_calls", ())]
    arguments = [one if isinstance(one, str) else json.dumps(one, ensure_ascii=False) for one in calls]
    names = [message["name"] for message in messages if "name" in message]
    for number, text in enumerate([*(found.context or ()), *arguments, *names]):
        yield -2 - number, text


def _canonical(kind: str, said: str) -> str:
    if kind == "phone":
        return "".join(filter(str.isdigit, said))
    if kind in {"card", "iban", "national_id"}:
        return "".join(filter(str.isalnum, said)).upper()
    if kind in {"key", "slack_token"}:
        return said
    straight = unicodedata.normalize("NFC", said).translate(_STRAIGHT)
    return " ".join(straight.split()).casefold()


_STRAIGHT = {ord(written): "'" for written in "\u2018\u2019\u02bc\uff07\u00b4"} | {0x2010: "-", 0x2011: "-"}
