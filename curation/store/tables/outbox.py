"""What is owed and what was done: notices, digests, the audit, requests that were handled."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, text
from sqlmodel import Field, SQLModel

from curation.store.columns import json_column, moment
from curation.store.tables.keyed import IDS_GIVEN_ONCE, Keyed


class Notice(Keyed, table=True):
    """A message that Errata owes a channel; what it says is rendered when it is sent."""

    __tablename__ = "notices"
    __table_args__ = (
        # Only of what was delivered: whoever owes a notice, and waits for the ack, does not pay for it.
        Index(
            None,
            "delivered_at",
            sqlite_where=text("delivered_at IS NOT NULL"),
            postgresql_where=text("delivered_at IS NOT NULL"),
        ),
        IDS_GIVEN_ONCE,
    )
    kind: str
    subject: str
    destination: str
    message_key: str | None = Field(default=None, index=True)
    status: str = Field(index=True)
    attempts: int = 0
    not_before: datetime = moment()
    owed_at: datetime = moment()
    message_ref: str | None = None
    trouble: str | None = None
    delivered_at: datetime | None = moment(nullable=True)


class DigestOrder(SQLModel, table=True):
    """A channel that wants to hear every week how things stand."""

    __tablename__ = "digest_orders"
    place: str = Field(primary_key=True)
    ordered_by: str
    ordered_at: datetime = moment()


class WeeklyDigest(SQLModel, table=True):
    """The digest of one week that a channel was owed; there is one at most."""

    __tablename__ = "weekly_digests"
    week: str = Field(primary_key=True)
    place: str = Field(primary_key=True)
    owed_at: datetime = moment()


class AuditEntry(Keyed, table=True):
    """Who did what, when. Ids only. ``hash`` seals the row and ``previous``, the hash of the entry before it."""

    __tablename__ = "audit_entries"
    at: datetime = moment()
    actor: str
    action: str
    subject: str = Field(index=True)
    details: dict[str, Any] = json_column()
    previous: str = Field(unique=True)  # unique: a chain that forks would be no chain
    hash: str


class HandledRequest(SQLModel, table=True):
    """The stored outcome of a signed request, answered again when the request is replayed."""

    __tablename__ = "handled_requests"
    key: str = Field(primary_key=True)
    status: int
    content_type: str
    body: bytes
    handled_at: datetime = moment(index=True)
