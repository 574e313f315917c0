"""What a fine-tuning job of an Azure OpenAI account says on its way: events, newest first, and checkpoints.

Owns their shapes. The losses are the training's own; the tiny trainer keeps its last weights alone, so there is one
checkpoint at most, and it is the tuned model.
"""

from __future__ import annotations

from typing import Any

from training.sandbox.openai_jobs import job_of, look, metrics
from training.sandbox.openai_service import HOST, ROOT, guarded, page
from training.sandbox.toys import Stage, Toys
from training.sandbox.wire import Request, Response, Route


def _events(request: Request) -> Response:
    cloud, job = request.cloud, job_of(request)
    stage = look(cloud, job)
    began = int(job.created.timestamp())
    said: list[tuple[str, str, dict[str, Any] | None]] = [("info", "Job enqueued. Waiting for jobs ahead.", None)]
    if stage >= Stage.RUNNING and job.work is not None:
        said.append(("info", "Job started.", None))
        steps = cloud.part(Toys).steps(job.work)
        for data in metrics(cloud, job):
            told = data | {"total_steps": steps}
            said.append(("info", f"Step {data['step']}: training loss={data['train_loss']:.4f}", told))
    if stage.final:
        reason = job.wrong or (job.work.reason if job.work else None)
        words = {Stage.COMPLETED: "Job succeeded.", Stage.FAILED: f"Job failed: {reason}"}
        said.append(("error" if stage is Stage.FAILED else "info", words.get(stage, "Job cancelled."), None))
    rows = [
        {
            "id": f"ftevent-{job.id.removeprefix('ftjob-')[:12]}-{number}",
            "object": "fine_tuning.job.event",
            "created_at": began,
            "level": level,
            "message": message,
            "type": "message" if data is None else "metrics",
            "data": data or {},
        }
        for number, (level, message, data) in enumerate(said)
    ]
    return Response.of(page(rows[::-1], request, 20))


def _checkpoints(request: Request) -> Response:
    job = job_of(request)
    stage = look(request.cloud, job)
    points = metrics(request.cloud, job) if stage is Stage.COMPLETED else []
    rows = [
        {
            "id": f"ftchkpt-{job.id.removeprefix('ftjob-')}",
            "object": "fine_tuning.job.checkpoint",
            "created_at": int(job.created.timestamp()),
            "fine_tuned_model_checkpoint": job.tuned,
            "fine_tuning_job_id": job.id,
            "step_number": last["step"],
            "metrics": last,
        }
        for last in points[-1:]
    ]
    return Response.of(page(rows, request, 10))


ROUTES = tuple(
    Route("GET", HOST, f"{ROOT}/fine_tuning/jobs/{{job}}/{what}", guarded(handler), open=True)
    for what, handler in (("events", _events), ("checkpoints", _checkpoints))
)
