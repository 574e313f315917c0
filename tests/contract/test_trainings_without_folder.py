"""A training at Azure of which nothing is known here any more: found by its run's name, ended, and cleared away."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from training.backends.base import Base, Job
from training.backends.errors import StillTraining, Unreached
from training.backends.foundry.account.backend import OpenAIBackend
from training.backends.foundry.looks import Looks
from training.backends.foundry.managed.backend import ManagedBackend
from training.backends.foundry.place import AzurePlace
from training.backends.foundry.rented.backend import CommandBackend
from training.backends.names import BackendName
from training.recipe import load_recipe
from training.sandbox.azure import AzureSandbox
from training.sandbox.toys import Toys

Paid = ManagedBackend | OpenAIBackend | CommandBackend
KINDS: dict[BackendName, Callable[[AzurePlace], Paid]] = {
    BackendName.FOUNDRY: lambda place: ManagedBackend(place, looks=Looks.always()),
    BackendName.OPENAI: lambda place: OpenAIBackend(place, looks=Looks.always()),
    BackendName.AZUREML: lambda place: CommandBackend(place, looks=Looks.always()),
}
BASES = {
    BackendName.FOUNDRY: (Base("service", name="phi-4-mini-instruct"), "phi-lora"),
    BackendName.OPENAI: (Base("service", name="gpt-4.1-mini"), "service"),
    BackendName.AZUREML: (Base("rehearsal"), "rehearsal"),
}
CREATED = {BackendName.OPENAI: ("POST", "/fine_tuning/jobs")}


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureSandbox]:
    with (
        AzureSandbox(tmp_path_factory.mktemp("azure"), trains=False) as sandbox,
        pytest.MonkeyPatch.context() as patch,
    ):
        sandbox.cloud.part(Toys).seconds = 3600.0
        for name, value in sandbox.environ().items():
            patch.setenv(name, value)
        patch.setattr("training.backends.foundry.access.stores.RETRIES", 0)
        yield sandbox


@pytest.fixture(params=list(KINDS), ids=lambda name: name.value)
def name(request: pytest.FixtureRequest, azure: AzureSandbox) -> Iterator[BackendName]:
    azure.forget_requests()
    yield request.param
    azure.clear_faults()


def training(azure: AzureSandbox, name: BackendName, root: Path, run_id: str, *, again: bool = False) -> Job:
    """It trains at Azure; again: as its second attempt."""
    turns = [{"role": "user", "content": "Price?"}, {"role": "assistant", "content": "9 euros."}]
    sides = [root / "train.jsonl", root / "validation.jsonl"]
    for side in sides:
        side.write_text((json.dumps({"messages": turns}) + "\n") * 12, encoding="utf-8")
    base, recipe = BASES[name]
    backend = KINDS[name](AzurePlace.read(azure.environ()))
    job = Job(run_id, base, load_recipe(recipe), *sides, root / "job")
    begun(azure, name, backend, job, 1)
    if again:
        backend.cancel(job)
        assert any(backend.poll(job).status.final for _ in range(10))
        backend.resume(job)
        begun(azure, name, backend, job, 2)
    return job


def begun(azure: AzureSandbox, name: BackendName, backend: Paid, job: Job, attempts: int) -> None:
    method, part = CREATED.get(name, ("PUT", f"/jobs/{job.run_id}"))
    for _ in range(8):
        backend.submit(job)
        asked = [one for one in azure.requests if one.method == method and part in one.path]
        if len([one for one in asked if not one.path.endswith(("cancel", "events"))]) == attempts:
            return
    raise AssertionError(job)


def cancelled(azure: AzureSandbox) -> int:
    return len([one for one in azure.requests if one.method == "POST" and one.path.endswith("/cancel")])


def test_a_training_whose_folder_was_lost_is_not_forgotten_but_ended(
    azure: AzureSandbox, name: BackendName, tmp_path: Path
) -> None:
    again = name is not BackendName.AZUREML  # it goes on from what an attempt kept, and here none keeps anything
    job = training(azure, name, tmp_path, f"run-0000000{list(KINDS).index(name)}", again=again)
    shutil.rmtree(job.directory)
    before = cancelled(azure)
    backend = KINDS[name](AzurePlace.read(azure.environ()))
    assert backend.trains(job)
    for remove in (backend.unload, backend.delete):
        with pytest.raises(StillTraining, match="still training"):
            remove(job)
    backend.cancel(job)
    backend.cancel(job)
    assert cancelled(azure) - before >= 1
    assert any(not backend.trains(job) for _ in range(10))
    backend.unload(job)
    backend.delete(job)
    assert not job.directory.exists()


def test_a_cancellation_that_azure_did_not_hear_is_asked_for_again_even_where_nobody_knew_of_the_job(
    azure: AzureSandbox, name: BackendName, tmp_path: Path
) -> None:
    job = training(azure, name, tmp_path, f"run-1000000{list(KINDS).index(name)}")
    shutil.rmtree(job.directory)
    backend, before = KINDS[name](AzurePlace.read(azure.environ())), cancelled(azure)
    azure.fail_next("GET .*(jobs|files)", 503, times=8, retry_after=0.01)
    with pytest.raises(Unreached):
        backend.cancel(job)
    azure.clear_faults()
    backend.cancel(job)
    assert cancelled(azure) - before >= 1
