"""Slots: what a deployed model is there for. Of each slot one model is live; production is the one that replies.

Owns telling them apart, which follows from a run's recipe, so that a classifier never answers a customer and a model
that replies never stands in for one.
"""

from __future__ import annotations

from typing import NamedTuple

from sqlmodel import Session, col, select

from training.hyperparameters import Objective
from training.store.tables import Deployment, Run

REPLIES = "replies"
"""The slot of models that answer customers; a classifier's is called as its label."""

_LIVE = "live"


class Live(NamedTuple):
    """A model that is live, and the run that made it."""

    run: Run
    deployment: Deployment


def of_run(run: Run) -> str:
    """``replies``, or what its model suggests: ``topic``, ``reason``, ``flagged``."""
    if run.recipe.get("objective") != Objective.LABELS.value:
        return REPLIES
    return str(run.recipe["classification"]["label"])


def live(session: Session) -> dict[str, Live]:
    """The newest live model of every slot that has one."""
    standing = select(Run, Deployment).join(Deployment, col(Deployment.run_id) == col(Run.id))
    rows = session.exec(standing.where(Deployment.status == _LIVE).order_by(col(Deployment.id)))
    return {of_run(run): Live(run, deployment) for run, deployment in rows}


def of_deployment(session: Session, deployment: Deployment) -> str:
    """The slot of the model that is deployed."""
    return of_run(session.get_one(Run, deployment.run_id))
