"""The audit: an entry in the commit of every change, and a chain that shows whoever touched it."""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta, timezone
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from builders import NOON, Team, new_store
from fakes import FakeBackend
from sqlalchemy import text
from sqlmodel import Session, col, select

from curation import assistants, audit, candidates, examples, expiry, handover, imports, people, reviews
from curation.conversation import Conversation, Message, Role
from curation.datasets import dataset
from curation.errors import Conflict
from curation.formats.format import Format
from curation.formats.jsonl import Row, open_jsonl
from curation.people import WORKER, Actor, PersonId
from curation.policies import RoleName
from curation.reviews import Verdict
from curation.store.engine import Store
from curation.store.tables import AuditEntry, Capture
from training import deployments, runs
from training.backends.names import BackendName
from training.deployments import DeploymentStatus, DeploymentStep
from training.runs import RunStatus, RunStep
from training.store.tables import Deployment
from training.worker import InlineCarrier, Worker
from training.workplace import Workplace

QUESTION = "How long does the filter last?"

# What somebody decided or a worker did; other tables are drafts, messages owed, and the outbox's and gate's memory.
STATE = [
    *("people", "role_grants", "assistants", "speaker_rules", "system_prompts", "candidates", "corrections", "reviews"),
    *("examples", "dataset_versions", "dataset_rows", "split_keys", "runs", "evaluations", "deployments"),
    *("expiries", "dataset_notes"),
]
WITHOUT_ENTRY = {
    "captures.keep": "a draft that nobody has saved; the candidate made from it has its entry",
    "candidates.capture": "the same, if a candidate may be made of it",
    "examples.from_candidate": "half of a review, in its commit and under its entry",
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


def rows_in(tmp_path: Path, count: int, *, word: str) -> list[Row]:
    file = tmp_path / f"{word}.jsonl"
    lines = [
        {"messages": [{"role": "user", "content": f"{word} {n}?"}, {"role": "assistant", "content": f"{word} is {n}."}]}
        for n in range(count)
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return [item for item in open_jsonl(file) if isinstance(item, Row)]


# Every use case once, in an order in which each finds what it needs.

UseCase = Callable[[Session, Team, Path], object]


def _capture(session: Session) -> int:
    used = select(candidates.Candidate.capture_id).where(col(candidates.Candidate.capture_id).is_not(None))
    return session.exec(select(Capture.id).where(col(Capture.id).not_in(used))).first() or 0


REPLY = imports.Reply("T1/C9/1.2", "T1/C9/1.1", Conversation((Message(Role.USER, "Is it waterproof?"),)), "No.")

CASES: list[tuple[str, str, Actor, UseCase]] = [
    (
        "candidates.propose",
        "candidate.proposed",
        Team.ana,
        lambda s, t, _: candidates.propose(
            s, t.ana, NOON, capture_id=_capture(s), correction="Six months.", review_in=t.place
        ),
    ),
    (
        "candidates.endorse",
        "candidate.endorsed",
        Team.ana,
        lambda s, t, _: candidates.endorse(s, t.ana, NOON, capture_id=_capture(s), review_in=None),
    ),
    (
        "candidates.amend",
        "candidate.amended",
        Team.ana,
        lambda s, t, _: candidates.amend(s, t.ana, NOON, candidate_id=1, correction="Half a year."),
    ),
    (
        "reviews.decide",
        "candidate.return",
        Team.ben,
        lambda s, t, _: reviews.decide(s, t.ben, NOON, candidate_id=1, verdict=Verdict.RETURN, comment="Say it."),
    ),
    (
        "reviews.decide",
        "candidate.reject",
        Team.ben,
        lambda s, t, _: reviews.decide(s, t.ben, NOON, candidate_id=1, verdict=Verdict.REJECT, comment="No."),
    ),
    (
        "reviews.decide",
        "candidate.edit_and_approve",
        Team.bea,
        lambda s, t, _: reviews.decide(
            s, t.bea, NOON, candidate_id=2, verdict=Verdict.EDIT_AND_APPROVE, edited="A year."
        ),
    ),
    (
        "imports.propose_rows",
        "candidates.imported",
        Team.ana,
        lambda s, t, path: imports.propose_rows(s, t.ana, NOON, rows_in(path, 3, word="lamp"), origin="import:lamp"),
    ),
    (
        "reviews.decide",
        "candidate.approve",
        Team.ben,
        lambda s, t, _: reviews.decide(s, t.ben, NOON, candidate_id=3, verdict=Verdict.APPROVE),
    ),
    (
        "imports.propose_replies",
        "candidates.imported",
        Team.ana,
        lambda s, t, _: imports.propose_replies(s, t.ana, NOON, [REPLY], assistant_id=1, origin="import:export.zip"),
    ),
    (
        "examples.attest",
        "examples.attested",
        Team.olga,
        lambda s, t, path: examples.attest(
            s, t.olga, NOON, rows_in(path, 40, word="kettle"), origin="import:kettle", reason="Checked."
        ),
    ),
    (
        "people.grant",
        "role.granted",
        Team.olga,
        lambda s, t, _: people.grant(s, t.olga, NOON, person=PersonId("T1/UNEW"), role=RoleName.AGENT),
    ),
    (
        "people.revoke",
        "role.revoked",
        Team.olga,
        lambda s, t, _: people.revoke(s, t.olga, NOON, person=PersonId("T1/UNEW"), role=RoleName.AGENT),
    ),
    (
        "assistants.add",
        "assistant.added",
        Team.olga,
        lambda s, t, _: assistants.add(s, t.olga, NOON, name="Fjord", team_id="T1", speaks_as={"UFJORD"}),
    ),
    (
        "assistants.set_prompt",
        "prompt.set",
        Team.olga,
        lambda s, t, _: assistants.set_prompt(s, t.olga, NOON, name="Fjord", text="Be brief."),
    ),
    (
        "examples.held_out",
        "examples.attested",
        Team.olga,
        lambda s, t, path: examples.held_out(s, t.olga, NOON, rows_in(path, 2, word="toaster"), name="v1"),
    ),
    (
        "freezing.freeze",
        "dataset.frozen",
        Team.olga,
        lambda s, t, _: dataset.freeze(s, t.olga, NOON, name="v1"),
    ),
    (
        "dataset.annotate",
        "dataset.described",
        Team.olga,
        lambda s, t, _: dataset.annotate(s, t.olga, NOON, dataset.find(s, "v1"), "The first."),
    ),
    (
        "expiry.expire",
        "example.expires",
        Team.ben,
        lambda s, t, _: expiry.expire(s, t.ben, NOON, reason="Old.", after=NOON, example_ids=[1]),
    ),
    (
        "expiry.renew",
        "example.renewed",
        Team.ben,
        lambda s, t, _: expiry.renew(s, t.ben, NOON),
    ),
    (
        "handover.hand_over",
        "examples.exported",
        Team.olga,
        lambda s, t, _: handover.hand_over(s, t.olga, NOON, target=Format.OPENAI),
    ),
    (
        "runs.request",
        "run.requested",
        Team.olga,
        lambda s, t, _: runs.request(s, t.olga, NOON, dataset_name="v1", model="rehearsal"),
    ),
    (
        "runs.cancel",
        "run.cancelled",
        Team.olga,
        lambda s, t, _: runs.cancel(s, t.olga, NOON, run_id="run-"),
    ),
    (
        "deployments.request",
        "deployment.requested",
        Team.olga,
        lambda s, t, _: deployments.request(s, t.olga, NOON, run_id=_completed(s)),
    ),
    (
        "deployments.retire",
        "deployment.retired",
        Team.olga,
        lambda s, t, _: deployments.retire(s, t.olga, NOON, run_id=_live(s)),
    ),
]


def _completed(session: Session) -> str:
    run = runs.find(session, "run-")
    run.status = RunStatus.COMPLETED.value
    return run.id


def _live(session: Session) -> str:
    (deployment,) = session.exec(select(Deployment)).all()
    deployment.status = DeploymentStatus.LIVE.value
    return deployment.run_id


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
    for name, action, actor, use_case in CASES:
        before, written = snapshot(busy.store), len(entries(busy.store))
        with suppress(Undone), busy.store.write() as session:
            use_case(session, busy, tmp_path)
            raise Undone
        assert snapshot(busy.store) == before, name
        assert len(entries(busy.store)) == written, name
        with busy.store.write() as session:
            use_case(session, busy, tmp_path)
        fresh = entries(busy.store)[written:]
        assert [(entry.action, entry.actor) for entry in fresh] == [(action, actor.person_id)], name
        if name != "handover.hand_over":  # it changes no row: what leaves the house is written down all the same
            assert snapshot(busy.store) != before, name
        with busy.store.read() as session:
            assert audit.verify(session).broken is None


def test_the_use_cases_above_are_all_there_are() -> None:
    modules = [
        *(
            "curation.candidates",
            "curation.reviews",
            "curation.people",
            "curation.assistants",
            "curation.datasets.dataset",
        ),
        *("curation.datasets.freezing", "curation.expiry"),
        *("curation.imports", "curation.examples", "curation.handover", "curation.captures"),
        *("training.runs", "training.deployments"),
    ]
    acting = {
        f"{module.rpartition('.')[2]}.{name}"
        for module in modules
        for name, function in inspect.getmembers(importlib.import_module(module), inspect.isfunction)
        if function.__module__ == module
        and not name.startswith("_")
        and list(inspect.signature(function).parameters)[1:3] == ["actor", "now"]
    }
    assert acting == {name for name, *_ in CASES} | set(WITHOUT_ENTRY)


def test_what_a_use_case_does_a_second_time_without_a_change_leaves_no_second_entry(busy: Team) -> None:
    for _ in range(2):
        with busy.store.write() as session:
            candidates.propose(session, busy.ana, NOON, capture_id=1, correction="Six months.", review_in=None)
            people.grant(session, busy.olga, NOON, person=busy.bea.person_id, role=RoleName.REVIEWER)
    assert [entry.action for entry in entries(busy.store)].count("candidate.proposed") == 1
    assert [entry.subject for entry in entries(busy.store)].count(f"person:{busy.bea.person_id}") == 1


@pytest.mark.parametrize(("status", "step"), [key for key in runs.TRANSITIONS if key[1] is not RunStep.CANCEL], ids=str)
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
        candidates.propose(session, team.ana, NOON, capture_id=1, correction="Six months.", review_in=None)
        reviews.decide(session, team.ben, NOON, candidate_id=1, verdict=Verdict.APPROVE)
        dataset.freeze(session, team.olga, NOON, name="v1")
        return runs.request(session, team.olga, NOON, dataset_name="v1", model="rehearsal").id


# Tampering.


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Store]:
    """A store with twelve entries."""
    store = new_store(tmp_path / "written")
    for number in range(1, 13):
        with store.write() as session:
            audit.record(
                session,
                Actor(PersonId("T1/UANA")),
                NOON + timedelta(seconds=number),
                "candidate.proposed",
                subject=f"candidate:{number}",
                details={"number": number},
            )
    yield store
    store.close()


def verified(store: Store) -> audit.Verified:
    with store.read() as session:
        return audit.verify(session)


def tamper(store: Store, *statements: str) -> None:
    with store.engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def test_an_untouched_chain_holds(written: Store) -> None:
    found = verified(written)
    assert (found.entries, found.broken) == (12, None)
    assert found.head is not None
    assert found.head.entry == 12


def test_an_empty_chain_holds(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    assert verified(store) == audit.Verified(0, None)
    store.close()


@pytest.mark.parametrize("column", list(AuditEntry.model_fields))
def test_whatever_is_edited_in_an_entry_is_found_there(written: Store, column: str) -> None:
    changed = {
        "id": "5000",
        "at": "'2026-11-20 12:00:05.000001'",
        "details": "json('{\"number\": 6}')",
    }.get(column, "'another'")
    tamper(written, f"UPDATE audit_entries SET {column} = {changed} WHERE id = 5")  # noqa: S608 (a test's own words)
    assert verified(written).broken == (6 if column == "id" else 5)


@pytest.mark.parametrize("entry", [1, 5, 11])
def test_a_removed_entry_is_found_at_the_one_after_it(written: Store, entry: int) -> None:
    tamper(written, f"DELETE FROM audit_entries WHERE id = {entry}")  # noqa: S608
    found = verified(written)
    assert (found.entries, found.broken) == (entry - 1, entry + 1)
    assert "removed" in found.why


def test_entries_that_changed_places_are_found(written: Store) -> None:
    tamper(
        written,
        "UPDATE audit_entries SET id = 99 WHERE id = 5",
        "UPDATE audit_entries SET id = 5 WHERE id = 6",
        "UPDATE audit_entries SET id = 6 WHERE id = 99",
    )
    assert verified(written).broken == 5


def test_entries_whose_contents_changed_places_are_found(written: Store) -> None:
    tamper(
        written,
        "UPDATE audit_entries SET subject = 'candidate:6' WHERE id = 5",
        "UPDATE audit_entries SET subject = 'candidate:5' WHERE id = 6",
    )
    assert verified(written).broken == 5


def test_an_entry_put_in_between_is_found_even_where_it_is_sealed_well(written: Store) -> None:
    with written.write() as session:
        before = session.get_one(AuditEntry, 5)
        session.connection().execute(text("UPDATE audit_entries SET id = id + 100 WHERE id > 5"))
        forged = AuditEntry(
            id=6,
            at=NOON,
            actor="T1/UEVE",
            action="candidate.approve",
            subject="candidate:5",
            details={},
            previous=before.hash,
            hash="",
        )
        forged.hash = audit.seal(forged)
        session.connection().execute(text("UPDATE audit_entries SET previous = 'out of the way' WHERE id = 106"))
        session.add(forged)
    assert verified(written).broken == 106


def test_a_chain_cannot_fork(written: Store) -> None:
    with written.read() as session:
        second = session.get_one(AuditEntry, 2).model_dump() | {"id": 99}
    with pytest.raises(Conflict, match="at the same moment"), written.write() as session:
        session.add(AuditEntry(**second))


def test_the_order_is_that_of_the_commits_when_the_clock_jumps_back(written: Store) -> None:
    with written.write() as session:
        audit.record(session, Actor(PersonId("T1/UANA")), NOON - timedelta(days=1), "late", subject="x:1")
    assert verified(written).broken is None
    assert entries(written)[-1].action == "late"


def test_an_entry_may_be_written_in_any_zone_and_hold_any_alphabet(written: Store) -> None:
    local = NOON.astimezone(timezone(timedelta(hours=5, minutes=45)))
    with written.write() as session:
        details = {"name": "Łódź", "solo": True}
        audit.record(session, Actor(PersonId("T1/UANA")), local, "x", subject="import:日本.jsonl", details=details)
    assert verified(written).broken is None
    assert entries(written)[-1].at == NOON


def test_writers_at_the_same_moment_form_one_chain(written: Store) -> None:
    def write(name: str) -> None:
        for _ in range(20):
            with written.write() as session:
                audit.record(session, Actor(PersonId(f"T1/{name}")), NOON, "x.y", subject="x:1")
                audit.record(session, Actor(PersonId(f"T1/{name}")), NOON, "x.z", subject="x:1")

    threads = [Thread(target=write, args=(f"U{number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = verified(written)
    assert (found.entries, found.broken) == (12 + 6 * 40, None)


def test_entries_are_found_by_who_what_and_when(written: Store) -> None:
    with written.write() as session:
        audit.record(session, WORKER, NOON + timedelta(hours=1), "run.started", subject="run:run-1")
    with written.read() as session:
        assert [entry.key for entry in audit.search(session, actor="system/worker")] == [13]
        assert [entry.key for entry in audit.search(session, subject="candidate:1")] == [1]
        assert len(audit.search(session, subject="candidate")) == 12
        assert audit.search(session, subject="candid") == []
        assert [entry.key for entry in audit.search(session, action="run")] == [13]
        assert [entry.key for entry in audit.search(session, action="run.started")] == [13]
        assert [entry.key for entry in audit.search(session, since=NOON + timedelta(seconds=12))] == [12, 13]


def test_entries_hold_nobodys_words(busy: Team, tmp_path: Path) -> None:
    _requested(busy, tmp_path)
    told = json.dumps([[entry.subject, entry.action, entry.details] for entry in entries(busy.store)])
    for words in ("Six months", "filter", "kettle is", "Checked"):
        assert words not in told
