"""One project in the sandbox for all: what each test makes there has names of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from managed_project import Project

from training.backends.foundry.place import AzurePlace
from training.sandbox.azure import AzureSandbox
from training.sandbox.toys import Toys


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
