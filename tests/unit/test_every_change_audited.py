"""Whatever is changed has its entry in the audit, in the same commit: every use case, and every step of the worker."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from builders import NOON, Team
from fakes import FakeBackend
from sqlalchemy import text
from sqlmodel import SQLModel
from units_of_work import past_the_store, use_cases, writing
from use_case import rows_in
from use_cases import BY_THE_WORKER, CASES, ON_THE_HOST, ONLY_AN_ENTRY, WITHOUT_ENTRY

from curation import audit, examples, people, proposals, reviews
from curation.datasets import dataset
from curation.people import WORKER
from curation.policies import RoleName
from curation.reviews import Verdict
from curation.store.engine import Store
from curation.store.tables import AuditEntry, Capture
from training import deployments, orders, runs
from training.backends.names import BackendName
from training.deployments import DeploymentStatus, DeploymentStep
from training.runs import RunStatus, RunStep
from training.store.tables import Deployment
from training.worker import InlineCarrier, Worker
from training.workplace import Workplace

QUESTION = "How long does the filter last?"

# What somebody decided or a worker did.
STATE = [
    *("group_roles", "installations"),
    *("people", "role_grants", "assistants", "speaker_rules", "system_prompts", "candidates", "corrections", "reviews"),
    *("examples", "dataset_versions", "dataset_rows", "split_keys", "runs", "evaluations", "deployments"),
    *("confirmations", "filter_decisions", "consents"),
    *("expiries", "dataset_notes", "freeze_requests", "reply_flags", "privacy_findings", "privacy_values", "exports"),
    *("flag_dismissals", "reply_samples", "sampled_replies", "digest_orders"),
]
NO_STATE = {
    "audit_entries": "the entries themselves",
    "captures": "drafts",
    "claims": "who looks at what for some minutes",
    "queue_messages": "which message about a queue is the newest",
    "notices": "messages owed, and what became of them",
    "handled_requests": "answers that Slack may ask for again",
    "revocations": "what Slack has done",
    "install_states": "installations that nobody has finished",
    "replies": "what was said in Slack",
    "weekly_digests": "messages owed, once a week",
    "chat_tasks": "answers owed to whoever asks Errata itself",
    "screened_prompts": "how far screening has come",
    "prompt_bands": "the same",
    "candidate_findings": "warnings, which decide nothing",
    "suggestions": "what a model makes of it, which decides nothing either",
    "worker_leases": "which worker is alive",
    "privacy_keys": "the key that values are marked with, made once",
}
PAST_THE_STORE = {
    "bot.restored.remember": "a copy that is nobody's database yet",
    "bot.database_files.copy": "the same",
    "bot.database_files._existing": "looks only",
    "bot.database_files.reading": "looks only",
    "curation.privacy.erasure.clear_traces": "has SQLite write its own journal into the file",
    "training.durable._prepared": "the tables of the durable carrier, in a place of their own",
}


def snapshot(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of the tables that hold state; of a run without its progress, which is no decision."""
    with store.read() as session:
        return {
            name: sorted(
                tuple(str(value) for key, value in row._mapping.items() if key not in {"progress", "version"})
                for row in session.connection().execute(text(f"SELECT * FROM {name}"))  # noqa: S608 (names of ours)
            )
            for name in STATE
        }


def entries(store: Store) -> list[AuditEntry]:
    with store.read() as session:
        return audit.search(session)


@pytest.fixture
def busy(team: Team) -> Team:
    """A team with two captures that nobody has saved yet."""
    for number in (1, 2):
        with team.store.write() as session:
            session.add(
                Capture(
                    assistant_id=team.assistant_id,
                    source=f"{team.place}/{number}",
                    thread=f"{team.place}/{number}",
                    captured_by=team.ana.person_id,
                    captured_at=NOON,
                    reply="It lasts for ever.",
                    turns=[{"role": "user", "content": QUESTION}],
                )
            )
    return team


class Undone(Exception):
    """What a test raises where the commit fails."""


def test_every_use_case_writes_its_entry_in_the_same_commit_or_changes_nothing(busy: Team, tmp_path: Path) -> None:
    for case in CASES:
        before, written = snapshot(busy.store), len(entries(busy.store))
        with suppress(Undone), busy.store.write() as session:
            case.call(session, busy, tmp_path)
            raise Undone
        assert snapshot(busy.store) == before, case.name
        assert len(entries(busy.store)) == written, case.name
        with busy.store.write() as session:
            case.call(session, busy, tmp_path)
        fresh = entries(busy.store)[written:]
        assert [(entry.action, entry.actor) for entry in fresh] == [(case.action, case.actor.person_id)], case.name
        assert (snapshot(busy.store) != before) == (case.name not in ONLY_AN_ENTRY), case.name
        with busy.store.read() as session:
            assert audit.verify(session).broken is None


def test_the_use_cases_above_are_all_there_are() -> None:
    proven = {case.name for case in CASES} | set(BY_THE_WORKER) | set(ON_THE_HOST)
    rooms = tuple(name for name in WITHOUT_ENTRY if name.endswith("."))
    exempt = {name for name in use_cases() if name in WITHOUT_ENTRY or name.startswith(rooms)}
    assert use_cases() - proven - exempt == set()  # a new one: give it a case, or say why it needs no entry
    assert proven - writing() == set()  # one that is gone, or changes nothing any more
    assert set(WITHOUT_ENTRY) - set(rooms) - exempt == set()
    assert proven & exempt == set()


def test_every_table_holds_state_or_it_is_said_why_not() -> None:
    assert set(STATE) | set(NO_STATE) == set(SQLModel.metadata.tables)
    assert set(STATE) & set(NO_STATE) == set()


def test_nothing_reaches_the_database_past_the_stores_units_of_work() -> None:
    outside = {name for name in past_the_store() if not name.startswith("curation.store.")}
    assert outside == set(PAST_THE_STORE)


def test_what_a_use_case_does_a_second_time_without_a_change_leaves_no_second_entry(busy: Team) -> None:
    for _ in range(2):
        with busy.store.write() as session:
            proposals.propose(session, busy.ana, NOON, capture_id=1, correction="Six months.", review_in=None)
            people.grant(session, busy.olga, NOON, person=busy.bea.person_id, role=RoleName.REVIEWER)
    assert [entry.action for entry in entries(busy.store)].count("candidate.proposed") == 1
    assert [entry.subject for entry in entries(busy.store)].count(f"person:{busy.bea.person_id}") == 1


BY_PEOPLE = {RunStep.CANCEL, RunStep.RESUME}


@pytest.mark.parametrize(("status", "step"), [key for key in runs.TRANSITIONS if key[1] not in BY_PEOPLE], ids=str)
def test_every_step_of_a_run_that_the_worker_takes_has_its_entry(
    busy: Team, tmp_path: Path, status: RunStatus, step: RunStep
) -> None:
    run_id = _requested(busy, tmp_path)
    with busy.store.write() as session:
        runs.find(session, run_id).status = status.value
    with busy.store.write() as session:
        runs.advance(session, NOON, runs.find(session, run_id), step)
    newest = entries(busy.store)[-1]
    assert (newest.actor, newest.subject) == (WORKER.person_id, f"run:{run_id}")
    assert newest.action.startswith("run.")


@pytest.mark.parametrize(("status", "step"), list(deployments.TRANSITIONS), ids=str)
def test_every_step_of_a_deployment_that_the_worker_takes_has_its_entry(
    busy: Team, tmp_path: Path, status: DeploymentStatus, step: DeploymentStep
) -> None:
    run_id = _requested(busy, tmp_path)
    with busy.store.write() as session:
        deployment = Deployment(run_id=run_id, status=status.value, requested_by="T1/UOLGA", requested_at=NOON)
        session.add(deployment)
        session.flush()
        deployments.advance(session, NOON, deployment, step)
    newest = entries(busy.store)[-1]
    assert (newest.actor, newest.subject) == (WORKER.person_id, "deployment:1")


def test_a_worker_that_brings_a_run_to_its_deployment_leaves_the_whole_story(busy: Team, tmp_path: Path) -> None:
    run_id, backend = _requested(busy, tmp_path), FakeBackend()
    place = Workplace(busy.store, {BackendName.LOCAL: backend}, tmp_path / "home", lambda: NOON)
    worker = Worker(place, InlineCarrier(place))
    changes = 0
    for after in (None, None, lambda: backend.complete(run_id), None, lambda: backend.report(run_id), None):
        if after is not None:
            after()
        changes += _round(busy.store, worker)
    with busy.store.write() as session:
        deployments.request(session, busy.olga, NOON, run_id=run_id)
    changes += _round(busy.store, worker)
    with busy.store.write() as session:
        deployments.retire(session, busy.olga, NOON, run_id=run_id)
    changes += _round(busy.store, worker)
    with busy.store.read() as session:
        assert runs.find(session, run_id).status == RunStatus.COMPLETED.value
    told = [(entry.action, entry.actor == WORKER.person_id) for entry in entries(busy.store)[-8:]]
    assert told == [
        ("run.requested", False),
        ("run.started", True),
        ("run.trained", True),
        ("run.evaluated", True),
        ("deployment.requested", False),
        ("deployment.answered", True),
        ("deployment.retired", False),
        ("deployment.stopped", True),
    ]
    assert changes == 5


def _round(store: Store, worker: Worker) -> int:
    """Tick once; 1 where it changed state, which it may only do with an entry of the worker's."""
    before, written = snapshot(store), len(entries(store))
    worker.tick()
    changed = snapshot(store) != before
    assert [entry.actor for entry in entries(store)[written:]] == [WORKER.person_id] * changed
    return int(changed)


def _requested(team: Team, tmp_path: Path) -> str:
    with team.store.write() as session:
        rows = rows_in(tmp_path, 40, word="kettle")
        examples.attest(session, team.olga, NOON, rows, origin="import:kettle", reason="Checked.")
        proposals.propose(session, team.ana, NOON, capture_id=1, correction="Six months.", review_in=None)
        reviews.decide(session, team.ben, NOON, candidate_id=1, verdict=Verdict.APPROVE)
    dataset.freeze(team.store, team.olga, NOON, name="v1")
    with team.store.write() as session:
        return orders.request(session, team.olga, NOON, dataset_name="v1", model="rehearsal").id


def test_entries_hold_nobodys_words(busy: Team, tmp_path: Path) -> None:
    _requested(busy, tmp_path)
    told = json.dumps([[entry.subject, entry.action, entry.details] for entry in entries(busy.store)])
    for words in ("Six months", "filter", "kettle is", "Checked"):
        assert words not in told
