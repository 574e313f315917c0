"""What the backend azureml orders from Azure: how many machines, of which kind and whose, and on which terms."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from curation.errors import Invalid
from training.backends.base import Base, Job
from training.backends.foundry.looks import Looks
from training.backends.foundry.place import AzurePlace
from training.backends.foundry.rented.backend import CommandBackend
from training.recipe import load_recipe
from training.sandbox.azure import AzureSandbox

KIND = "Standard_NC24ads_A100_v4"


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureSandbox]:
    with AzureSandbox(tmp_path_factory.mktemp("azure"), trains=False) as azure, pytest.MonkeyPatch.context() as patch:
        for name, value in azure.environ().items():
            patch.setenv(name, value)
        yield azure


def ordered(azure: AzureSandbox, home: Path, times: int = 1, **settings: str) -> dict[str, Any]:
    """The properties of the job that these settings order; the last one, where it is cancelled and resumed."""
    row = json.dumps(
        {"messages": [{"role": "user", "content": "Price?"}, {"role": "assistant", "content": "9 euros."}]}
    )
    sides = []
    for side in ("train", "validation"):
        sides.append(home / f"{side}.jsonl")
        sides[-1].write_text(f"{row}\n" * 12, encoding="utf-8")
    place = AzurePlace.read({**azure.environ(), "ERRATA_AZURE_INSTANCE": KIND, **settings})
    job = Job(f"run-{home.name[-8:]}", Base("rehearsal"), load_recipe("rehearsal"), *sides, home / "job")
    azure.forget_requests()
    backend = CommandBackend(place, looks=Looks.always())
    backend.submit(job)
    for _ in range(times - 1):
        backend.cancel(job)
        while not backend.poll(job).status.final:
            time.sleep(0.01)
        backend.resume(job)
    sent = [one for one in azure.requests if one.method == "PUT" and "/jobs/" in one.path]
    assert len(sent) == times
    properties: dict[str, Any] = sent[-1].body["properties"]
    return properties


def test_two_machines_of_four_gpus_are_lent_for_one_training(azure: AzureSandbox, tmp_path: Path) -> None:
    job = ordered(azure, tmp_path, ERRATA_AZURE_NODES="2", ERRATA_AZURE_GPUS="4")
    assert (job["resources"]["instanceCount"], job["resources"]["instanceType"]) == (2, KIND)
    assert job["distribution"] == {"distributionType": "PyTorch", "processCountPerInstance": 4}
    assert job.get("computeId") is None
    assert job.get("queueSettings") is None


def test_machines_that_azure_may_take_back_are_asked_for_by_name(azure: AzureSandbox, tmp_path: Path) -> None:
    assert ordered(azure, tmp_path, ERRATA_AZURE_SPOT="on")["queueSettings"]["jobTier"] == "Spot"


def test_a_cluster_of_ones_own_is_used_where_it_is_named(azure: AzureSandbox, tmp_path: Path) -> None:
    job = ordered(azure, tmp_path, ERRATA_AZURE_COMPUTE="gpu-cluster")
    assert job["computeId"].endswith("/computes/gpu-cluster")
    assert job["resources"].get("instanceType") is None


def test_a_training_that_was_cancelled_before_it_kept_anything_begins_anew(azure: AzureSandbox, tmp_path: Path) -> None:
    assert {"train", "validation"} <= set(inputs := ordered(azure, tmp_path, times=2)["inputs"])
    assert "former" not in inputs


def test_a_cluster_is_not_asked_for_machines_that_azure_may_take_back() -> None:
    with pytest.raises(Invalid, match="those of a cluster are what it was made of"):
        AzurePlace.read({"ERRATA_AZURE_SPOT": "on", "ERRATA_AZURE_COMPUTE": "gpu-cluster"})
    with pytest.raises(Invalid, match="neither on nor off"):
        AzurePlace.read({"ERRATA_AZURE_SPOT": "cheap"})
