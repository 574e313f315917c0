"""One web process and one worker to an SQLite home; as many as one likes on a shared database."""

from __future__ import annotations

from pathlib import Path

import pytest
from builders import Office, new_store
from postgres import Postgres

from bot import serving
from bot.connection import slack_client
from bot.notices import Deliverer
from bot.settings import Settings
from curation import notices
from curation.errors import Conflict
from curation.store.tables import Notice
from training.foreground import sole_worker


def home_settings(home: Path) -> Settings:
    return Settings.from_environment({"ERRATA_HOME": str(home)}, dotenv=home / "no.env")


def test_a_second_web_process_on_one_home_is_refused_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "WEB_PATIENCE_SECONDS", 0.2)
    settings, store = home_settings(tmp_path), new_store(tmp_path)
    refused = pytest.raises(Conflict, match=r"serves from .* already, and SQLite has room for one web process")
    with serving.sole_web_process(settings, store), refused, serving.sole_web_process(settings, store):
        pass
    with serving.sole_web_process(settings, store):
        pass
    store.close()


def test_a_second_worker_on_one_home_is_refused_with_the_reason(tmp_path: Path) -> None:
    refused = pytest.raises(Conflict, match="two would advance the same run twice")
    with sole_worker(tmp_path), refused, sole_worker(tmp_path, patience_seconds=0.1):
        pass


def test_a_shared_database_takes_several_web_processes(tmp_path: Path, postgres: Postgres) -> None:
    settings, store = home_settings(tmp_path), postgres.new_store()
    with serving.sole_web_process(settings, store), serving.sole_web_process(settings, store):
        assert not (tmp_path / serving.WEB_LOCK).exists()
    store.close()


def test_a_notice_that_another_deliverer_has_begun_since_it_was_found_due_is_left_to_it(office: Office) -> None:
    thread, reply = office.ask("How long does the filter last?", "For ever.")
    office.correct(office.ana, reply, "Six months.")
    clock = office.deliverer._clock
    with office.store.read() as session:
        (due,) = notices.due(session, clock())
    with office.store.write() as session:
        notices.start(session.get_one(Notice, due.key), clock())
    before = office.workspace.messages(office.channel)
    second = Deliverer(office.store, slack_client(office.settings), clock)
    assert not second._deliver(due)
    assert office.workspace.messages(office.channel) == before
    assert thread


def test_a_deliverer_that_does_not_lead_sends_nothing(office: Office) -> None:
    _, reply = office.ask("How long does the filter last?", "For ever.")
    office.correct(office.ana, reply, "Six months.")
    leads = False
    second = Deliverer(office.store, slack_client(office.settings), office.deliverer._clock, leads=lambda: leads)
    before = len(office.workspace.messages(office.channel))
    second.tick()
    assert len(office.workspace.messages(office.channel)) == before
    leads = True
    second.tick()
    assert len(office.workspace.messages(office.channel)) == before + 1
