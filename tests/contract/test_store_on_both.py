"""What the house asks of its database, asked of SQLite and of a real PostgreSQL."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta, timezone
from pathlib import Path

import pytest
from builders import NOON, Team, new_team
from fakes import FakeBackend
from postgres import Postgres
from sqlalchemy import Integer, bindparam, func, inspect, text
from sqlalchemy import select as select_columns
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select

from bot import migrations
from bot.gate import Outcome
from bot.rendering import render
from bot.replay import StoredReplays
from curation import audit, candidates, captures, people, proposals, queue, reviews
from curation.candidates import CandidateStatus, Step
from curation.conversation import Conversation, Message, Role
from curation.datasets import dataset, requested
from curation.errors import AlreadyDecided, Conflict, Invalid, Overtaken, StoreUnavailable
from curation.notices import NoticeKind
from curation.people import Actor, person_id
from curation.policies import RoleName
from curation.queue import Filters
from curation.reviews import Verdict
from curation.store.counted import counts
from curation.store.engine import Store, open_engine
from curation.store.rows import Prepared, insert_row, table_of
from curation.store.tables import Candidate, Example, Notice, Person, Review, SplitKey
from training import deployments, orders, runs
from training.backends.names import BackendName
from training.store.tables import Deployment, Evaluation, Run
from training.worker import InlineCarrier, Worker
from training.workplace import Workplace

REVIEWERS = 50
# What make test has time for; ERRATA_TEST_ROUNDS=20 and ERRATA_TEST_OUTAGE=30 are the whole of it.
ROUNDS = int(os.environ.get("ERRATA_TEST_ROUNDS", "3"))
OUTAGE_SECONDS = float(os.environ.get("ERRATA_TEST_OUTAGE", "1"))


def at_once(count: int, work: Callable[[int], object]) -> list[object]:
    """Do the work in as many threads, all let go at the same moment; what each gave or raised."""
    gate = threading.Barrier(count)

    def one(number: int) -> object:
        gate.wait()
        try:
            return work(number)
        except Exception as error:  # noqa: BLE001 (the test looks at it)
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def test_the_migrated_tables_are_those_of_the_program(empty: Store) -> None:
    from sqlmodel import SQLModel  # noqa: PLC0415

    assert migrations.current(empty.engine) == migrations.head()
    names = set(inspect(empty.engine).get_table_names()) - {"alembic_version"}
    there = {name for name in names if migrations.is_modelled(name, "table", {})}
    assert there == set(SQLModel.metadata.tables)
    assert migrations.upgrade(empty.engine) == migrations.head()


def test_a_correction_goes_all_the_way_to_a_deployed_run(crew: Team, tmp_path: Path) -> None:
    first = crew.flag("How long does the filter last?", "Six months.")
    crew.decide(first, Verdict.RETURN, comment="Say where it is written.")
    with crew.store.write() as session:
        proposals.amend(session, crew.ana, NOON, candidate_id=first, correction="Six months, see the box.")
    crew.decide(first, Verdict.EDIT_AND_APPROVE, by=crew.bea, edited="Six months; the box says so.")
    crew.approve("Is the jug safe in the dishwasher? 🫖 \u0915\u093f", "The lid is not.")
    crew.approve("Where do you ship from?", None)
    with crew.store.write() as session:
        requested.ask(session, crew.olga, NOON, name="v1", validation_share=0.1, destination=crew.place)
    assert requested.step(crew.store, NOON)
    backend = FakeBackend()
    place = Workplace(crew.store, {BackendName.LOCAL: backend}, tmp_path / "home", lambda: NOON + timedelta(hours=1))
    worker = Worker(place, InlineCarrier(place))
    with crew.store.write() as session:
        run_id = orders.request(session, crew.olga, NOON, dataset_name="v1", model="rehearsal").id
    for _ in range(10):
        worker.tick()
        if run_id in backend.jobs:
            backend.complete(run_id)
        if run_id in backend.evaluations:
            backend.report(run_id)
    with crew.store.write() as session:
        deployments.request(session, crew.olga, NOON, run_id=run_id)
    worker.tick()
    with crew.store.read() as session:
        assert runs.find(session, run_id).status == "completed"
        assert [one.status for one in session.exec(select(Deployment))] == ["live"]
        asked = [example.messages[0]["content"] for example in session.exec(select(Example).order_by(col(Example.id)))]
        assert asked[1].endswith("🫖 \u0915\u093f")
        assert len(dataset.items(session, dataset.find(session, "v1"))) == 3
        assert audit.verify(session).broken is None
        told = {notice.kind: render(session, notice, NOON) for notice in session.exec(select(Notice))}
    elsewhere = {NoticeKind.THREAD_POST, NoticeKind.NOT_POSTED, NoticeKind.SAMPLE, NoticeKind.DIGEST}
    assert set(told) == set(NoticeKind) - elsewhere - {NoticeKind.DIGEST_RATES, NoticeKind.IDLE}


def test_of_fifty_reviewers_exactly_one_wins_and_the_others_hear_who(crew: Team) -> None:
    panel = [Actor(person_id("T1", f"UREVIEWER{number}")) for number in range(REVIEWERS)]
    with crew.store.write() as session:
        for number, reviewer in enumerate(panel):
            people.meet(session, NOON, reviewer.person_id, display_name=f"Reviewer {number}")
            people.grant(session, crew.olga, NOON, person=reviewer.person_id, role=RoleName.REVIEWER)
    for turn in range(ROUNDS):
        candidate_id = crew.flag(f"Question {turn}?", f"Answer {turn}.")

        def decide(number: int, candidate_id: int = candidate_id) -> str:
            crew.decide(candidate_id, Verdict.APPROVE, by=panel[number])
            return f"Reviewer {number}"

        answers = at_once(REVIEWERS, decide)
        (winner,) = [answer for answer in answers if isinstance(answer, str)]
        losers = [answer for answer in answers if isinstance(answer, AlreadyDecided)]
        assert len(losers) == REVIEWERS - 1, [repr(answer) for answer in answers if answer not in losers]
        assert {str(loser) for loser in losers} == {f"{winner} was faster: candidate {candidate_id} is approved."}
    with crew.store.read() as session:
        assert len(session.exec(select(Review)).all()) == ROUNDS
        assert len(session.exec(select(Example)).all()) == ROUNDS
        assert audit.verify(session).broken is None


def test_no_update_is_lost_between_the_threads_of_two_processes(empty: Store) -> None:
    """The second store has a lock and a pool of its own, as another process has."""
    other = Store(open_engine(empty.engine.url.render_as_string(hide_password=False)))
    with empty.write() as session:
        people.meet(session, NOON, person_id("T1", "U1"), display_name="0")

    def count_up(number: int) -> None:
        for _ in range(25):
            with (empty, other)[number % 2].write() as session:
                person = session.get_one(Person, "T1/U1")
                person.display_name = str(int(person.display_name) + 1)

    assert at_once(8, count_up) == [None] * 8
    with other.read() as session:
        assert session.get_one(Person, "T1/U1").display_name == "200"
    other.close()


def test_two_decisions_on_one_run_are_one_step_and_one_refusal(crew: Team) -> None:
    for question in ("How long?", "Is it safe?", "Where from?"):
        crew.approve(question, "Six months.")
    crew.freeze("v1")
    with crew.store.write() as session:
        run_id = orders.request(session, crew.olga, NOON, dataset_name="v1", model="rehearsal").id
    with crew.store.read() as session:
        seen = runs.find(session, run_id)
    with crew.store.write() as session:
        runs.cancel(session, crew.olga, NOON, run_id=run_id)
    seen.status = "training"
    with pytest.raises(Overtaken, match="at the same moment; look again"), crew.store.write() as session:
        session.add(seen)
    with crew.store.read() as session:
        assert runs.find(session, run_id).status == "cancelled"


def test_of_ten_people_who_freeze_request_or_deploy_at_once_nobody_makes_a_second_one(crew: Team) -> None:
    for question in ("How long?", "Is it safe?", "Where from?"):
        crew.approve(question, "Six months.")
    frozen = at_once(10, lambda _number: crew.freeze("v1").id)
    assert len({one for one in frozen if isinstance(one, int)}) == 1
    assert all(isinstance(one, int | Conflict) for one in frozen), frozen
    with crew.store.write() as session:
        run_id = orders.request(session, crew.olga, NOON, dataset_name="v1", model="rehearsal").id
        session.get_one(Run, run_id).status = "completed"

    def deploy(_number: int) -> int:
        with crew.store.write() as session:
            return deployments.request(session, crew.olga, NOON, run_id=run_id).key

    assert len(set(at_once(10, deploy))) == 1
    with crew.store.read() as session:
        assert len(session.exec(select(Deployment)).all()) == 1
        assert audit.verify(session).broken is None


def test_a_form_submitted_six_times_at_once_is_one_candidate_and_one_card(crew: Team) -> None:
    """Slack delivers a submission again where its answer was lost; each redelivery is its own request."""
    for number in range(20):
        with crew.store.write() as session:
            kept = captures.keep(
                session,
                crew.ana,
                NOON,
                assistant_id=crew.assistant_id,
                source=f"{crew.place}/{number}",
                thread=f"{crew.place}/{number}",
                reply="It lasts for ever.",
            ).key
            asked = Conversation((Message(Role.USER, "How long?"),))
            captures.fill(session, kept, asked, reply="It lasts for ever.", staff_reply=None)

        def submit(_number: int, kept: int = kept) -> int:
            with crew.store.write() as session:
                return proposals.propose(
                    session, crew.ana, NOON, capture_id=kept, correction="Six months.", review_in=crew.place
                )

        assert len(set(at_once(6, submit))) == 1
    with crew.store.read() as session:
        assert len(session.exec(select(Candidate)).all()) == 20
        cards = Counter(notice.subject for notice in session.exec(select(Notice)))
    assert set(cards.values()) == {1}


def test_a_request_remembered_by_six_threads_at_once_has_one_outcome(empty: Store) -> None:
    outcomes = [Outcome(200, "text/plain", f"{number}".encode()) for number in range(6)]
    assert at_once(6, lambda number: StoredReplays(empty).remember("key", outcomes[number], NOON)) == [None] * 6
    assert StoredReplays(empty).recall("key") in outcomes


def test_a_unique_name_taken_at_the_same_moment_is_a_conflict_and_never_an_outage(crew: Team) -> None:
    for _ in range(2):
        with crew.store.write() as session:
            if session.get(SplitKey, "thread:1") is None:
                session.add(SplitKey(key="thread:1", side="train"))
    with pytest.raises(Overtaken, match="at the same moment; look again"), crew.store.write() as session:
        session.add(SplitKey(key="thread:1", side="validation"))
    first, second = crew.flag("How long?", "Six months."), crew.flag("Is it?", "Yes.")
    with crew.store.read() as session:
        taken = candidates.find(session, first).capture_id
    with pytest.raises(Overtaken), crew.store.write() as session:
        candidates.find(session, second).capture_id = taken


def test_a_unit_of_work_that_raises_leaves_nothing(crew: Team) -> None:
    waiting = crew.flag("How long?", "Six months.")

    def decide_and_fail() -> None:
        with crew.store.write() as session:
            reviews.decide(session, crew.ben, NOON, candidate_id=waiting, verdict=Verdict.APPROVE)
            raise Invalid("something else")

    with pytest.raises(Invalid):
        decide_and_fail()
    with crew.store.read() as session:
        assert candidates.find(session, waiting).status == "pending"
        assert session.exec(select(Review)).all() == []
        assert audit.verify(session).broken is None


def test_a_reader_sees_one_moment_and_waits_for_no_writer(crew: Team) -> None:
    with crew.store.read() as reading:
        before = len(reading.exec(select(Candidate)).all())
        crew.flag("How long?", "Six months.")
        assert len(reading.exec(select(Candidate)).all()) == before
    with crew.store.write() as session:
        people.meet(session, NOON, person_id("T1", "U9"))
        with crew.store.read() as reading:
            assert len(reading.exec(select(Candidate)).all()) == before + 1


def test_a_prepared_statement_reads_and_writes_what_a_mapped_class_does(crew: Team) -> None:
    """Every column type of the house: text, numbers, truth, moments, JSON, bytes, and nothing."""
    made = Candidate(
        kind="correction",
        status="pending",
        source="T1/C1/1",
        thread="T1/C1/1",
        assistant_id=crew.assistant_id,
        turns=[{"role": "user", "content": "Größe? 100 % \\ '🙂'"}],
        reply="No.",
        flagged_by="T1/UANA",
        flagged_at=NOON.astimezone(timezone(timedelta(hours=5, minutes=45))),
    )
    review = {"reviewer": "T1/UBEN", "verdict": "approve", "self_approved": True, "decided_at": NOON}
    columns = [column for column in table_of(Candidate).c if column.key != "id"]
    read = Prepared(select_columns(*columns).where(table_of(Candidate).c.id == bindparam("sought")))
    with crew.store.write() as session:
        values = {column.key: getattr(made, column.key) for column in columns if column.key != "version"}
        first = insert_row(session, Candidate, **values)
        session.add(made)
        rows = read.rows(session, sought=first) + read.rows(session, sought=made.id)
        assert rows[0]._replace(version=1) == rows[1]  # the mapper counts from 1
        assert (rows[0].turns, rows[0].flagged_at, rows[0].version) == (made.turns, NOON, 0)
        mapped = session.get_one(Candidate, first)
        assert all(getattr(mapped, column.key) == getattr(rows[0], column.key) for column in columns)
        key = insert_row(session, Review, candidate_id=first, **review)
        assert session.get_one(Review, key).model_dump() == {
            "id": key,
            "candidate_id": first,
            "comment": None,
            **dict.fromkeys(("correction_id", "batch", "undone_at", "topic", "reason")),
            **review,
        }


def test_a_prepared_statement_sees_what_the_session_has_not_written_yet(crew: Team) -> None:
    with crew.store.write() as session:
        session.get_one(Person, crew.ana.person_id).display_name = "Anna"
        assert people.name_of(session, crew.ana.person_id) == "Anna"


def test_a_prepared_statement_that_fails_is_told_in_a_sentence_without_its_values(crew: Team) -> None:
    twice = {"id": crew.ana.person_id, "display_name": "canary", "created_at": NOON}
    with pytest.raises(Overtaken) as taken, crew.store.write() as session:
        insert_row(session, Person, **twice)
    assert isinstance(taken.value.__cause__, IntegrityError)
    assert "canary" not in str(taken.value.__cause__).partition("\n")[2]
    missing = Prepared(text("SELECT 1 FROM nowhere").columns(one=Integer))
    with pytest.raises(StoreUnavailable, match="Run: errata migrate"), crew.store.look_up() as connection:
        missing.rows(connection)
    with crew.store.write_rows() as work:
        insert_row(work, Person, **{**twice, "id": "T1/UNEW"})
    with crew.store.read() as session:
        assert people.name_of(session, "T1/UNEW") == "canary"


def test_a_candidate_that_moved_since_it_was_read_is_a_conflict(crew: Team) -> None:
    candidate_id = crew.flag("How long?", "Six months.")
    with crew.store.read() as session:
        stale = candidates.standing(session, candidate_id)
    crew.decide(candidate_id, Verdict.RETURN, comment="Say it.")
    with pytest.raises(Overtaken, match="at the same moment"), crew.store.write() as session:
        candidates.take(session, stale, Step.APPROVE)
    with crew.store.read() as session:
        assert candidates.find(session, candidate_id).status == "returned"


def test_whoever_holds_a_candidate_as_an_object_sees_its_decision(crew: Team) -> None:
    candidate_id = crew.flag("How long?", "Six months.")
    with crew.store.write() as session:
        held = candidates.find(session, candidate_id)
        reviews.decide(session, crew.ben, NOON, candidate_id=candidate_id, verdict=Verdict.APPROVE)
        held.note = "seen"
    with crew.store.read() as session:
        kept = candidates.find(session, candidate_id)
        assert (held.status, held.version) == (kept.status, kept.version) == ("approved", 3)
        assert kept.note == "seen"


def test_a_decision_leaves_the_words_of_its_candidate_as_they_were_indexed(crew: Team) -> None:
    entries = (
        "SELECT xmin || ' ' || ctid || ' ' || words FROM candidate_search"
        if crew.store.shared
        else "SELECT id || ' ' || hex(block) FROM candidate_search_data ORDER BY id"
    )
    key = crew.flag("How long does it last?", "Six months.")
    with crew.store.read() as session:
        before = session.execute(text(entries)).scalars().all()
    assert before
    crew.decide(key, Verdict.APPROVE)
    with crew.store.read() as session:
        assert session.execute(text(entries)).scalars().all() == before
        assert [one.key for one in queue.search(session, "months", Filters(CandidateStatus.APPROVED)).candidates] == [
            key
        ]
        assert queue.search(session, "months", Filters(CandidateStatus.PENDING)).candidates == ()


def test_words_are_found_whether_they_are_near_or_far_or_many(crew: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [crew.flag(f"How long does it last? {'Often' if number % 3 else 'Rarely'}.", "Six.") for number in range(9)]
    often = [key for number, key in enumerate(keys) if number % 3]
    for attempts in (((1, 2), (2, None)), ((1, 20), (1, None)), ((9, 1), (9, None))):
        monkeypatch.setattr(queue, "_ATTEMPTS", attempts)
        with crew.store.read() as session:
            for status in (CandidateStatus.PENDING, None):
                found = [queue.search(session, word, Filters(status), limit=4) for word in ("often", "rarely", "never")]
                assert [[one.key for one in page.candidates] for page in found] == [often[:4], keys[::3], []]
                assert [page.following for page in found] == [often[3], None, None]


def test_counting_from_value_to_value_is_what_grouping_counts(crew: Team) -> None:
    table = table_of(Candidate)
    columns = (table.c.status, table.c.topic, table.c.language)
    with crew.store.read() as session:
        assert counts(session, *columns) == []
    for number in range(6):
        crew.flag(f"Where is order {number}?", "Here.")
    with crew.store.write() as session:
        session.execute(text("UPDATE candidates SET topic = 'billing' WHERE id % 3 = 0"))
        session.execute(text("UPDATE candidates SET topic = '', status = 'rejected' WHERE id % 3 = 1"))
        session.execute(text("UPDATE candidates SET language = CASE id % 2 WHEN 0 THEN 'de' END"))
    with crew.store.read() as session:
        grouped = session.execute(select_columns(*columns, func.count()).group_by(*columns)).all()
        assert len(grouped) > 4
        assert Counter(counts(session, *columns)) == Counter(tuple(row) for row in grouped)


def test_a_run_has_one_evaluation(crew: Team) -> None:
    for question in ("How long?", "Is it safe?", "Where from?"):
        crew.approve(question, "Six months.")
    crew.freeze("v1")
    with crew.store.write() as session:
        run_id = orders.request(session, crew.olga, NOON, dataset_name="v1", model="rehearsal").id
        session.add(Evaluation(run_id=run_id, verdict="better", report={}, evaluated_at=NOON))
    with pytest.raises(Overtaken), crew.store.write() as session:
        session.add(Evaluation(run_id=run_id, verdict="better", report={}, evaluated_at=NOON))


# PostgreSQL alone.


def test_a_text_with_a_nul_is_refused_in_a_sentence(postgres: Postgres, tmp_path: Path) -> None:
    store = postgres.new_store()
    team = new_team(tmp_path, store)
    with pytest.raises(Invalid, match="NUL"):
        team.flag("How long?", "Six\0months.")
    store.close()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"port": 1}, "does not answer"),
        ({"database": "nowhere"}, "no such database"),
        ({"username": "nobody"}, "no such database or user"),
    ],
)
def test_a_server_that_cannot_be_reached_is_said_so(
    postgres: Postgres, change: dict[str, str | int], sentence: str
) -> None:
    url = open_engine(postgres.url("postgres")).url.set(**change)  # type: ignore[arg-type]  # two of its keywords
    store = Store(open_engine(url.render_as_string()))
    with pytest.raises(StoreUnavailable, match=sentence), store.read() as session:
        session.exec(select(Person)).all()
    store.close()


def test_a_database_without_tables_names_the_command(postgres: Postgres) -> None:
    store = Store(open_engine(postgres.url("postgres")))
    with pytest.raises(StoreUnavailable, match="errata migrate"), store.read() as session:
        session.exec(select(Person)).all()
    store.close()


def test_a_crash_of_the_server_loses_nothing_that_was_committed(postgres: Postgres, tmp_path: Path) -> None:
    store = postgres.new_store()
    team = new_team(tmp_path, store)
    kept, refused, stopping = [], [], threading.Event()

    def go_on() -> None:
        number = 0
        while not stopping.is_set():
            number += 1
            try:
                kept.append(team.flag(f"Question {number}?", f"Answer {number}."))
            except StoreUnavailable as error:
                refused.append(str(error))
                time.sleep(0.1)

    thread = threading.Thread(target=go_on)
    thread.start()
    deadline = time.monotonic() + 120 + OUTAGE_SECONDS
    while len(kept) < 5:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    postgres.crash()
    time.sleep(OUTAGE_SECONDS)
    postgres.start()
    before = len(kept)
    while len(kept) < before + 5:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    stopping.set()
    thread.join()
    with store.read() as session:
        there = set(session.exec(select(Candidate.id)))
        assert audit.verify(session).broken is None
    store.close()
    assert set(kept) <= there
    assert len(there) - len(kept) <= 1  # the one whose answer the crash may have swallowed
    assert refused
    assert all("does not answer" in sentence for sentence in refused)
