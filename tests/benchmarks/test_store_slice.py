"""A slice of the benchmark: it fills, migrates and asks both databases, and the figures have their names."""

from __future__ import annotations

from benchmarks.store import DATABASES, databases, measure


def test_the_benchmark_asks_both_databases_everything() -> None:
    figures = []
    with databases() as empty:
        for name, url in empty:
            figures += measure(name, url, candidates=300, queries=6)
    kinds = (
        "queue_p95_ms",
        "search_p95_ms",
        "take_next_p95_ms",
        "tally_p95_ms",
        "stats_p95_ms",
        "people_p95_ms",
        "screening_p95_ms",
        "due_p95_ms",
        "migrate_s",
    )
    assert [figure["name"] for figure in figures] == [f"store.{name}.{kind}" for name in DATABASES for kind in kinds]
    assert all(figure["ours"] >= 0 for figure in figures)
