"""Deployments: a model version at an endpoint, one of them in production, and at most one classifier of each label.

Owns the lifecycle (one transition table) and who may switch. Starting and stopping the endpoint is
the worker's, through the backend.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import or_
from sqlalchemy import select as select_columns
from sqlmodel import Session, col, select

from curation import audit, feedback, notices
from curation.errors import Conflict
from curation.notices import NoticeKind
from curation.people import WORKER, Actor, require
from curation.policies import Permission
from curation.store.rows import Prepared, Work, columns_of, table_of
from curation.wording import called
from training import runs, slots
from training.runs import RunStatus
from training.store.tables import Deployment, Run


class DeploymentStatus(StrEnum):
    """Where a deployment stands."""

    REQUESTED = "requested"
    LIVE = "live"
    RETIRING = "retiring"
    RETIRED = "retired"
    FAILING = "failing"
    FAILED = "failed"


class DeploymentStep(StrEnum):
    """What can happen to a deployment."""

    ANSWERED = "answered"
    RETIRE = "retire"
    STOPPED = "stopped"
    FAIL = "fail"


TRANSITIONS: dict[tuple[DeploymentStatus, DeploymentStep], DeploymentStatus] = {
    (DeploymentStatus.REQUESTED, DeploymentStep.ANSWERED): DeploymentStatus.LIVE,
    # Not failed at once: what is up there without answering may cost money until it is gone.
    (DeploymentStatus.REQUESTED, DeploymentStep.FAIL): DeploymentStatus.FAILING,
    # Before it answers, too: an endpoint that comes up for an hour at a provider's is paid for meanwhile.
    (DeploymentStatus.REQUESTED, DeploymentStep.RETIRE): DeploymentStatus.RETIRING,
    (DeploymentStatus.LIVE, DeploymentStep.RETIRE): DeploymentStatus.RETIRING,
    (DeploymentStatus.LIVE, DeploymentStep.FAIL): DeploymentStatus.FAILING,
    (DeploymentStatus.RETIRING, DeploymentStep.STOPPED): DeploymentStatus.RETIRED,
    (DeploymentStatus.FAILING, DeploymentStep.STOPPED): DeploymentStatus.FAILED,
}


def take(deployment: Deployment, step: DeploymentStep, now: datetime) -> None:
    """Move the deployment along its lifecycle.

    Raises:
        Conflict: its status does not permit the step.
    """
    status = DeploymentStatus(deployment.status)
    following = TRANSITIONS.get((status, step))
    if following is None:
        raise Conflict(
            "The deployment of {run} is {status}; it cannot {step} any more.",
            run=deployment.run_id,
            status=called(status),
            step=called(step),
        )
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

_RESTARTED = "deployment.restarted"


def advance(session: Session, now: datetime, deployment: Deployment, step: DeploymentStep) -> None:
    """Take a step on the worker's behalf, with its entry in the audit.

    Raises:
        Conflict: the deployment's status does not permit the step.
    """
    take(deployment, step, now)
    audit.record(session, WORKER, now, _DONE[step], subject=f"deployment:{deployment.key}")


def restarted(session: Session, now: datetime, deployment: Deployment, *, url: str, pid: int | None) -> None:
    """Note on the worker's behalf that a live model whose endpoint had died answers again, mostly where it did."""
    deployment.url, deployment.pid = url, pid
    audit.record(session, WORKER, now, _RESTARTED, subject=f"deployment:{deployment.key}")
    tell(session, now, deployment)


def restarts(session: Session, deployment: Deployment, *, since: datetime) -> int:
    """How often the endpoint of a live model was started again."""
    return len(audit.search(session, subject=f"deployment:{deployment.key}", action=_RESTARTED, since=since))


def request(session: Session, actor: Actor, now: datetime, *, run_id: str) -> Deployment:
    """Ask for the run's model to go live; what is live now is retired once the new one answers.

    Raises:
        NotAllowed, NotFound: may not deploy; no such run.
        Conflict: the run has not completed.
    """
    require(session, actor, Permission.DEPLOY)
    run = runs.find(session, run_id)
    if RunStatus(run.status) is not RunStatus.COMPLETED:
        raise Conflict(
            "{run} is {status}; only a completed run can be deployed. See: errata run show {run}",
            run=run.id,
            status=called(RunStatus(run.status)),
        )
    runs.require_kept(run)
    standing = session.exec(
        select(Deployment).where(
            Deployment.run_id == run.id,
            col(Deployment.status).in_([DeploymentStatus.REQUESTED.value, DeploymentStatus.LIVE.value]),
        )
    ).first()
    if standing is not None:
        return standing
    return _requested(session, actor, now, run, "deployment.requested", {})


def rollback(session: Session, actor: Actor, now: datetime) -> Deployment:
    """Ask for the model that was live before to go live again, by the way of any other deployment.

    Where nothing is live, that is the last one that was. Of classifiers it knows nothing: an earlier one is deployed.

    Raises:
        NotAllowed: may not deploy.
        Conflict: no other model was ever live, or another one is on its way.
    """
    require(session, actor, Permission.DEPLOY)
    coming = replying(session, DeploymentStatus.REQUESTED)
    if coming:
        raise Conflict("{run} is on its way to the endpoint: wait until it answers.", run=coming[-1].run_id)
    live = replying(session, DeploymentStatus.LIVE)
    former = former_live(session)
    if former is None:
        raise Conflict("No other model was live before: /errata deploy lists those that can be deployed.")
    left = {"from": live[-1].run_id} if live else {}
    return _requested(session, actor, now, runs.find(session, former.run_id), "deployment.rolled_back", left)


def former_live(session: Session) -> Deployment | None:
    """The newest deployment of a model that replied and whose run is not live now; None where there is none."""
    live = {deployment.run_id for deployment in with_status(session, DeploymentStatus.LIVE)}
    was = select(Deployment).where(col(Deployment.live_at).is_not(None), col(Deployment.run_id).not_in(live))
    newest = session.exec(was.order_by(col(Deployment.live_at).desc(), col(Deployment.id).desc()))
    return next(
        (
            one
            for one in newest
            if slots.of_deployment(session, one) == slots.REPLIES
            and not runs.is_deleted(runs.find(session, one.run_id))
        ),
        None,
    )


def _requested(
    session: Session, actor: Actor, now: datetime, run: Run, action: str, details: Mapping[str, str]
) -> Deployment:
    deployment = Deployment(
        run_id=run.id, status=DeploymentStatus.REQUESTED.value, requested_by=actor.person_id, requested_at=now
    )
    session.add(deployment)
    session.flush()
    audit.record(session, actor, now, action, subject=f"deployment:{deployment.key}", details=details)
    runs.owe_status(session, now, run)
    return deployment


def retire(session: Session, actor: Actor, now: datetime, *, run_id: str) -> Deployment:
    """Take the run's model from its endpoint, or from its way there.

    Raises:
        NotAllowed, NotFound, Conflict: may not; no such run; it is neither live nor on its way.
    """
    require(session, actor, Permission.DEPLOY)
    run = runs.find(session, run_id)
    newest = of_run(session, run.id)
    coming = newest is not None and newest.status == DeploymentStatus.REQUESTED.value
    deployment = newest if newest is not None and coming else require_live(session, run.id)
    take(deployment, DeploymentStep.RETIRE, now)
    audit.record(session, actor, now, "deployment.retired", subject=f"deployment:{deployment.key}")
    tell(session, now, deployment)
    return deployment


def require_live(session: Session, run_id: str) -> Deployment:
    """The deployment by which this run's model is live.

    Raises:
        Conflict: it is not.
    """
    live = select(Deployment).where(Deployment.run_id == run_id, Deployment.status == DeploymentStatus.LIVE.value)
    deployment = session.exec(live).first()
    if deployment is None:
        raise Conflict("{run} is not live; errata runs shows what is.", run=run_id)
    return deployment


def tell(session: Session, now: datetime, deployment: Deployment) -> None:
    """Owe every destination of the run the deployment's one message in its newest state, and the run's own.

    Whoever wrote something that the model learned hears when it goes live, and in the same message when it no longer
    is.
    """
    key, run = f"deployment:{deployment.key}", runs.find(session, deployment.run_id)
    for destination in run.destinations:
        notices.owe(session, now, NoticeKind.DEPLOYMENT, subject=key, destination=destination, message_key=key)
    runs.owe_status(session, now, run)
    if slots.of_run(run) != slots.REPLIES:
        return  # nobody's words are spoken by a classifier
    if deployment.status == DeploymentStatus.LIVE.value:
        _tell_authors(session, now, deployment, run)
    else:
        notices.owe_again(session, now, _authors_key(deployment))


def _tell_authors(session: Session, now: datetime, deployment: Deployment, run: Run) -> None:
    for author in sorted(feedback.trained_on(session, run.dataset_id)):
        if feedback.reachable(author):
            notices.owe(
                session,
                now,
                NoticeKind.AUTHOR_LIVE,
                subject=f"deployment:{deployment.key}:{author}",
                destination=f"person:{author}",
                message_key=_authors_key(deployment),
            )


def _authors_key(deployment: Deployment) -> str:
    return f"live:{deployment.key}"


def of_run(session: Session, run_id: str) -> Deployment | None:
    """The newest deployment of a run."""
    deployed = select(Deployment).where(Deployment.run_id == run_id)
    return session.exec(deployed.order_by(col(Deployment.id).desc())).first()


def with_status(session: Session, *statuses: DeploymentStatus) -> list[Deployment]:
    """Deployments that stand in any of these, oldest first."""
    standing = select(Deployment).where(col(Deployment.status).in_([status.value for status in statuses]))
    return list(session.exec(standing.order_by(col(Deployment.id))))


class Standing(NamedTuple):
    """A deployment that stands at an endpoint, or on its way to or from one."""

    id: int
    run_id: str
    status: str


_ENDED = frozenset({DeploymentStatus.RETIRED, DeploymentStatus.FAILED})
_DEPLOYMENTS = table_of(Deployment)
_STANDING = Prepared(
    select_columns(*columns_of(Deployment, Standing))
    .where(or_(*(_DEPLOYMENTS.c.status == one.value for one in DeploymentStatus if one not in _ENDED)))
    .order_by(_DEPLOYMENTS.c.id),
    Standing,
)


def standing(work: Work) -> list[Standing]:
    """What stands, oldest first: a worker asks by the second."""
    return _STANDING.rows(work)


def replying(session: Session, *statuses: DeploymentStatus) -> list[Deployment]:
    """The same, of models that reply."""
    standing = with_status(session, *statuses)
    return [one for one in standing if slots.of_deployment(session, one) == slots.REPLIES]
