"""The assistants that are watched, and what they said: counted, flagged, sampled, asked for."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from curation.store.columns import moment
from curation.store.tables.keyed import Keyed


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
