"""Fine-tuning jobs of an Azure OpenAI account: supervised and preference tuning, with events, checkpoints, results.

Owns the words of the v1 API for where a job stands. A job of the sandbox trains a tiny model; its curve, its tokens and
``results.csv`` are that training's, and a simulated one has none of them.
"""

from __future__ import annotations

import codecs
import json
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from training.sandbox.cloud import Cloud
from training.sandbox.openai_service import HOST, ROOT, Account, BaseModel, TunedModel, base_model, guarded, page
from training.sandbox.toy_jobs import Wishes
from training.sandbox.toys import LABEL, Stage, Toys, Tuning
from training.sandbox.wire import Refusal, Request, Response, Route

_TIERS = frozenset({"standard", "globalstandard", "developer"})
_STATUSES = {
    Stage.NOT_STARTED: "validating_files",
    Stage.QUEUED: "queued",
    Stage.COMPLETED: "succeeded",
    Stage.FAILED: "failed",
    Stage.CANCELLED: "cancelled",
    Stage.PAUSED: "paused",
}
"""Any other stage is ``running``."""


@dataclass(slots=True)
class TuningJob:
    """A job: what was asked for, and what does it; ``work`` is None where its files were found wanting."""

    id: str
    asked: dict[str, Any]
    base: BaseModel
    created: datetime
    work: Tuning | None = None
    wrong: str | None = None
    tuned: str | None = None
    results: list[str] = field(default_factory=list)


@dataclass
class TuningJobs:
    """The account's jobs by id.

    Attributes:
        least_rows: fewer in a training file fail the job, as the service does it.
    """

    by_id: dict[str, TuningJob] = field(default_factory=dict)
    least_rows: int = 10


def _create(request: Request) -> Response:
    cloud, asked = request.cloud, request.json()
    jobs, files = cloud.part(TuningJobs), cloud.part(Account).files
    base = _base(cloud, str(asked.get("model")))
    if str(asked.get("trainingType", "")).lower() not in _TIERS:
        # Word by word what the real one says where trainingType is left out, and as misleading.
        raise Refusal(400, "invalidPayload", "The specified base model does not support fine-tuning.")
    if base.format != "OpenAI" and str(asked["trainingType"]).lower() != "globalstandard":
        words = "The specified base model does not support fine-tuning with {} TrainingType."
        raise Refusal(400, "invalidPayload", words.format(asked["trainingType"]))
    for side in ("training_file", "validation_file"):
        file = files.get(str(asked.get(side)))
        if (file is None or file.purpose != "fine-tune") and (side == "training_file" or asked.get(side)):
            raise Refusal(400, "invalidPayload", f"The {side} could not be found or has another purpose.")
    method, wishes = _method(cloud, asked)
    train = files[asked["training_file"]].content
    validation = files[asked["validation_file"]].content if asked.get("validation_file") else train
    job = TuningJob(f"ftjob-{secrets.token_hex(16)}", asked, base, cloud.clock())
    job.wrong = _wrong(train, method, jobs.least_rows) or _wrong(validation, method, 1)
    if job.wrong is None:
        before = cloud.part(Account).tuned.get(str(asked["model"]))
        start = Wishes(
            wishes.epochs,
            wishes.learning_rate,
            wishes.batch_rows,
            seed=asked.get("seed"),
            beta=wishes.beta,
            base=None if before is None else before.work.model,
        )
        job.work = cloud.part(Toys).start(cloud, job.id, train, validation, start, preferences=method == "dpo")
    jobs.by_id[job.id] = job
    return Response.of(_shown(cloud, job, Stage.NOT_STARTED), 201)


def _base(cloud: Cloud, name: str) -> BaseModel:
    tuned = cloud.part(Account).tuned.get(name)
    found = base_model(name) if tuned is None else tuned.base
    if found is None or not found.tunes:
        raise Refusal(400, "invalidPayload", "The specified base model does not support fine-tuning.")
    until = found.tunes_until
    if until is not None and datetime.fromisoformat(until) <= cloud.clock():
        raise Refusal(400, "modelDeprecated", f"Fine-tuning of {name} was retired on {until[:10]}.")
    return found


def _method(cloud: Cloud, asked: dict[str, Any]) -> tuple[str, Wishes]:
    """``supervised`` or ``dpo``, and the hyperparameters; ``auto`` leaves them to the toy recipe."""
    method = asked.get("method") or {"type": "supervised"}
    kind = str(method["type"])
    given = dict((method.get(kind) or {}).get("hyperparameters") or asked.get("hyperparameters") or {})
    values = {name: value for name, value in given.items() if value not in {None, "auto"}}
    times = values.get("learning_rate_multiplier")
    rate = None if times is None else cloud.part(Toys).recipe.learning_rate * times
    return kind, Wishes(values.get("n_epochs"), rate, values.get("batch_size"), beta=values.get("beta"))


def _wrong(content: bytes, method: str, least: int) -> str | None:
    """What is wrong with a file; None: nothing that can be seen at once."""
    if not content.startswith(codecs.BOM_UTF8):
        return "The file is not encoded in UTF-8 with a byte order mark (BOM)."
    wanted = {"messages"} if method == "supervised" else {"input", "preferred_output", "non_preferred_output"}
    count = 0
    for number, line in enumerate(content.decode("utf-8-sig", "replace").splitlines(), start=1):
        if not line.strip():
            continue
        count += 1
        try:
            row = json.loads(line)
        except ValueError:
            return f"Line {number} is not valid JSON."
        if not isinstance(row, dict) or not wanted <= row.keys():
            return f"Line {number} lacks {sorted(wanted)}."
    return f"Training file has {count} example(s), but must have at least {least} examples." if count < least else None


def look(cloud: Cloud, job: TuningJob) -> Stage:
    """Where a job stands; the tuned model and its results are there when it is first seen completed."""
    if job.work is None:
        return Stage.FAILED
    toys = cloud.part(Toys)
    stage = toys.look(cloud, job.work)
    if stage is Stage.COMPLETED and job.tuned is None:
        suffix = f"-{job.asked['suffix']}" if job.asked.get("suffix") else ""
        job.tuned = f"{job.base.id}.ft-{job.id.removeprefix('ftjob-')[:16]}{suffix}"
        account = cloud.part(Account)
        account.tuned[job.tuned] = TunedModel(job.tuned, job.base, job.work, cloud.clock())
        lines = [f"{one['step']},{one['train_loss']},{one.get('valid_loss', '')}\n" for one in metrics(cloud, job)]
        if lines:
            text = "step,train_loss,valid_loss\n" + "".join(lines)
            job.results = [account.add(cloud, "results.csv", "fine-tune-results", text.encode()).id]
    return stage


def metrics(cloud: Cloud, job: TuningJob) -> list[dict[str, Any]]:
    """The losses so far, ``{"step", "train_loss", "valid_loss"?}``; none where nothing is trained."""
    if job.work is None:
        return []
    validated = bool(job.asked.get("validation_file"))
    return [
        {"step": one.step, "train_loss": one.loss}
        | ({"valid_loss": one.validation_loss} if validated and one.validation_loss is not None else {})
        for one in cloud.part(Toys).curve(job.work)
    ]


def _shown(cloud: Cloud, job: TuningJob, stage: Stage) -> dict[str, Any]:
    method = job.asked.get("method") or {"type": "supervised"}
    given = (method.get(method["type"]) or {}).get("hyperparameters") or {}
    reason = job.wrong or (job.work.reason if job.work else None)
    code = "invalid_training_file" if job.wrong else "job_failed"
    done = job.work if job.work is not None and stage is Stage.COMPLETED else None
    ended = job.created if job.work is None else job.work.ended
    label = {} if job.work is None else {LABEL: job.work.label}
    return {
        "id": job.id,
        "object": "fine_tuning.job",
        "created_at": int(job.created.timestamp()),
        "finished_at": int(ended.timestamp()) if ended and stage.final else None,
        "model": job.asked["model"],
        "fine_tuned_model": job.tuned if done else None,
        "organization_id": "errata-sandbox",
        "status": _STATUSES.get(stage, "running"),
        "hyperparameters": {"n_epochs": "auto", "batch_size": "auto", "learning_rate_multiplier": "auto"} | given,
        "training_file": job.asked["training_file"],
        "validation_file": job.asked.get("validation_file"),
        "result_files": job.results if done else [],
        "trained_tokens": cloud.part(Toys).trained_tokens(done) if done else None,
        "error": {"code": code, "message": reason, "param": None} if stage is Stage.FAILED and reason else None,
        "seed": job.asked.get("seed") or 0,
        "suffix": job.asked.get("suffix"),
        "method": method,
        "metadata": (job.asked.get("metadata") or {}) | label,
        "trainingType": job.asked["trainingType"],
    }


def _list(request: Request) -> Response:
    cloud = request.cloud
    rows = [_shown(cloud, job, look(cloud, job)) for job in cloud.part(TuningJobs).by_id.values()]
    return Response.of(page(rows[::-1], request, 20))


def job_of(request: Request) -> TuningJob:
    """The job in the request's path."""
    job = request.cloud.part(TuningJobs).by_id.get(request.values["job"])
    if job is None:
        raise Refusal(404, "resourceNotFound", "The fine-tuning job could not be found.")
    return job


def _get(request: Request) -> Response:
    job = job_of(request)
    return Response.of(_shown(request.cloud, job, look(request.cloud, job)))


def _steer(request: Request) -> Response:
    """Cancel, pause or resume."""
    cloud, job, what = request.cloud, job_of(request), request.values["what"]
    stage, toys = look(cloud, job), cloud.part(Toys)
    steps = {"cancel": toys.cancel, "pause": toys.pause, "resume": toys.resume}
    if what not in steps:
        raise Refusal(404, "404", "Resource not found")
    fits = stage is Stage.PAUSED if what == "resume" else not stage.final
    if job.work is None or not fits:
        raise Refusal(409, "conflict", f"A job that is {_STATUSES.get(stage, 'running')} cannot {what}.")
    steps[what](job.work)
    return Response.of(_shown(cloud, job, look(cloud, job)))


ROUTES = tuple(
    Route(method, HOST, f"{ROOT}/fine_tuning/jobs{path}", guarded(handler), open=True)
    for method, path, handler in (
        ("POST", "", _create),
        ("GET", "", _list),
        ("GET", "/{job}", _get),
        ("POST", "/{job}/{what}", _steer),
    )
)
