"""Curation's tables, in the order of the data's way through the house.

Status columns hold the value of the enum that the lifecycle's module owns. Ids of people are
``curation.people`` ids; subjects are ``kind:id``.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, UniqueConstraint, text
from sqlalchemy.orm import declared_attr
from sqlmodel import Field, SQLModel

from curation.store.columns import json_column, moment, worded


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
    language: str | None = None  # what they asked to be spoken to in
    locale: str | None = None  # as Slack last named it
    reads: list[str] | None = json_column(nullable=True)  # codes of the languages they review; None: all
    created_at: datetime = moment()
    standing: str | None = None  # member, guest, foreign or gone, as Slack last said; None: not asked yet
    standing_at: datetime | None = moment(nullable=True)  # when Slack was last asked


class RoleGrant(SQLModel, table=True):
    """A role that a person holds."""

    __tablename__ = "role_grants"
    person_id: str = Field(primary_key=True, foreign_key="people.id")
    role: str = Field(primary_key=True)
    granted_by: str
    granted_at: datetime = moment()


class GroupRole(SQLModel, table=True):
    """A role that a person holds as a member of a Slack user group, as Slack last confirmed it."""

    __tablename__ = "group_roles"
    person_id: str = Field(primary_key=True, foreign_key="people.id")
    role: str = Field(primary_key=True)
    group_id: str = Field(primary_key=True)
    seen_at: datetime = moment()


class Installation(SQLModel, table=True):
    """A workspace that has installed the app by itself, with the token that it gave; beside the one of the settings."""

    __tablename__ = "installations"
    team_id: str = Field(primary_key=True)
    team: str
    enterprise_id: str | None = None
    bot_id: str | None = None
    bot_user_id: str
    bot_token: str
    scopes: str
    installed_by: str
    installed_at: datetime = moment()


class InstallState(SQLModel, table=True):
    """An installation that somebody has begun in their browser, to be finished there once and soon."""

    __tablename__ = "install_states"
    digest: str = Field(primary_key=True)
    begun_at: datetime = moment(index=True)


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
    """One version of an assistant's system prompt, for one place or (without) for every other; never changed."""

    __tablename__ = "system_prompts"
    __table_args__ = (UniqueConstraint("assistant_id", "version"),)
    assistant_id: int = Field(foreign_key="assistants.id")
    version: int
    text: str
    place: str | None = None  # the destination key of a channel
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

    ``correction_id``: the version that was approved; ``batch``: the first of the reviews that were given together.
    """

    __tablename__ = "reviews"
    __table_args__ = (Index(None, "reviewer", "verdict"),)
    candidate_id: int = Field(foreign_key="candidates.id", index=True)
    reviewer: str
    verdict: str
    comment: str | None = None
    self_approved: bool = False
    decided_at: datetime = moment()
    correction_id: int | None = None
    batch: int | None = Field(default=None, index=True)
    undone_at: datetime | None = moment(nullable=True)


class Example(Keyed, table=True):
    """An approved item with where it came from; never changed."""

    __tablename__ = "examples"
    __table_args__ = (UniqueConstraint("source", "digest"), Index(None, "topic", "language"))
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
    __table_args__ = (
        # Only of what was delivered: whoever owes a notice, and waits for the ack, does not pay for it.
        Index(
            None,
            "delivered_at",
            sqlite_where=text("delivered_at IS NOT NULL"),
            postgresql_where=text("delivered_at IS NOT NULL"),
        ),
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


class Reply(SQLModel, table=True):
    """A reply of a watched assistant, counted once, without its words. ``withdrawn``: deleted where it was said."""

    __tablename__ = "replies"
    source: str = Field(primary_key=True)
    assistant_id: int = Field(foreign_key="assistants.id")
    model_version: str | None = None  # a run's id or an endpoint's model; None: what was in production without Errata
    hour: datetime = moment()  # no index: each costs whoever waits for the ack, and nobody waits for the figures
    withdrawn: bool = False


class ReplyFlag(SQLModel, table=True):
    """A person's flag on a reply, as of the moment they last touched it. Taken back, it stays as not ``standing``."""

    __tablename__ = "reply_flags"
    source: str = Field(primary_key=True)
    person_id: str = Field(primary_key=True)
    standing: bool
    touched_at: datetime = moment()


class FlagDismissal(SQLModel, table=True):
    """Somebody looked at a flagged reply and found nothing wrong; a flag set after this moment counts again."""

    __tablename__ = "flag_dismissals"
    source: str = Field(primary_key=True)
    dismissed_by: str
    dismissed_at: datetime = moment()


class ReplySample(Keyed, table=True):
    """Replies of one week that nobody minded, drawn once for an assistant. ``week``: as 2026-W47."""

    __tablename__ = "reply_samples"
    __table_args__ = (UniqueConstraint("week", "assistant_id"),)
    week: str
    assistant_id: int = Field(foreign_key="assistants.id")
    seed: int = Field(sa_type=BigInteger)
    drawn_at: datetime = moment()


class SampledReply(SQLModel, table=True):
    """One reply of a sample, and the destination key of the channel that is asked about it."""

    __tablename__ = "sampled_replies"
    sample_id: int = Field(primary_key=True, foreign_key="reply_samples.id")
    source: str = Field(primary_key=True, index=True)
    place: str


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


class ChatTask(Keyed, table=True):
    """What somebody asked of Errata as the assistant, and is owed: an answer to a message, or a reply's endorsement.

    Holds no words: they are read where they were said. ``message_ref``: where the answer stands.
    """

    __tablename__ = "chat_tasks"
    __table_args__ = (Index(None, "asked_by", "asked_at"),)
    kind: str
    source: str = Field(unique=True)
    thread: str
    asked_by: str
    asked_at: datetime = moment()
    status: str = Field(index=True)
    attempts: int = 0
    not_before: datetime = moment()
    message_ref: str | None = None
    model_version: str | None = None
    prompt_id: int | None = Field(default=None, foreign_key="system_prompts.id")
    trouble: str | None = None
    ended_at: datetime | None = moment(nullable=True)


class Revocation(SQLModel, table=True):
    """When a workspace last took the app, or its token, away."""

    __tablename__ = "revocations"
    team_id: str = Field(primary_key=True)
    event: str
    revoked_at: datetime = moment()


class HandledRequest(SQLModel, table=True):
    """The stored outcome of a signed request, answered again when the request is replayed."""

    __tablename__ = "handled_requests"
    key: str = Field(primary_key=True)
    status: int
    content_type: str
    body: bytes
    handled_at: datetime = moment(index=True)
