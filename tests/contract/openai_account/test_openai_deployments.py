"""Deployments of models that were tuned over the openai SDK: live once they answer, and deleted in the right order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from account_jobs import SECONDS, Hands, ended, made, make_job, sent, submitted

from curation.conversation import Conversation, Message, Role
from curation.errors import Conflict, Unavailable
from training.backends.base import Artefact, Endpoint, Job
from training.backends.foundry.account.backend import OpenAIBackend
from training.hyperparameters import Service, TrainingTier
from training.sandbox.azure import AzureSandbox
from training.sandbox.served import Engines

QUESTION = Conversation((Message(Role.USER, "Price?"),))


def brought_up(backend: OpenAIBackend, artefact: Artefact, directory: Path, name: str, clock: Hands) -> Endpoint:
    for _ in range(8):
        endpoint = backend.deploy(artefact, directory, name)
        if endpoint is not None:
            return endpoint
        clock.move(SECONDS)
    raise AssertionError("it never answered")


def taken_down(backend: OpenAIBackend, directory: Path, name: str, clock: Hands) -> None:
    for _ in range(8):
        if backend.undeploy(directory, name):
            return
        clock.move(SECONDS)
    raise AssertionError("it never went away")


def test_a_deployment_goes_live_only_once_it_really_answers(
    azure: AzureSandbox, backend: OpenAIBackend, clock: Hands, trained: tuple[Job, Artefact], tmp_path: Path
) -> None:
    job, artefact = trained
    azure.cloud.part(Engines).ready_after = 60.0
    assert backend.deploy(artefact, tmp_path, job.run_id) is None
    assert backend.deploy(artefact, tmp_path, job.run_id) is None
    (body,) = sent(azure, "PUT", f"/deployments/{job.run_id}")
    assert body == {
        "sku": {"name": "Standard", "capacity": 10},
        "properties": {
            "model": {"format": "OpenAI", "name": artefact.registered, "version": "1"},
            "raiPolicyName": "Microsoft.DefaultV2",
        },
    }
    clock.move(59)
    assert backend.deploy(artefact, tmp_path, job.run_id) is None
    clock.move(2)
    endpoint = brought_up(backend, artefact, tmp_path, job.run_id, clock)
    azure.cloud.part(Engines).ready_after = 0.0
    account = azure.names.account
    assert endpoint == Endpoint(f"https://{account}.openai.azure.com/openai/v1", None, job.run_id)
    assert brought_up(made(azure, clock), artefact, tmp_path, job.run_id, clock) == endpoint
    assert len(sent(azure, "PUT", f"/deployments/{job.run_id}")) == 1
    assert "simulated" in backend.probe(endpoint, QUESTION)
    assert not backend.died(tmp_path, job.run_id)
    taken_down(backend, tmp_path, job.run_id, clock)
    assert backend.undeploy(tmp_path, job.run_id)


def test_a_model_is_deleted_with_its_files_and_never_while_it_is_deployed(
    azure: AzureSandbox, backend: OpenAIBackend, clock: Hands, tmp_path: Path
) -> None:
    job = submitted(backend, make_job(tmp_path, "run-a0000001"))
    with pytest.raises(Conflict, match="run-a0000001 is still training; cancel it"):
        backend.delete(job)
    ended(backend, job, clock)
    artefact, endpoint = backend.fetch(job), tmp_path / "endpoint"
    brought_up(backend, artefact, endpoint, job.run_id, clock)
    (hosted,) = backend.hosted()
    assert (hosted.run_id, hosted.undeploy_command) == (job.run_id, "errata undeploy run-a0000001")
    with pytest.raises(Conflict, match="still deployed: take it down first with errata undeploy run-a0000001"):
        backend.delete(job)
    taken_down(backend, endpoint, job.run_id, clock)
    assert backend.hosted() == []
    backend.delete(job)
    backend.delete(job)
    assert not job.directory.exists()
    deleted = [one.path for one in azure.requests if one.method == "DELETE" and "/openai/v1/" in one.path]
    assert len([path for path in deleted if "/files/" in path]) >= 2
    assert len([path for path in deleted if "/models/" in path]) == 1


def test_a_deployment_that_vanished_is_noticed_and_comes_up_again(
    azure: AzureSandbox, backend: OpenAIBackend, clock: Hands, trained: tuple[Job, Artefact], tmp_path: Path
) -> None:
    _, artefact = trained
    endpoint = brought_up(backend, artefact, tmp_path, "run-b0000001", clock)
    elsewhere = made(azure, clock)
    elsewhere.endpoints.account.undeploy("run-b0000001")
    clock.move(SECONDS)
    assert backend.died(tmp_path, "run-b0000001")
    assert brought_up(backend, artefact, tmp_path, "run-b0000001", clock) == endpoint
    assert not backend.died(tmp_path, "run-b0000001")
    taken_down(backend, tmp_path, "run-b0000001", clock)


def test_a_deployment_that_never_answers_is_given_up_after_an_hour_with_the_command_that_shows_it(
    azure: AzureSandbox, backend: OpenAIBackend, clock: Hands, trained: tuple[Job, Artefact], tmp_path: Path
) -> None:
    _, artefact = trained
    azure.cloud.part(Engines).ready_after = 1e6
    cheap = replace(artefact, service=Service(TrainingTier.DEVELOPER, capacity=50))
    assert backend.deploy(cheap, tmp_path, "run-c0000001") is None
    (body,) = sent(azure, "PUT", "/deployments/run-c0000001")
    assert body["sku"] == {"name": "DeveloperTier", "capacity": 50}
    clock.move(3590)
    assert backend.deploy(cheap, tmp_path, "run-c0000001") is None
    clock.move(20)
    with pytest.raises(Unavailable, match=r"60 minutes: az cognitiveservices account deployment show .* run-c0000001"):
        backend.deploy(cheap, tmp_path, "run-c0000001")
    azure.cloud.part(Engines).ready_after = 0.0
    taken_down(backend, tmp_path, "run-c0000001", clock)
