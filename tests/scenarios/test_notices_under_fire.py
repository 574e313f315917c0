"""A small siege of the outbox: Slack fails, the worker is killed, and every message is there once, newest and in order.

The large one is ``tests/chaos/notices.py``.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from chaos.notices import Toll, siege

NOTICES, KILLS, SEED = 24, 2, 1
CLEAN = Toll(NOTICES, kills=KILLS)


def test_every_notice_arrives_once_and_in_order_although_slack_fails_and_the_worker_is_killed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with siege(tmp_path, seed=SEED, notices=NOTICES) as begun:
        toll = begun.run(KILLS)
    with capsys.disabled():
        print(f" [seed {SEED}: {toll}] ", end="")  # noqa: T201 (the seed and what it came to)
    assert toll.faults > 0
    assert toll.messages > NOTICES
    assert replace(toll, messages=0, in_flight=0, faults=0, seconds=0.0) == CLEAN
