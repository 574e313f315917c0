"""What a worker under fire works with: a backend in files, and a trace of everything that has an effect.

The trace is one file that every process appends to; a line is one ``write``. A worker may be told to die
of SIGKILL right after its n-th line.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slack_sdk import WebClient
from sqlalchemy.engine import Engine
from sqlmodel import Session

from curation.conversation import Conversation
from curation.errors import Conflict
from curation.findings import Finding
from curation.store.engine import Store
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

TRAINER = Path(__file__).with_name("trainer.py")


@dataclass
class Trace:
    """The trace as one process writes it."""

    path: Path
    dies_after: int | None = None
    _lines: int = field(default=0, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def point(self, what: str, on: str = "") -> None:
        with self._lock:
            append(self.path, what, on)
            self._lines += 1
            if self._lines == self.dies_after:
                os.kill(os.getpid(), signal.SIGKILL)


def append(path: Path, what: str, on: str) -> None:
    line = json.dumps({"at": time.time(), "pid": os.getpid(), "what": what, "on": on}) + "\n"
    out = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(out, line.encode())
    os.close(out)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


class TracedStore(Store):
    """The store, with a line after each commit."""

    def __init__(self, engine: Engine, trace: Trace) -> None:
        super().__init__(engine)
        self._trace = trace

    @contextmanager
    def write(self) -> Iterator[Session]:
        with super().write() as session:
            yield session
        self._trace.point("commit")


def trace_slack(trace: Trace) -> None:
    """Put a line after every call of this process to Slack."""
    call = WebClient.api_call

    def api_call(self: WebClient, api_method: str, **rest: Any) -> Any:
        answer = call(self, api_method, **rest)
        trace.point(f"slack {api_method}")
        return answer

    WebClient.api_call = api_call  # type: ignore[method-assign]  # the worker's own process, which ends with it


@dataclass
class FileBackend:
    """Trains by a detached process, evaluates and serves by files; every state is on disk."""

    trace: Trace
    seconds: float

    def destination(self, job: Job) -> str | None:
        """Nothing leaves."""

    def preflight(self, job: Job) -> list[Finding]:
        assert job.train.exists()
        self.trace.point("preflight", job.run_id)
        return []

    def submit(self, job: Job) -> None:
        job.directory.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-I", "-S", TRAINER, job.directory, self.trace.path, job.run_id, str(self.seconds)]
        subprocess.Popen(  # noqa: S603 (our own script)
            command, start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        self.trace.point("submit", job.run_id)

    def poll(self, job: Job) -> Progress:
        self.trace.point("poll", job.run_id)
        curve = (CurvePoint(1, 3.0, None, 100.0), CurvePoint(2, 1.0, None, 100.0))
        if (job.directory / "result").exists():
            return Progress(JobStatus.COMPLETED, 2, 2, curve=curve)
        return (
            Progress(JobStatus.RUNNING, 1, 2, curve=curve[:1]) if _held(job.directory) else Progress(JobStatus.QUEUED)
        )

    def cancel(self, job: Job) -> None:
        raise NotImplementedError  # the siege neither cancels nor deletes a job

    def resume(self, job: Job) -> None:
        self.submit(job)  # of two trainers in one folder the second ends by itself

    def fetch(self, job: Job) -> Artefact:
        if not (job.directory / "result").exists():
            raise Conflict(f"{job.run_id} has not completed.")
        return Artefact(job.directory / "model", None, job.directory / "base")

    def evaluate(self, request: EvaluationRequest) -> None:
        if _first(request.directory / "asked"):
            self.trace.point("effect evaluate", request.run_id)

    def forget_evaluation(self, request: EvaluationRequest) -> None:
        raise NotImplementedError  # none fails here

    def poll_evaluation(self, request: EvaluationRequest) -> EvaluationProgress:
        self.trace.point("poll evaluation", request.run_id)
        if not (request.directory / "asked").exists():
            return EvaluationProgress(done=False, share=0.0)
        cases = [json.loads(line) for line in request.cases.read_text(encoding="utf-8").splitlines()]
        fit = {"perplexity": 2.0, "token_accuracy": 0.5, "supervised_tokens": 100, "comparable": True}
        report = {
            "run_id": request.run_id,
            "validation": {"candidate": fit, "base": fit, "baseline": fit},
            "unigram_perplexity": 40.0,
            "cases": [{**case, "before": "No idea.", "after": case["expected"]} for case in cases],
        }
        path = request.directory / f"report-{os.getpid()}.json"
        path.write_text(json.dumps(report), encoding="utf-8")
        return EvaluationProgress(done=True, share=1.0, report=path)

    def deploy(self, artefact: Artefact, directory: Path, model_name: str) -> Endpoint:
        assert artefact.model.parent.exists()
        if _first(directory / "serves"):
            self.trace.point("effect deploy", model_name)
        return Endpoint("http://127.0.0.1/v1", 1, model_name)

    def probe(self, endpoint: Endpoint, conversation: Conversation) -> str:
        assert conversation.messages
        self.trace.point("probe", endpoint.model)
        return "Six months."

    def classify(self, endpoint: Endpoint, conversations: Sequence[Conversation]) -> list[tuple[Guess, ...]]:
        raise NotImplementedError  # the siege trains no classifier

    def died(self, directory: Path, model_name: str) -> bool:  # noqa: ARG002 (the port's)
        return False  # what serves here is a file

    def undeploy(self, directory: Path, model_name: str) -> bool:  # noqa: ARG002 (the port's)
        (directory / "serves").unlink(missing_ok=True)
        self.trace.point("undeploy", directory.parent.name)
        return True

    def delete(self, job: Job) -> None:
        raise NotImplementedError  # the siege neither cancels nor deletes a job


def _first(path: Path) -> bool:
    """Whether this call made the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _held(directory: Path) -> bool:
    """Whether a trainer has the folder's lock."""
    if not (directory / "lock").exists():
        return False
    with (directory / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
