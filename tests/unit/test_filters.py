"""Switching a provider's filter: who may, what is kept of it, and that the worker sees to it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from builders import NOON, Team, new_team
from fakes import FakeBackend
from shell import Shell, dialogue

from curation import audit, people
from curation.errors import Conflict, Invalid, NotAllowed, Unavailable
from curation.people import Actor
from curation.policies import RoleName
from training import deployments, filters, orders
from training.backends.names import BackendName
from training.runs import RunStatus
from training.workplace import Workplace

REASON = "It takes order numbers for personal data."


@dataclass
class Filtered(FakeBackend):
    """A backend with a filter, which remembers how it was switched; its provider may be away."""

    switched: list[tuple[str, bool]] = field(default_factory=list)
    away: bool = False

    def filter(self, directory: Path, *, on: bool) -> None:
        if self.away:
            raise Unavailable("Azure does not answer.")
        self.switched.append((directory.parent.name, on))


@pytest.fixture
def run_id(team: Team) -> str:
    """A completed run whose model a provider has."""
    return prepared(team)


def prepared(team: Team) -> str:
    for number in range(16):
        _, question, reply = (turn["content"] for turn in dialogue(number)["messages"])
        team.approve(question, reply)
    team.freeze("v1")
    return ordered(team, BackendName.FOUNDRY)


def ordered(team: Team, backend: BackendName) -> str:
    with team.store.write() as session:
        run = orders.request(session, team.olga, NOON, dataset_name="v1", model="rehearsal")
        run.backend, run.status = backend.value, RunStatus.COMPLETED.value
        return run.id


def switch(team: Team, run_id: str, *, on: bool, by: Actor | None = None, reason: str = REASON) -> None:
    with team.store.write() as session:
        filters.decide(session, by or team.olga, NOON, run_id=run_id, filtered=on, reason=reason)


def stands(team: Team, run_id: str) -> bool:
    with team.store.read() as session:
        return filters.is_filtered(session, run_id)


def test_the_filter_stands_until_an_owner_gives_a_reason_to_switch_it_off(team: Team, run_id: str) -> None:
    assert stands(team, run_id)
    with pytest.raises(NotAllowed):
        switch(team, run_id, on=False, by=team.ben)
    for reason in ("", " \n", "x" * (filters.MOST_CHARACTERS + 1)):
        with pytest.raises(Invalid):
            switch(team, run_id, on=False, reason=reason)
    assert stands(team, run_id)
    switch(team, run_id, on=False)
    switch(team, run_id, on=False)
    assert not stands(team, run_id)
    switch(team, run_id, on=True)
    assert stands(team, run_id)
    with team.store.read() as session:
        written = [entry for entry in audit.search(session) if entry.action.startswith("filter.")]
    assert [entry.action for entry in written] == ["filter.off", "filter.on"]
    assert {entry.details["reason"] for entry in written} == {REASON}


@pytest.mark.usefixtures("run_id")
def test_only_a_backend_with_a_filter_has_one_to_switch(team: Team) -> None:
    here = ordered(team, BackendName.LOCAL)
    with pytest.raises(Conflict, match="which has no filter that could be switched"):
        switch(team, here, on=False)


def test_the_worker_has_standing_and_coming_endpoints_filtered_as_was_decided(
    team: Team, run_id: str, tmp_path: Path
) -> None:
    backend = Filtered(away=True)
    place = Workplace(team.store, {BackendName.FOUNDRY: backend}, tmp_path, lambda: NOON)
    switch(team, run_id, on=False)
    filters.carry_out(place, run_id)
    assert backend.switched == []
    with team.store.write() as session:
        deployments.request(session, team.olga, NOON, run_id=run_id)
    filters.carry_out(place, run_id)  # the provider is away: nothing is lost by it
    backend.away = False
    filters.carry_out(place, run_id)
    switch(team, run_id, on=True)
    filters.carry_out(place, run_id)
    assert backend.switched == [(run_id, False), (run_id, True)]


def test_it_is_switched_from_a_terminal(tmp_path: Path, shell: Shell) -> None:
    team = new_team(tmp_path / "home")
    run_id = prepared(team)
    with team.store.write() as session:
        people.grant(session, team.olga, NOON, person="kim", role=RoleName.OWNER)
    code, out, err = shell("foundry", "filter", run_id, "off", "--reason", REASON, "--json", acting="kim")
    assert (code, err) == (0, "")
    assert json.loads(out) | {"at": ""} == {
        "run": run_id,
        "filtered": False,
        "reason": REASON,
        "by": "kim",
        "at": "",
    }
    _, out, _ = shell("foundry", "filter", run_id, "on", "--reason", REASON, acting="kim")
    assert out.startswith(f"Azure's content filter stands before the model of {run_id}")
    assert shell("foundry", "filter", run_id, "off", acting="kim")[0] == 2
    assert stands(team, run_id)
    team.store.close()
