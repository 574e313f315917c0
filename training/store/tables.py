"""Training's tables: runs, their confirmations, evaluations, deployments. Records, not the domain."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.orm import declared_attr
from sqlmodel import Field, SQLModel

from curation.store.columns import json_column, moment, worded
from curation.store.tables import Keyed


class Run(SQLModel, table=True):
    """One attempt to tune. Contested: a person may cancel while the worker advances it."""

    __tablename__ = "runs"
    id: str = Field(primary_key=True)
    dataset_id: int = Field(foreign_key="dataset_versions.id")
    backend: str
    model: str
    base: str | None = None
    base_run_id: str | None = Field(default=None, foreign_key="runs.id")
    recipe_name: str
    recipe: dict[str, Any] = json_column()
    status: str = Field(index=True)
    reason: str | None = worded(nullable=True)
    progress: dict[str, Any] = json_column()
    cost: dict[str, Any] | None = json_column(nullable=True)
    destinations: list[str] = json_column()
    requested_by: str
    requested_at: datetime = moment()
    started_at: datetime | None = moment(nullable=True)
    ended_at: datetime | None = moment(nullable=True)
    version: int = Field(default=0, nullable=False)

    @declared_attr.directive
    def __mapper_args__(cls) -> dict[str, Any]:  # noqa: N805 (SQLAlchemy passes the class)
        """Optimistic locking: an update of a row that changed in between raises StaleDataError."""
        return {"version_id_col": cls.__table__.c.version}  # type: ignore[attr-defined]  # added by the mapper


class Evaluation(Keyed, table=True):
    """The report of a completed run."""

    __tablename__ = "evaluations"
    run_id: str = Field(foreign_key="runs.id", unique=True)
    verdict: str
    report: dict[str, Any] = json_column()
    evaluated_at: datetime = moment()


class Deployment(Keyed, table=True):
    """A run's model on its way to an endpoint, at it, or retired from it."""

    __tablename__ = "deployments"
    run_id: str = Field(foreign_key="runs.id", index=True)
    status: str = Field(index=True)
    url: str | None = None
    pid: int | None = None
    test_question: str | None = None
    test_reply: str | None = None
    reason: str | None = worded(nullable=True)
    requested_by: str
    requested_at: datetime = moment()
    live_at: datetime | None = moment(nullable=True)
    retired_at: datetime | None = moment(nullable=True)


class Confirmation(Keyed, table=True):
    """A run that somebody was asked about a second time: what they were shown, until when, and what came of it.

    Contested: the version column picks one winner of two presses.
    """

    __tablename__ = "confirmations"
    dataset_id: int = Field(foreign_key="dataset_versions.id")
    model: str
    recipe: str | None = None
    backend: str
    place: str  # who hears of the run
    shown: dict[str, Any] = json_column()
    asked_by: str
    asked_at: datetime = moment()
    expires_at: datetime = moment()
    run_id: str | None = Field(default=None, foreign_key="runs.id")
    version: int = Field(default=0, nullable=False)

    @declared_attr.directive
    def __mapper_args__(cls) -> dict[str, Any]:  # noqa: N805 (SQLAlchemy passes the class)
        """Optimistic locking, as for runs."""
        return {"version_id_col": cls.__table__.c.version}  # type: ignore[attr-defined]  # added by the mapper


class Consent(Keyed, table=True):
    """An owner's consent that customers' words go to a region outside the geography that the settings name."""

    __tablename__ = "consents"
    region: str = Field(unique=True)
    geography: str
    given_by: str
    given_at: datetime = moment()


class FilterDecision(Keyed, table=True):
    """Whether a provider's filter of harmful words stands before a run's model; the newest decision counts."""

    __tablename__ = "filter_decisions"
    run_id: str = Field(foreign_key="runs.id", index=True)
    filtered: bool
    reason: str
    decided_by: str
    decided_at: datetime = moment()


class WorkerLease(SQLModel, table=True):
    """A worker's claim to be alive until ``expires_at``; whose lease has run out may be taken over from."""

    __tablename__ = "worker_leases"
    worker_id: str = Field(primary_key=True)
    host: str
    process: int
    renewed_at: datetime = moment()
    expires_at: datetime = moment()
