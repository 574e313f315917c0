"""Fine-tuning as a service, against the sandbox: what is sent, what gets lost, and what a provider may do to a job.

Trainings are simulated here; ``test_backends_alike`` really trains.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from datetime import timedelta
from itertools import pairwise

import pytest
from managed_project import Project, written

from curation.errors import Conflict
from training.backends.base import Base, CurvePoint, JobStatus
from training.backends.errors import Refused, Unreached
from training.backends.foundry.access.apart import kept_apart
from training.backends.foundry.looks import Looks
from training.backends.foundry.managed import hosting
from training.sandbox import described
from training.sandbox.toys import Fate, Toys

FAILED = (
    "Azure ended the training as Failed; its logs are in Azure AI Foundry under the job {run}. Resume the run to train "
    "again."
)


def test_every_body_that_is_sent_is_as_microsoft_describes_it(project: Project) -> None:
    job = project.completed()
    project.deployed(job)
    project.backend.filter(project.directory(job), on=False)
    project.gone(job)
    project.backend.delete(job)
    seen: dict[str, list[str]] = {}
    for one in project.azure.requests:
        if (body := described.found(one.method, one.host, one.path)) is not None:
            seen.setdefault(body.kind, []).extend(body.wrong(one.body))
    assert seen == {
        "DataVersionBaseResource": [],
        "JobBaseResource": [],
        "ServerlessEndpointTrackedResource": [],
        "ModelVersionResource": [],
    }
    assert not [one for one in project.azure.requests if one.status == 400]


def test_a_job_says_what_is_tuned_on_what_and_how(project: Project) -> None:
    job = project.job()
    project.backend.submit(job)
    (body,) = [one["properties"] for one in project.asked("PUT", f"/jobs/{job.run_id}")]
    details = body["fineTuningDetails"]
    assert (body["jobType"], details["modelProvider"], details["taskType"]) == (
        "FineTuning",
        "Custom",
        "ChatCompletion",
    )
    assert details["model"]["uri"].startswith("azureml://registries/azureml/models/Phi-4-mini-instruct/versions/")
    assert details["hyperParameters"] == {"learning_rate": "0.0001", "num_train_epochs": "3"}
    assert details["trainingData"]["uri"] != details["validationData"]["uri"]
    assert body["outputs"]["registered_model"]["assetName"] == job.run_id
    assert body["tags"]["errata.run"] == job.run_id
    assert not [name for name in body["properties"] if name.startswith("mlflow.source.git")]


def test_the_same_bytes_are_uploaded_once_with_a_byte_order_mark(project: Project) -> None:
    first, second = project.job(), project.job()
    project.backend.submit(first)
    project.azure.forget_requests()
    project.backend.submit(second)
    assert not [one for one in project.azure.requests if ".blob." in one.host]
    uploaded = list(project.azure.cloud.blobs.rglob("rows.jsonl"))
    assert [path.read_bytes().startswith(b"\xef\xbb\xbf{") for path in uploaded] == [True, True]  # a side each
    assert not list(first.directory.glob("*.jsonl"))


def test_a_lost_answer_to_the_submission_never_starts_a_second_job(project: Project) -> None:
    job = project.job()
    project.azure.fail_next(f"PUT .*/jobs/{job.run_id}", "drop", times=-1)
    project.backend.submit(job)
    assert project.backend.poll(job).status is JobStatus.QUEUED
    project.azure.clear_faults()
    project.backend.submit(job)
    project.another().submit(job)
    assert project.started(job) == [job.run_id]
    assert project.ended(job).status is JobStatus.COMPLETED


def test_a_job_that_cannot_be_handed_over_waits_and_is_given_up_after_an_hour(project: Project) -> None:
    job = project.job()
    project.azure.fail_next("/jobs/", 503, times=-1, retry_after=0.01)
    project.backend.submit(job)
    assert project.backend.poll(job).status is JobStatus.QUEUED
    project.now += hosting.PATIENCE + timedelta(minutes=1)
    with pytest.raises(Unreached):
        project.backend.submit(job)
    assert project.started(job) == []


def test_who_is_killed_between_any_two_effects_of_a_submission_trains_once(project: Project) -> None:
    for step in ("PUT .*blob", "PUT .*/workspaces/.*/data/", "PUT .*/jobs/"):
        job = project.job()
        written(job.train, 12, f"Do you deliver to {step}?")
        project.azure.fail_next(step, 403, times=1)
        with pytest.raises(Refused):
            project.backend.submit(job)
        project.another().submit(job)
        assert project.started(job) == [job.run_id], step


def test_a_dataset_that_another_run_uploads_at_this_moment_is_waited_for(project: Project) -> None:
    job = project.job()
    written(job.train, 12, "Do you deliver the same things at the same time?")
    project.azure.fail_next("PUT .*blob", 409, code="BlobAlreadyExists")
    project.backend.submit(job)
    assert project.backend.poll(job).status is JobStatus.QUEUED
    assert project.started(job) == []
    project.backend.submit(job)
    assert project.started(job) == [job.run_id]


def test_what_a_worker_asks_of_azure_ml_happens_in_a_process_that_may_be_killed_and_ends_by_itself(
    project: Project,
) -> None:
    project.azure.cloud.part(Toys).fates = [Fate("Slow", seconds=600)]
    job, end = project.job(), time.monotonic() + 60
    written(job.train, 12, "Do you deliver to whoever is killed on the way?")

    def kill() -> None:
        """Once the data are there; the job is on its way, or will be."""
        while not project.asked("PUT", "/versions/") and time.monotonic() < end:
            time.sleep(0.01)
        assert room.pid is not None
        os.kill(room.pid, signal.SIGKILL)

    def gone() -> bool:
        while room.pid is not None and time.monotonic() < end:
            time.sleep(0.05)
        return room.pid is None

    with kept_apart(idle_seconds=0.3) as room:
        project.azure.fail_next("PUT .*/jobs/", "slow", seconds=0.5)
        killing = threading.Thread(target=kill)
        killing.start()
        project.backend.submit(job)
        killing.join()
        assert project.backend.poll(job).status is JobStatus.QUEUED
        assert not json.loads((job.directory / "remote.json").read_text())["created"]
        project.backend.submit(job)
        assert project.started(job) == [job.run_id]
        assert json.loads((job.directory / "remote.json").read_text())["data"].keys() == {"train", "validation"}
        assert gone()
        with pytest.raises(Refused, match="There is no model phi-9-huge in Azure's registry"):
            project.backend.submit(project.job(base=Base("service", name="phi-9-huge")))
        project.backend.cancel(job)
    assert project.ended(job).reason == "It was stopped before it was done."
    assert project.started(job) == [job.run_id]
    with pytest.raises(Unreached):
        room.call("training.backends.foundry.managed.tuning", "archive", (project.place, job.run_id))


def test_a_job_whose_folder_is_lost_is_found_by_its_name(project: Project) -> None:
    job = project.job()
    project.backend.submit(job)
    (job.directory / "remote.json").unlink()
    later = project.another()
    later.submit(job)
    assert later.poll(job).status in {JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.COMPLETED}
    assert project.started(job) == [job.run_id]


def test_an_expired_token_is_not_the_end_of_a_training(project: Project) -> None:
    project.azure.cloud.part(Toys).fates = [Fate("Slow", seconds=600)]
    job = project.job()
    project.backend.submit(job)
    project.backend.poll(job)
    project.azure.fail_next("GET .*/jobs/", 401, times=1)
    assert project.backend.poll(job).status is JobStatus.QUEUED
    project.azure.cloud.expire_tokens()
    for _ in range(3):
        assert project.backend.poll(job).status is JobStatus.QUEUED
    assert project.azure.requests[-1].status == 200
    project.backend.cancel(job)


def test_who_cannot_be_asked_leaves_the_training_as_it_was_and_says_so_after_a_while(project: Project) -> None:
    project.azure.cloud.part(Toys).fates = [Fate("NotResponding")]
    job = project.job()
    project.backend.submit(job)
    while project.backend.poll(job).status is not JobStatus.RUNNING:
        pass
    link = project.backend.poll(job).link
    project.azure.fail_next("/jobs/", 403, times=-1)
    assert project.backend.poll(job).link == link
    project.now += timedelta(minutes=20)
    seen = project.backend.poll(job)
    assert seen.status is JobStatus.RUNNING
    assert seen.notes[0].startswith("Nobody has known for 20 minutes how the training stands; it goes on at Azure.")
    project.azure.clear_faults()
    assert not project.backend.poll(job).notes[0].startswith("Nobody")


def test_a_job_that_does_not_respond_goes_on_with_a_note(project: Project) -> None:
    project.azure.cloud.part(Toys).fates = [Fate("NotResponding")]
    job = project.job()
    project.backend.submit(job)
    seen = [project.backend.poll(job) for _ in range(6)][-1]
    assert seen.status is JobStatus.RUNNING
    assert seen.notes[-1] == "Azure says that the job does not respond at the moment; it is waited for."
    assert str(seen.link).startswith("https://ml.azure.com/")


@pytest.mark.parametrize(
    ("fate", "status", "reason"),
    [
        (Fate("Canceled"), JobStatus.CANCELLED, "Azure has cancelled the training."),
        (
            Fate("Failed", "Node 10.0.0.7 lost a customer's words."),
            JobStatus.FAILED,
            FAILED,
        ),
    ],
    ids=["cancelled", "failed"],
)
def test_a_job_that_its_provider_ends_is_told_and_can_be_resumed_as_another_one(
    project: Project, fate: Fate, status: JobStatus, reason: str
) -> None:
    project.azure.cloud.part(Toys).fates = [fate]
    job = project.job()
    project.backend.submit(job)
    seen = project.ended(job)
    assert (seen.status, seen.reason) == (status, reason.format(run=job.run_id))
    project.backend.resume(job)
    project.backend.resume(job)
    assert project.ended(job).status is JobStatus.COMPLETED
    assert project.started(job) == [job.run_id, f"{job.run_id}-2"]
    assert str(project.backend.fetch(job).registered).endswith(f"/models/{job.run_id}-2/versions/1")
    with pytest.raises(Conflict):
        project.backend.resume(job)


def test_who_cancels_stops_the_job_there_even_where_its_answer_was_lost(project: Project) -> None:
    project.azure.cloud.part(Toys).fates = [Fate("Slow", seconds=600)]
    job = project.job()
    project.backend.submit(job)
    state = json.loads((job.directory / "remote.json").read_text())
    (job.directory / "remote.json").write_text(json.dumps(state | {"created": False}))  # as before the answer
    project.another().cancel(job)
    assert project.ended(job).reason == "It was stopped before it was done."
    assert len(project.asked("POST", f"/jobs/{job.run_id}/cancel")) == 1


def test_another_run_goes_on_from_the_model_that_a_run_has_registered(project: Project) -> None:
    registered = str(project.backend.fetch(project.completed()).registered)
    job = project.job(base=Base("service", name=registered))
    assert project.backend.preflight(job)[0].rule == "foundry.recipe"
    project.backend.submit(job)
    body = project.asked("PUT", f"/jobs/{job.run_id}")[0]
    assert body["properties"]["fineTuningDetails"]["model"]["uri"] == registered


def test_of_a_long_training_some_hundred_points_and_the_newest_are_kept(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged = tuple(CurvePoint(step, 3.0 / step, 3.5 if step % 1000 == 0 else None, 0.0) for step in range(1, 5001))
    monkeypatch.setattr(Toys, "curve", lambda _self, _tuning: logged)
    project.azure.cloud.part(Toys).fates = [Fate("NotResponding")]
    job = project.job()
    project.backend.submit(job)
    seen = [project.backend.poll(job) for _ in range(5)][-1]
    assert (seen.step, seen.curve[0].step, seen.curve[-1].step) == (5000, 1, 5000)
    assert 300 < len(seen.curve) <= 401
    assert [one.validation_loss for one in seen.curve if one.validation_loss is not None] == [3.5] * 5
    assert project.another().poll(job).curve == seen.curve
    project.backend.cancel(job)


def test_a_day_of_watching_asks_once_a_minute_at_most(project: Project) -> None:
    """Once a second somebody wants to know; what is asked of Azure comes further and further apart."""
    project.azure.cloud.part(Toys).fates = [Fate("Slow", seconds=10**6)]
    job, clock = project.job(), [0.0]
    backend = project.another(Looks(lambda: clock[0]))
    backend.submit(job)
    project.azure.forget_requests()
    asked: list[float] = []
    for second in range(1200):
        clock[0] = float(second)
        before = len(project.azure.requests)
        assert backend.poll(job).status is JobStatus.QUEUED
        asked += [clock[0]] * (len(project.azure.requests) > before)
    pauses = [later - earlier for earlier, later in pairwise(asked)]
    assert pauses[0] == 5
    assert pauses == sorted(pauses)
    assert pauses[-8:] == [60] * 8
    looks, times = Looks(lambda: clock[0]), 0
    for second in range(24 * 3600):
        clock[0] = float(second)
        times += looks.due("a job")
    assert 24 * 60 <= times <= 24 * 60 + 12
    project.backend.cancel(job)
