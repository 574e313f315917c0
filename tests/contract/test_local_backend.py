"""The local backend keeps the port's promises: real processes, a really tiny model."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import in_this_process
import pytest

from bot.assistant.asking import asking, examine
from bot.assistant.endpoint import Endpoint as AssistantsEndpoint
from bot.assistant.troubles import EndpointTrouble
from curation.conversation import Conversation, Message, Role
from curation.errors import Conflict, Unavailable
from training.backends.base import Artefact, Base, Endpoint, EvaluationRequest, Job, JobStatus, Progress
from training.backends.local import fit, folder, launcher
from training.backends.local.backend import LocalBackend
from training.backends.local.serving.standing import Standing
from training.evaluation.evaluations import score
from training.evaluation.measured import Report
from training.hyperparameters import Lora, Method, Precision, Recipe, RehearsalModel
from training.planning import memory

TINY = Recipe(
    name="tiny",
    method=Method.LORA,
    learning_rate=5e-3,
    epochs=400,
    batch_tokens=256,
    warmup_share=0.0,
    weight_decay=0.0,
    max_grad_norm=1.0,
    seed=7,
    max_length=128,
    stop_at_loss=0.05,
    stop_at_accuracy=1.0,
    snapshot_minutes=10.0,
    precision=Precision.AUTO,
    lora=Lora(8, 16, 0.0, ("qkv_proj", "o_proj", "gate_up_proj", "down_proj"), ("embed_tokens", "lm_head")),
    rehearsal=RehearsalModel(hidden=32, layers=1, heads=2, vocabulary=300),
)
# An accuracy of one at a loss that cannot be reached.
ENDLESS = replace(TINY, epochs=1000, stop_at_loss=1e-5)
REPLIES = {"Hi": "Hello!", "Price?": "9 euros.", "Hvor?": "Oslo.", "多少钱？": "九欧元。"}
PROBE = Conversation((Message(Role.USER, "Price?"),))
HI = {"role": "user", "content": "Hi"}


def messages(question: str, reply: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": reply}]


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def make_job(root: Path, run_id: str, **changes: Any) -> Job:
    rows = [{"messages": messages(*pair)} for pair in REPLIES.items()]
    train, validation = write_rows(root / "train.jsonl", rows), write_rows(root / "validation.jsonl", rows[:2])
    return replace(Job(run_id, Base("rehearsal"), TINY, train, validation, root / run_id), **changes)


def wait(done: Callable[[], bool], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.05)


def ended(backend: LocalBackend, job: Job) -> Progress:
    wait(lambda: backend.poll(job).status.final)
    return backend.poll(job)


@pytest.fixture
def backend() -> LocalBackend:
    return LocalBackend()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """One completed training, shared by the tests that only read it."""
    job = make_job(tmp_path_factory.mktemp("trained"), "run-1")
    LocalBackend().submit(job)
    assert ended(LocalBackend(), job).status is JobStatus.COMPLETED
    return job


@pytest.fixture(scope="module")
def served(trained: Job, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Endpoint]]:
    backend, directory = LocalBackend(), tmp_path_factory.mktemp("endpoint")
    endpoint = backend.deploy(backend.fetch(trained), directory, "errata-tiny")
    yield directory, endpoint
    backend.undeploy(directory, "errata-tiny")
    backend.undeploy(directory, "errata-tiny")
    assert not launcher.lives(directory)
    assert not backend.died(directory, "errata-tiny")
    with pytest.raises(Unavailable, match="does not answer; deploy it again"):
        backend.probe(endpoint, PROBE)


def test_the_backend_loads_neither_torch_nor_transformers() -> None:
    code = "import sys, training.backends.local.backend; print({'torch', 'transformers', 'peft'} & set(sys.modules))"
    printed = subprocess.run(  # noqa: S603 - our own code, no shell
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == "set()"


def test_a_job_survives_its_round_trip_through_json(tmp_path: Path) -> None:
    job = make_job(tmp_path, "run-1", base=Base("checkpoint", tmp_path / "model"))
    assert Job.from_json(json.loads(json.dumps(job.as_json()))) == job


def test_a_job_nobody_submitted_is_queued(backend: LocalBackend, tmp_path: Path) -> None:
    assert backend.poll(make_job(tmp_path, "run-1")) == Progress(JobStatus.QUEUED)


def test_preflight_finds_nothing_wrong_with_a_sound_job(backend: LocalBackend, tmp_path: Path) -> None:
    assert backend.preflight(make_job(tmp_path, "run-1")) == []


def test_preflight_names_everything_that_is_missing(backend: LocalBackend, tmp_path: Path) -> None:
    job = make_job(tmp_path, "run-1", train=tmp_path / "gone.jsonl", base=Base("checkpoint", tmp_path / "nothing"))
    assert [finding.rule for finding in backend.preflight(job)] == ["job.file", "base.folder"]
    job = make_job(tmp_path, "run-1", recipe=replace(TINY, rehearsal=None))
    assert [finding.rule for finding in backend.preflight(job)] == ["job.rehearsal"]


def test_a_completed_training_reports_its_curve(backend: LocalBackend, trained: Job) -> None:
    progress = backend.poll(trained)
    assert 0 < progress.step <= progress.steps
    assert progress.eta_seconds is None
    assert progress.curve[-1].loss < progress.curve[0].loss / 4
    assert progress.curve[-1].validation_loss is not None
    assert progress.curve[-1].tokens_per_second > 0


def test_a_training_takes_about_the_memory_that_was_estimated_for_it(backend: LocalBackend, trained: Job) -> None:
    job, taken = trained, backend.poll(trained).curve[-1].memory_bytes
    shape = fit.subject_of(job.base, job.recipe).shape
    assert shape is not None
    assert taken is not None
    estimated = memory.of_training(shape, job.recipe, fit.rows_of(job.train), gpu=False).total
    assert 0.5 < estimated / taken < 2


def test_a_second_submit_after_the_end_trains_nothing(backend: LocalBackend, trained: Job) -> None:
    before = (trained.directory / folder.PROCESS).read_bytes()
    backend.submit(trained)
    assert (trained.directory / folder.PROCESS).read_bytes() == before
    # The result is written before the process ends.
    wait(lambda: not launcher.lives(trained.directory))
    backend.submit(trained)
    assert not launcher.lives(trained.directory)


# peft 0.21 asks transformers 5.23 for an attribute under its old name.
def test_the_model_and_the_adapter_load_in_plain_transformers_and_peft(backend: LocalBackend, trained: Job) -> None:
    torch = pytest.importorskip("torch")
    from peft import PeftModel  # noqa: PLC0415
    from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: PLC0415

    artefact = backend.fetch(trained)
    assert artefact.adapter is not None
    tokenizer = AutoTokenizer.from_pretrained(artefact.model)
    ids = tokenizer.apply_chat_template(messages("Hi", "Hello!"), return_tensors="pt", return_dict=False)
    merged = AutoModelForCausalLM.from_pretrained(artefact.model)
    adapted = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(artefact.base_model), artefact.adapter)
    untrained = AutoModelForCausalLM.from_pretrained(artefact.base_model)
    with torch.no_grad():
        assert torch.allclose(merged(ids).logits, adapted(ids).logits, atol=1e-3)
        assert not torch.allclose(merged(ids).logits, untrained(ids).logits, atol=1e-1)
    left = {file.suffix for file in trained.directory.rglob("*") if file.is_file()}
    assert ".safetensors" in left
    assert not left & {".bin", ".pt", ".pth", ".pkl", ".ckpt"}


def test_submitting_twice_at_once_starts_one_process_and_cancelling_ends_it(
    backend: LocalBackend, tmp_path: Path
) -> None:
    job = make_job(tmp_path, "run-3", recipe=ENDLESS)
    backend.submit(job)
    pid = json.loads((job.directory / folder.PROCESS).read_text(encoding="utf-8"))["pid"]
    LocalBackend().submit(job)
    assert json.loads((job.directory / folder.PROCESS).read_text(encoding="utf-8"))["pid"] == pid
    wait(lambda: backend.poll(job).status is JobStatus.RUNNING)
    with pytest.raises(Conflict, match="has no model: it is running"):
        backend.fetch(job)
    with pytest.raises(Conflict, match="cancel it before"):
        backend.delete(job)
    backend.cancel(job)
    progress = ended(backend, job)
    assert progress.status is JobStatus.CANCELLED
    assert progress.reason == "It was stopped before it was done."
    wait(lambda: not launcher.lives(job.directory))
    backend.delete(job)
    assert not job.directory.exists()


def test_a_job_cancelled_before_it_was_submitted_never_starts(backend: LocalBackend, tmp_path: Path) -> None:
    job = make_job(tmp_path, "run-4")
    backend.cancel(job)
    backend.submit(job)
    assert backend.poll(job).status is JobStatus.CANCELLED
    assert not (job.directory / folder.PROCESS).exists()


def test_a_killed_process_is_a_failed_training_with_a_sentence(backend: LocalBackend, tmp_path: Path) -> None:
    job = make_job(tmp_path, "run-5", recipe=ENDLESS)
    backend.submit(job)
    os.kill(json.loads((job.directory / folder.PROCESS).read_text(encoding="utf-8"))["pid"], signal.SIGKILL)
    progress = ended(backend, job)
    assert progress.status is JobStatus.FAILED
    assert progress.reason is not None
    assert progress.reason.startswith("The training process ended without a result")
    # A second submit of a dead run must not train behind the back of whoever saw it fail.
    backend.submit(job)
    assert backend.poll(job).status is JobStatus.FAILED


def test_a_refused_file_fails_with_its_line(backend: LocalBackend, tmp_path: Path) -> None:
    job = make_job(tmp_path, "run-6")
    write_rows(job.train, [{"messages": messages("Hi", "Hello!")}, {"text": "no"}])
    with in_this_process.starting():
        backend.submit(job)
    progress = backend.poll(job)
    assert progress.status is JobStatus.FAILED
    assert progress.reason == "train.jsonl, line 2: not a chat conversation; run `errata check` on the file."


def test_an_evaluation_reports_each_model_and_each_case(backend: LocalBackend, trained: Job, tmp_path: Path) -> None:
    artefact = backend.fetch(trained)
    rows = [
        {
            "id": str(number),
            "kind": "correction",
            "messages": messages(question, "")[:1],
            "expected": reply,
            "flagged": "?",
        }
        for number, (question, reply) in enumerate(REPLIES.items())
    ]
    request = EvaluationRequest(
        "run-1",
        tmp_path / "evaluation",
        artefact.model,
        None,
        artefact.base_model,
        trained.train,
        trained.validation,
        write_rows(tmp_path / "cases.jsonl", rows),
        golden=write_rows(tmp_path / "golden.jsonl", [{"messages": messages("Price?", "9 euros.")}]),
        safety=write_rows(
            tmp_path / "safety.jsonl", [{"id": "greets", "messages": [HI], "check": {"never": ["HELLO"]}}]
        ),
        general=write_rows(tmp_path / "general.jsonl", [{"messages": messages("Hvor?", "Bergen.")}]),
    )
    backend.evaluate(request)
    backend.evaluate(request)
    wait(lambda: backend.poll_evaluation(request).done)
    progress = backend.poll_evaluation(request)
    assert (progress.share, progress.reason) == (1.0, None)
    assert progress.report is not None
    report = Report.from_json(json.loads(progress.report.read_text(encoding="utf-8")))
    assert set(report.validation) == {"candidate", "base"}
    assert report.unigram_perplexity is not None
    assert report.validation["candidate"].perplexity < report.unigram_perplexity < report.validation["base"].perplexity
    assert report.validation["candidate"].supervised_tokens == report.validation["base"].supervised_tokens
    assert (score(report.cases).fixed, score(report.cases).corrections) == (4, 4)
    measured = json.loads(progress.report.read_text(encoding="utf-8"))
    assert_likelier(measured)
    assert_sets(measured["sets"])


def assert_likelier(measured: dict[str, Any]) -> None:
    """The tuned model finds the corrected replies likelier than the flagged ones, and says so in every figure."""
    assert measured["bigram_perplexity"] < measured["unigram_perplexity"]
    losses, fits = measured["losses"], measured["validation"]
    for name in ("candidate", "base"):
        assert math.exp(sum(losses[name]) / sum(losses["tokens"])) == pytest.approx(fits[name]["perplexity"])
    assert losses["kinds"] == ["imported", "imported"]
    for case in measured["cases"]:
        assert case["after_scores"] == {"chrf": 1, "rouge_l": 1, "token_f1": 1, "exact": 1}
        assert case["margins"]["after"] > 1 > case["margins"]["before"] == case["margins"]["base"]
    sane = measured["sanity"]["candidate"]
    assert (sane["replies"], sane["stopped"], sane["empty"], sane["repetitive"]) == (5, 5, 0, 0)
    assert sane["mean_tokens"] == sane["expected_mean_tokens"]
    assert measured["sanity"]["before"]["stopped"] < 5
    assert measured["left_out"] == {"validation": 0, "cases": 0}


def assert_sets(sets: dict[str, Any]) -> None:
    """A golden exchange learned, a greeting that was forbidden, a fact that was overwritten."""
    assert [case["right_after"] for case in sets["golden"]["cases"]] == [True]
    (greeted,) = sets["safety"]["cases"]
    assert (greeted["before_findings"], greeted["after_findings"]) == ([], ["said"])
    assert (sets["general"]["rows"], len(sets["general"]["before"]), sets["general"]["left_out"]) == (1, 1, 0)


def test_a_deployed_model_answers_what_it_learned(backend: LocalBackend, served: tuple[Path, Endpoint]) -> None:
    assert backend.probe(served[1], PROBE) == "9 euros."


def test_a_live_endpoint_is_reused_and_never_given_another_model(
    backend: LocalBackend, trained: Job, served: tuple[Path, Endpoint]
) -> None:
    directory, endpoint = served
    assert backend.deploy(backend.fetch(trained), directory, "errata-tiny") == endpoint
    with pytest.raises(Conflict, match="serves errata-tiny; undeploy it before other"):
        backend.deploy(backend.fetch(trained), directory, "other")


def test_the_endpoint_lists_its_model_and_refuses_other_paths(served: tuple[Path, Endpoint]) -> None:
    assert [row["id"] for row in httpx.get(f"{served[1].url}/models", timeout=30).json()["data"]] == ["errata-tiny"]
    assert "is not served here" in httpx.get(f"{served[1].url}/embeddings", timeout=30).json()["error"]["message"]


def test_a_model_that_cannot_be_loaded_is_a_sentence_and_not_a_timeout(backend: LocalBackend, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    artefact = Artefact(tmp_path / "nothing", None, tmp_path)
    with pytest.raises(Unavailable, match=r"did not start: .* holds no model\. Give a checkpoint's folder"):
        backend.deploy(artefact, tmp_path / "endpoint", "errata-tiny")


def test_errata_as_the_assistant_is_answered_by_it_and_hears_that_a_thread_is_too_long(
    served: tuple[Path, Endpoint],
) -> None:
    at = AssistantsEndpoint(served[1].url, served[1].model, window=128)
    assert examine(at) == "It answers and has errata-tiny."
    with asking(at, PROBE) as answer:
        assert "".join(answer.pieces) == "9 euros."
    assert (answer.model, answer.finish_reason) == ("errata-tiny", "stop")
    long = Conversation((Message(Role.USER, "Price? " * 400),))
    with pytest.raises(EndpointTrouble) as refused, asking(at, long):
        pass
    assert refused.value.too_long


def test_an_endpoint_that_hangs_counts_as_dead_in_the_end_and_is_put_up_again_at_its_former_address(
    trained: Job, served: tuple[Path, Endpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, endpoint = served
    # Whoever sends requests through a proxy does not send customers' words to it.
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    backend = LocalBackend(standing=Standing(patience_seconds=3))
    assert not backend.died(directory, "errata-tiny")
    os.kill(endpoint.pid, signal.SIGSTOP)
    assert not backend.died(directory, "errata-tiny")
    assert not LocalBackend().died(directory, "errata-tiny")
    wait(lambda: backend.died(directory, "errata-tiny"))
    again = backend.deploy(backend.fetch(trained), directory, "errata-tiny")
    assert (again.url, again.pid != endpoint.pid) == (endpoint.url, True)
    assert not backend.died(directory, "errata-tiny")
    assert backend.probe(again, PROBE) == "9 euros."


def test_somebody_else_at_the_address_is_no_answer(backend: LocalBackend) -> None:
    class Other(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200 if self.path.endswith("classify") else 404)
            self.end_headers()
            self.wfile.write(b'{"results": []}')

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        endpoint = Endpoint(f"http://127.0.0.1:{server.server_port}/v1", 1, "errata-tiny")
        for ask in (lambda: backend.probe(endpoint, PROBE), lambda: backend.classify(endpoint, [PROBE])):
            with pytest.raises(Unavailable, match="does not answer; deploy it again"):
                ask()
        server.shutdown()
