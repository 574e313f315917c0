"""LocalBackend: the port on this machine, with one detached process per training, evaluation and endpoint.

Owns starting, watching and stopping them by their files. Imports no torch: the bot loads this module.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from curation.conversation import Conversation
from curation.errors import Conflict
from curation.findings import Finding, Severity
from curation.formats.jsonl import Row, open_jsonl
from curation.wording import called, phrase
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
from training.backends.local import detached, devices, fit, folder, inspection, launcher
from training.backends.local.devices import Machine
from training.backends.local.serving.entries import Entry
from training.backends.local.serving.standing import STOP_SECONDS, Standing

_TRAINER = "training.backends.local.tuning.trainer"
_EVALUATOR = "training.backends.local.evaluating.evaluator"


class LocalBackend:
    """Trains, evaluates and serves on this machine; one instance may watch any number of jobs.

    Attributes:
        standing: its endpoints.
        machine: looks at what this machine has.
    """

    def __init__(
        self,
        *,
        standing: Standing | None = None,
        machine: Callable[[], Machine] = devices.here,
    ) -> None:
        self.standing = standing or Standing()
        self.machine = machine

    def preflight(self, job: Job) -> list[Finding]:
        """What stands in the way: files, base model, packages, memory, disk."""
        return self.findings_of(job) + fit.findings(job, self.machine())

    def findings_of(self, job: Job) -> list[Finding]:
        """The same, whatever machine it is for: files, base model, packages."""
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
        return findings

    def destination(self, job: Job) -> str | None:  # noqa: ARG002 (the port's)
        """None: nothing leaves this machine."""
        return None

    def submit(self, job: Job) -> None:
        """Start the training unless it was started, has ended or was cancelled before."""
        processes = fit.processes_of(job.recipe, self.machine()) if job.recipe.processes != 1 else 1
        detached.start(_TRAINER, job.directory, job.as_json(), processes=processes)

    def poll(self, job: Job) -> Progress:
        """How far the training has come, from its files alone."""
        # Alive first, result second: a process that ends in between has written its result by then.
        alive = launcher.lives(job.directory)
        lines = folder.read_progress(job.directory)
        points = [line for line in lines if "step" in line]
        status, reason = detached.outcome(job.directory, alive=alive, lost=_training_lost)
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
        launcher.stop(job.directory, wait_seconds=STOP_SECONDS)  # it has written its result, and may not be gone yet
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
        detached.start(_EVALUATOR, request.directory, request.as_json())

    def poll_evaluation(self, request: EvaluationRequest) -> EvaluationProgress:
        """How far the evaluation has come, from its files alone."""
        alive = launcher.lives(request.directory)
        lines = folder.read_progress(request.directory)
        status, reason = detached.outcome(request.directory, alive=alive, lost=_evaluation_lost)
        if status is JobStatus.COMPLETED:
            return EvaluationProgress(done=True, share=1.0, report=request.directory / folder.REPORT)
        return EvaluationProgress(done=status.final, share=lines[-1]["share"] if lines else 0.0, reason=reason)

    def forget_evaluation(self, request: EvaluationRequest) -> None:
        """Remove the evaluation's directory, once its process is gone."""
        launcher.stop(request.directory, wait_seconds=STOP_SECONDS)
        shutil.rmtree(request.directory, ignore_errors=True)

    def deploy(self, artefact: Artefact, directory: Path, model_name: str) -> Endpoint:
        """Serve the merged model from a detached process and wait until it says that it is healthy."""
        return self.standing.start([Entry(model_name, str(artefact.model))], directory)

    def probe(self, endpoint: Endpoint, conversation: Conversation) -> str:
        """The deployed model's most probable reply."""
        return self.standing.reply(endpoint, conversation)

    def classify(self, endpoint: Endpoint, conversations: Sequence[Conversation]) -> list[tuple[Guess, ...]]:
        """What a deployed classifier says of each conversation, the most probable answer first."""
        return self.standing.classify(endpoint, conversations)

    def died(self, directory: Path, model_name: str) -> bool:  # noqa: ARG002 (the port's)
        """Whether an endpoint that answered here has ended by itself, or has not answered for a long time."""
        return self.standing.died(directory)

    def undeploy(self, directory: Path, model_name: str) -> bool:  # noqa: ARG002 (the port's)
        """Stop the endpoint and wait until it is gone."""
        self.standing.stop(directory)
        return True

    def delete(self, job: Job) -> None:
        """Remove the job's directory."""
        if launcher.lives(job.directory):
            raise Conflict("Run {run} is still training; cancel it before you delete it.", run=job.run_id)
        shutil.rmtree(job.directory, ignore_errors=True)


def _training_lost(words: str) -> str:
    return phrase(
        "The training process ended without a result, as when memory runs out or the machine restarts. Resume the run "
        "to go on from its last snapshot. The last line of its log was: {words}",
        words=words,
    )


def _evaluation_lost(words: str) -> str:
    return phrase(
        "The evaluation process ended without a result, as when memory runs out or the machine restarts; its "
        "last line was: {words}",
        words=words,
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
