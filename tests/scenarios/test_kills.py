"""A small siege of the worker: killed after effects of a run, and at moments of no significance.

The large one is ``tests/chaos/kills.py``, with two workers on PostgreSQL as well.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from chaos.kills import Toll, points, sqlite

SEED = 1
POINTS, RANDOM = 3, 3


def clean(toll: Toll) -> Toll:
    """The same figures with nothing lost, doubled or left."""
    return Toll(toll.kills, toll.runs, toll.corrections, toll.notices, seconds=toll.seconds)


def test_a_worker_killed_right_after_an_effect_repeats_none_and_forgets_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toll = points(tmp_path, seed=SEED, rounds=POINTS)
    with capsys.disabled():
        print(f" [seed {SEED}: {toll}] ", end="")  # noqa: T201 (the seed and what it came to)
    assert toll.kills == POINTS
    assert toll == clean(toll)


def test_a_worker_killed_at_any_moment_loses_and_repeats_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    toll = sqlite(tmp_path, seed=SEED, rounds=RANDOM)
    with capsys.disabled():
        print(f" [seed {SEED}: {toll}] ", end="")  # noqa: T201 (the seed and what it came to)
    assert toll.kills == RANDOM
    assert toll.corrections == 2 * RANDOM
    assert toll == clean(toll)
