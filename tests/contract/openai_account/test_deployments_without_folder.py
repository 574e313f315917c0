"""A deployment of which nothing is known here any more: looked for in the account, and only Errata's is touched."""

from __future__ import annotations

import shutil
from pathlib import Path

from account_jobs import SECONDS, Hands, made

from training.backends.base import Artefact, Job
from training.backends.foundry.account.backend import OpenAIBackend
from training.hyperparameters import Service
from training.sandbox.azure import AzureSandbox


def brought_up(backend: OpenAIBackend, artefact: Artefact, directory: Path, name: str, clock: Hands) -> None:
    for _ in range(8):
        if backend.deploy(artefact, directory, name) is not None:
            return
        clock.move(SECONDS)
    raise AssertionError("it never answered")


def goes(backend: OpenAIBackend, directory: Path, name: str, clock: Hands) -> bool:
    for _ in range(8):
        if backend.undeploy(directory, name):
            return True
        clock.move(SECONDS)
    return False


def test_a_deployment_whose_folder_was_lost_is_looked_after_and_taken_down_all_the_same(
    azure: AzureSandbox, backend: OpenAIBackend, clock: Hands, trained: tuple[Job, Artefact], tmp_path: Path
) -> None:
    job, artefact = trained
    directory = tmp_path / "endpoint"
    brought_up(backend, artefact, directory, job.run_id, clock)
    shutil.rmtree(directory)
    later = made(azure, clock)
    assert not later.died(directory, job.run_id)
    shutil.rmtree(directory)
    assert not later.undeploy(directory, job.run_id)
    assert goes(later, directory, job.run_id, clock)
    assert later.hosted() == []
    assert later.died(directory, job.run_id)


def test_what_somebody_else_serves_under_the_name_stays(
    backend: OpenAIBackend, clock: Hands, trained: tuple[Job, Artefact], tmp_path: Path
) -> None:
    _, artefact = trained
    account = backend.endpoints.account
    account.deploy("run-f0000001", str(artefact.registered), Service())  # another run's model
    assert backend.undeploy(tmp_path, "run-f0000001")
    assert account.deployment("run-f0000001") is not None
    account.undeploy("run-f0000001")
    clock.move(SECONDS)
