"""What a job has measured and why it failed: MLflow's REST, and the run history that azure-ai-ml asks.

Owns the names of the metrics. The losses are those of the training that ran; one that is simulated has none.
"""

from __future__ import annotations

from typing import Any

from training.backends.base import CurvePoint
from training.sandbox.command_runs import CommandRun
from training.sandbox.jobs import Jobs, Submitted, stage_of, status_of
from training.sandbox.toys import Stage, Toys
from training.sandbox.wire import Refusal, Request, Response, Route
from training.sandbox.workspaces import WORKSPACE

HOST = "*.api.azureml.ms"
TRAIN, VALIDATION = "train_loss", "eval_loss"
"""The metrics of a fine-tuning job."""
_MLFLOW = f"/mlflow/{{version}}{WORKSPACE}/api/2.0/mlflow"
_HISTORY = f"/history/v1.0{WORKSPACE}"
_WORDS = {Stage.COMPLETED: "FINISHED", Stage.FAILED: "FAILED", Stage.CANCELLED: "KILLED", Stage.SILENT: "FAILED"}


def _curve(request: Request, job: Submitted) -> tuple[CurvePoint, ...]:
    if isinstance(job.work, CommandRun):
        return ()
    return request.cloud.part(Toys).curve(job.work)


def _points(request: Request, job: Submitted, metric: str) -> list[dict[str, Any]]:
    """A metric's history, oldest first."""
    now = int(request.cloud.clock().timestamp() * 1000)
    values = [
        (point.step, point.loss if metric == TRAIN else point.validation_loss)
        for point in _curve(request, job)
        if metric in {TRAIN, VALIDATION}
    ]
    rows = [(step, value) for step, value in values if value is not None]
    return [{"key": metric, "value": value, "timestamp": now, "step": step} for step, value in rows]


def _run(request: Request) -> Response:
    job = _asked(request)
    stage = stage_of(request.cloud, job)
    info = {
        "run_id": job.name,
        "run_uuid": job.name,
        "experiment_id": job.asked.get("experimentName", "Default"),
        "status": _WORDS.get(stage, "RUNNING" if stage >= Stage.RUNNING else "SCHEDULED"),
        "lifecycle_stage": "active",
    }
    last = [points[-1] for metric in (TRAIN, VALIDATION) if (points := _points(request, job, metric))]
    tags = [{"key": "mlflow.runName", "value": job.name}, {"key": "errata.sandbox", "value": job.work.label}]
    return Response.of({"run": {"info": info, "data": {"metrics": last, "params": [], "tags": tags}}})


def _history(request: Request) -> Response:
    metric = request.query.get("metric_key")
    if not metric:
        raise Refusal(400, "INVALID_PARAMETER_VALUE", "The parameter metric_key is missing.")
    return Response.of({"metrics": _points(request, _asked(request), metric)})


def _asked(request: Request) -> Submitted:
    return _named(request, request.query.get("run_id") or request.query.get("run_uuid") or "")


def _named(request: Request, name: str) -> Submitted:
    job = request.cloud.part(Jobs).named(name)
    if job is None:
        raise Refusal(404, "RESOURCE_DOES_NOT_EXIST", f"Run {name} not found.")
    return job


def _details(request: Request) -> Response:
    return Response.of(_record(request, _named(request, request.values["run"])))


def _record(request: Request, job: Submitted) -> dict[str, Any]:
    """A job as the run history tells it, with its error."""
    row: dict[str, Any] = {"runId": job.name, "status": status_of(request.cloud, job), "logFiles": {}, "outputs": {}}
    if job.work.reason:
        row["error"] = {"error": {"code": "UserError", "message": job.work.reason}}
    return row


def _data(request: Request) -> Response:
    job = _named(request, str(request.json().get("runId")))
    return Response.of({"runMetadata": _record(request, job)})


ROUTES = (
    Route("GET", HOST, f"{_MLFLOW}/runs/get", _run),
    Route("GET", HOST, f"{_MLFLOW}/metrics/get-history", _history),
    Route("GET", HOST, f"{_HISTORY}/runs/{{run}}", _details),
    Route("GET", HOST, f"{_HISTORY}/runs/{{run}}/details", _details),
    Route("POST", HOST, f"{_HISTORY}/rundata", _data),
)
