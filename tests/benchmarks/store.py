"""How long the queue's pages, searches and counts take with a million candidates, on SQLite and on PostgreSQL.

    python tests/benchmarks/store.py [--candidates 1000000] [--queries 200] [--only sqlite|postgres]

The rows are written at the revision before the search index, so that the migration that builds it is timed as well.
Each question is a use case of ``errata queue`` in a session of its own, in an order shuffled by a seed: a page with
the summaries that are shown of it, a search with those of its matches, what a reviewer is shown next, the counts,
and what a worker asks before it screens a correction or sends a notice. The plans of some are printed first. The
last lines are the figures, one JSON object each; ``peer`` is the goal (50 ms for pages and searches, 150 ms for
counts), ``ratio`` ours by the goal, and both are null where there is none.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from benchmarks.store_rows import AUTHORS, IMPORTER, LANGUAGES, START, TOPICS, Years, fill
from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine
from sqlmodel import Session

from bot import migrations
from curation import claims, notices
from curation.candidates import CandidateKind, CandidateStatus
from curation.eligibility import shape_of, values_of
from curation.people import Actor, PersonId
from curation.privacy.names import NOBODY
from curation.privacy.personal import Scope
from curation.privacy.treatment import REGIONS
from curation.queue import Filters, page, search, shares, stats, tally
from curation.screening import likeness, precedents, worklist
from curation.store import rows
from curation.store.engine import Store, open_engine
from curation.summaries import of_candidates

DATABASES = ("sqlite", "postgres")
PAGE_MS, COUNT_MS = 50, 150
"""The goals."""
Question = Callable[[Session], Any]
_SCOPE = Scope(NOBODY, REGIONS, "")  # whose names are known is read once for many corrections


def queue_questions(count: int, rng: random.Random, number: int) -> Iterator[tuple[str, Question]]:
    """Pages as reviewers ask for them, from the front of the queue and from deep in it."""
    for _ in range(number):
        filters = Filters(
            status=rng.choices(list(CandidateStatus), [70, 10, 15, 5])[0],
            topic=rng.choice(TOPICS) if rng.random() < 0.4 else None,
            language=rng.choice(list(LANGUAGES)) if rng.random() < 0.4 else None,
            kind=rng.choice(list(CandidateKind)) if rng.random() < 0.2 else None,
            assistant_id=rng.randint(1, 3) if rng.random() < 0.1 else None,
            not_by=rng.choice(AUTHORS) if rng.random() < 0.5 else None,
        )
        after = rng.randrange(count) if rng.random() < 0.5 else 0
        yield f"{filters} after {after}", lambda session, f=filters, a=after: shown(session, page(session, f, after=a))


def search_questions(years: Years, rng: random.Random, number: int) -> Iterator[tuple[str, Question]]:
    """Searches for frequent words, rare ones, two at once, beginnings and numbers, in six languages."""
    for _ in range(number):
        language = rng.choices(list(LANGUAGES), list(LANGUAGES.values()))[0]
        words = years.words(language)
        frequent, rare = rng.choice(words[:12]), rng.choice(words)
        beginning = f"{rare[:5]}*" if language != "zh" and len(rare) > 4 else rare
        typed = rng.choice([frequent, rare, f"{frequent} {rare}", f"ERR-{rng.randrange(9973)}", beginning])
        filters = Filters(
            status=rng.choices([CandidateStatus.PENDING, None, CandidateStatus.APPROVED], [60, 25, 15])[0],
            topic=rng.choice(TOPICS) if rng.random() < 0.2 else None,
            language=language if rng.random() < 0.2 else None,
            not_by=rng.choice(AUTHORS) if rng.random() < 0.3 else None,
        )
        yield f"{typed} {filters}", lambda session, t=typed, f=filters: shown(session, search(session, t, f))


def review_questions(rng: random.Random, number: int) -> Iterator[tuple[str, Question]]:
    """What a reviewer is shown next; some wrote much of the queue themselves, most read a few languages only."""
    for _ in range(number):
        actor = Actor(PersonId(rng.choice([*AUTHORS, IMPORTER])))
        reads = frozenset(rng.sample(list(LANGUAGES), 2)) if rng.random() < 0.7 else None
        yield f"{actor.person_id} reads {reads}", lambda session, a=actor, r=reads: following(session, a, r)


def following(session: Session, actor: Actor, reads: frozenset[str] | None = None) -> int | None:
    """The first of the order in which a reviewer takes; taking it is one statement more."""
    asked = (shape_of(actor, None, reads), values_of(actor, START, None, reads))
    return next(claims.in_order(session, *asked), None)


def tally_questions(rng: random.Random, number: int) -> Iterator[tuple[str, Question]]:
    """How much waits for a reviewer."""
    for _ in range(number):
        actor = Actor(PersonId(rng.choice([*AUTHORS, IMPORTER])))
        yield actor.person_id, lambda session, a=actor: tally(session, a, START)


def screening_questions(count: int, rng: random.Random, number: int) -> Iterator[tuple[str, Question]]:
    """What is known beside a correction, of some of the newest."""
    for _ in range(number):
        key = rng.randint(max(1, count * 9 // 10), count)
        yield f"candidate {key}", lambda session, k=key: _screened(session, k)


def _screened(session: Session, key: int) -> None:
    row = worklist._read(session, key, key)
    assert row is not None
    prompt = precedents.prompt_of(row.turns)
    precedents.look_up(session, row, prompt, likeness.bands(prompt), _SCOPE)


def due(session: Session) -> None:
    """What the worker's steps ask first: corrections to screen, notices to send."""
    worklist._DUE.rows(session, most=worklist.BATCH)
    notices.due(session, START)


def shown(session: Session, found: Any) -> list[Any]:
    """The summaries of a page, as the command prints them."""
    return of_candidates(session, found.candidates)


def measure(name: str, url: str, *, candidates: int, queries: int, seed: int = 1) -> list[dict[str, Any]]:
    """Fill the database, migrate it, ask; the figures."""
    years, rng = Years(candidates, seed), random.Random(seed)
    began = time.perf_counter()
    fill(url, years)
    engine = open_engine(url)
    _tend(engine, "ANALYZE")
    filled = time.perf_counter()
    print(f"{name}: {candidates:,} candidates written in {filled - began:.0f} s; migrating …", flush=True)
    migrations.upgrade(engine)
    migrated = time.perf_counter()
    print(f"{name}: migrated in {migrated - filled:.0f} s; asking …", flush=True)
    _tend(engine, "VACUUM ANALYZE")
    store = Store(engine)
    try:
        own = next(row[0] for row, _, _ in Years(candidates, seed).rows() if row[1] == "correction")
        workers = {"due": due, "screening": lambda session: _screened(session, own)}
        show_plans(store, {**examples(candidates, years), **workers})
        few = max(3, queries // 10)
        asked: list[tuple[str, list[tuple[str, Question]], int | None]] = [
            ("queue", list(queue_questions(candidates, rng, queries)), PAGE_MS),
            ("search", list(search_questions(years, rng, queries)), PAGE_MS),
            ("take_next", list(review_questions(rng, queries)), PAGE_MS),
            ("tally", list(tally_questions(rng, few)), COUNT_MS),
            ("stats", [("stats", stats)] * few, COUNT_MS),
            ("people", [("people", shares)] * few, COUNT_MS),
            ("screening", list(screening_questions(candidates, rng, few)), None),
            ("due", [("due", due)] * few, None),
        ]
        figures = [_figure(f"store.{name}.{kind}_p95_ms", _asked(store, some), goal) for kind, some, goal in asked]
    finally:
        store.close()
    taken = {"name": f"store.{name}.migrate_s", "ours": round(migrated - filled, 1), "peer": None, "ratio": None}
    return [*figures, {**taken, "unit": "s"}]


def _tend(engine: Engine, statement: str) -> None:
    """What PostgreSQL's autovacuum does by itself, soon; migration 0007 takes hours without statistics."""
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql(statement)


def examples(candidates: int, years: Years) -> dict[str, Question]:
    """The questions whose plans are printed, and looked at by a test."""
    deep = candidates * 9 // 10
    mine = Filters(topic=TOPICS[0], language="de", kind=CandidateKind.CORRECTION, assistant_id=1, not_by=AUTHORS[0])
    rare = years.words("en")[-1]
    return {
        "first page": lambda session: page(session, Filters()),
        "deep page with every filter": lambda session: page(session, mine, after=deep),
        "decided, one language": lambda session: page(session, Filters(CandidateStatus.APPROVED, language="fil")),
        "frequent word": lambda session: search(session, "refund", Filters()),
        "rare word of anybody else": lambda session: search(session, rare, Filters(None, not_by=AUTHORS[0])),
        "next to review": lambda session: following(session, Actor(PersonId(AUTHORS[0])), frozenset({"en", "de"})),
        "tally": lambda session: tally(session, Actor(PersonId(AUTHORS[0])), START),
        "stats": stats,
        "people": shares,
    }


def plans(store: Store, question: Question, *, only_indexes: bool = False) -> list[tuple[str, str]]:
    """Every statement that a question asks, with the database's plan for it.

    Args:
        only_indexes: forbid PostgreSQL to read small tables whole, which it rightly would.
    """
    asked: list[tuple[str, Any]] = []

    def remember(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        asked.append((statement, parameters))

    def prepared(self: Any, values: dict[str, Any]) -> Any:
        given = parameters(self, values)
        asked.append((self.text, tuple(given) if self.by_position else given))
        return given

    parameters = rows._Ready.parameters
    event.listen(store.engine, "before_cursor_execute", remember)
    rows._Ready.parameters = prepared  # type: ignore[method-assign]  # these go past SQLAlchemy and its events
    try:
        with store.read() as session:
            question(session)
    finally:
        rows._Ready.parameters = parameters  # type: ignore[method-assign]
        event.remove(store.engine, "before_cursor_execute", remember)
    with store.read() as session:
        connection = session.connection()
        if store.shared and only_indexes:
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        explained = []
        for statement, parameters in asked:
            if statement.startswith(("SELECT", "WITH")):
                explained.append((statement, _explained(connection, statement, parameters)))
            elif not only_indexes:
                connection.exec_driver_sql(statement)  # a SET LOCAL that the next plan hangs on
        return explained


def _explained(connection: Connection, statement: str, parameters: Any) -> str:
    if connection.dialect.name == "sqlite":
        return "\n".join(row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters))
    return "\n".join(
        row[0] for row in connection.exec_driver_sql(f"EXPLAIN (ANALYZE, BUFFERS) {statement}", parameters)
    )


def show_plans(store: Store, questions: dict[str, Question]) -> None:
    for name, question in questions.items():
        for statement, plan in plans(store, question):
            print(f"\n-- {name}\n{' '.join(statement.split())[:300]}\n{plan}")


def _asked(store: Store, questions: list[tuple[str, Question]]) -> list[float]:
    """Milliseconds of each; the first are asked twice, for nobody waits for the first one after a start."""
    taken: list[tuple[float, str]] = []
    warm = questions[:5]
    for words, question in [*warm, *questions]:
        with store.read() as session:
            began = time.perf_counter()
            question(session)
            taken.append(((time.perf_counter() - began) * 1_000, words))
    taken = taken[len(warm) :]
    slowest = sorted(taken, reverse=True)[:3]
    print("\nslowest:", *(f"{milliseconds:.1f} ms {words}" for milliseconds, words in slowest), sep="\n  ")
    return [milliseconds for milliseconds, _ in taken]


def _figure(name: str, milliseconds: list[float], goal: int | None) -> dict[str, Any]:
    ours = statistics.quantiles(milliseconds, n=20, method="inclusive")[-1]
    ratio = round(ours / goal, 3) if goal is not None else None
    return {"name": name, "ours": round(ours, 2), "peer": goal, "ratio": ratio, "unit": "ms"}


@contextmanager
def databases(only: str = "") -> Iterator[Iterator[tuple[str, str]]]:
    """Name and URL of an empty database of each kind, gone after the block."""
    from postgres import running  # noqa: PLC0415 (it takes a second to import)

    def each() -> Iterator[tuple[str, str]]:
        if only in {"", "sqlite"}:
            with TemporaryDirectory() as folder:
                yield "sqlite", f"sqlite:///{folder}/errata.db"
        if only in {"", "postgres"}:
            with running() as server:
                server.execute("CREATE DATABASE scale")
                yield "postgres", server.url("scale")

    yield each()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=200, help="of each kind")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=DATABASES, default="")
    chosen = parser.parse_args()
    figures = []
    with databases(chosen.only) as empty:
        for name, url in empty:
            figures += measure(name, url, candidates=chosen.candidates, queries=chosen.queries, seed=chosen.seed)
    for figure in figures:
        print(json.dumps(figure))


if __name__ == "__main__":
    main()
