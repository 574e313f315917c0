"""The stations of a deployment: put up a model and ask it a question, or take one down.

Owns what happens at each, and that at most one model of a slot is live. Every station may be repeated, as a
run's may; starting and stopping an endpoint is the backend's.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from curation.conversation import Conversation
from curation.errors import ErrataError, Overtaken, StoreUnavailable, Unavailable
from training import bills, deployments, runs, slots
from training.backends.base import Backend, Endpoint
from training.backends.errors import Unreached
from training.backends.names import SERVICES
from training.deployments import DeploymentStatus, DeploymentStep
from training.store.tables import Deployment, Run
from training.workflow import sentence_of
from training.workplace import Workplace

log = logging.getLogger("errata.switching")

_SHOWN_GUESSES = 3

PATIENCE = timedelta(hours=1)
"""An endpoint that dies again within this time of its restart is not started a second time; a provider that does not
answer is asked for so long."""

WAITING = (DeploymentStatus.REQUESTED, DeploymentStatus.RETIRING, DeploymentStatus.FAILING)
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
    try:
        (_put_up if status is DeploymentStatus.REQUESTED else _take_down)(place, run, deployment)
    except (StoreUnavailable, Overtaken):
        raise
    except Exception as error:  # a process edge, as for runs
        if not isinstance(error, ErrataError):
            log.exception("a deployment met a surprise: run=%s", run.id)
        if status is not DeploymentStatus.REQUESTED:
            log.warning("the endpoint could not be stopped yet, the next visit tries again: run=%s", run.id)
        elif isinstance(error, Unreached) and place.clock() - deployment.requested_at < PATIENCE:
            log.warning("its provider does not answer, the next visit asks again: run=%s", run.id)
        else:
            return _fail(place, deployment, error)
    with place.store.read() as session:
        return DeploymentStatus(session.get_one(Deployment, key).status)


def look_after(place: Workplace, key: int) -> DeploymentStatus:
    """See that a live model's endpoint has not died; start it again once, and say so where it stays dead.

    One that is paid by the hour is not started again.

    Raises:
        StoreUnavailable, Overtaken: as for ``station``.
    """
    with place.store.read() as session:
        deployment = session.get_one(Deployment, key)
        run = runs.find(session, deployment.run_id)
    status = DeploymentStatus(deployment.status)
    if status is not DeploymentStatus.LIVE or not place.backend(run).died(place.endpoint(run), run.id):
        return status
    with place.store.read() as session:
        tried = deployments.restarts(session, deployment, since=place.clock() - PATIENCE)
    log.warning("a live endpoint has died: run=%s restarts=%s", run.id, tried)
    try:
        _start_again(place, run, deployment, tried=tried)
    except (StoreUnavailable, Overtaken):
        raise
    except Exception as error:  # a process edge, as above
        if not isinstance(error, ErrataError):
            log.exception("an endpoint met a surprise: run=%s", run.id)
        return _fail(place, deployment, error)
    with place.store.read() as session:
        return DeploymentStatus(session.get_one(Deployment, key).status)


def _fail(place: Workplace, deployment: Deployment, error: Exception) -> DeploymentStatus:
    """Commit that it failed, then take down what is there: whatever happens in between, the next visit goes on."""
    _switch(place, deployment, DeploymentStep.FAIL, reason=sentence_of(error, of_deployment=True))
    return station(place, deployment.key)


def _start_again(place: Workplace, run: Run, deployment: Deployment, *, tried: int) -> None:
    if tried:
        raise Unavailable("The endpoint died twice within an hour; see its log, then deploy the model again.")
    if run.backend in SERVICES and not bills.is_fleeting(run):  # who deleted it there wants no other one's bill
        raise Unavailable(
            "Its provider serves the model no more: the endpoint has failed there, was deleted by somebody, or by the "
            "provider as nobody had asked it for two weeks. What is paid by the hour is put up by people only: deploy "
            "the model again if you want it."
        )
    backend, directory = place.backend(run), place.endpoint(run)
    endpoint = backend.deploy(backend.fetch(place.job(run)), directory, run.id)
    if endpoint is None:
        return
    _answer(backend, endpoint, run, place.test_question(run))
    with place.store.write() as session:
        current = session.get_one(Deployment, deployment.key)
        # Whoever took it down meanwhile finds the new process by its folder.
        if current.status == deployment.status:
            deployments.restarted(session, place.clock(), current, url=endpoint.url, pid=endpoint.pid)


def _take_down(place: Workplace, run: Run, deployment: Deployment) -> None:
    if place.backend(run).undeploy(place.endpoint(run), run.id):
        _switch(place, deployment, DeploymentStep.STOPPED)


def _put_up(place: Workplace, run: Run, deployment: Deployment) -> None:
    """Serve the run's model and ask it a question; only what answers goes live."""
    backend, directory = place.backend(run), place.endpoint(run)
    question = place.test_question(run)
    endpoint = backend.deploy(backend.fetch(place.job(run)), directory, run.id)
    if endpoint is None:
        return  # it is coming up: the next visit asks again
    reply = _answer(backend, endpoint, run, question)
    _switch(
        place,
        deployment,
        DeploymentStep.ANSWERED,
        url=endpoint.url,
        pid=endpoint.pid,
        test_question=question.messages[-1].content,
        test_reply=reply,
    )


def _answer(backend: Backend, endpoint: Endpoint, run: Run, question: Conversation) -> str:
    """What the model says: its reply, or what a classifier takes the question for."""
    if slots.of_run(run) == slots.REPLIES:
        return backend.probe(endpoint, question)
    (guesses,) = backend.classify(endpoint, [question])
    return ", ".join(f"{one.label} ({one.probability:.0%})" for one in guesses[:_SHOWN_GUESSES])


def _switch(place: Workplace, seen: Deployment, step: DeploymentStep, **changes: str | int | None) -> None:
    """Commit a deployment's step, unless it moved since it was seen; a live one retires those asked for before."""
    with place.store.write() as session:
        now = place.clock()
        deployment = session.get_one(Deployment, seen.key)
        if deployment.status != seen.status:
            return
        deployments.advance(session, now, deployment, step)
        for name, value in changes.items():
            setattr(deployment, name, value)
        if step is DeploymentStep.ANSWERED:
            slot = slots.of_deployment(session, deployment)
            # One that was asked for before and is still coming goes as well: answering later, it would take over.
            for older in deployments.with_status(session, DeploymentStatus.LIVE, DeploymentStatus.REQUESTED):
                if older.key < seen.key and slots.of_deployment(session, older) == slot:
                    deployments.advance(session, now, older, DeploymentStep.RETIRE)
                    deployments.tell(session, now, older)
        deployments.tell(session, now, deployment)
