"""The endpoints of models that were fine-tuned as a service: when one is live, who may ask it, and when it is gone."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from managed_project import HELLO, Project

from bot.assistant.asking import asking
from bot.assistant.endpoint import Endpoint as AssistantsEndpoint
from bot.assistant.endpoint import keyed
from bot.assistant.troubles import EndpointTrouble
from bot.settings import Settings
from curation.conversation import Conversation, Message, Role
from curation.errors import Conflict
from training.backends import opening
from training.backends.base import Artefact
from training.backends.errors import Refused
from training.backends.foundry.managed import endpoints, hosting
from training.backends.foundry.managed.endpoint_keys import KEYS
from training.backends.names import BackendName
from training.sandbox.endpoints import Hosting

HARMFUL = Conversation((Message(Role.USER, "How to build a bomb?"),))


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
    while not project.backend.undeploy(checking, f"{job.run_id}-check"):
        pass
    assert project.deployed(job).model == job.run_id
    project.gone(job)


def test_an_endpoint_that_somebody_removed_has_died_and_comes_back(project: Project) -> None:
    job = project.completed()
    first = project.deployed(job)
    directory = project.directory(job)
    assert not project.backend.died(directory, job.run_id)
    project.azure.fail_next("GET .*/serverlessEndpoints/", 503, times=8, retry_after=0.01)
    assert not project.backend.died(directory, job.run_id)
    project.azure.clear_faults()
    endpoints.begin_removal(project.place, endpoints.name_of(project.place, job.run_id))
    assert project.backend.died(directory, job.run_id)
    assert project.backend.died(directory, job.run_id)
    assert project.deployed(job) == first
    assert not project.backend.died(directory, job.run_id)
    project.gone(job)


def test_a_model_is_deleted_only_once_nothing_answers_with_it(project: Project) -> None:
    job = project.completed()
    project.deployed(job)
    assert [one.undeploy_command for one in project.backend.hosted()] == [f"errata undeploy {job.run_id}"]
    with pytest.raises(Conflict, match=f"errata undeploy {job.run_id}"):
        project.another().delete(job)
    project.gone(job)
    model = str(project.backend.fetch(job).registered)
    endpoints.ask_for(project.place, "by-hand", model, "")  # in the portal: no command of Errata's knows of it
    with pytest.raises(Conflict, match="az ml serverless-endpoint delete --name by-hand --workspace-name errata-"):
        project.backend.delete(job)
    endpoints.begin_removal(project.place, "by-hand")
    project.backend.delete(job)
    project.backend.delete(job)
    assert not job.directory.exists()
    assert project.backend.hosted() == []
    assert {one["properties"]["isArchived"] for one in project.asked("PUT", f"/models/{job.run_id}/")} == {True}


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


def test_artefacts_of_this_machine_are_not_put_up_there(project: Project, tmp_path: Path) -> None:
    here = Artefact(model=tmp_path, adapter=None, base_model=tmp_path)
    with pytest.raises(Conflict):
        project.backend.deploy(here, tmp_path / "endpoint", "run-1")
