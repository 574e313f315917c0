"""A worker that watches runs in Azure for weeks has none of the providers' large libraries in its memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from training.backends.base import JobStatus
from training.backends.foundry.access import credentials
from training.backends.foundry.access.tokens import EARLY_SECONDS, Elsewhere
from training.sandbox.azure import AzureSandbox
from training.sandbox.cloud import Pace

LARGE = ("azure.ai.ml", "azure.identity", "openai", "torch")

# What a worker does with a run of each backend: checks, hands over, looks, cancels, looks again.
WORKER = """
import json, sys
from dataclasses import replace
from pathlib import Path
from chaos.day import _BASES, _job
from training.backends import opening
from training.backends.foundry.access.apart import kept_apart
from training.backends.foundry.place import AzurePlace
import os

backends, told = opening.backends(AzurePlace.read(os.environ)), {}
with kept_apart():
    for name in _BASES:
        folder = Path(sys.argv[1]) / name
        folder.mkdir()
        # In names of their own: two of them share a project.
        backend, job = backends[name], replace(_job(folder, name), run_id=f"run-{len(told):08x}")
        backend.looks.first = backend.looks.longest = 0.0
        backend.destination(job)
        backend.preflight(job)
        for _ in range(5):
            backend.submit(job)
        seen = [backend.poll(job).status for _ in range(5)]
        backend.cancel(job)
        seen += [backend.poll(job).status for _ in range(5)]
        told[name] = [seen[4], seen[-1], sorted(one for one in sys.argv[2:] if one in sys.modules)]
print(json.dumps(told))
"""


def test_what_a_worker_does_with_runs_in_azure_loads_none_of_the_large_libraries(tmp_path: Path) -> None:
    tests = Path(__file__).parents[1]
    with AzureSandbox(tmp_path / "azure", trains=False) as azure:
        azure.toys.seconds = 3600.0
        environ = os.environ | azure.environ() | {"PYTHONPATH": os.pathsep.join((str(tests), str(tests.parent)))}
        done = subprocess.run(  # noqa: S603 (our own words)
            [sys.executable, "-c", WORKER, str(tmp_path), *LARGE],
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    assert told.keys() == {"foundry", "openai", "azureml"}
    for name, (before, after, loaded) in told.items():
        assert before in {JobStatus.RUNNING, JobStatus.QUEUED}, name
        assert after == JobStatus.CANCELLED, name
        assert loaded == [], name


def test_a_token_from_the_other_process_is_good_until_shortly_before_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, moved = time.time, [0.0]
    with AzureSandbox(tmp_path / "azure", trains=False, pace=Pace(token_seconds=3600)) as azure:
        for name, value in azure.environ().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("time.time", lambda: real() + moved[0])
        there = Elsewhere(0)
        first = there.get_token(credentials.ARM_SCOPE)
        moved[0] = 3600 - EARLY_SECONDS - 60
        assert there.get_token(credentials.ARM_SCOPE) == first
        assert there.get_token(credentials.COGNITIVE_SCOPE).token != first.token
        moved[0] = 3600 - EARLY_SECONDS + 60
        assert there.get_token(credentials.ARM_SCOPE).token != first.token
