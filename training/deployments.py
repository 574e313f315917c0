"""Deployments: a model version at an endpoint, one of them in production.

Owns the lifecycle (one transition table) and who may switch. Starting and stopping the endpoint is
the worker's, through the backend.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlmodel import Session, col, select

from curation import audit, notices
from curation.errors import Conflict
from curation.notices import NoticeKind
from curation.people import WORKER, Actor, require
from curation.policies import Permission
from training import runs
from training.runs import RunStatus
from training.store.tables import Deployment


class DeploymentStatus(StrEnum):
    """Where a deployment stands."""

    REQUESTED = "requested"
    LIVE = "live"
    RETIRING = "retiring"
    RETIRED = "retired"
    FAILED = "failed"


class DeploymentStep(StrEnum):
    """What can happen to a deployment."""

    ANSWERED = "answered"
    RETIRE = "retire"
    STOPPED = "stopped"
    FAIL = "fail"


TRANSITIONS: dict[tuple[DeploymentStatus, DeploymentStep], DeploymentStatus] = {
    (DeploymentStatus.REQUESTED, DeploymentStep.ANSWERED): DeploymentStatus.LIVE,
    (DeploymentStatus.REQUESTED, DeploymentStep.FAIL): DeploymentStatus.FAILED,
    (DeploymentStatus.LIVE, DeploymentStep.RETIRE): DeploymentStatus.RETIRING,
    (DeploymentStatus.RETIRING, DeploymentStep.STOPPED): DeploymentStatus.RETIRED,
}


def take(deployment: Deployment, step: DeploymentStep, now: datetime) -> None:
    """Move the deployment along its lifecycle.

    Raises:
        Conflict: its status does not permit the step.
    """
    status = DeploymentStatus(deployment.status)
    following = TRANSITIONS.get((status, step))
    if following is None:
        raise Conflict(f"The deployment of {deployment.run_id} is {status.value}; it cannot {step.value} any more.")
    deployment.status = following.value
    if following is DeploymentStatus.LIVE:
        deployment.live_at = now
    if following is DeploymentStatus.RETIRED:
        deployment.retired_at = now


_DONE: dict[DeploymentStep, str] = {
    DeploymentStep.ANSWERED: "deployment.answered",
    DeploymentStep.RETIRE: "deployment.retired",
    DeploymentStep.STOPPED: "deployment.stopped",
    DeploymentStep.FAIL: "deployment.failed",
}
"""What the audit calls the steps that a worker takes."""


def advance(session: Session, now: datetime, deployment: Deployment, step: DeploymentStep) -> None:
    """Take a step on the worker's behalf, with its entry in the audit.

    Raises:
        Conflict: the deployment's status does not permit the step.
    """
    take(deployment, step, now)
    audit.record(session, WORKER, now, _DONE[step], subject=f"deployment:{deployment.key}")


def request(session: Session, actor: Actor, now: datetime, *, run_id: str) -> Deployment:
    """Ask for the run's model to go live; what is live now is retired once the new one answers.

    Raises:
        NotAllowed, NotFound: may not deploy; no such run.
        Conflict: the run has not completed.
    """
    require(session, actor, Permission.DEPLOY)
    run = runs.find(session, run_id)
    if RunStatus(run.status) is not RunStatus.COMPLETED:
        raise Conflict(f"{run.id} is {run.status}; only a completed run can be deployed. See: errata run show {run.id}")
    standing = session.exec(
        select(Deployment).where(
            Deployment.run_id == run.id,
            col(Deployment.status).in_([DeploymentStatus.REQUESTED.value, DeploymentStatus.LIVE.value]),
        )
    ).first()
    if standing is not None:
        return standing
    deployment = Deployment(
        run_id=run.id, status=DeploymentStatus.REQUESTED.value, requested_by=actor.person_id, requested_at=now
    )
    session.add(deployment)
    session.flush()
    audit.record(session, actor, now, "deployment.requested", subject=f"deployment:{deployment.key}")
    runs.owe_status(session, now, run)
    return deployment


def retire(session: Session, actor: Actor, now: datetime, *, run_id: str) -> Deployment:
    """Take the run's model from its endpoint.

    Raises:
        NotAllowed, NotFound, Conflict: may not; no such run; it is not live.
    """
    require(session, actor, Permission.DEPLOY)
    run = runs.find(session, run_id)
    live = select(Deployment).where(Deployment.run_id == run.id, Deployment.status == DeploymentStatus.LIVE.value)
    deployment = session.exec(live).first()
    if deployment is None:
        raise Conflict(f"{run.id} is not live; errata runs shows what is.")
    take(deployment, DeploymentStep.RETIRE, now)
    audit.record(session, actor, now, "deployment.retired", subject=f"deployment:{deployment.key}")
    tell(session, now, deployment)
    return deployment


def tell(session: Session, now: datetime, deployment: Deployment) -> None:
    """Owe every destination of the run the deployment's one message in its newest state."""
    key = f"deployment:{deployment.key}"
    for destination in runs.find(session, deployment.run_id).destinations:
        notices.owe(session, now, NoticeKind.DEPLOYMENT, subject=key, destination=destination, message_key=key)


def of_run(session: Session, run_id: str) -> Deployment | None:
    """The newest deployment of a run."""
    deployed = select(Deployment).where(Deployment.run_id == run_id)
    return session.exec(deployed.order_by(col(Deployment.id).desc())).first()


def with_status(session: Session, *statuses: DeploymentStatus) -> list[Deployment]:
    """Deployments that stand in any of these, oldest first."""
    standing = select(Deployment).where(col(Deployment.status).in_([status.value for status in statuses]))
    return list(session.exec(standing.order_by(col(Deployment.id))))
