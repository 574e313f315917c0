"""LocalBackend: the port on this machine, with one detached process per training, evaluation and endpoint.

Owns starting, watching and stopping them by their files. Imports no torch: the bot loads this module.
"""

from __future__ import annotations

import importlib.util
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx

from curation.conversation import Conversation
from curation.errors import Conflict, Unavailable
from curation.findings import Finding, Severity
from curation.formats.jsonl import Row, open_jsonl
from curation.wording import called, phrase, unpacked
from training.backends.base import (
    Artefact,
    CurvePoint,
    Endpoint,
    EvaluationProgress,
    EvaluationRequest,
    Guess,
    Job,
    JobStatus,
    Progress,
)
from training.backends.local import devices, fit, folder, inspection, launcher
from training.backends.local.devices import Machine
from training.backends.local.serving.entries import Entry

_TRAINER = "training.backends.local.tuning.trainer"
_EVALUATOR = "training.backends.local.evaluating.evaluator"
_ENDPOINT = "training.backends.local.serving.endpoint"
_STOP_SECONDS = 10
_NICENESS = 10


class LocalBackend:
    """Trains, evaluates and serves on this machine; one instance may watch any number of jobs.

    Attributes:
        start_timeout_seconds: how long an endpoint may take to load its model.
        reply_timeout_seconds: how long a probe waits for a reply.
        classify_timeout_seconds: how long labels are waited for, which the worker does between its other work.
        machine: looks at what this machine has.
    """

    def __init__(
        self,
        *,
        start_timeout_seconds: float = 180,
        reply_timeout_seconds: float = 120,
        classify_timeout_seconds: float = 30,
        machine: Callable[[], Machine] = devices.here,
    ) -> None:
        self.start_timeout_seconds = start_timeout_seconds
        self.reply_timeout_seconds = reply_timeout_seconds
        self.classify_timeout_seconds = classify_timeout_seconds
        self.machine = machine

    def preflight(self, job: Job) -> list[Finding]:
        """What stands in the way: files, base model, packages, memory, disk."""
        findings = [
            _error("job.file", f"{path} is no file.", "Freeze the dataset again.")
            for path in (job.train, job.validation)
            if not path.is_file()
        ]
        if job.recipe.tensorboard and importlib.util.find_spec("tensorboard") is None:
            findings.append(
                _error(
                    "local.tensorboard",
                    phrase("The recipe wants TensorBoard, which is not installed."),
                    phrase("Install the extra `tensorboard` of Errata, or leave tensorboard out of the recipe."),
                )
            )
        findings += _base_findings(job)
        findings += [
            finding for path in (job.train, job.validation) if path.is_file() for finding in _use_of_tools(path)
        ]
        return findings + fit.findings(job, self.machine())

    def submit(self, job: Job) -> None:
        """Start the training unless it was started, has ended or was cancelled before."""
        _start(_TRAINER, job.directory, job.as_json(), processes=job.recipe.processes)

    def poll(self, job: Job) -> Progress:
        """How far the training has come, from its files alone."""
        # Alive first, result second: a process that ends in between has written its result by then.
        alive = launcher.lives(job.directory)
        lines = folder.read_progress(job.directory)
        points = [line for line in lines if "step" in line]
        status, reason = _outcome(job.directory, alive=alive, training=True)
        last: dict[str, Any] = points[-1] if points else {"step": 0, "steps": 0, "eta_seconds": None}
        return Progress(
            status=status,
            step=last["step"],
            steps=last["steps"],
            eta_seconds=None if status.final else last["eta_seconds"],
            curve=tuple(
                CurvePoint(
                    line["step"],
                    line["loss"],
                    line["validation_loss"],
                    line["tokens_per_second"],
                    line.get("memory_bytes"),  # which an older Errata did not write
                )
                for line in points
            ),
            reason=reason,
            notes=tuple(note for line in lines for note in line.get("notes", ())),
        )

    def cancel(self, job: Job) -> None:
        """Ask the training to stop; one that was not started yet will never start."""
        if self.poll(job).status.final:
            return
        job.directory.mkdir(parents=True, exist_ok=True)
        # The file speaks for a signal that comes before the process can hear it.
        (job.directory / folder.CANCEL).touch()
        launcher.stop(job.directory)

    def resume(self, job: Job) -> None:
        """Go on from the last snapshot, or from the beginning where there is none; nothing happens while it trains.

        Raises:
            Conflict: it is completed.
        """
        status = self.poll(job).status
        if status is JobStatus.COMPLETED:
            raise Conflict("Run {run} is completed: there is nothing to go on with.", run=job.run_id)
        if not status.final and launcher.lives(job.directory):
            return
        launcher.stop(job.directory, wait_seconds=_STOP_SECONDS)  # it has written its result, and may not be gone yet
        for name in (folder.CANCEL, folder.PROCESS, folder.RESULT):
            (job.directory / name).unlink(missing_ok=True)
        self.submit(job)

    def fetch(self, job: Job) -> Artefact:
        """Where the model lies."""
        result = folder.read_json(job.directory / folder.RESULT)
        if result is None or result["status"] != JobStatus.COMPLETED:
            raise Conflict(
                "Run {run} has no model: it is {status}. Wait until it is completed.",
                run=job.run_id,
                status=called(self.poll(job).status),
            )
        return Artefact(
            model=job.directory / folder.MODEL,
            adapter=job.directory / folder.ADAPTER if result["adapter"] else None,
            base_model=Path(result["base_model"]),
        )

    def evaluate(self, request: EvaluationRequest) -> None:
        """Start the evaluation unless it was started before."""
        _start(_EVALUATOR, request.directory, request.as_json())

    def poll_evaluation(self, request: EvaluationRequest) -> EvaluationProgress:
        """How far the evaluation has come, from its files alone."""
        alive = launcher.lives(request.directory)
        lines = folder.read_progress(request.directory)
        status, reason = _outcome(request.directory, alive=alive, training=False)
        if status is JobStatus.COMPLETED:
            return EvaluationProgress(done=True, share=1.0, report=request.directory / folder.REPORT)
        return EvaluationProgress(done=status.final, share=lines[-1]["share"] if lines else 0.0, reason=reason)

    def forget_evaluation(self, request: EvaluationRequest) -> None:
        """Remove the evaluation's directory, once its process is gone."""
        launcher.stop(request.directory, wait_seconds=_STOP_SECONDS)
        shutil.rmtree(request.directory, ignore_errors=True)

    def deploy(self, artefact: Artefact, directory: Path, model_name: str, *, port: int = 0) -> Endpoint:
        """Serve the merged model from a detached process and wait until it says that it is healthy.

        Args:
            port: on the loopback interface; 0 lets the system choose a free one.
        """
        return self.serve([Entry(model_name, str(artefact.model))], directory, port=port)

    def serve(self, entries: Sequence[Entry], directory: Path, *, port: int = 0) -> Endpoint:
        """Serve several models or adapters from one detached process, each base loaded once.

        Args:
            entries: at least one; the first one's name is the endpoint's.
            directory: of the process; one that is served there already is reused.
            port: on the loopback interface; 0 lets the system choose a free one.

        Raises:
            Conflict: something else is served there; Unavailable: it does not start.
        """
        model_name = entries[0].name
        directory.mkdir(parents=True, exist_ok=True)
        wanted = {"models": [entry.as_json() for entry in entries], "port": port}
        served = folder.read_json(directory / folder.REQUEST)
        if served is not None and served != wanted and launcher.lives(directory):
            raise Conflict(
                "{folder} serves {served}; undeploy it before {model}.",
                folder=directory.name,
                served=tuple(one["name"] for one in served.get("models", ())),
                model=model_name,
            )
        if not launcher.lives(directory):
            # What a dead endpoint left would send the caller to somebody else's port.
            (directory / folder.READY).unlink(missing_ok=True)
            (directory / folder.RESULT).unlink(missing_ok=True)
            folder.write_json(directory / folder.REQUEST, wanted)
            launcher.launch(_ENDPOINT, directory)
        return self._wait_until_healthy(directory, model_name)

    def probe(self, endpoint: Endpoint, conversation: Conversation) -> str:
        """The deployed model's most probable reply."""
        body = {
            "model": endpoint.model,
            "temperature": 0,
            "messages": _turns(conversation),
        }
        reply: str = self._asked(endpoint, "chat/completions", body)["choices"][0]["message"]["content"]
        return reply

    def classify(self, endpoint: Endpoint, conversations: Sequence[Conversation]) -> list[tuple[Guess, ...]]:
        """What a deployed classifier says of each conversation, the most probable answer first."""
        body = {"model": endpoint.model, "conversations": [_turns(one) for one in conversations]}
        results = self._asked(endpoint, "classify", body, timeout_seconds=self.classify_timeout_seconds)["results"]
        return [tuple(Guess(one["label"], one["probability"]) for one in result["labels"]) for result in results]

    def _asked(
        self, endpoint: Endpoint, path: str, body: dict[str, Any], *, timeout_seconds: float | None = None
    ) -> Any:
        """The endpoint's answer to a request."""
        timeout = self.reply_timeout_seconds if timeout_seconds is None else timeout_seconds
        try:
            answer = httpx.post(f"{endpoint.url}/{path}", json=body, timeout=timeout)
            answer.raise_for_status()
        except httpx.HTTPStatusError as error:
            sentence = error.response.json()["error"]["message"]
            raise Unavailable(
                "The endpoint of {model} refused the test query: {sentence}", model=endpoint.model, sentence=sentence
            ) from error
        except httpx.HTTPError as error:
            raise Unavailable(
                "The endpoint of {model} at {address} does not answer; deploy it again.",
                model=endpoint.model,
                address=endpoint.url,
            ) from error
        return answer.json()

    def died(self, directory: Path) -> bool:
        """Whether a process said here that it answers, was not stopped by us, and is gone."""
        return (directory / folder.READY).exists() and not launcher.lives(directory)

    def undeploy(self, directory: Path) -> None:
        """Stop the endpoint and wait until it is gone."""
        launcher.stop(directory, wait_seconds=_STOP_SECONDS)
        (directory / folder.READY).unlink(missing_ok=True)

    def delete(self, job: Job) -> None:
        """Remove the job's directory."""
        if launcher.lives(job.directory):
            raise Conflict("Run {run} is still training; cancel it before you delete it.", run=job.run_id)
        shutil.rmtree(job.directory, ignore_errors=True)

    def _wait_until_healthy(self, directory: Path, model_name: str) -> Endpoint:
        deadline = time.monotonic() + self.start_timeout_seconds
        while time.monotonic() < deadline:
            ready = folder.read_json(directory / folder.READY)
            if ready is not None and _healthy(ready["port"]):
                return Endpoint(f"http://127.0.0.1:{ready['port']}/v1", ready["pid"], model_name)
            if not launcher.lives(directory):
                result = folder.read_json(directory / folder.RESULT) or {}
                reason = unpacked(result.get("reason") or "") or phrase(
                    "its last line was: {words}", words=launcher.last_words(directory)
                )
                raise Unavailable("The endpoint of {model} did not start: {reason}", model=model_name, reason=reason)
            time.sleep(0.1)
        self.undeploy(directory)
        raise Unavailable(
            "The endpoint of {model} did not answer within {seconds:g} seconds; see {log} in {folder}.",
            model=model_name,
            seconds=self.start_timeout_seconds,
            log=folder.LOG,
            folder=directory,
        )


def _turns(conversation: Conversation) -> list[dict[str, str]]:
    return [{"role": one.role.value, "content": one.content} for one in conversation.messages]


def _start(module: str, directory: Path, request: dict[str, object], *, processes: int = 1) -> None:
    """Launch once in the life of a directory."""
    directory.mkdir(parents=True, exist_ok=True)
    if any((directory / name).exists() for name in (folder.PROCESS, folder.RESULT, folder.CANCEL)):
        return
    folder.write_json(directory / folder.REQUEST, request)
    # The bot beside it has three seconds to answer Slack; a training has hours.
    launcher.launch(module, directory, niceness=_NICENESS, processes=processes)


def _outcome(directory: Path, *, alive: bool, training: bool) -> tuple[JobStatus, str | None]:
    """Where the directory's process stands, and why if it did not go well."""
    result = folder.read_json(directory / folder.RESULT)
    if result is not None:
        return JobStatus(result["status"]), unpacked(result["reason"]) if "reason" in result else None
    if alive:
        # Imports and loading come before the first progress line.
        started = (directory / folder.PROGRESS).exists()
        return (JobStatus.RUNNING if started else JobStatus.QUEUED), None
    if (directory / folder.CANCEL).exists():
        return JobStatus.CANCELLED, folder.STOPPED
    if not (directory / folder.PROCESS).exists():
        return JobStatus.QUEUED, None
    return JobStatus.FAILED, phrase(
        "The training process ended without a result, as when memory runs out or the machine restarts. Resume the run "
        "to go on from its last snapshot. The last line of its log was: {words}"
        if training
        else "The evaluation process ended without a result, as when memory runs out or the machine restarts; its "
        "last line was: {words}",
        words=launcher.last_words(directory),
    )


def _use_of_tools(path: Path) -> list[Finding]:
    """Rows that the chat template would render without their tools, so that calls were taught as empty replies."""
    lines = [row.line for row in open_jsonl(path) if isinstance(row, Row) and row.conversation.uses_tools]
    if not lines:
        return []
    return [
        _error(
            "local.tools",
            phrase(
                "{count:,} rows of {file} use tools, the first on line {line:,}.",
                count=len(lines),
                file=path.name,
                line=lines[0],
            ),
            phrase("Leave them out of the dataset, or export it for openai or azure: no model is tuned on tools here."),
        )
    ]


def _base_findings(job: Job) -> list[Finding]:
    path = job.base.path
    if path is None:
        if job.recipe.rehearsal is None:
            return [
                _error(
                    "job.rehearsal",
                    phrase("The recipe {recipe} has no [rehearsal] table.", recipe=job.recipe.name),
                    phrase("Add one."),
                )
            ]
        return []
    return inspection.findings(path)


def _error(rule: str, message: str, fix: str) -> Finding:
    return Finding(rule, Severity.ERROR, message, fix)


def _healthy(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health", timeout=2).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False
