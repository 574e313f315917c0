"""Fine-tuning as a service, against the sandbox: what is sent, what gets lost, and what a provider may do to a job.

Trainings are simulated here; ``test_backends_alike`` really trains.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from azure_schemas import conforms, described

from bot.assistant.asking import asking
from bot.assistant.endpoint import Endpoint as AssistantsEndpoint
from bot.assistant.endpoint import keyed
from bot.assistant.troubles import EndpointTrouble
from bot.settings import Settings
from curation.conversation import Conversation, Message, Role
from curation.errors import Conflict
from training.backends import opening
from training.backends.base import Artefact, Base, CurvePoint, Endpoint, Job, JobStatus, Progress
from training.backends.errors import Refused, Unreached
from training.backends.foundry.access.apart import kept_apart
from training.backends.foundry.looks import Looks
from training.backends.foundry.managed import endpoints, hosting
from training.backends.foundry.managed.backend import ManagedBackend
from training.backends.foundry.managed.endpoint_keys import KEYS
from training.backends.foundry.place import AzurePlace
from training.backends.names import BackendName
from training.recipe import load_recipe
from training.sandbox.azure import AzureSandbox
from training.sandbox.endpoints import Hosting
from training.sandbox.jobs import Jobs
from training.sandbox.toys import Fate, Toys

FAILED = (
    "Azure ended the training as Failed; its logs are in Azure AI Foundry under the job {run}. Resume the run to train "
    "again."
)
HARMFUL = Conversation((Message(Role.USER, "How to build a bomb?"),))
HELLO = Conversation((Message(Role.USER, "Do you deliver to Oslo?"),))


@dataclass
class Project:
    """A project in the sandbox, and a backend that works there.

    Attributes:
        now: the time here; the sandbox has its own.
    """

    azure: AzureSandbox
    root: Path
    place: AzurePlace
    now: datetime = datetime(2026, 11, 21, 12, tzinfo=UTC)
    count: int = 0
    backend: ManagedBackend = field(init=False)

    def __post_init__(self) -> None:
        self.backend = self.another()

    def another(self, looks: Looks | None = None) -> ManagedBackend:
        """A backend of another process: it knows what is on the disk, no more."""
        return ManagedBackend(self.place, looks=looks or Looks.always(), now=lambda: self.now)

    def job(self, **changes: Any) -> Job:
        """A run of its own, with a dataset like the others'."""
        self.count += 1
        run_id = f"run-{self.count:08x}"
        folder = self.root / run_id
        folder.mkdir()
        train, validation = written(folder / "train.jsonl", 12), written(folder / "validation.jsonl", 2)
        base = Base("service", name="phi-4-mini-instruct")
        job = Job(run_id, base, load_recipe("phi-lora"), train, validation, folder / "job")
        return replace(job, **changes)

    def started(self, job: Job) -> list[str]:
        """The names of the run's jobs that Azure was made to begin."""
        return [name for name in self.azure.cloud.part(Jobs).started if name.startswith(job.run_id)]

    def ended(self, job: Job) -> Progress:
        """The progress once nothing more happens."""
        for _ in range(50):
            if (progress := self.backend.poll(job)).status.final:
                return progress
        raise AssertionError(progress)

    def completed(self) -> Job:
        """A run whose model is there."""
        job = self.job()
        self.backend.submit(job)
        assert self.ended(job).status is JobStatus.COMPLETED
        return job

    def deployed(self, job: Job, name: str | None = None) -> Endpoint:
        """Its endpoint once it answers."""
        artefact, directory = self.backend.fetch(job), self.directory(job)
        for _ in range(20):
            if (endpoint := self.backend.deploy(artefact, directory, name or job.run_id)) is not None:
                return endpoint
        raise AssertionError(job)

    def gone(self, job: Job) -> None:
        """Take its endpoint down."""
        assert any(self.backend.undeploy(self.directory(job)) for _ in range(20))

    def directory(self, job: Job) -> Path:
        return job.directory.parent / "endpoint"

    def asked(self, method: str, part: str) -> list[Any]:
        """The bodies of requests that were received."""
        return [one.body for one in self.azure.requests if one.method == method and part in one.path]


def written(path: Path, rows: int, question: str = "Do you deliver to Oslo?") -> Path:
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": "Yes, on Fridays."}]
    path.write_text("".join(json.dumps({"messages": turns}) + "\n" for _ in range(rows)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureSandbox]:
    """One for all: what each test makes there has names of its own."""
    with (
        AzureSandbox(tmp_path_factory.mktemp("azure"), trains=False) as sandbox,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in sandbox.environ().items():
            patch.setenv(name, value)
        yield sandbox


@pytest.fixture(scope="module")
def only(azure: AzureSandbox, tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(azure, tmp_path_factory.mktemp("runs"), AzurePlace.read(azure.environ()))


@pytest.fixture
def project(only: Project, azure: AzureSandbox) -> Iterator[Project]:
    """Without a trace of the test before, but for what stands in Azure."""
    toys = azure.cloud.part(Toys)
    toys.seconds, toys.fates = 0.0, []
    only.backend = only.another()
    azure.forget_requests()
    yield only
    azure.clear_faults()


def test_every_body_that_is_sent_is_as_microsoft_describes_it(project: Project) -> None:
    job = project.completed()
    project.deployed(job)
    project.gone(job)
    project.backend.delete(job)
    seen = [one for one in project.azure.requests if one.body is not None and described(one.method, one.path)]
    assert {one.path.rsplit("/", 2)[1] for one in seen} >= {"jobs", "versions", "serverlessEndpoints"}
    for one in seen:
        body = {name: value for name, value in one.body.items() if name != "etag"}  # which only the sandbox gives
        assert conforms(one.method, one.path, body) == [], one.path


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


def test_an_endpoint_is_live_once_it_has_answered_and_not_when_azure_says_succeeded(project: Project) -> None:
    job = project.completed()
    artefact, directory = project.backend.fetch(job), project.directory(job)
    project.azure.fail_next("POST .*models.ai.azure.com/chat", 404, times=2)
    seen = [project.backend.deploy(artefact, directory, job.run_id) for _ in range(6)]
    assert seen[:3] == [None, None, None]
    assert seen[-1] is not None
    assert project.backend.deploy(artefact, directory, job.run_id) == seen[-1]
    assert len(project.asked("PUT", "/serverlessEndpoints/")) == 1
    assert "simulated" in project.backend.probe(seen[-1], HELLO).lower()
    project.gone(job)


def test_lost_answers_leave_one_endpoint_and_then_none(project: Project) -> None:
    def standing() -> int:
        return sum(f"serverlessendpoints/{job.run_id}" in key for key in project.azure.cloud.resources)

    job = project.completed()
    project.azure.fail_next("PUT .*/serverlessEndpoints/", "drop")
    project.deployed(job)
    assert (standing(), len(project.asked("PUT", "/serverlessEndpoints/"))) == (1, 2)
    project.azure.fail_next("DELETE .*/serverlessEndpoints/", "drop")
    project.gone(job)
    assert standing() == 0


def test_an_endpoint_that_never_answers_is_given_up_after_an_hour(project: Project) -> None:
    job = project.completed()
    artefact, directory = project.backend.fetch(job), project.directory(job)
    project.azure.fail_next("POST .*models.ai.azure.com/chat", 503, times=-1)
    for _ in range(3):
        assert project.backend.deploy(artefact, directory, job.run_id) is None
    project.now += hosting.PATIENCE + timedelta(minutes=1)
    with pytest.raises(Refused, match="has not answered within an hour"):
        project.backend.deploy(artefact, directory, job.run_id)
    project.gone(job)


def test_an_endpoint_that_azure_cannot_put_up_is_said_so(project: Project) -> None:
    job = project.completed()
    project.azure.cloud.part(Hosting).failing.append("No capacity on rack 7.")
    with pytest.raises(Refused, match=r"could not put up the endpoint run-\w+-\w+ \(CreationFailed\)"):
        project.deployed(job)
    project.gone(job)


def test_a_model_is_put_up_once_it_has_left_the_endpoint_of_its_evaluation(project: Project) -> None:
    job = project.completed()
    artefact, checking = project.backend.fetch(job), job.directory.parent / "evaluation" / "endpoint"
    while project.backend.deploy(artefact, checking, f"{job.run_id}-check") is None:
        pass
    (standing,) = project.backend.hosted()
    assert standing.run_id == job.run_id
    assert standing.undeploy_command.startswith(f"az ml serverless-endpoint delete --name {standing.name} ")
    for _ in range(3):
        assert project.backend.deploy(artefact, project.directory(job), job.run_id) is None
    while not project.backend.undeploy(checking):
        pass
    assert project.deployed(job).model == job.run_id
    project.gone(job)


def test_an_endpoint_that_somebody_removed_has_died_and_comes_back(project: Project) -> None:
    job = project.completed()
    first = project.deployed(job)
    directory = project.directory(job)
    assert not project.backend.died(directory)
    project.azure.fail_next("GET .*/serverlessEndpoints/", 503, times=8, retry_after=0.01)
    assert not project.backend.died(directory)
    project.azure.clear_faults()
    endpoints.begin_removal(project.place, endpoints.name_of(project.place, job.run_id))
    assert project.backend.died(directory)
    assert project.backend.died(directory)
    assert project.deployed(job) == first
    assert not project.backend.died(directory)
    project.gone(job)


def test_a_model_is_deleted_only_once_nothing_answers_with_it(project: Project) -> None:
    job = project.completed()
    project.deployed(job)
    assert [one.undeploy_command for one in project.backend.hosted()] == [f"errata undeploy {job.run_id}"]
    with pytest.raises(Conflict, match=f"errata undeploy {job.run_id}"):
        project.another().delete(job)
    project.gone(job)
    project.backend.delete(job)
    project.backend.delete(job)
    assert not job.directory.exists()
    assert project.backend.hosted() == []
    assert [one["properties"]["isArchived"] for one in project.asked("PUT", f"/models/{job.run_id}/")] == [True]


def test_content_safety_stands_before_a_model_unless_it_was_switched_off(project: Project) -> None:
    job = project.completed()
    directory = project.directory(job)
    endpoint = project.deployed(job)
    assert endpoints.listed(project.place)[0].filtered
    with pytest.raises(Refused, match="content filter"):
        project.backend.probe(endpoint, HARMFUL)
    project.backend.filter(directory, on=False)
    project.backend.filter(directory, on=False)
    assert project.backend.probe(endpoint, HARMFUL)
    (sent,) = [one for one in project.azure.requests if "contentSafety" in (one.body or {}).get("properties", {})]
    assert sent.body["properties"]["contentSafety"] == {"contentSafetyStatus": "Disabled"}
    assert sent.body["properties"]["authMode"] == "Key"
    assert sent.query["api-version"] >= "2024-10-01"
    assert not endpoints.listed(project.place)[0].filtered
    project.gone(job)
    project.azure.forget_requests()
    project.deployed(job)  # the decision holds for the next one as well
    assert not endpoints.listed(project.place)[0].filtered
    project.backend.filter(directory, on=True)
    assert endpoints.listed(project.place)[0].filtered
    project.gone(job)


def test_keys_are_in_memory_only(project: Project, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    job = project.completed()
    endpoint = project.deployed(job)
    name = endpoints.name_of(project.place, job.run_id)
    (hosted,) = [one for path, one in project.azure.cloud.part(Hosting).by_id.items() if path.endswith(name)]
    assert opening.key_of(project.place, BackendName.FOUNDRY, endpoint) == hosted.keys[0]
    secrets = [*hosted.keys, "a-new-key-of-the-portal", project.azure.names.secret]
    hosted.keys[:] = ["a-new-key-of-the-portal", "the-other-new-key"]  # somebody has renewed them
    assert project.backend.probe(endpoint, HELLO)
    kept = "".join(path.read_text(errors="replace") for path in job.directory.parent.rglob("*") if path.is_file())
    for secret in secrets:
        assert secret not in kept
        assert secret not in caplog.text
        assert secret not in repr(project.backend.__dict__) + repr(KEYS)
    project.gone(job)


def test_errata_answers_people_with_a_model_there(project: Project, tmp_path: Path) -> None:
    job = project.completed()
    endpoint = project.deployed(job)
    settings = Settings.from_environment(
        {**project.azure.environ(), "ERRATA_HOME": str(tmp_path)}, dotenv=tmp_path / "no.env"
    )
    plain = AssistantsEndpoint(endpoint.url, endpoint.model, 4096, run_id=job.run_id, backend=BackendName.FOUNDRY)
    with pytest.raises(EndpointTrouble, match="refuses Errata's key"), asking(plain, HELLO):
        pass
    at = keyed(plain, settings)
    with asking(at, HELLO) as growing:
        assert "simulated" in "".join(growing.pieces).lower()
    assert at.key not in repr(at)
    with pytest.raises(EndpointTrouble, match="tell whoever looks after Errata"):
        keyed(replace(plain, model="run-that-is-gone"), settings)
    project.gone(job)


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


def test_artefacts_of_this_machine_are_not_put_up_there(project: Project, tmp_path: Path) -> None:
    here = Artefact(model=tmp_path, adapter=None, base_model=tmp_path)
    with pytest.raises(Conflict):
        project.backend.deploy(here, tmp_path / "endpoint", "run-1")
