"""Whoever asks several times a second whether there is anything to do begins no transaction for it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from builders import NOON, Team
from slack_sdk import WebClient
from sqlalchemy import event
from worker_shop import WorkerShop, opened

from bot.assistant import tasks
from bot.assistant.answerer import Answerer
from bot.assistant.bench import Bench
from bot.assistant.tasks import TaskKind
from bot.notices import Deliverer
from bot.settings import Settings
from curation import notices
from curation.datasets import requested
from curation.notices import NoticeKind
from curation.screening import worklist
from training import slots
from training.worker import Tick

NOBODY = WebClient(token="xoxb-1", base_url="http://127.0.0.1:1/api/")


@pytest.fixture
def shop(team: Team, tmp_path: Path) -> WorkerShop:
    shop = opened(team, tmp_path)
    while worklist.step(team.store, NOON):
        pass
    return shop


def looks(shop: WorkerShop, folder: Path) -> dict[str, Callable[[], object]]:
    """What a worker does again and again."""
    store, settings = shop.team.store, Settings.from_environment({"ERRATA_HOME": str(folder)}, dotenv=folder / ".env")
    return {
        "round": shop.worker.tick,
        "deliverer": Deliverer(store, NOBODY, lambda: NOON).tick,
        "answerer": Answerer(Bench(store, NOBODY, lambda: NOON, settings)).settle_next,
        "screening": lambda: worklist.step(store, NOON),
    }


def test_a_look_that_finds_nothing_begins_no_transaction(shop: WorkerShop, tmp_path: Path) -> None:
    begun: list[str] = []
    found = looks(shop, tmp_path)
    with shop.team.store.write() as session:
        for one in notices.due(session, NOON + timedelta(days=1), limit=1_000):
            notices.delivered(one, NOON, reference="C1/1.0")
    event.listen(shop.team.store.engine, "begin", lambda _connection: begun.append("begun"))
    assert {name: look() for name, look in found.items()} == {
        "round": Tick.IDLE,
        "deliverer": 0,
        "answerer": False,
        "screening": 0,
    }
    assert begun == []


def test_whatever_is_owed_is_seen_by_the_next_look(shop: WorkerShop) -> None:
    store, team = shop.team.store, shop.team
    seen = {"task": tasks.any_owed, "classifier": slots.any_classifies, "freezing": requested.any_waits}
    for name, any_there in seen.items():
        with store.look_up() as connection:
            assert not any_there(connection), name
    with store.write() as session:
        tasks.owe(
            session, NOON, TaskKind.ANSWER, source="T1/C1/1.0", thread="T1/C1/1.0", asked_by="T1/U1", asked_at=NOON
        )
        notices.owe(session, NOON, NoticeKind.QUEUE, subject="queue:T1/C1", destination="T1/C1")
    team.approve("How long does the filter hold?", "Six months, then it is changed.")
    with store.write() as session:
        requested.ask(session, team.olga, NOON, name="v7", validation_share=0.1, destination="T1/C1")
    with store.look_up() as connection:
        assert notices.any_owed(connection)
        assert tasks.any_owed(connection)
        assert requested.any_waits(connection)
    assert worklist.step(store, NOON) == 1
