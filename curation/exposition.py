"""Figures in the text format that Prometheus reads.

Owns how a line is written and how a histogram is kept. What is counted is its owner's. Pure.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from itertools import accumulate

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Histogram:
    """Values counted in buckets."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count one."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def lines(self, name: str, labels: Mapping[str, str]) -> Iterator[str]:
        """Cumulative buckets, then the sum and the count."""
        marks = [*(f"{bound:g}" for bound in self._bounds), "+Inf"]
        for mark, count in zip(marks, accumulate(self._counts), strict=True):
            yield line(f"{name}_bucket", {**labels, "le": mark}, count)
        yield line(f"{name}_sum", labels, self._sum)
        yield line(f"{name}_count", labels, sum(self._counts))


def head(name: str, kind: str, help_text: str) -> tuple[str, str]:
    """What stands before a metric's lines."""
    return f"# HELP {name} {help_text}", f"# TYPE {name} {kind}"


def line(name: str, labels: Mapping[str, str], value: float) -> str:
    """One figure. Labels are values of enums and numbers: nothing in them needs escaping."""
    written = ",".join(f'{key}="{text}"' for key, text in labels.items())
    return f"{name}{{{written}}} {value:.12g}" if written else f"{name} {value:.12g}"
