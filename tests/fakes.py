"""A backend that trains nothing: an in-memory adapter of the port whose stages the test advances.

It keeps the port's promises (idempotent submit, evaluate and deploy; Conflict before a job is
completed) and counts what took effect, so that a test can see what a real one would have been paid for.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from curation.conversation import Conversation
from curation.errors import Conflict
from curation.findings import Finding
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

STEPS = 10
REPLY = "Six months."


def no_hook(_point: str) -> None:
    """Nothing happens between the steps of a worker that nobody kills."""


@dataclass
class FakeBackend:
    """One per test. ``hook`` is called before and after each method, by name, and may raise.

    Attributes:
        findings: what preflight finds.
        refusals: errors by method name, raised once each in place of an answer.
        effective: how often a call changed something, by ``(method, run id or folder name)``.
    """

    findings: list[Finding] = field(default_factory=list)
    refusals: dict[str, list[Exception]] = field(default_factory=dict)
    effective: Counter[tuple[str, str]] = field(default_factory=Counter)
    hook: Callable[[str], None] = no_hook
    jobs: dict[str, Progress] = field(default_factory=dict)
    evaluations: dict[str, EvaluationRequest] = field(default_factory=dict)
    reports: dict[str, EvaluationProgress] = field(default_factory=dict)
    serving: dict[Path, Endpoint] = field(default_factory=dict)
    asked: list[Conversation] = field(default_factory=list)
    dead: set[Path] = field(default_factory=set)

    # What the test does.

    def train(self, run_id: str, step: int) -> None:
        """Let the training of a submitted job come as far as this step."""
        curve = tuple(CurvePoint(number, 3 / number, None, 100.0) for number in range(1, step + 1))
        self.jobs[run_id] = Progress(JobStatus.RUNNING, step, STEPS, eta_seconds=float(STEPS - step), curve=curve)

    def complete(self, run_id: str) -> None:
        """End the training well."""
        self.train(run_id, STEPS)
        self.jobs[run_id] = Progress(JobStatus.COMPLETED, STEPS, STEPS, curve=self.jobs[run_id].curve)

    def fail(self, run_id: str, reason: str) -> None:
        """End the training badly."""
        self.jobs[run_id] = Progress(JobStatus.FAILED, 1, STEPS, reason=reason)

    def report(self, run_id: str, *, fixed: bool = True) -> None:
        """End the evaluation: every case is answered as expected after tuning, or as badly as before."""
        request = self.evaluations[run_id]
        cases = [json.loads(line) for line in request.cases.read_text(encoding="utf-8").splitlines()]
        report = {
            "run_id": run_id,
            "validation": {"candidate": _fit(2.0), "base": _fit(9.0), "baseline": _fit(8.0)},
            "unigram_perplexity": 40.0,
            "cases": [
                {**case, "before": "No idea.", "after": case["expected"] if fixed else "No idea."} for case in cases
            ],
        }
        request.directory.mkdir(parents=True, exist_ok=True)
        path = request.directory / "report.json"
        path.write_text(json.dumps(report), encoding="utf-8")
        self.reports[run_id] = EvaluationProgress(done=True, share=1.0, report=path)

    def kill(self, directory: Path) -> None:
        """End the endpoint behind everybody's back."""
        del self.serving[directory]
        self.dead.add(directory)

    # The port.

    def destination(self, job: Job) -> str | None:
        """Nothing leaves."""

    def preflight(self, job: Job) -> list[Finding]:
        with self._call("preflight"):
            assert job.train.exists()
            return list(self.findings)

    def submit(self, job: Job) -> None:
        with self._call("submit"):
            if job.run_id not in self.jobs:
                self.jobs[job.run_id] = Progress(JobStatus.RUNNING, 0, STEPS)
                self.effective["submit", job.run_id] += 1

    def poll(self, job: Job) -> Progress:
        with self._call("poll"):
            return self.jobs.get(job.run_id, Progress(JobStatus.QUEUED))

    def cancel(self, job: Job) -> None:
        with self._call("cancel"):
            known = self.jobs.get(job.run_id)
            if known is not None and not known.status.final:
                self.jobs[job.run_id] = Progress(JobStatus.CANCELLED, known.step, STEPS, reason="Cancelled.")
                self.effective["cancel", job.run_id] += 1

    def resume(self, job: Job) -> None:
        with self._call("resume"):
            known = self.jobs.get(job.run_id)
            if known is None or known.status.final:
                if known is not None and known.status is JobStatus.COMPLETED:
                    raise Conflict(f"{job.run_id} is completed.")
                step, curve = (known.step, known.curve) if known is not None else (0, ())
                self.jobs[job.run_id] = Progress(JobStatus.RUNNING, step, STEPS, curve=curve)
                self.effective["resume", job.run_id] += 1

    def fetch(self, job: Job) -> Artefact:
        with self._call("fetch"):
            if self.jobs.get(job.run_id, Progress(JobStatus.QUEUED)).status is not JobStatus.COMPLETED:
                raise Conflict(f"{job.run_id} has not completed.")
            return Artefact(job.directory / "model", None, job.base.path or job.directory / "base")

    def evaluate(self, request: EvaluationRequest) -> None:
        with self._call("evaluate"):
            if request.run_id not in self.evaluations:
                self.evaluations[request.run_id] = request
                self.effective["evaluate", request.run_id] += 1

    def poll_evaluation(self, request: EvaluationRequest) -> EvaluationProgress:
        with self._call("poll_evaluation"):
            return self.reports.get(request.run_id, EvaluationProgress(done=False, share=0.5))

    def forget_evaluation(self, request: EvaluationRequest) -> None:
        with self._call("forget_evaluation"):
            self.evaluations.pop(request.run_id, None)
            self.reports.pop(request.run_id, None)

    def deploy(self, artefact: Artefact, directory: Path, model_name: str) -> Endpoint:
        with self._call("deploy"):
            if directory not in self.serving:
                self.effective["deploy", model_name] += 1
                self.serving[directory] = Endpoint(f"http://127.0.0.1/{artefact.model.parent.name}", 1, model_name)
            return self.serving[directory]

    def probe(self, endpoint: Endpoint, conversation: Conversation) -> str:
        with self._call("probe"):
            assert endpoint in self.serving.values()
            self.asked.append(conversation)
            return REPLY

    def classify(self, endpoint: Endpoint, conversations: Sequence[Conversation]) -> list[tuple[Guess, ...]]:
        with self._call("classify"):
            assert endpoint in self.serving.values()
            self.asked += conversations
            return [(Guess("returns", 0.75), Guess("billing", 0.25)) for _ in conversations]

    def died(self, directory: Path, model_name: str) -> bool:  # noqa: ARG002 (the port's)
        return directory in self.dead and directory not in self.serving

    def undeploy(self, directory: Path, model_name: str) -> bool:  # noqa: ARG002 (the port's)
        with self._call("undeploy"):
            self.serving.pop(directory, None)
            return True

    def delete(self, job: Job) -> None:
        with self._call("delete"):
            self.jobs.pop(job.run_id, None)

    def _call(self, method: str) -> _Call:
        return _Call(self, method)


@dataclass
class _Call:
    backend: FakeBackend
    method: str

    def __enter__(self) -> None:
        self.backend.hook(f"before {self.method}")
        if refusals := self.backend.refusals.get(self.method):
            raise refusals.pop(0)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.backend.hook(f"after {self.method}")


def _fit(perplexity: float) -> dict[str, Any]:
    return {"perplexity": perplexity, "token_accuracy": 0.5, "supervised_tokens": 100, "comparable": True}
