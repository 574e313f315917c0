"""A small siege of runs in Azure: their worker is killed after a drawn effect, the whole machine after a drawn request.

The large one is ``tests/chaos/cloud_kills.py``, with every effect of every process.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos.cloud_places import ANYBODY, OTHERS
from chaos.cloud_siege import CloudSiege, Death, sheltered, siege
from chaos.effects import WORKER
from chaos.nursery import Nursery

from training.backends.names import BackendName

SEED = 24  # draws, of all that is sent, the jobs themselves at foundry and openai
EFFECTS = (8, 30)
"""The first and the last that a worker has in any story while its run trains."""
REQUESTS = {BackendName.FOUNDRY: 6, BackendName.OPENAI: 4, BackendName.AZUREML: 9}
"""What is changed at Azure until a run trains, and its evaluation begins."""


@pytest.fixture(scope="module")
def shelter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """One for all, as loading Azure's libraries is much of the work."""
    with sheltered(tmp_path_factory.mktemp("shelter"), ()) as begun:
        yield begun


def drawn(backend: BackendName) -> list[Death]:
    rng = random.Random(f"{SEED} {backend.value}")
    effect, request = rng.randint(*EFFECTS), rng.randint(1, REQUESTS[backend])
    return [(f"{WORKER}#{effect}", (WORKER,)), (f"{ANYBODY}#{request}", OTHERS["the machine"])]


def told(begun: CloudSiege, laid: list[Death], capsys: pytest.CaptureFixture[str]) -> None:
    """Show the seed, the kills and what it came to."""
    with capsys.disabled():
        print(f" [seed {SEED}: {[key for key, _ in laid]}: {begun.found()}] ", end="")  # noqa: T201
    assert begun.toll.kills == len(laid)


@pytest.mark.parametrize("backend", [BackendName.FOUNDRY, BackendName.OPENAI])
def test_a_run_in_azure_whose_worker_and_machine_are_killed_is_trained_served_and_told_once(
    tmp_path: Path, shelter: Nursery, backend: BackendName, capsys: pytest.CaptureFixture[str]
) -> None:
    with siege(tmp_path, backend, seed=SEED, shelter=shelter) as begun:
        begun.story(laid := drawn(backend))  # which fails where people find any harm afterwards
        told(begun, laid, capsys)


def test_a_run_on_a_rented_machine_whose_worker_and_machine_are_killed_trains_once_and_leaves_nothing_once_cancelled(
    tmp_path: Path, shelter: Nursery, capsys: pytest.CaptureFixture[str]
) -> None:
    with siege(tmp_path, BackendName.AZUREML, seed=SEED, shelter=shelter, trains=False) as begun:
        begun.cancelled(laid := drawn(BackendName.AZUREML))
        told(begun, laid, capsys)
