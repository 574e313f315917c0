"""Personal data that was found, and what was decided about it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import UniqueConstraint
from sqlmodel import Field, SQLModel

from curation.store.columns import moment
from curation.store.tables.keyed import IDS_GIVEN_ONCE, Keyed


class PrivacyFinding(Keyed, table=True):
    """Personal data or a secret at a place in an example's or a candidate's words, and what was decided about it.

    The value itself is not kept a second time: ``mark`` tells whether it still stands there, and where else it does.
    ``turn`` counts the messages from 0; -1 is the rejected reply, all else counts down from -2.
    """

    __tablename__ = "privacy_findings"
    # Named here: the names that the convention would give are longer than PostgreSQL takes.
    __table_args__ = (
        UniqueConstraint(
            "example_id", "turn", "start_index", "end_index", "kind", name="uq_privacy_findings_in_example"
        ),
        UniqueConstraint(
            "candidate_id", "turn", "start_index", "end_index", "kind", name="uq_privacy_findings_in_candidate"
        ),
        IDS_GIVEN_ONCE,
    )
    example_id: int | None = Field(default=None, foreign_key="examples.id", ondelete="CASCADE")
    candidate_id: int | None = Field(default=None, foreign_key="candidates.id", ondelete="CASCADE")
    turn: int
    kind: str
    start_index: int
    end_index: int
    mark: str = Field(index=True)
    decision: str | None = Field(default=None, index=True)
    replacement: str | None = None
    reason: str | None = None
    decided_by: str | None = None
    decided_at: datetime | None = moment(nullable=True)


class PrivacyValue(SQLModel, table=True):
    """What was decided about a value wherever it stands or will be found; the value is known by its mark."""

    __tablename__ = "privacy_values"
    kind: str = Field(primary_key=True)
    mark: str = Field(primary_key=True)
    decision: str
    replacement: str | None = None
    reason: str | None = None
    decided_by: str | None = None
    decided_at: datetime | None = moment(nullable=True)


class PrivacyKey(Keyed, table=True):
    """The one key of this database's marks, in hex."""

    __tablename__ = "privacy_keys"
    secret: str
