"""Who there is, what they may do, and which workspaces have installed Errata."""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Field, SQLModel

from curation.store.columns import json_column, moment


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


class Revocation(SQLModel, table=True):
    """When a workspace last took the app, or its token, away."""

    __tablename__ = "revocations"
    team_id: str = Field(primary_key=True)
    event: str
    revoked_at: datetime = moment()
