"""Use cases, in the order in which each finds what it needs: runs, deployments, and what is removed at the end."""

from __future__ import annotations

from builders import NOON, Team
from sqlmodel import Session, select
from use_case import LATER, Case

from curation.people import WORKER
from curation.privacy import erasure, retention
from training import deployments, filters, orders, removal, runs, uploads
from training.backends.names import BackendName
from training.deployments import DeploymentStatus
from training.planning import confirmations
from training.runs import RunStatus
from training.store.tables import Deployment

OF_RUNS = [
    Case(
        "training.orders.request",
        "run.requested",
        Team.olga,
        lambda s, t, _: orders.request(s, t.olga, NOON, dataset_name="v1", model="rehearsal"),
    ),
    Case(
        "training.runs.cancel", "run.cancelled", Team.olga, lambda s, t, _: runs.cancel(s, t.olga, NOON, run_id="run-")
    ),
    Case("training.runs.resume", "run.resumed", Team.olga, lambda s, t, _: runs.resume(s, t.olga, NOON, run_id="run-")),
    Case(
        "training.deployments.request",
        "deployment.requested",
        Team.olga,
        lambda s, t, _: deployments.request(s, t.olga, NOON, run_id=completed(s)),
    ),
    Case(
        "training.deployments.retire",
        "deployment.retired",
        Team.olga,
        lambda s, t, _: deployments.retire(s, t.olga, NOON, run_id=live(s)),
    ),
    Case(
        "training.deployments.rollback",
        "deployment.rolled_back",
        Team.olga,
        lambda s, t, _: was_live(s) and deployments.rollback(s, t.olga, NOON),
    ),
    Case(
        "training.filters.decide",
        "filter.off",
        Team.olga,
        lambda s, t, _: filters.decide(
            s, t.olga, NOON, run_id=tuned_elsewhere(s), filtered=False, reason="By mistake."
        ),
    ),
    Case(
        "training.planning.confirmations.ask",
        "run.confirmation",
        Team.olga,
        lambda s, t, _: confirmations.ask(
            s, t.olga, NOON, dataset_name="v1", model="phi-4", recipe="phi-lora", asked_in=t.place
        ),
    ),
    Case(
        "training.planning.confirmations.confirm",
        "run.requested",
        Team.olga,
        lambda s, t, _: confirmations.confirm(s, t.olga, NOON, confirmation_id=1),
    ),
    Case(
        "curation.privacy.erasure.erase",
        "customer.erased",
        Team.olga,
        lambda s, t, _: erasure.erase(s, t.olga, NOON, f"{t.place}/2"),
    ),
    Case(
        "curation.privacy.retention.sweep",
        "retention.swept",
        WORKER,
        lambda s, _t, _: retention.sweep(s, WORKER, LATER, days=1),
    ),
    Case(
        "training.uploads.unloaded",
        "run.unloaded",
        Team.olga,
        lambda s, t, _: uploads.unloaded(s, t.olga, NOON, run_id=runs.listed(s)[0].id),
    ),
    Case(
        "training.removal.delete",
        "run.deleted",
        Team.olga,
        lambda s, t, _: removal.delete(s, t.olga, NOON, run_id=forgotten(s)),
    ),
    Case(
        "training.removal.spared",
        "run.spared",
        WORKER,
        lambda s, _t, _: removal.spared(s, NOON, run_id=runs.listed(s)[0].id),
    ),
]


def completed(session: Session) -> str:
    """The only run, as if it had gone well."""
    run = runs.find(session, "run-")
    run.status = RunStatus.COMPLETED.value
    return run.id


def forgotten(session: Session) -> str:
    """The newest run, as if it had ended and were not at an endpoint."""
    for deployment in session.exec(select(Deployment)).all():
        deployment.status = DeploymentStatus.RETIRED.value
    run = runs.listed(session)[0]
    run.status = RunStatus.FAILED.value
    return run.id


def tuned_elsewhere(session: Session) -> str:
    """The only run, as if a provider had its model."""
    run = runs.find(session, "run-")
    run.backend = BackendName.FOUNDRY.value
    return run.id


def was_live(session: Session) -> bool:
    """The only deployment, as if it had answered for a while."""
    (deployment,) = session.exec(select(Deployment)).all()
    deployment.live_at = NOON
    return True


def live(session: Session) -> str:
    """The run of the only deployment, as if that answered."""
    (deployment,) = session.exec(select(Deployment)).all()
    deployment.status = DeploymentStatus.LIVE.value
    return deployment.run_id
