"""From a captured thread to a verdict: candidates, their corrections, what screening found, who looks at them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, UniqueConstraint, text
from sqlalchemy.orm import declared_attr
from sqlmodel import Field, SQLModel

from curation.store.columns import json_column, moment, worded
from curation.store.tables.keyed import IDS_GIVEN_ONCE, Keyed


class Capture(Keyed, table=True):
    """A thread as it stood when somebody pressed the shortcut; a candidate is made from it."""

    __tablename__ = "captures"
    __table_args__ = IDS_GIVEN_ONCE
    assistant_id: int = Field(foreign_key="assistants.id")
    source: str = Field(index=True)
    thread: str
    captured_by: str
    captured_at: datetime = moment()
    reply: str
    staff_reply: str | None = None
    turns: list[dict[str, Any]] | None = json_column(nullable=True)
    speakers: list[str] | None = json_column(nullable=True)  # the person ids of those who speak as the user
    context: list[str] | None = json_column(nullable=True)  # what the assistant had retrieved, where supplied
    choices: dict[str, Any] | None = json_column(nullable=True)  # the thread's replies, where it has several
    trouble: str | None = worded(nullable=True)


class Candidate(Keyed, table=True):
    """A reply that waits for a decision, or had it. Contested: the version column picks one winner."""

    __tablename__ = "candidates"
    __table_args__ = (
        # A page of the queue: in order of the id behind a status, every filter looked at in the index.
        Index("ix_candidates_queue", "status", "id", "topic", "language", "kind", "assistant_id", "flagged_by"),
        Index(None, "status", "topic", "language"),
        # Whom to show what next: the most urgent first, then the oldest.
        Index("ix_candidates_review", "status", "urgency", "id", "place", "language", "flagged_by"),
        IDS_GIVEN_ONCE,
    )
    kind: str
    status: str
    source: str = Field(index=True)
    thread: str
    customer: str | None = None  # as the help desk that an imported row came from names them
    capture_id: int | None = Field(default=None, unique=True, foreign_key="captures.id")
    assistant_id: int | None = Field(default=None, foreign_key="assistants.id")
    turns: list[dict[str, Any]] = json_column()
    reply: str
    reason: str | None = None
    topic: str | None = None
    language: str | None = None
    note: str | None = None
    context: list[str] | None = json_column(nullable=True)  # what the assistant had retrieved, where supplied
    toolbox: dict[str, Any] | None = json_column(nullable=True)  # the tools at hand, as Conversation.toolbox gives them
    flagged_by: str
    flagged_at: datetime = moment()
    place: str | None = None  # the destination key of the channel in which it is reviewed; None: in a terminal only
    urgency: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})  # as ``curation.urgency`` gives it
    version: int = Field(default=0, nullable=False)

    @declared_attr.directive
    def __mapper_args__(cls) -> dict[str, Any]:  # noqa: N805 (SQLAlchemy passes the class)
        """Optimistic locking: an update of a row that changed in between raises StaleDataError."""
        return {"version_id_col": cls.__table__.c.version}  # type: ignore[attr-defined]  # added by the mapper


class Correction(Keyed, table=True):
    """A proposed better reply; the newest one of a candidate counts, the older ones stay."""

    __tablename__ = "corrections"
    __table_args__ = (Index(None, "candidate_id", "author"),)
    candidate_id: int = Field(foreign_key="candidates.id")
    text: str
    author: str = Field(index=True)
    written_at: datetime = moment()


class ScreenedPrompt(Keyed, table=True):
    """What screening has looked at: a candidate with the version of its correction, or an example nobody proposed.

    ``fingerprint`` is of the turns before the reply; ``author`` wrote the version, and is empty for an example.
    """

    __tablename__ = "screened_prompts"
    candidate_id: int | None = Field(default=None, unique=True, foreign_key="candidates.id", ondelete="CASCADE")
    example_id: int | None = Field(default=None, unique=True, foreign_key="examples.id", ondelete="CASCADE")
    correction_id: int | None = Field(default=None, index=True)
    author: str = Field(index=True)
    fingerprint: str = Field(index=True)
    screened_at: datetime = moment()


class PromptBand(SQLModel, table=True):
    """One of a prompt's hashes; prompts that share one are probably near-duplicates."""

    __tablename__ = "prompt_bands"
    band: int = Field(primary_key=True, sa_type=BigInteger)
    prompt_id: int = Field(primary_key=True, index=True, foreign_key="screened_prompts.id", ondelete="CASCADE")


class CandidateFinding(Keyed, table=True):
    """What screening found about a candidate's newest correction."""

    __tablename__ = "candidate_findings"
    candidate_id: int = Field(foreign_key="candidates.id", index=True, ondelete="CASCADE")
    rule: str
    severity: str
    message: str = worded()
    fix: str = worded()
    found_at: datetime = moment()


class Suggestion(Keyed, table=True):
    """What a model takes a candidate to be: its topic, why it was flagged, or whether staff would flag it.

    It decides nothing. ``run_id``: of the run that made the model; ``value``: one of the labels that it learned, None
    where it could not read the candidate.
    """

    __tablename__ = "suggestions"
    __table_args__ = (UniqueConstraint("candidate_id", "label"),)
    candidate_id: int = Field(foreign_key="candidates.id", ondelete="CASCADE")
    label: str
    value: str | None = None
    probability: float
    run_id: str
    made_at: datetime = moment()


class Claim(SQLModel, table=True):
    """Who is looking at a candidate to decide about it, and until when nobody else is shown it."""

    __tablename__ = "claims"
    candidate_id: int = Field(primary_key=True, foreign_key="candidates.id", ondelete="CASCADE")
    person_id: str = Field(index=True)
    since: datetime = moment()
    until: datetime = moment()


class QueueMessage(SQLModel, table=True):
    """The message that tells a channel what waits for review there: how many there were, and since when the newest."""

    __tablename__ = "queue_messages"
    place: str = Field(primary_key=True)
    number: int
    begun_at: datetime = moment()


class Review(Keyed, table=True):
    """One reviewer's judgement.

    ``correction_id``: the version that was approved; ``batch``: the first of the reviews that were given together;
    ``topic`` and ``reason``: given by the reviewer where the author gave none.
    """

    __tablename__ = "reviews"
    __table_args__ = (Index(None, "reviewer", "verdict"), IDS_GIVEN_ONCE)
    candidate_id: int = Field(foreign_key="candidates.id", index=True)
    reviewer: str
    verdict: str
    comment: str | None = None
    self_approved: bool = False
    decided_at: datetime = moment()
    correction_id: int | None = None
    batch: int | None = Field(default=None, index=True)
    undone_at: datetime | None = moment(nullable=True)
    topic: str | None = None
    reason: str | None = None
