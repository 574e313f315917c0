"""Curation's tables, in the order of the data's way through the house.

Status columns hold the value of the enum that the lifecycle's module owns. Ids of people are
``curation.people`` ids; subjects are ``kind:id``.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import declared_attr
from sqlmodel import Field, SQLModel

from curation.store.columns import json_column, moment


class Keyed(SQLModel):
    """A row with a generated integer key."""

    id: int | None = Field(default=None, primary_key=True)

    @property
    def key(self) -> int:
        """The key of a row that has been flushed."""
        if self.id is None:
            raise ValueError(f"{type(self).__name__} has no key before it is flushed")
        return self.id


class Person(SQLModel, table=True):
    """Somebody Errata has met."""

    __tablename__ = "people"
    id: str = Field(primary_key=True)
    display_name: str
    created_at: datetime = moment()


class RoleGrant(SQLModel, table=True):
    """A role that a person holds."""

    __tablename__ = "role_grants"
    person_id: str = Field(primary_key=True, foreign_key="people.id")
    role: str = Field(primary_key=True)
    granted_by: str
    granted_at: datetime = moment()


class Assistant(Keyed, table=True):
    """An assistant whose replies are watched."""

    __tablename__ = "assistants"
    name: str = Field(unique=True)
    team_id: str
    created_at: datetime = moment()


class SpeakerRule(Keyed, table=True):
    """One line of an assistant's speaker map: this user or bot id speaks as that."""

    __tablename__ = "speaker_rules"
    __table_args__ = (UniqueConstraint("assistant_id", "identity"),)
    assistant_id: int = Field(foreign_key="assistants.id")
    identity: str
    speaker: str


class SystemPrompt(Keyed, table=True):
    """One version of an assistant's system prompt; never changed."""

    __tablename__ = "system_prompts"
    __table_args__ = (UniqueConstraint("assistant_id", "version"),)
    assistant_id: int = Field(foreign_key="assistants.id")
    version: int
    text: str
    created_at: datetime = moment()
    created_by: str


class Capture(Keyed, table=True):
    """A thread as it stood when somebody pressed the shortcut; a candidate is made from it."""

    __tablename__ = "captures"
    assistant_id: int = Field(foreign_key="assistants.id")
    source: str = Field(index=True)
    thread: str
    captured_by: str
    captured_at: datetime = moment()
    reply: str
    staff_reply: str | None = None
    turns: list[dict[str, Any]] | None = json_column(nullable=True)
    trouble: str | None = None


class Candidate(Keyed, table=True):
    """A reply that waits for a decision, or had it. Contested: the version column picks one winner."""

    __tablename__ = "candidates"
    kind: str
    status: str = Field(index=True)
    source: str = Field(index=True)
    thread: str
    capture_id: int | None = Field(default=None, unique=True, foreign_key="captures.id")
    assistant_id: int | None = Field(default=None, foreign_key="assistants.id")
    turns: list[dict[str, Any]] = json_column()
    reply: str
    reason: str | None = None
    topic: str | None = None
    language: str | None = None
    note: str | None = None
    flagged_by: str
    flagged_at: datetime = moment()
    version: int = Field(default=0, nullable=False)

    @declared_attr.directive
    def __mapper_args__(cls) -> dict[str, Any]:  # noqa: N805 (SQLAlchemy passes the class)
        """Optimistic locking: an update of a row that changed in between raises StaleDataError."""
        return {"version_id_col": cls.__table__.c.version}  # type: ignore[attr-defined]  # added by the mapper


class Correction(Keyed, table=True):
    """A proposed better reply; the newest one of a candidate counts, the older ones stay."""

    __tablename__ = "corrections"
    candidate_id: int = Field(foreign_key="candidates.id", index=True)
    text: str
    author: str
    written_at: datetime = moment()


class Review(Keyed, table=True):
    """One reviewer's judgement."""

    __tablename__ = "reviews"
    candidate_id: int = Field(foreign_key="candidates.id", index=True)
    reviewer: str
    verdict: str
    comment: str | None = None
    self_approved: bool = False
    decided_at: datetime = moment()


class Example(Keyed, table=True):
    """An approved item with where it came from; never changed."""

    __tablename__ = "examples"
    __table_args__ = (UniqueConstraint("source", "digest"),)
    kind: str
    candidate_id: int | None = Field(default=None, unique=True, foreign_key="candidates.id")
    assistant_id: int | None = Field(default=None, foreign_key="assistants.id")
    messages: list[dict[str, Any]] = json_column()
    rejected: str | None = None
    digest: str = Field(index=True)
    source: str
    thread: str
    customer: str | None = None
    topic: str | None = None
    language: str | None = None
    authors: list[str] = json_column()
    approved_by: str
    approved_at: datetime = moment()
    self_approved: bool = False
    attested: str | None = None


class DatasetVersion(Keyed, table=True):
    """An immutable release."""

    __tablename__ = "dataset_versions"
    name: str = Field(unique=True)
    digest: str = Field(unique=True)
    manifest: dict[str, Any] = json_column()
    frozen_by: str
    frozen_at: datetime = moment()


class DatasetRow(SQLModel, table=True):
    """One example's place in a dataset version, and the prompt it is trained under."""

    __tablename__ = "dataset_rows"
    dataset_id: int = Field(primary_key=True, foreign_key="dataset_versions.id")
    position: int = Field(primary_key=True)
    example_id: int = Field(foreign_key="examples.id", index=True)
    side: str
    prompt_id: int | None = Field(default=None, foreign_key="system_prompts.id")


class SplitKey(SQLModel, table=True):
    """The side that a group (thread, customer, near-duplicate cluster) was given, for good."""

    __tablename__ = "split_keys"
    key: str = Field(primary_key=True)
    side: str


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


class Notice(Keyed, table=True):
    """A message that Errata owes a channel; what it says is rendered when it is sent."""

    __tablename__ = "notices"
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


class HandledRequest(SQLModel, table=True):
    """The stored outcome of a signed request, answered again when the request is replayed."""

    __tablename__ = "handled_requests"
    key: str = Field(primary_key=True)
    status: int
    content_type: str
    body: bytes
    handled_at: datetime = moment(index=True)
