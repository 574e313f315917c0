"""What was trained and deployed in a week: training's part of a digest (``curation.digests`` has the rest)."""

from __future__ import annotations

from dataclasses import dataclass

from sqlmodel import Session, col, select

from curation.weeks import Week
from training import bills, runs
from training.planning import prices
from training.store.tables import Deployment, Evaluation, Run


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that was asked for in the week, or ended in it, as it stands now."""

    id: str
    status: str
    verdict: str | None


@dataclass(frozen=True, slots=True)
class Trained:
    """The week's runs and deployments, oldest first.

    Attributes:
        went_live: ids of the runs whose models did.
        taken_down: likewise.
        live: the run that is live now.
        idle: runs whose models cost money by the hour and answered nothing all week.
    """

    runs: tuple[Ended, ...]
    went_live: tuple[str, ...]
    taken_down: tuple[str, ...]
    live: str | None
    idle: tuple[str, ...] = ()


def of_week(session: Session, week: Week) -> Trained:
    """What was trained and deployed in a week."""
    made = select(Run, Evaluation.verdict).join(Evaluation, col(Evaluation.run_id) == col(Run.id), isouter=True)
    asked = (col(Run.requested_at) >= week.begins) & (col(Run.requested_at) < week.ends)
    ended = (col(Run.ended_at) >= week.begins) & (col(Run.ended_at) < week.ends)
    rows = session.exec(made.where(asked | ended).order_by(col(Run.requested_at), col(Run.id)))
    went, down = (
        session.exec(
            select(Deployment.run_id)
            .where(moment >= week.begins, moment < week.ends)
            .order_by(moment, col(Deployment.id))
        )
        for moment in (col(Deployment.live_at), col(Deployment.retired_at))
    )
    live = runs.production(session)
    return Trained(
        tuple(Ended(run.id, run.status, verdict) for run, verdict in rows),
        tuple(went),
        tuple(down),
        live.id if live is not None else None,
        tuple(one.run_id for one in bills.idle(session, week.ends, prices.SHIPPED)),  # no price is told
    )
