"""The backend over the openai SDK keeps its promises: the real SDK, a stand-in for Azure, nothing started twice."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from account_jobs import MODEL, SECONDS, SECRET, SERVICE, Hands, ended, kept, made, make_job, sent, submitted

from curation.errors import Conflict, Unavailable
from training.backends.base import Artefact, CurvePoint, Endpoint, Job, JobStatus, Progress
from training.backends.errors import Unreached
from training.backends.foundry.access.clients import openai_client
from training.backends.foundry.access.credentials import COGNITIVE_SCOPE, fetch_token
from training.backends.foundry.account.backend import OpenAIBackend
from training.backends.foundry.looks import Looks
from training.hyperparameters import Recipe, Service, TrainingTier
from training.recipe import load_recipe
from training.sandbox.azure import AzureSandbox
from training.sandbox.cloud import Pace
from training.sandbox.openai_jobs import TuningJobs
from training.sandbox.openai_service import Account
from training.sandbox.toys import Fate, Toys

PREFERENCE = load_recipe("service-preference")

JOBS = r"POST .*/fine_tuning/jobs$"

FILES = r"POST .*/files$"


@pytest.mark.parametrize(
    ("recipe", "method"),
    [
        (SERVICE, {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 3}}}),
        (PREFERENCE, {"type": "dpo", "dpo": {"hyperparameters": {"n_epochs": 1, "beta": 0.1}}}),
        (
            replace(SERVICE, service=Service(TrainingTier.GLOBAL, batch_size=4, learning_rate_multiplier=0.5)),
            {
                "type": "supervised",
                "supervised": {"hyperparameters": {"n_epochs": 3, "batch_size": 4, "learning_rate_multiplier": 0.5}},
            },
        ),
    ],
    ids=["replies", "preferences", "everything said"],
)
def test_a_job_says_what_the_official_description_allows_and_always_its_training_type(
    azure: AzureSandbox, backend: OpenAIBackend, tmp_path: Path, recipe: Recipe, method: dict[str, Any]
) -> None:
    job = submitted(backend, make_job(tmp_path, f"run-1{recipe.epochs}{len(json.dumps(method)):06x}", recipe))
    (body,) = sent(azure, "POST", "/fine_tuning/jobs")
    (status,) = [one.status for one in azure.requests if one.body == body]
    assert status == 201  # the sandbox refuses what the description does not allow
    files = kept(job)["files"]
    assert body == {
        "model": MODEL,
        "training_file": files["train"],
        "validation_file": files["validation"],
        "suffix": job.run_id,
        "seed": 42,
        "method": method,
        "trainingType": "GlobalStandard" if recipe.service == Service(TrainingTier.GLOBAL, 4, 0.5) else "Standard",
    }


def test_a_run_is_queued_until_it_is_submitted_then_runs_then_has_a_model(
    azure: AzureSandbox, backend: OpenAIBackend, clock: Hands, tmp_path: Path
) -> None:
    job = make_job(tmp_path, "run-20000001")
    assert backend.poll(job) == Progress(JobStatus.QUEUED)
    assert azure.requests == []
    with pytest.raises(Conflict, match="run-20000001 has no model: it is queued"):
        backend.fetch(job)
    submitted(backend, job)
    progress = ended(backend, job, clock)
    assert progress.status is JobStatus.COMPLETED
    assert progress.link is not None
    assert progress.link.endswith(f"/accounts/{azure.names.account}")
    artefact = backend.fetch(job)
    assert artefact.registered is not None
    assert artefact.registered.endswith("run-20000001")
    assert (artefact.model, artefact.service) == (None, SERVICE.service)


def test_what_has_ended_is_known_after_a_restart_without_asking(
    azure: AzureSandbox, clock: Hands, trained: tuple[Job, Artefact]
) -> None:
    job, artefact = trained
    restarted = made(azure, clock)
    assert restarted.fetch(job) == artefact
    assert azure.requests == []
    restarted.cancel(job)
    assert restarted.poll(job).status is JobStatus.COMPLETED
    with pytest.raises(Conflict, match="completed: there is nothing to go on with"):
        restarted.resume(job)


@pytest.mark.parametrize(("lost", "drops"), [(JOBS, 1), (FILES, 1), (FILES, 2)], ids=["job", "file", "both files"])
def test_a_retry_after_an_answer_that_was_lost_starts_no_second_job_and_sends_no_file_twice(
    azure: AzureSandbox, clock: Hands, tmp_path: Path, lost: str, drops: int
) -> None:
    azure.fail_next(lost, "drop", times=drops)
    job = make_job(tmp_path, f"run-3{len(lost):05x}{drops:02x}")
    for _ in range(6):
        made(azure, clock).submit(job)  # each after a restart
    assert len(sent(azure, "POST", "/files")) == 2
    assert len(sent(azure, "POST", "/fine_tuning/jobs")) == 1
    assert kept(job)["job"] is not None


def test_a_folder_that_was_lost_finds_its_job_again(
    azure: AzureSandbox, backend: OpenAIBackend, tmp_path: Path
) -> None:
    job = submitted(backend, make_job(tmp_path, "run-40000001"))
    first = kept(job)["job"]
    (job.directory / "remote.json").unlink()
    submitted(backend, job)
    assert kept(job)["job"] == first
    assert len(sent(azure, "POST", "/fine_tuning/jobs")) == 1


def test_a_provider_that_does_not_answer_is_no_failure_of_the_run(
    azure: AzureSandbox, clock: Hands, tmp_path: Path
) -> None:
    job = make_job(tmp_path, "run-50000001")
    azure.fail_next(r"/openai/v1/", 503, times=5, retry_after=0.01)
    made(azure, clock).submit(job)
    assert made(azure, clock).poll(job).status is JobStatus.QUEUED
    azure.clear_faults()
    submitted(made(azure, clock), job)
    azure.fail_next(r"GET .*/fine_tuning/jobs/", 401, code="PermissionDenied")
    assert made(azure, clock).poll(job).status is JobStatus.QUEUED
    assert ended(made(azure, clock), job, clock).status is JobStatus.COMPLETED


def test_tokens_that_expire_while_it_trains_are_renewed(clock: Hands, tmp_path: Path) -> None:
    with (
        AzureSandbox(tmp_path / "azure", clock=lambda: clock.now, pace=Pace(token_seconds=120)) as azure,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in azure.environ().items():
            patch.setenv(name, value)
        azure.cloud.part(Toys).trains, azure.cloud.part(Toys).seconds = False, 1000
        backend = made(azure, clock)
        job = submitted(backend, make_job(tmp_path, "run-50000003"))
        clock.move(500)
        assert backend.poll(job).status is JobStatus.RUNNING
        clock.move(1000)
        assert ended(backend, job, clock).status is JobStatus.COMPLETED
        assert 401 not in {one.status for one in azure.requests}


def test_a_job_that_is_gone_at_its_provider_has_failed_and_can_be_trained_anew(
    azure: AzureSandbox, backend: OpenAIBackend, clock: Hands, tmp_path: Path
) -> None:
    job = submitted(backend, make_job(tmp_path, "run-50000004"))
    del azure.cloud.part(TuningJobs).by_id[kept(job)["job"]]
    progress = ended(backend, job, clock)
    assert progress.status is JobStatus.FAILED
    assert str(progress.reason).endswith("resume the run to train anew.")
    backend.resume(job)
    submitted(backend, job)
    assert ended(backend, job, clock).status is JobStatus.COMPLETED


def test_the_curve_of_a_completed_job_is_that_of_its_results_file(
    azure: AzureSandbox, backend: OpenAIBackend, clock: Hands, tmp_path: Path
) -> None:
    job = submitted(backend, make_job(tmp_path, "run-50000005"))
    table = b"step,train_loss,train_mean_token_accuracy,valid_loss\n1,0.9,0.5,\n2,0.7,0.6,0.8\n"
    file = azure.cloud.part(Account).add(azure.cloud, "results.csv", "fine-tune-results", table)
    azure.cloud.part(TuningJobs).by_id[kept(job)["job"]].results = [file.id]
    progress = ended(backend, job, clock)
    assert progress.curve == (CurvePoint(1, 0.9, None, 0.0), CurvePoint(2, 0.7, 0.8, 0.0))
    assert (progress.step, progress.steps, progress.eta_seconds) == (2, 2, None)
    assert made(azure, clock).poll(job) == progress


def test_a_refusal_of_the_job_is_the_run_s_end_with_the_command_that_mends_it(
    azure: AzureSandbox, backend: OpenAIBackend, tmp_path: Path
) -> None:
    azure.fail_next(JOBS, 400, code="invalidPayload", message="The specified base model does not support fine-tuning.")
    job = make_job(tmp_path, "run-50000002")
    with pytest.raises(Unavailable, match="az cognitiveservices account list-models --name errata-ai"):
        submitted(backend, job)


def test_a_cancelled_job_is_cancelled_there_and_here(
    azure: AzureSandbox, backend: OpenAIBackend, clock: Hands, tmp_path: Path
) -> None:
    job = submitted(backend, make_job(tmp_path, "run-60000001"))
    backend.cancel(job)
    progress = ended(backend, job, clock)
    assert (progress.status, progress.reason) == (JobStatus.CANCELLED, "It was stopped before it was done.")
    assert len(sent(azure, "POST", f"/fine_tuning/jobs/{kept(job)['job']}/cancel")) == 1


def test_what_was_cancelled_before_it_was_submitted_never_starts(
    azure: AzureSandbox, backend: OpenAIBackend, tmp_path: Path
) -> None:
    job = make_job(tmp_path, "run-60000002")
    backend.cancel(job)
    backend.submit(job)
    assert backend.poll(job).status is JobStatus.CANCELLED
    assert not [one for one in azure.requests if one.method != "GET"]


def test_a_job_whose_beginning_nobody_heard_of_is_cancelled_as_well(
    azure: AzureSandbox, clock: Hands, tmp_path: Path
) -> None:
    azure.fail_next(JOBS, "drop")
    job = make_job(tmp_path, "run-60000003")
    for _ in range(3):
        if not sent(azure, "POST", "/fine_tuning/jobs"):
            made(azure, clock).submit(job)
    assert kept(job)["job"] is None
    azure.fail_next("GET .*/fine_tuning/jobs$", "close")
    with pytest.raises(Unreached):
        made(azure, clock).cancel(job)
    azure.clear_faults()
    made(azure, clock).cancel(job)
    assert len(sent(azure, "POST", f"/fine_tuning/jobs/{kept(job)['job']}/cancel")) == 1
    assert ended(made(azure, clock), job, clock).status is JobStatus.CANCELLED


def test_a_failure_is_told_without_the_provider_s_words_and_trained_anew_under_another_name(
    azure: AzureSandbox, backend: OpenAIBackend, clock: Hands, tmp_path: Path
) -> None:
    azure.cloud.part(Toys).fates.append(Fate("Failed", SECRET))
    job = submitted(backend, make_job(tmp_path, "run-70000001"))
    progress = ended(backend, job, clock)
    assert progress.status is JobStatus.FAILED
    assert progress.reason is not None
    assert "The provider" in progress.reason
    assert "Kari" not in progress.reason
    former = kept(job)
    backend.resume(job)
    backend.resume(job)  # as after a crash
    submitted(backend, job)
    assert [body["suffix"] for body in sent(azure, "POST", "/fine_tuning/jobs")] == ["run-70000001", "run-70000001-2"]
    assert kept(job)["job"] != former["job"]
    assert ended(backend, job, clock).status is JobStatus.COMPLETED
    backend.delete(job)
    assert {*former["files"].values()} <= {
        one.path.rpartition("/")[2] for one in azure.requests if one.method == "DELETE"
    }


def test_a_job_that_its_provider_cancels_says_so(
    azure: AzureSandbox, backend: OpenAIBackend, clock: Hands, tmp_path: Path
) -> None:
    azure.cloud.part(Toys).fates.append(Fate("Canceled"))
    job = submitted(backend, make_job(tmp_path, "run-70000002"))
    progress = ended(backend, job, clock)
    assert (progress.status, progress.reason) == (JobStatus.CANCELLED, "The job was cancelled at its provider.")


def test_a_job_that_somebody_pauses_stops_the_run_and_goes_on_with_it(
    azure: AzureSandbox, backend: OpenAIBackend, clock: Hands, tmp_path: Path
) -> None:
    job = submitted(backend, make_job(tmp_path, "run-80000001"))
    one = kept(job)["job"]
    clock.move(SECONDS / 3)
    assert backend.poll(job).status is JobStatus.RUNNING
    openai_client(backend.place).fine_tuning.jobs.pause(one)
    progress = ended(backend, job, clock)
    assert (progress.status, progress.reason) == (JobStatus.CANCELLED, "The job was paused at its provider.")
    backend.resume(job)
    assert ended(backend, job, clock).status is JobStatus.COMPLETED
    assert kept(job)["job"] == one
    assert len(sent(azure, "POST", "/fine_tuning/jobs")) == 1


def test_between_two_looks_nothing_is_asked(azure: AzureSandbox, clock: Hands, tmp_path: Path) -> None:
    seconds = [0.0]
    backend = made(azure, clock, Looks(lambda: seconds[0]))
    job = make_job(tmp_path, "run-80000002")
    for _ in range(5):
        backend.submit(job)
        seconds[0] += 60
    azure.forget_requests()
    for _ in range(100):
        backend.submit(job)
        backend.poll(job)
    assert len(sent(azure, "GET", f"/fine_tuning/jobs/{kept(job)['job']}")) == 1


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"rows": 9}, "The dataset has 9 rows to train on; the service takes 10 or more."),
        ({"model": "gpt-9"}, "The account errata-ai in eastus2 offers no model gpt-9."),
        ({"recipe": load_recipe("phi-topic")}, "The backend openai teaches replies and preferences, not labels."),
    ],
    ids=["too few", "unknown model", "labels"],
)
def test_what_the_provider_would_refuse_is_found_before_anything_is_uploaded(
    azure: AzureSandbox, backend: OpenAIBackend, tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    job = make_job(tmp_path, "run-90000001", **changes)
    assert [finding.message for finding in backend.preflight(job)] == [sentence]
    assert sent(azure, "POST", "/files") == []


@pytest.mark.parametrize(("tier", "region"), [("standard", "eastus2"), ("global", "global"), ("developer", "global")])
def test_where_the_data_go_depends_on_the_training_type(
    backend: OpenAIBackend, tmp_path: Path, tier: str, region: str
) -> None:
    recipe = replace(SERVICE, service=Service(TrainingTier(tier)))
    assert backend.destination(make_job(tmp_path, "run-90000003", recipe)) == region


def test_a_good_job_has_nothing_in_its_way(backend: OpenAIBackend, tmp_path: Path) -> None:
    assert backend.preflight(make_job(tmp_path, "run-90000002")) == []


def test_neither_a_token_nor_a_customer_s_words_stay_anywhere(
    azure: AzureSandbox, clock: Hands, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    backend = made(azure, clock)
    azure.cloud.part(Toys).fates.append(Fate("Failed", SECRET))
    azure.fail_next(JOBS, 503, message=SECRET)
    job = submitted(backend, make_job(tmp_path, "run-d0000001"))
    progress = ended(backend, job, clock)
    token = fetch_token(COGNITIVE_SCOPE)
    assert backend.key_of(Endpoint("https://x/openai/v1", None, "x")) == token
    words = [path.read_text(encoding="utf-8") for path in job.directory.rglob("*") if path.is_file()]
    for text in (*words, caplog.text, repr(progress), repr(backend.place)):
        assert token not in text
        assert "Kari" not in text
        assert azure.names.secret not in text
