"""Where a dataset's rows went: the runs that were made from it, and what became of them."""

from __future__ import annotations

from typing import Any

from sqlmodel import Session, col, select

from curation.datasets.split import Side
from curation.store.tables import DatasetVersion
from training.store.tables import Deployment, Evaluation, Run

USES = {Side.TRAIN.value: "trained on", Side.VALIDATION.value: "validated with"}
"""What a run does with a row of each side; with one in quarantine it does nothing."""


def runs_of(session: Session, version: DatasetVersion) -> list[dict[str, Any]]:
    """The runs made from a version, oldest first: ``{"run", "status", "verdict", "deployment"}``."""
    made = select(Run).where(Run.dataset_id == version.key).order_by(col(Run.requested_at), col(Run.id))
    runs = session.exec(made).all()
    ids = [run.id for run in runs]
    evaluated = session.exec(select(Evaluation).where(col(Evaluation.run_id).in_(ids)))
    verdicts = {evaluation.run_id: evaluation.verdict for evaluation in evaluated}
    deployed = select(Deployment).where(col(Deployment.run_id).in_(ids)).order_by(col(Deployment.id))
    deployments = {deployment.run_id: deployment.status for deployment in session.exec(deployed)}
    return [
        {
            "run": run.id,
            "model": run.model,
            "status": run.status,
            "verdict": verdicts.get(run.id),
            "deployment": deployments.get(run.id),
        }
        for run in runs
    ]


def with_runs(rows: list[dict[str, Any]], runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of ``curation.datasets.lineage.rows``, each with the runs that it went to and what they did with it."""
    return [
        {**row, "runs": [{**run, "use": USES[row["side"]]} for run in runs] if row["side"] in USES else []}
        for row in rows
    ]
