"""The jobs of a project: submitted by PUT, watched, cancelled; fine-tuning here, commands in ``command_runs``.

Owns a job's body and the words for where it stands. A PUT with the name of a job that exists never starts a second one:
by the API's description it updates, and all but tags, description, displayName, properties and isArchived is immutable;
what differs there is refused with 400 UserError.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from training.sandbox.cloud import ARM, Cloud
from training.sandbox.command_runs import CommandRun, start
from training.sandbox.finetuning import checked
from training.sandbox.inputs import stored
from training.sandbox.models import register
from training.sandbox.toys import LABEL, Stage, Toys, Tuning
from training.sandbox.wire import Refusal, Request, Response, Route
from training.sandbox.workspaces import DATASTORE, WORKSPACE, workspace_of

_JOB = f"{WORKSPACE}/jobs/{{name}}"
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9\-_]{0,254}")
_MUTABLE = {"tags", "description", "displayName", "properties", "isArchived", "status", "services"}
_STATUSES = {
    Stage.NOT_STARTED: "NotStarted",
    Stage.QUEUED: "Queued",
    Stage.RUNNING: "Running",
    Stage.PAUSED: "Paused",
    Stage.CANCELLING: "CancelRequested",
    Stage.FINALIZING: "Finalizing",
    Stage.COMPLETED: "Completed",
    Stage.FAILED: "Failed",
    Stage.CANCELLED: "Canceled",
    Stage.SILENT: "NotResponding",
}


@dataclass(slots=True)
class Submitted:
    """A job: what was asked for, and what does it."""

    workspace: dict[str, Any]
    name: str
    asked: dict[str, Any]
    work: Tuning | CommandRun
    registered: dict[str, Any] | None = None


@dataclass
class Jobs:
    """The jobs of the sandbox by their ARM id in lower case, and those that were started, for tests to count."""

    by_id: dict[str, Submitted] = field(default_factory=dict)
    started: list[str] = field(default_factory=list)

    def named(self, name: str) -> Submitted | None:
        """A job by its bare name."""
        return next((job for job in self.by_id.values() if job.name == name), None)


def status_of(cloud: Cloud, job: Submitted) -> str:
    """Where a job stands, in Azure ML's word."""
    return _STATUSES[stage_of(cloud, job)]


def stage_of(cloud: Cloud, job: Submitted) -> Stage:
    """Where a job stands; its model is registered when it is first seen completed."""
    work = job.work
    stage = work.look(cloud) if isinstance(work, CommandRun) else cloud.part(Toys).look(cloud, work)
    if stage is Stage.COMPLETED and job.registered is None:
        job.registered = _register(cloud, job)
    return stage


def _register(cloud: Cloud, job: Submitted) -> dict[str, Any]:
    """Register the outputs that have a name; an empty body where none has."""
    made: dict[str, Any] = {}
    for output, about in (job.asked.get("outputs") or {}).items():
        kind = about.get("jobOutputType", "")
        if not about.get("assetName") or not kind.endswith("_model"):
            continue
        properties = {
            "modelType": kind,
            "modelUri": stored(job.workspace, DATASTORE, f"azureml/{job.name}/{output}/"),
            "jobName": job.name,
            "properties": {LABEL: job.work.label},
        }
        made = register(cloud, job.workspace, about["assetName"], properties)
    return made


def _shown(cloud: Cloud, job: Submitted, stage: Stage) -> dict[str, Any]:
    """The job as ARM shows it; why one failed is the run history's to say (``tracking``)."""
    outputs = dict(job.asked.get("outputs") or {})
    if isinstance(job.work, CommandRun):
        logs = stored(job.workspace, DATASTORE, job.work.logs_path)
        outputs |= {"default": {"jobOutputType": "uri_folder", "uri": logs}}
    link = f"https://ml.azure.com/runs/{job.name}?wsid={job.workspace['id']}&tid={cloud.names.tenant}"
    tracking = job.workspace["properties"]["mlFlowTrackingUri"]
    own = {
        "status": _STATUSES[stage],
        "properties": (job.asked.get("properties") or {}) | {LABEL: job.work.label},
        "services": {
            "Studio": {"jobServiceType": "Studio", "endpoint": link},
            "Tracking": {"jobServiceType": "Tracking", "endpoint": tracking},
        },
        "outputs": outputs,
    }
    held = cloud.get(f"{job.workspace['id']}/jobs/{job.name}")
    return held | {"properties": {"experimentName": "Default"} | job.asked | own}


def _put(request: Request) -> Response:
    cloud, workspace, name = request.cloud, workspace_of(request), request.values["name"]
    asked = request.json().get("properties")
    if not isinstance(asked, dict):
        raise Refusal(400, "UserError", "The job has no properties.")
    if not _NAME.fullmatch(name):
        raise Refusal(400, "UserError", "The job's name is invalid.")
    if asked.get("jobType") == "FineTuning" and not request.query["api-version"].endswith("-preview"):
        raise Refusal(400, "UserError", "The job type FineTuning is not known to this version of the API.")
    asked = {key: value for key, value in asked.items() if value is not None}
    jobs, job_id = cloud.part(Jobs), f"{workspace['id']}/jobs/{name}"
    held = jobs.by_id.get(job_id.lower())
    if held is not None:
        _update(held, asked)
        return Response.of(_shown(cloud, held, stage_of(cloud, held)))
    kind = asked.get("jobType")
    if kind not in {"FineTuning", "Command"}:
        raise Refusal(400, "UserError", f"The sandbox runs no jobs of type {kind}.")
    work: Tuning | CommandRun
    if kind == "FineTuning":
        order = checked(cloud, workspace, asked)
        work = cloud.part(Toys).start(cloud, name, order.train, order.validation, order.wishes)
    else:
        work = start(cloud, workspace, name, asked)
    jobs.by_id[job_id.lower()] = job = Submitted(workspace, name, asked, work)
    jobs.started.append(name)
    cloud.put(job_id, {})
    return Response.of(_shown(cloud, job, Stage.NOT_STARTED), 201)


def _update(job: Submitted, asked: dict[str, Any]) -> None:
    for key in asked.keys() - _MUTABLE:
        if asked[key] != job.asked.get(key):
            raise Refusal(
                400,
                "UserError",
                "A job with this name already exists. If you are trying to submit a new job, use a different name. If "
                f"you are trying to update an existing job, the existing job's {key} cannot be changed. Only "
                "description, tags, displayName, properties, and isArchived can be updated.",
            )
    job.asked |= {key: asked[key] for key in asked.keys() & (_MUTABLE - {"status", "services"})}


def _get(request: Request) -> Response:
    job = _job_of(request)
    return Response.of(_shown(request.cloud, job, stage_of(request.cloud, job)))


def _list(request: Request) -> Response:
    workspace, kind = workspace_of(request), request.query.get("jobType")
    rows = [
        _shown(request.cloud, job, stage_of(request.cloud, job))
        for job in request.cloud.part(Jobs).by_id.values()
        if job.workspace["id"] == workspace["id"] and kind in {None, job.asked["jobType"]}
    ]
    return Response.of({"value": rows[::-1]})


def _cancel(request: Request) -> Response:
    cloud, job = request.cloud, _job_of(request)
    if isinstance(job.work, CommandRun):
        job.work.cancel()
    else:
        cloud.part(Toys).cancel(job.work)
    return cloud.accept(request, lambda: None)


def _delete(request: Request) -> Response:
    cloud, job = request.cloud, _job_of(request)
    if not stage_of(cloud, job).final:
        raise Refusal(409, "UserError", "The job is not in a terminal state: cancel it first.")
    job_id = f"{job.workspace['id']}/jobs/{job.name}"

    def finish() -> None:
        cloud.delete(job_id)
        cloud.part(Jobs).by_id.pop(job_id.lower(), None)

    return cloud.accept(request, finish)


def _job_of(request: Request) -> Submitted:
    workspace, name = workspace_of(request), request.values["name"]
    job = request.cloud.part(Jobs).by_id.get(f"{workspace['id']}/jobs/{name}".lower())
    if job is None:
        raise Refusal(404, "UserError", f"Not found: job {name}.")
    return job


ROUTES = (
    Route("PUT", ARM, _JOB, _put),
    Route("GET", ARM, _JOB, _get),
    Route("GET", ARM, f"{WORKSPACE}/jobs", _list),
    Route("POST", ARM, f"{_JOB}/cancel", _cancel),
    Route("DELETE", ARM, _JOB, _delete),
)
