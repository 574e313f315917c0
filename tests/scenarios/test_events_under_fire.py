"""A small siege of the front door: a hundred events, each brought five times in no order, have their effect once.

The large one is ``tests/chaos/events.py``.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from chaos.events import Toll, besiege
from postgres import Postgres

EVENTS, COPIES, SEED = 100, 5, 1


def judged(toll: Toll, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f" [seed {SEED}: {toll}] ", end="")  # noqa: T201 (the seed and what it came to)
    assert toll.replies > EVENTS / 3
    assert toll.flags > 0
    clean = Toll(EVENTS, EVENTS * COPIES, toll.replies, toll.flags)
    assert replace(toll, seconds=0.0) == clean


def test_a_hundred_events_brought_five_times_in_no_order_have_each_their_effect_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    judged(besiege(tmp_path, seed=SEED, events=EVENTS, copies=COPIES), capsys)


def test_the_same_on_postgresql(tmp_path: Path, postgres: Postgres, capsys: pytest.CaptureFixture[str]) -> None:
    judged(besiege(tmp_path, seed=SEED, events=EVENTS, copies=COPIES, store=postgres.new_store()), capsys)
