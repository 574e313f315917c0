"""Intervals: how far chance alone may have moved a figure.

Owns the intervals of a share and of the difference of two, and the bootstrap over pairs: two models measured on the
same rows. Pure; what an interval permits to claim is the gate's business.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

RESAMPLES = 2_000
"""Enough for two digits of a 95 % interval: its ends then lie on about 50 samples each (Efron and Tibshirani 1993)."""

_SAMPLES_AT_ONCE = 1 << 22  # 32 MB of indices


class Interval(NamedTuple):
    """A figure and where it may lie; ``low <= high``, in the unit of the figure."""

    estimate: float
    low: float
    high: float


def wilson_interval(successes: int, trials: int, *, z: float = 1.959964) -> tuple[float, float]:
    """Confidence interval of a share, both ends 0 to 1; (0, 1) where nothing was tried.

    ``wilson_interval(9, 10)`` is about ``(0.596, 0.982)``. Wilson 1927,
    https://doi.org/10.1080/01621459.1927.10502953. ``z`` is the normal quantile: 1.96 for 95 %.
    """
    if not trials:
        return 0.0, 1.0
    share = successes / trials
    scale = 1 + z * z / trials
    centre = (share + z * z / (2 * trials)) / scale
    half = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials)) / scale
    # In exact arithmetic the interval always holds the share; rounding may put it a hair outside.
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))


def difference_of_shares(first: tuple[int, int], second: tuple[int, int], *, z: float = 1.959964) -> Interval:
    """How much larger one share is than another, each ``(successes, trials)`` of at least one trial, -1 to 1.

    ``difference_of_shares((56, 70), (48, 80))`` is about ``(0.2, 0.052, 0.334)``. Newcombe 1998, method 10,
    https://doi.org/10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I: it joins two Wilson intervals.
    """
    (a, m), (b, n) = first, second
    (low_a, high_a), (low_b, high_b) = wilson_interval(a, m, z=z), wilson_interval(b, n, z=z)
    estimate = a / m - b / n
    low = estimate - math.hypot(a / m - low_a, high_b - b / n)
    high = estimate + math.hypot(high_a - a / m, b / n - low_b)
    return Interval(estimate, low, high)


def paired_bootstrap(
    first: Sequence[float],
    second: Sequence[float],
    *,
    weights: Sequence[float] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
    level: float = 0.95,
) -> Interval:
    """How much larger ``first`` is than ``second``, measured on the same rows, with a percentile interval.

    Without weights the mean of the differences. With weights the sum of the differences over the sum of the weights:
    of nats per conversation, weighted by their tokens, that is the difference of two losses per token, and its
    exponential the ratio of two perplexities. Rows are drawn with replacement, both models' figures of a row together:
    what makes a row hard for both then cancels (Efron and Tibshirani 1993, chapters 8 and 13).

    ``paired_bootstrap([3.0, 2.0], [1.0, 2.0]).estimate`` is 1; with ``weights=[4, 4]`` it is 0.25.

    Args:
        first: a figure for each row.
        second: the other model's, in the same order.
        weights: of each row, such as its tokens; above 0.
        seed: the same one gives the same interval.
        resamples: how often rows are drawn.
        level: of confidence, 0 to 1.

    Raises:
        ValueError: nothing was measured, or not on the same rows.
    """
    if not len(first) == len(second) == len(first if weights is None else weights) or not len(first):
        raise ValueError("a paired interval needs the same rows, at least one, on both sides")
    import numpy as np  # noqa: PLC0415 (a tenth of a second that --help need not wait for)

    differences = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    heaviness = np.ones_like(differences) if weights is None else np.asarray(weights, dtype=np.float64)
    rows, rng = len(differences), np.random.default_rng(seed)
    drawn = []
    for start in range(0, resamples, at_once := max(1, _SAMPLES_AT_ONCE // rows)):
        chosen = rng.integers(rows, size=(min(at_once, resamples - start), rows))
        drawn.append(differences[chosen].sum(axis=1) / heaviness[chosen].sum(axis=1))
    low, high = np.quantile(np.concatenate(drawn), [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(differences.sum() / heaviness.sum()), float(low), float(high))
