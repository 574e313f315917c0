"""Slots: what a deployed model is there for. Of each slot one model is live; production is the one that replies.

Owns telling them apart, which follows from a run's recipe, so that a classifier never answers a customer and a model
that replies never stands in for one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import select as select_columns
from sqlmodel import Session, col, select

from curation.store.rows import Prepared, Work, table_of
from training.hyperparameters import Objective
from training.store.tables import Deployment, Run

REPLIES = "replies"
"""The slot of models that answer customers; a classifier's is called as its label."""

_LIVE = "live"
_RUNS, _DEPLOYMENTS = table_of(Run), table_of(Deployment)
_LIVE_RECIPES = Prepared(
    select_columns(_RUNS.c.recipe)
    .join(_DEPLOYMENTS, _DEPLOYMENTS.c.run_id == _RUNS.c.id)
    .where(_DEPLOYMENTS.c.status == _LIVE)
)


class Live(NamedTuple):
    """A model that is live, and the run that made it."""

    run: Run
    deployment: Deployment


def of_run(run: Run) -> str:
    """``replies``, or what its model suggests: ``topic``, ``reason``, ``flagged``."""
    if not _classifies(run.recipe):
        return REPLIES
    return str(run.recipe["classification"]["label"])


def live(session: Session) -> dict[str, Live]:
    """The newest live model of every slot that has one."""
    standing = select(Run, Deployment).join(Deployment, col(Deployment.run_id) == col(Run.id))
    rows = session.exec(standing.where(Deployment.status == _LIVE).order_by(col(Deployment.id)))
    return {of_run(run): Live(run, deployment) for run, deployment in rows}


def any_classifies(work: Work) -> bool:
    """Whether a classifier is live: a worker asks by the second."""
    return any(_classifies(row.recipe) for row in _LIVE_RECIPES.rows(work))


def of_deployment(session: Session, deployment: Deployment) -> str:
    """The slot of the model that is deployed."""
    return of_run(session.get_one(Run, deployment.run_id))


def _classifies(recipe: Mapping[str, Any]) -> bool:
    return recipe.get("objective") == Objective.LABELS.value
