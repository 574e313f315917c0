"""The queue's pages, searches and counts, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from benchmarks.store import examples, plans
from benchmarks.store_rows import AUTHORS, IMPORTER, Years, fill
from builders import NOON, Team
from sqlalchemy import text
from sqlmodel import col, select

from bot import migrations
from curation import corrections, proposals
from curation.candidates import CandidateKind, CandidateStatus
from curation.queue import Filters, Page, page, search, shares, stats, waiting
from curation.reviews import Verdict
from curation.store.engine import Store, open_engine
from curation.store.tables import Candidate, Correction, Review
from curation.summaries import of_candidate, of_candidates

YEARS = Years(400, seed=3)


@pytest.fixture
def team(crew: Team) -> Team:
    return crew


@pytest.fixture(params=["sqlite", "postgres"], scope="module")
def full(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store of four hundred candidates that were there before the index was; nobody writes to it."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('years')}/errata.db"
    else:
        server = request.getfixturevalue("postgres")
        server.execute("CREATE DATABASE years")
        url = server.url("years")
    fill(url, Years(YEARS.count, YEARS.seed))
    store = Store(open_engine(url))
    migrations.upgrade(store.engine)
    yield store
    store.close()


def everybody(store: Store) -> list[Candidate]:
    with store.read() as session:
        return list(session.exec(select(Candidate).order_by(col(Candidate.id))).all())


def authors(store: Store) -> dict[int, set[str]]:
    with store.read() as session:
        wrote: dict[int, set[str]] = {}
        for correction in session.exec(select(Correction)):
            wrote.setdefault(correction.candidate_id, set()).add(correction.author)
        return wrote


def keys(shown: Page) -> list[int]:
    return [candidate.key for candidate in shown.candidates]


FILTERS = [
    Filters(),
    Filters(None),
    Filters(CandidateStatus.APPROVED),
    Filters(CandidateStatus.APPROVED, topic="billing", language="de"),
    Filters(None, language="zh"),
    Filters(CandidateStatus.APPROVED, kind=CandidateKind.ENDORSEMENT, assistant_id=2),
    Filters(None, not_by=IMPORTER),
    Filters(CandidateStatus.REJECTED, topic="delivery", not_by=AUTHORS[0]),
    Filters(topic="nobody's"),
]


def passes(one: Candidate, filters: Filters, wrote: set[str]) -> bool:
    return (
        filters.status in {None, one.status}
        and filters.topic in {None, one.topic}
        and filters.language in {None, one.language}
        and filters.kind in {None, one.kind}
        and filters.assistant_id in {None, one.assistant_id}
        and filters.not_by not in wrote
    )


def test_pages_hold_exactly_what_passes_the_filters_in_order_and_end(full: Store) -> None:
    everything, wrote = everybody(full), authors(full)
    for filters in FILTERS:
        expected = [one.key for one in everything if passes(one, filters, wrote[one.key])]
        found: list[int] = []
        after: int | None = 0
        with full.read() as session:
            assert waiting(session, filters) == len(expected)
            while after is not None:
                shown = page(session, filters, after=after, limit=7)
                found += keys(shown)
                after = shown.following
        assert found == expected, filters


def test_a_search_finds_what_reading_everything_finds(full: Store) -> None:
    everything, wrote = everybody(full), authors(full)
    with full.read() as session:
        texts = {
            one.key: f"{one.turns[0]['content']} {one.reply} {corrections.current_text(session, one.key)}".lower()
            for one in everything
        }
        for word, shape in [("refund", " refund[ .]"), ("rechnung", " rechnung[ .]"), ("退款", "退款"), ("退", "退")]:
            holding = [key for key, said in texts.items() if re.search(shape, f" {said}")]
            assert holding, word
            for filters in FILTERS:
                allowed = {one.key for one in everything if passes(one, filters, wrote[one.key])}
                found = keys(search(session, word, filters, limit=500))
                assert found == [key for key in holding if key in allowed], (word, filters)


def test_a_page_of_matches_goes_on_where_it_ended(full: Store) -> None:
    with full.read() as session:
        whole = keys(search(session, "refund", Filters(None), limit=500))
        first = search(session, "refund", Filters(None), limit=3)
        assert first.following is not None
        rest = search(session, "refund", Filters(None), after=first.following, limit=500)
    assert keys(first) + keys(rest) == whole
    assert rest.following is None


def test_counts_are_those_of_the_rows(full: Store) -> None:
    everything = everybody(full)
    with full.read() as session:
        counted = {(one.status, one.topic, one.language): one.candidates for one in stats(session)}
        busy = shares(session)
        given = Counter((review.reviewer, review.verdict) for review in session.exec(select(Review)))
        written = Counter(correction.author for correction in session.exec(select(Correction)))
    assert counted == Counter((one.status, one.topic, one.language) for one in everything)
    assert {one.person: one.written for one in busy if one.written} == written
    assert {(one.person, verdict): number for one in busy for verdict, number in one.verdicts.items()} == given
    sums = [one.written + sum(one.verdicts.values()) for one in busy]
    assert sums == sorted(sums, reverse=True)


def test_a_page_is_summed_up_as_each_of_its_candidates_is(full: Store) -> None:
    with full.read() as session:
        for status in CandidateStatus:
            shown = page(session, Filters(status), limit=10).candidates
            assert of_candidates(session, shown) == [of_candidate(session, one) for one in shown]


def test_every_question_is_answered_from_an_index(full: Store) -> None:
    uses = {
        "first page": "ix_candidates_",  # which one, of four hundred rows, is all the same to the planner
        "deep page with every filter": "ix_candidates_",
        "decided, one language": "ix_candidates_",
        "frequent word": "candidate_search",
        "rare word of anybody else": "candidate_search",
        "next to review": "ix_candidates_",
        "tally": "ix_candidates_",
        "stats": "ix_candidates_status_topic_language",
        "people": "ix_corrections_",
    }
    asked = examples(YEARS.count, YEARS)
    assert set(asked) == set(uses)
    for name, question in asked.items():
        explained = plans(full, question, only_indexes=True)
        assert any(uses[name] in plan for _, plan in explained), (name, explained)
        for statement, plan in explained:
            # SQLite scans an index in order, a virtual table by its own, or values that it walked to; never a table.
            assert "Seq Scan" not in plan, (name, statement, plan)
            for line in plan.splitlines():
                whole = re.match("SCAN (?!CONSTANT|.subquery|level_|anon_|seen|.*INDEX)", line)
                assert not whole, (name, statement, plan)


def found_by(team: Team, typed: str, **filters: Any) -> list[int]:
    with team.store.read() as session:
        return keys(search(session, typed, Filters(**filters)))


def test_words_are_found_as_people_type_them(team: Team) -> None:
    words = "Rückgabe: ist sie erlaubt? ERR-4041, ana@example.test. 请问VIP会员可以要退款吗？ "
    key = team.flag(words + "it's really not NEAR 2 filter and ok", "Six months.")
    team.flag("Something else", "Another.")
    for typed in (
        *("rückgabe", "RÜCKGABE erlaubt", "erlaubt Rückgabe", "rück*", "ERR-4041", "404*", "ana@example.test"),
        *("退款", "要退款", "款", "VIP 会员", "vip会员"),
        'it\'s "really" (not) NEAR/2 -filter: AND ^ok',
    ):
        assert found_by(team, typed) == [key], typed
    for typed in ("Rückgaberecht", "err4041", "款退", "refund", "' OR 1=1; DROP TABLE candidates; --"):
        assert found_by(team, typed) == [], typed


def test_the_index_follows_every_change_of_a_candidate(team: Team) -> None:
    key = team.flag("How long does it last?", "Six months.")
    assert found_by(team, "months") == [key]
    with team.store.write() as session:
        proposals.amend(session, team.ana, NOON, candidate_id=key, correction="Half a year.")
    assert (found_by(team, "months"), found_by(team, "year")) == ([], [key])
    team.decide(key, Verdict.RETURN, comment="Say which.")
    assert (found_by(team, "year"), found_by(team, "year", status=CandidateStatus.RETURNED)) == ([], [key])
    with team.store.write() as session:
        session.get_one(Candidate, key).topic = "filters & more"
    assert found_by(team, "year", status=None, topic="filters & more") == [key]
    with team.store.write() as session:
        session.execute(
            text("UPDATE candidates SET reply = 'Nobody knows.', turns = '[]' WHERE id = :key"), {"key": key}
        )
    assert (found_by(team, "long", status=None), found_by(team, "knows", status=None)) == ([], [key])
    with team.store.write() as session:
        session.execute(text("UPDATE corrections SET text = 'Gone.' WHERE candidate_id = :key"), {"key": key})
    assert (found_by(team, "year", status=None), found_by(team, "gone", status=None)) == ([], [key])


def test_what_is_deleted_is_found_no_more(team: Team) -> None:
    key = team.flag("How long does it last?", "Six months.")
    with team.store.write() as session:
        for statement in (
            "DELETE FROM corrections WHERE candidate_id = :key",
            "DELETE FROM candidates WHERE id = :key",
        ):
            session.execute(text(statement), {"key": key})
    with team.store.read() as session:
        assert session.execute(text("SELECT count(*) FROM candidate_search")).scalar_one() == 0


def test_a_long_dialogue_is_searched_and_none_is_too_long_to_be_kept(team: Team) -> None:
    key = team.flag("退款" * 3_000 + " keyword " + "x" * 3_000_000, "Six months. " + "y" * 2_000)
    assert found_by(team, "months keyword") == [key]
    assert found_by(team, "退款") == [key]


def test_a_text_cannot_pass_for_a_label(team: Team) -> None:
    key = team.flag("My private character \ue000sapproved here", "Six months.")
    assert found_by(team, "private", status=CandidateStatus.APPROVED) == []
    assert found_by(team, "private") == [key]


def test_the_queue_of_one_workspace_holds_what_belongs_to_no_other(team: Team) -> None:
    other = replace(team, place="T2/C2")
    ours, theirs = team.flag("How long does it last?", "Six months."), other.flag("How long is it?", "Two metres.")
    imported = team.flag("How long do you keep it?", "A year.")
    with team.store.write() as session:
        session.get_one(Candidate, imported).source = "import:tickets.csv/1"
    zoe, grid = "T2/UZOE", "E1/T2/UZOE"
    for person, seen in (
        (team.ben.person_id, [ours, imported]),
        (zoe, [theirs, imported]),
        (grid, [theirs, imported]),
        ("T3/UNEW", [imported]),
        ("local/ben", [ours, theirs, imported]),
        (None, [ours, theirs, imported]),
    ):
        for status in (CandidateStatus.PENDING, None):
            filters = Filters(status, seen_by=person)
            with team.store.read() as session:
                assert keys(page(session, filters)) == seen
                assert keys(search(session, "long", filters)) == seen
                assert keys(search(session, "lon*", filters, limit=1)) == seen[:1]
                assert waiting(session, filters) == len(seen)
