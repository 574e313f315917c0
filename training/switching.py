"""The stations of a deployment: put up a model and ask it a question, or take one down.

Owns what happens at each, and that at most one model is live. Every station may be repeated, as a
run's may; starting and stopping an endpoint is the backend's.
"""

from __future__ import annotations

import logging

from curation.errors import ErrataError, Overtaken, StoreUnavailable
from training import deployments, runs
from training.deployments import DeploymentStatus, DeploymentStep
from training.store.tables import Deployment, Run
from training.workflow import sentence_of
from training.workplace import Workplace

log = logging.getLogger("errata.switching")

WAITING = (DeploymentStatus.REQUESTED, DeploymentStatus.RETIRING)
"""Where the worker has something to do about a deployment."""


def station(place: Workplace, key: int) -> DeploymentStatus:
    """Do what the deployment's committed row asks for and return where it stands.

    Raises:
        StoreUnavailable, Overtaken: the database said no, or somebody was faster; the next visit tries again.
    """
    with place.store.read() as session:
        deployment = session.get_one(Deployment, key)
        run = runs.find(session, deployment.run_id)
    status = DeploymentStatus(deployment.status)
    if status not in WAITING:
        return status
    retires = status is DeploymentStatus.RETIRING
    try:
        _take_down(place, run, deployment) if retires else _put_up(place, run, deployment)
    except (StoreUnavailable, Overtaken):
        raise
    except Exception as error:  # a process edge, as for runs
        if not isinstance(error, ErrataError):
            log.exception("a deployment met a surprise: run=%s", run.id)
        if retires:
            log.warning("the endpoint could not be stopped yet, the next visit tries again: run=%s", run.id)
        else:
            _switch(place, deployment, DeploymentStep.FAIL, reason=sentence_of(error, of_deployment=True))
    with place.store.read() as session:
        return DeploymentStatus(session.get_one(Deployment, key).status)


def _take_down(place: Workplace, run: Run, deployment: Deployment) -> None:
    place.backend(run).undeploy(place.endpoint(run))
    _switch(place, deployment, DeploymentStep.STOPPED)


def _put_up(place: Workplace, run: Run, deployment: Deployment) -> None:
    """Serve the run's model and ask it a question; only what answers goes live."""
    backend, directory = place.backend(run), place.endpoint(run)
    question = place.test_question(run)
    try:
        endpoint = backend.deploy(backend.fetch(place.job(run)), directory, run.id)
        reply = backend.probe(endpoint, question)
    except Exception:  # whatever it was, no endpoint that did not answer may stay behind
        backend.undeploy(directory)
        raise
    _switch(
        place,
        deployment,
        DeploymentStep.ANSWERED,
        url=endpoint.url,
        pid=endpoint.pid,
        test_question=question.messages[-1].content,
        test_reply=reply,
    )


def _switch(place: Workplace, seen: Deployment, step: DeploymentStep, **changes: str | int | None) -> None:
    """Commit a deployment's step, unless it moved since it was seen; a new live one retires the one before it."""
    with place.store.write() as session:
        now = place.clock()
        deployment = session.get_one(Deployment, seen.key)
        if deployment.status != seen.status:
            return
        deployments.advance(session, now, deployment, step)
        for name, value in changes.items():
            setattr(deployment, name, value)
        if step is DeploymentStep.ANSWERED:
            for older in deployments.with_status(session, DeploymentStatus.LIVE):
                if older.key != seen.key:
                    deployments.advance(session, now, older, DeploymentStep.RETIRE)
                    deployments.tell(session, now, older)
        deployments.tell(session, now, deployment)
