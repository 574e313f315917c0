"""Deleting a run whose model a provider has: its part goes first, and until it has gone nothing here does."""

from __future__ import annotations

from pathlib import Path

import pytest
from builders import NOON, Team
from fakes import FakeBackend
from shell import dialogue

from curation.errors import Unavailable
from training import orders, removal
from training.backends.base import Backend
from training.backends.names import BackendName
from training.runs import RunStatus
from training.store.tables import Run
from training.workplace import Workplace


def of_a_service(team: Team) -> Run:
    """A completed run of a service, with a file here."""
    for number in range(16):
        _, question, reply = (turn["content"] for turn in dialogue(number)["messages"])
        team.approve(question, reply)
    team.freeze("v1")
    with team.store.write() as session:
        run = orders.request(session, team.olga, NOON, dataset_name="v1", model="rehearsal")
        run.backend, run.status = BackendName.OPENAI.value, RunStatus.COMPLETED.value
        return run


def kept(place: Workplace, run: Run) -> Path:
    file = place.folder(run) / "job" / "remote.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("{}")
    return file


def test_what_a_provider_has_of_a_deleted_run_goes_before_what_is_here(team: Team, tmp_path: Path) -> None:
    run = of_a_service(team)
    backends: dict[BackendName, Backend] = {}
    place = Workplace(team.store, backends, tmp_path, lambda: NOON)
    file = kept(place, run)
    with pytest.raises(Unavailable, match="backend openai is not set up here"):
        removal.remove(place, run)
    assert file.exists()
    service = backends[BackendName.OPENAI] = FakeBackend(refusals={"delete": [Unavailable("Azure does not answer.")]})
    service.complete(run.id)
    with pytest.raises(Unavailable, match="Azure does not answer"):
        removal.remove(place, run)
    assert file.exists()
    removal.remove(place, run)
    assert run.id not in service.jobs
    assert not place.folder(run).exists()
    assert removal.remove(place, run).size == 0
