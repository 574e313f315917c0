"""Bills: what costs money now, by Errata's own records, and what a provider lists beside them.

Owns which runs and deployments that are, since when, and what they come to; and which of them nobody uses. Pure
reading; asking a provider is ``everywhere``, which is for a worker or a terminal, never for an answer that Slack waits
for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import Session

from curation import replies
from curation.errors import Unavailable
from training import deployments, runs, spending
from training.backends.base import Backend
from training.backends.foundry.place import AzurePlace
from training.backends.names import SERVICES, BackendName
from training.deployments import DeploymentStatus
from training.hyperparameters import TrainingTier
from training.planning.costs import Cost, Hosted, Hosting
from training.planning.prices import PriceTable
from training.spending import Month
from training.store.tables import Deployment, Run

IDLE_DAYS = 7
"""A paid model that has answered nothing for so long is asked about."""

_STANDING = (DeploymentStatus.REQUESTED, DeploymentStatus.LIVE, DeploymentStatus.RETIRING, DeploymentStatus.FAILING)


@dataclass(frozen=True, slots=True)
class Going:
    """A paid run that goes on.

    Attributes:
        dollars: as it was estimated; None where that is unknown.
    """

    run_id: str
    backend: str
    model: str
    status: str
    dollars: float | None

    def as_json(self) -> dict[str, Any]:
        """Every attribute."""
        return {
            "run": self.run_id,
            "backend": self.backend,
            "model": self.model,
            "status": self.status,
            "estimated": self.dollars,
        }


@dataclass(frozen=True, slots=True)
class Deployed:
    """A model at a provider's endpoint.

    Attributes:
        since: when it went live; None while it is on its way.
        hourly: US dollars an hour; None where that is unknown.
        dollars: what it has cost since it went live; None where that is unknown.
        idle: whether it has been live for a week and has answered nothing in it.
        fleeting: whether the provider takes it down by itself after a day.
    """

    run_id: str
    backend: str
    status: str
    since: datetime | None
    hourly: float | None
    dollars: float | None
    idle: bool
    fleeting: bool = False

    @property
    def undeploy_command(self) -> str:
        """What takes it down."""
        return f"errata undeploy {self.run_id}"

    def as_json(self) -> dict[str, Any]:
        """Every attribute, and what takes it down."""
        return {
            "run": self.run_id,
            "backend": self.backend,
            "status": self.status,
            "since": self.since.isoformat() if self.since is not None else None,
            "hourly": self.hourly,
            "dollars": self.dollars,
            "idle": self.idle,
            "fleeting": self.fleeting,
            "undeploy": self.undeploy_command,
        }


@dataclass(frozen=True, slots=True)
class Bill:
    """What costs money now.

    Attributes:
        going: paid runs that go on, oldest first.
        deployed: models at providers' endpoints, by Errata's records, oldest first.
        month: what paid runs come to in the calendar month.
        spend_run, spend_month: the caps, in US dollars; None where there is none.
    """

    going: tuple[Going, ...]
    deployed: tuple[Deployed, ...]
    month: Month
    spend_run: float | None
    spend_month: float | None

    def as_json(self) -> dict[str, Any]:
        """Every attribute."""
        return {
            "runs": [one.as_json() for one in self.going],
            "deployments": [one.as_json() for one in self.deployed],
            "month": self.month.as_json(),
            "caps": {"run": self.spend_run, "month": self.spend_month},
        }


def of_records(session: Session, now: datetime, *, place: AzurePlace, table: PriceTable) -> Bill:
    """What costs money by Errata's own records."""
    return Bill(
        going=tuple(_going(run, table) for run in spending.unfinished(session)),
        deployed=tuple(deployed(session, now, table)),
        month=spending.month_to_date(session, now, table),
        spend_run=place.spend_run,
        spend_month=place.spend_month,
    )


def deployed(session: Session, now: datetime, table: PriceTable) -> list[Deployed]:
    """The models at providers' endpoints, and those on their way there or from there, oldest first."""
    standing = [(one, runs.find(session, one.run_id)) for one in deployments.with_status(session, *_STANDING)]
    return [_deployed(session, now, one, run, table) for one, run in standing if run.backend in SERVICES]


def idle(session: Session, now: datetime, table: PriceTable) -> list[Deployed]:
    """Those of them that nobody has asked anything for a week."""
    return [one for one in deployed(session, now, table) if one.idle]


def hourly_of(run: Run, table: PriceTable) -> float | None:
    """What an hour of the run's model at an endpoint costs today; None where that is unknown.

    The one look-up for every place that tells it: today's price, else the one of the day when the run was asked for.
    """
    daily = Cost.from_json(run.cost["estimated"]).daily if run.cost is not None else None
    price = (table.find(daily.kind, daily.model, daily.tier) or daily.price) if daily is not None else None
    return price.dollars if price is not None else None


def is_fleeting(run: Run) -> bool:
    """Whether the provider takes the run's endpoint down by itself after a day, as it does in the developer tier."""
    service = runs.recipe_of(run).service if run.backend == BackendName.OPENAI.value else None
    return service is not None and service.training_type is TrainingTier.DEVELOPER


def priced(session: Session, hosted: Sequence[Hosted], table: PriceTable) -> list[Hosted]:
    """What a provider lists, with what an hour of a run's model costs where the provider does not say."""
    known = {one.run_id: session.get(Run, one.run_id) for one in hosted if one.run_id is not None}
    return [
        replace(one, hourly=hourly_of(run, table)) if one.hourly is None and run is not None else one
        for one in hosted
        for run in (known.get(one.run_id or ""),)
    ]


def everywhere(backends: Mapping[BackendName, Backend]) -> tuple[list[Hosted], list[str]]:
    """What providers say they host, and a sentence of each that does not say. Asks them: this takes seconds."""
    found: list[Hosted] = []
    silent: list[str] = []
    for name, backend in backends.items():
        if not isinstance(backend, Hosting):
            continue
        try:
            found += backend.hosted()
        except Unavailable as error:
            silent.append(f"{name.value}: {error}")
    return found, silent


def _going(run: Run, table: PriceTable) -> Going:
    cost = spending.cost_of(run, table)
    return Going(run.id, run.backend, run.model, run.status, cost.dollars if cost is not None else None)


def _deployed(session: Session, now: datetime, one: Deployment, run: Run, table: PriceTable) -> Deployed:
    hourly, week = hourly_of(run, table), now - timedelta(days=IDLE_DAYS)
    hours = max(timedelta(), now - one.live_at) / timedelta(hours=1) if one.live_at is not None else None
    stands = one.status == DeploymentStatus.LIVE.value and one.live_at is not None and one.live_at <= week
    return Deployed(
        run_id=run.id,
        backend=run.backend,
        status=one.status,
        since=one.live_at,
        hourly=hourly,
        dollars=hourly * hours if hourly is not None and hours is not None else None,
        idle=stands and not replies.answered(session, run.id, since=week),
        fleeting=is_fleeting(run),
    )
