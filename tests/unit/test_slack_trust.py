"""Whose certificates Slack's must be signed by is read once in a process, and not anew for each request."""

from __future__ import annotations

import ssl
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from builders import Team
from slack_sdk import WebClient
from slack_sdk.http_retry import RetryHandler

from bot.assistant.bench import Bench
from bot.connection import client_for, slack_client, without_retries
from bot.notices import Deliverer
from bot.settings import Settings
from curation.store.engine import Store

NOWHERE = "https://127.0.0.1:1/api/"
"""Nobody listens there, so that a request gets as far as its connection."""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    told = {"ERRATA_HOME": str(tmp_path), "SLACK_BOT_TOKEN": "xoxb-1", "SLACK_API_URL": NOWHERE}
    return Settings.from_environment(told, dotenv=tmp_path / ".env")


def clients_of(settings: Settings, store: Store) -> list[WebClient]:
    """Those by which a worker tells and answers."""
    calls = slack_client(settings)

    def clock() -> datetime:
        return datetime.now(UTC)

    deliverer, bench = Deliverer(store, calls, clock), Bench(store, calls, clock, settings)
    return [calls, client_for(settings), deliverer._speaking("T1/C1"), bench.client, bench.client_in("T1/C1")]


def test_no_request_reads_the_certificates_anew(
    settings: Settings, team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    clients, no_retries = clients_of(settings, team.store), list[RetryHandler]()

    def read(*_: Any, **__: Any) -> ssl.SSLContext:
        raise AssertionError("read anew")

    monkeypatch.setattr(ssl, "_create_default_https_context", read)
    for client in clients:
        client.retry_handlers = no_retries
        with pytest.raises(OSError, match="refused"):
            client.api_test()
    assert len({id(client.ssl) for client in clients}) == 1
    assert clients[0].ssl is not None
    assert clients[0].ssl.verify_mode is ssl.CERT_REQUIRED
    assert clients[0].ssl.check_hostname


def test_where_nothing_is_encrypted_no_certificate_is_read(settings: Settings, team: Team) -> None:
    plain = replace(settings, api_url=NOWHERE.replace("https", "http"))
    assert [client.ssl for client in clients_of(plain, team.store)] == [None] * 5


@pytest.mark.parametrize(("seconds", "waits"), [(None, 30), (3, 3)])
def test_a_client_without_retries_is_otherwise_the_same(seconds: int | None, waits: int) -> None:
    client = WebClient(token="xoxb-1", base_url=NOWHERE, ssl=ssl.create_default_context())
    once = without_retries(client, seconds)
    assert (once.token, once.base_url, once.ssl) == (client.token, client.base_url, client.ssl)
    assert (once.timeout, once.retry_handlers) == (waits, [])
