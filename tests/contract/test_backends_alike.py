"""One suite for the port: wherever a model is trained, the same promises are kept.

Azure's three backends meet the sandbox with the real libraries, and it really trains a toy in place of each model.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import in_this_process
import pytest

from curation.conversation import Conversation, Message, Role
from curation.errors import Conflict
from curation.findings import blocking
from training.backends import opening
from training.backends.base import Backend, Base, Endpoint, EvaluationRequest, Job, JobStatus, Progress
from training.backends.foundry.place import AzurePlace
from training.backends.names import BackendName
from training.evaluation.measured import Report
from training.hyperparameters import Lora, Method, Precision, Recipe, RehearsalModel
from training.sandbox.azure import AzureSandbox

TINY = Recipe(
    name="tiny",
    method=Method.LORA,
    learning_rate=5e-3,
    epochs=50,
    batch_tokens=64,
    warmup_share=0.0,
    weight_decay=0.0,
    max_grad_norm=1.0,
    seed=7,
    max_length=128,
    stop_at_loss=0.05,
    stop_at_accuracy=1.0,
    precision=Precision.AUTO,
    lora=Lora(8, 16, 0.0, ("qkv_proj", "o_proj", "gate_up_proj", "down_proj"), ("embed_tokens", "lm_head")),
    rehearsal=RehearsalModel(hidden=32, layers=1, heads=2, vocabulary=300),
)
BASES = {
    BackendName.LOCAL: Base("rehearsal"),
    BackendName.AZUREML: Base("rehearsal"),
    BackendName.FOUNDRY: Base("service", name="phi-4-mini-instruct"),
    BackendName.OPENAI: Base("service", name="gpt-4.1-mini"),
}
JOBS_THERE = {
    BackendName.FOUNDRY: ("PUT", "/jobs/run-"),
    BackendName.AZUREML: ("PUT", "/jobs/run-"),
    BackendName.OPENAI: ("POST", "/fine_tuning/jobs"),
}
REPLIES = {"Hi": "Hello!", "Price?": "9 euros.", "Hvor?": "Oslo.", "多少钱？": "九欧元。"}
PROBE = Conversation((Message(Role.USER, "Price?"),))


@dataclass
class Yard:
    """One backend and what it trained."""

    name: BackendName
    backend: Backend
    root: Path
    azure: AzureSandbox

    def job(self, number: int, **changes: Any) -> Job:
        run_id = f"run-{list(BackendName).index(self.name):04d}{number:04d}"  # all of them share one project
        rows = [{"messages": _turns(*pair)} for _ in range(3) for pair in REPLIES.items()]
        train, validation = (
            _written(self.root / "train.jsonl", rows),
            _written(self.root / "validation.jsonl", rows[:2]),
        )
        job = Job(run_id, BASES[self.name], TINY, train, validation, self.root / run_id / "job")
        return replace(job, **changes)

    def jobs_there(self) -> int:
        """How many jobs the provider was asked to make."""
        method, path = JOBS_THERE[self.name]
        return sum(
            one.method == method and path in one.path and one.status in {200, 201} for one in self.azure.requests
        )

    def ended(self, job: Job) -> Progress:
        """Its progress, once nothing more happens."""
        return _until(lambda: progress if (progress := self.backend.poll(job)).status.final else None, "the training")

    def served(self, job: Job, directory: Path, name: str) -> Endpoint:
        """Its endpoint, once there is one."""
        artefact = self.backend.fetch(job)
        return _until(lambda: self.backend.deploy(artefact, directory, name), "the endpoint")


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureSandbox]:
    with AzureSandbox(tmp_path_factory.mktemp("azure"), recipe=TINY) as azure, pytest.MonkeyPatch.context() as patch:
        for name, value in azure.environ().items():
            patch.setenv(name, value)
        patch.setenv("TMPDIR", str(tmp_path_factory.mktemp("disk")))  # of the machines that are rented
        yield azure


@pytest.fixture(scope="module", params=list(BackendName), ids=str)
def yard(
    request: pytest.FixtureRequest, azure: AzureSandbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Yard]:
    """A backend as the environment opens it, asking as often as it likes."""
    name: BackendName = request.param
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.backends.foundry.looks.FIRST_SECONDS", 0.0)
        place = AzurePlace.read({**azure.environ(), "ERRATA_AZURE_GPUS": "2"})
        backend = opening.backends(place)[name]
        if name is not BackendName.LOCAL:
            backend.looks.first = backend.looks.longest = 0.0  # type: ignore[attr-defined]  # of Azure's three
        azure.forget_requests()
        yield Yard(name, backend, tmp_path_factory.mktemp(name), azure)


@pytest.fixture(scope="module")
def trained(yard: Yard) -> Job:
    """Submitted twice, and completed."""
    job = yard.job(1)
    yard.backend.submit(job)
    yard.backend.submit(job)
    assert yard.ended(job).status is JobStatus.COMPLETED
    return job


def test_a_job_that_can_be_done_meets_no_objection_and_waits_to_be_submitted(yard: Yard) -> None:
    job = yard.job(0)
    assert not blocking(yard.backend.preflight(job))
    assert yard.backend.poll(job).status is JobStatus.QUEUED
    with pytest.raises(Conflict, match="has no model"):
        yard.backend.fetch(job)


@pytest.mark.slow
def test_what_was_submitted_twice_trains_once_and_tells_its_losses(yard: Yard, trained: Job) -> None:
    progress = yard.backend.poll(trained)
    losses = [point.loss for point in progress.curve]
    assert len(losses) > 3
    assert losses[-1] < losses[0] / 2
    assert progress.step == progress.curve[-1].step
    if yard.name is not BackendName.LOCAL:
        assert yard.jobs_there() == 1
        assert str(progress.link).startswith("https://")


@pytest.mark.slow
def test_a_model_is_here_or_its_provider_has_a_name_for_it(yard: Yard, trained: Job) -> None:
    artefact = yard.backend.fetch(trained)
    if yard.name in {BackendName.LOCAL, BackendName.AZUREML}:
        assert (artefact.weights / "model.safetensors").is_file()
        assert artefact.registered is None
        assert artefact.origin.is_dir()
    else:
        assert artefact.registered
        with pytest.raises(Conflict, match="stay with their provider"):
            _ = artefact.weights


@pytest.mark.slow
def test_a_trained_model_is_evaluated_by_what_it_replies(yard: Yard, trained: Job) -> None:
    artefact = yard.backend.fetch(trained)
    cases = [
        {"id": "1", "kind": "correction", "side": "validation", "flagged": "10 euros.", **_case("Price?")},
        {"id": "2", "kind": "endorsement", "side": "train", "flagged": None, **_case("Hi")},
    ]
    request = EvaluationRequest(
        run_id=trained.run_id,
        directory=yard.root / trained.run_id / "evaluation",
        candidate=artefact.model,
        baseline=None,
        base=artefact.base_model,
        train=trained.train,
        validation=trained.validation,
        cases=_written(yard.root / "cases.jsonl", cases),
        registered=artefact.registered,
    )
    # The others' evaluations are processes of their own; one less is a quarter of a minute.
    here = yard.name is BackendName.FOUNDRY
    with in_this_process.starting() if here else nullcontext(), in_this_process.looking_often():
        yard.backend.evaluate(request)
        yard.backend.evaluate(request)
    seen = _until(lambda: one if (one := yard.backend.poll_evaluation(request)).done else None, "the evaluation")
    assert seen.reason is None
    assert seen.report is not None
    report = Report.from_json(json.loads(seen.report.read_text(encoding="utf-8")))
    assert {case.expected: case.after for case in report.cases} == {"9 euros.": "9 euros.", "Hello!": "Hello!"}
    assert report.manners["candidate"].replies >= 2


@pytest.mark.slow
def test_a_model_is_served_until_nothing_of_it_is_left(yard: Yard, trained: Job) -> None:
    directory, name = yard.root / trained.run_id / "endpoint", trained.run_id
    endpoint = yard.served(trained, directory, name)
    assert endpoint.url.startswith(("http://127.0.0.1:", "https://"))
    assert yard.backend.probe(endpoint, PROBE) == "9 euros."
    assert yard.backend.deploy(yard.backend.fetch(trained), directory, name) == endpoint
    assert not yard.backend.died(directory, name)
    _until(lambda: yard.backend.undeploy(directory, name), "the end of the endpoint")
    assert yard.backend.undeploy(directory, name)


@pytest.mark.slow
def test_a_training_that_is_cancelled_ends_so_and_can_be_deleted(yard: Yard) -> None:
    job = yard.job(2, recipe=replace(TINY, stop_at_loss=1e-6))
    yard.backend.submit(job)
    yard.backend.cancel(job)
    yard.backend.cancel(job)
    progress = yard.ended(job)
    assert progress.status is JobStatus.CANCELLED
    assert progress.reason
    yard.backend.delete(job)
    assert not job.directory.exists()


def test_what_was_cancelled_before_it_was_submitted_never_begins(yard: Yard) -> None:
    job = yard.job(3)
    before = yard.jobs_there() if yard.name is not BackendName.LOCAL else 0
    yard.backend.cancel(job)
    yard.backend.submit(job)
    assert yard.backend.poll(job).status is JobStatus.CANCELLED
    if yard.name is not BackendName.LOCAL:
        assert yard.jobs_there() == before


def _turns(question: str, reply: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": reply}]


def _case(question: str) -> dict[str, Any]:
    return {"messages": _turns(question, "")[:1], "expected": REPLIES[question]}


def _written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def _until(look: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + 120
    while not (found := look()):
        assert time.monotonic() < deadline, f"{what} took too long"
        time.sleep(0.1)
    return found
