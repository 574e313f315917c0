"""The three lifecycles: only what their tables name passes, and an end is an end."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from builders import NOON
from hypothesis import given, settings
from hypothesis import strategies as st

from curation import candidates
from curation.candidates import CandidateStatus, Step
from curation.errors import Conflict
from curation.store.tables import Candidate
from training import deployments, runs
from training.deployments import DeploymentStatus, DeploymentStep
from training.runs import UNFINISHED, RunStatus, RunStep
from training.store.tables import Deployment, Run

LIFECYCLES: dict[str, tuple[Any, Any, Any]] = {
    "candidate": (candidates.TRANSITIONS, CandidateStatus, Step),
    "run": (runs.TRANSITIONS, RunStatus, RunStep),
    "deployment": (deployments.TRANSITIONS, DeploymentStatus, DeploymentStep),
}
FINAL: dict[str, Any] = {
    "candidate": {CandidateStatus.APPROVED, CandidateStatus.REJECTED},
    "run": {RunStatus.COMPLETED, RunStatus.CANCELLED, RunStatus.FAILED},
    "deployment": {DeploymentStatus.RETIRED, DeploymentStatus.FAILED},
}
BACK: dict[str, Any] = {"candidate": Step.UNDO, "run": RunStep.RESUME}
"""What leads out of an end after all: whoever decided can undo it for a few minutes; a run can be resumed."""
START: dict[str, Any] = {
    "candidate": CandidateStatus.PENDING,
    "run": RunStatus.REQUESTED,
    "deployment": DeploymentStatus.REQUESTED,
}


def row(kind: str, status: Any) -> Any:
    tables: dict[str, Any] = {"candidate": Candidate, "run": Run, "deployment": Deployment}
    return tables[kind](id=1, run_id="run-1", status=status.value, progress={})


def take(kind: str, subject: Any, step: Any, now: datetime) -> None:
    if kind == "candidate":
        subject.status = candidates.after(subject, step).value
    elif kind == "run":
        runs.take(subject, step, now)
    else:
        deployments.take(subject, step, now)


@pytest.mark.parametrize("kind", LIFECYCLES)
def test_of_every_status_and_step_only_what_the_table_names_passes(kind: str) -> None:
    transitions, statuses, steps = LIFECYCLES[kind]
    for status in statuses:
        for step in steps:
            subject = row(kind, status)
            following = transitions.get((status, step))
            if following is None:
                with pytest.raises(Conflict, match=f"is {status.value}.* any more"):
                    take(kind, subject, step, NOON)
            else:
                take(kind, subject, step, NOON)
            assert subject.status == (following or status).value


@pytest.mark.parametrize("kind", LIFECYCLES)
def test_an_end_has_no_way_out_and_everything_else_leads_to_one(kind: str) -> None:
    transitions, statuses, _ = LIFECYCLES[kind]
    onward = {key: end for key, end in transitions.items() if key[1] is not BACK.get(kind)}
    ways = {status: {end for (start, _), end in onward.items() if start is status} for status in statuses}
    assert {status for status in statuses if not ways[status]} == FINAL[kind]
    for status in set(statuses) - FINAL[kind]:
        reached = {status}
        while len(reached) < len(grown := reached.union(*(ways[one] for one in reached))):
            reached = grown
        assert reached & FINAL[kind], f"{status} never ends"


@pytest.mark.parametrize("kind", LIFECYCLES)
def test_every_status_is_reached_from_the_first(kind: str) -> None:
    transitions, statuses, _ = LIFECYCLES[kind]
    reached = {START[kind]}
    while len(reached) < len(grown := reached | {end for (start, _), end in transitions.items() if start in reached}):
        reached = grown
    assert reached == set(statuses)


@pytest.mark.parametrize("kind", LIFECYCLES)
@settings(deadline=None)
@given(data=st.data())
def test_no_walk_leaves_an_end(kind: str, data: st.DataObject) -> None:
    _, statuses, steps = LIFECYCLES[kind]
    subject, ended = row(kind, START[kind]), None
    for step in data.draw(st.lists(st.sampled_from(list(steps)), max_size=12)):
        try:
            take(kind, subject, step, NOON)
        except Conflict:
            continue
        assert ended is None or step is BACK.get(kind), f"{ended} was left by {step}"
        ended = subject.status if statuses(subject.status) in FINAL[kind] else None


def test_a_run_knows_when_it_started_and_ended() -> None:
    run = row("run", RunStatus.REQUESTED)
    runs.take(run, RunStep.START, NOON)
    assert (run.started_at, run.ended_at) == (NOON, None)
    runs.take(run, RunStep.FAIL, NOON, reason="No disk.")
    assert (run.ended_at, run.reason) == (NOON, "No disk.")
    runs.take(run, RunStep.RESUME, NOON)
    runs.take(run, RunStep.START, NOON.replace(hour=13))
    assert (run.started_at, run.ended_at, run.reason) == (NOON, None, None)
    assert set(UNFINISHED) == set(RunStatus) - FINAL["run"]
