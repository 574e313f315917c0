"""A slice of the benchmark: it runs, every acknowledged request left its rows, and the figures have their names."""

from __future__ import annotations

from benchmarks.ack import measure


def test_the_benchmark_counts_every_row_it_was_promised() -> None:
    figures = measure(requests=24, rounds=1, connections=4)
    kinds = ("slash", "button", "view", "event", "review")
    names = [f"ack.{kind}.{figure}" for kind in kinds for figure in ("rps", "p99_ms")]
    assert [figure["name"] for figure in figures] == [*names, "ack.slash.p50_ms"]
    assert all(figure["ours"] > 0 and figure["peer"] > 0 for figure in figures)


def test_one_kind_can_be_measured_alone_and_a_goal_stands_beside_each_figure() -> None:
    rate, p99, alone = measure(requests=8, rounds=1, connections=2, only="review")
    assert [rate["goal"], p99["goal"]] == [{}, {"p99_ms": 300}]
    assert alone["name"] == "ack.review.p50_ms"
