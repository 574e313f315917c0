"""A slice of the benchmark: our server is asked by one client and by four, and the figures have their names."""

from __future__ import annotations

from benchmarks.endpoint import OURS, measure


def test_the_benchmark_measures_the_first_words_and_the_tokens() -> None:
    figures = measure("slice", rounds=1, questions=2, tokens=8, clients=(1, 4), servers=(OURS,))
    named = [(figure["name"], figure["clients"]) for figure in figures]
    assert named == [
        (f"endpoint.{name}", clients) for clients in (1, 4) for name in ("ttft_ms", "tokens_per_s", "tokens_per_cpu_s")
    ]
    assert all(figure[OURS] > 0 for figure in figures)
