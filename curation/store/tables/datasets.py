"""What was approved, and the releases that are made of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import declared_attr
from sqlmodel import Field, SQLModel

from curation.store.columns import json_column, moment, worded
from curation.store.tables.keyed import IDS_GIVEN_ONCE, Keyed


class Example(Keyed, table=True):
    """An approved item with where it came from; never changed."""

    __tablename__ = "examples"
    __table_args__ = (UniqueConstraint("source", "digest"), Index(None, "topic", "language"), IDS_GIVEN_ONCE)
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
    context: list[str] | None = json_column(nullable=True)  # what the assistant had retrieved, where supplied
    toolbox: dict[str, Any] | None = json_column(nullable=True)  # the tools at hand, as Conversation.toolbox gives them
    authors: list[str] = json_column()
    approved_by: str
    approved_at: datetime = moment()
    self_approved: bool = False
    attested: str | None = None
    scanned: str | None = None  # the stamp of the privacy scan whose findings are kept
    erased_at: datetime | None = moment(nullable=True)  # since then a tombstone: only its place in datasets is left


class Expiry(Keyed, table=True):
    """When an example stops being true; of several the newest counts, and without a date it never does.

    ``candidate_id``: the candidate as which the example came back for another review.
    """

    __tablename__ = "expiries"
    example_id: int = Field(foreign_key="examples.id", index=True)
    expires_at: datetime | None = moment(nullable=True)
    reason: str
    set_by: str
    set_at: datetime = moment()
    candidate_id: int | None = Field(default=None, unique=True, foreign_key="candidates.id")


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
    treated: dict[str, Any] | None = json_column(nullable=True)  # the words that left, where not the example's own


class DatasetNote(Keyed, table=True):
    """What somebody has written about a dataset version; never changed, as the version is not."""

    __tablename__ = "dataset_notes"
    dataset_id: int = Field(foreign_key="dataset_versions.id", index=True)
    text: str
    written_by: str
    written_at: datetime = moment()


class FreezeRequest(Keyed, table=True):
    """A dataset that somebody asked for where nobody can wait for it, and what came of it. ``place``: who hears of it.

    Contested: the version column picks one winner.
    """

    __tablename__ = "freeze_requests"
    name: str | None = None  # as asked for; without one the next of v1, v2, …
    options: dict[str, Any] = json_column()
    place: str
    asked_by: str
    asked_at: datetime = moment()
    status: str = Field(index=True)
    dataset_id: int | None = Field(default=None, foreign_key="dataset_versions.id")
    new: bool | None = None  # whether the dataset was made for this request
    reason: str | None = worded(nullable=True)  # why there is none
    ended_at: datetime | None = moment(nullable=True)
    version: int = Field(default=0, nullable=False)

    @declared_attr.directive
    def __mapper_args__(cls) -> dict[str, Any]:  # noqa: N805 (SQLAlchemy passes the class)
        """Optimistic locking, as for candidates."""
        return {"version_id_col": cls.__table__.c.version}  # type: ignore[attr-defined]  # added by the mapper


class Export(Keyed, table=True):
    """A file of examples that was written for somebody outside; without a dataset it held all that was approved."""

    __tablename__ = "exports"
    path: str
    target: str
    dataset_id: int | None = Field(default=None, foreign_key="dataset_versions.id", index=True)
    rows: int
    digest: str
    written_by: str
    written_at: datetime = moment()


class SplitKey(SQLModel, table=True):
    """The side that a group (thread, customer, near-duplicate cluster) was given, for good."""

    __tablename__ = "split_keys"
    key: str = Field(primary_key=True)
    side: str
