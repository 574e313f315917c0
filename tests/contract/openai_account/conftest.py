"""One stand-in for an account, which only simulates: what a training does is another suite's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from account_jobs import PACE, SECONDS, Hands, ended, made, make_job, submitted

from training.backends.base import Artefact, Job, JobStatus
from training.backends.foundry.account.backend import OpenAIBackend
from training.sandbox.azure import AzureSandbox
from training.sandbox.toys import Toys


@pytest.fixture(scope="module")
def clock() -> Hands:
    return Hands()


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory, clock: Hands) -> Iterator[AzureSandbox]:
    """One stand-in for the module; it only simulates, as what a training does is another suite's."""
    with (
        AzureSandbox(tmp_path_factory.mktemp("azure"), clock=lambda: clock.now, pace=PACE) as azure,
        pytest.MonkeyPatch.context() as patch,
    ):
        azure.cloud.part(Toys).trains = False
        azure.cloud.part(Toys).seconds = SECONDS
        for name, value in azure.environ().items():
            patch.setenv(name, value)
        yield azure


@pytest.fixture
def azure(cloud: AzureSandbox) -> Iterator[AzureSandbox]:
    cloud.forget_requests()
    yield cloud
    cloud.clear_faults()


@pytest.fixture
def backend(azure: AzureSandbox, clock: Hands) -> OpenAIBackend:
    return made(azure, clock)


@pytest.fixture(scope="module")
def trained(cloud: AzureSandbox, clock: Hands, tmp_path_factory: pytest.TempPathFactory) -> tuple[Job, Artefact]:
    """One completed job, shared by the tests that only read it."""
    backend = made(cloud, clock)
    job = submitted(backend, make_job(tmp_path_factory.mktemp("trained"), "run-0a0a0a0a"))
    assert ended(backend, job, clock).status is JobStatus.COMPLETED
    return job, backend.fetch(job)
