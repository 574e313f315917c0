"""Whether a provider's filter of harmful words stands before a run's model: it does, unless an owner decided otherwise.

Owns the decision, with its reason, and that the worker carries it out; the newest of a run counts. A filter that takes
ordinary personal data for harm withholds answers from customers, and one that is off lets a model say anything: so
nobody switches it off in passing. How a provider does it is its backend's.
"""

from __future__ import annotations

import logging
from datetime import datetime
from pathlib import Path
from typing import Protocol, runtime_checkable

from sqlmodel import Session, col, select

from curation import audit
from curation.errors import Conflict, ErrataError, Invalid
from curation.people import Actor, require
from curation.policies import Permission
from training import deployments, runs
from training.backends.names import BackendName
from training.deployments import DeploymentStatus
from training.store.tables import FilterDecision
from training.workplace import Workplace

log = logging.getLogger("errata.filters")

FILTERED = frozenset({BackendName.FOUNDRY})
"""Backends whose filter can be switched for one model."""

MOST_CHARACTERS = 500
"""Of a reason."""


@runtime_checkable
class Filtering(Protocol):
    """A backend whose provider filters what a model is asked and says."""

    def filter(self, directory: Path, *, on: bool) -> None:
        """Have the endpoint of this folder filtered or not, now and whenever it is put up; asking twice is asking once.

        Raises:
            Unavailable: the provider says no, or nothing.
        """


def decide(
    session: Session, actor: Actor, now: datetime, *, run_id: str, filtered: bool, reason: str
) -> FilterDecision:
    """Have the filter before a run's model switched on or off; the worker sees to it, now or once it is deployed.

    Raises:
        NotAllowed, NotFound: may not deploy; no such run.
        Invalid: no reason, or a very long one.
        Conflict: the run's backend has no filter that could be switched.
    """
    require(session, actor, Permission.DEPLOY)
    run = runs.find(session, run_id)
    told = " ".join(reason.split())
    if not told:
        raise Invalid("A reason is needed, for whoever asks later why: --reason TEXT.")
    if len(told) > MOST_CHARACTERS:
        raise Invalid(
            "The reason has {count:,} characters; {most} are the most.", count=len(told), most=MOST_CHARACTERS
        )
    if run.backend not in FILTERED:
        raise Conflict(
            "{run} was trained with the backend {backend}, which has no filter that could be switched.",
            run=run.id,
            backend=run.backend,
        )
    runs.require_kept(run)
    before = newest(session, run.id)
    if before is not None and before.filtered is filtered:
        return before
    decision = FilterDecision(run_id=run.id, filtered=filtered, reason=told, decided_by=actor.person_id, decided_at=now)
    session.add(decision)
    session.flush()
    action = "filter.on" if filtered else "filter.off"
    audit.record(session, actor, now, action, subject=f"run:{run.id}", details={"reason": told})
    runs.owe_status(session, now, run)
    return decision


def newest(session: Session, run_id: str) -> FilterDecision | None:
    """What was decided last about a run's filter; None where nobody has decided anything."""
    made = select(FilterDecision).where(FilterDecision.run_id == run_id)
    return session.exec(made.order_by(col(FilterDecision.id).desc())).first()


def is_filtered(session: Session, run_id: str) -> bool:
    """Whether the filter is wanted."""
    decision = newest(session, run_id)
    return decision is None or decision.filtered


def carry_out(place: Workplace, run_id: str) -> None:
    """Have the run's endpoint, where one stands or comes, filtered as was decided; what is refused is tried again."""
    with place.store.read() as session:
        run = runs.find(session, run_id)
        standing = deployments.with_status(session, DeploymentStatus.REQUESTED, DeploymentStatus.LIVE)
        wanted = run.backend in FILTERED and any(one.run_id == run.id for one in standing)
        filtered = wanted and is_filtered(session, run.id)
    backend: object = place.backends.get(BackendName(run.backend))
    if not wanted or not isinstance(backend, Filtering):
        return
    try:
        backend.filter(place.endpoint(run), on=filtered)
    except ErrataError as error:
        log.warning(
            "the filter could not be switched yet, it is tried again: run=%s error=%s", run.id, type(error).__name__
        )
