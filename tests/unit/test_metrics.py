from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from wsgiref.types import StartResponse, WSGIEnvironment

import httpx
import pytest
from builders import NOON, Office, Team, served
from prometheus_client.parser import text_string_to_metric_families

from bot.app import build, gated, now
from bot.metrics import ACK_SECONDS, Metrics, Outcome, measured
from curation.reviews import Verdict
from curation.store.engine import Store, open_engine

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scraped(text: str) -> Samples:
    """What Prometheus' own parser reads."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


def test_what_the_database_knows_is_told_by_status(team: Team) -> None:
    first, _ = team.flag("One?", "Yes."), team.flag("Two?", None)
    team.decide(first, Verdict.APPROVE)
    samples = scraped(Metrics().exposition(team.store, NOON + timedelta(seconds=90)))
    assert value(samples, "errata_candidates", status="approved") == 1
    assert value(samples, "errata_candidates", status="pending") == 1
    assert value(samples, "errata_candidates", status="rejected") == 0
    assert value(samples, "errata_runs", status="completed") == 0
    assert value(samples, "errata_notices", status="queued") > 0
    assert value(samples, "errata_outbox_age_seconds") == 90
    assert value(samples, "errata_database_up") == 1


def test_what_happens_here_is_counted(team: Team) -> None:
    metrics = Metrics()
    metrics.request("command", Outcome.ANSWERED, 0.04)
    metrics.request("command", Outcome.ANSWERED, 4.0)
    metrics.request("command", Outcome.FAILED, 60.0)
    metrics.request("unknown", Outcome.REFUSED, ACK_SECONDS[0])
    metrics.tick(0.2)
    samples = scraped(metrics.exposition(team.store, NOON))
    assert value(samples, "errata_requests_total", kind="command", outcome="answered") == 2
    assert value(samples, "errata_requests_total", kind="unknown", outcome="refused") == 1
    buckets = {
        mark: value(samples, "errata_ack_seconds_bucket", kind="command", le=mark)
        for mark in ("0.025", "0.05", "3", "5", "10", "+Inf")
    }
    assert buckets == {"0.025": 0, "0.05": 1, "3": 1, "5": 2, "10": 2, "+Inf": 3}
    # A bucket holds what is equal to its bound.
    assert value(samples, "errata_ack_seconds_bucket", kind="unknown", le="0.025") == 1
    assert value(samples, "errata_ack_seconds_sum", kind="command") == pytest.approx(64.04)
    assert value(samples, "errata_ack_seconds_count", kind="command") == 3
    assert value(samples, "errata_worker_tick_seconds_count") == 1


def test_a_database_that_is_away_is_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    store = Store(open_engine(f"sqlite:///{tmp_path / 'empty.db'}"))
    metrics = Metrics()
    metrics.tick(1.0)
    samples = scraped(metrics.exposition(store, NOON))
    assert value(samples, "errata_database_up") == 0
    assert value(samples, "errata_worker_tick_seconds_count") == 1
    assert not any(name == "errata_notices" for name, _ in samples)
    store.close()


def test_an_app_that_raises_has_failed(team: Team) -> None:
    def behind(_environ: WSGIEnvironment, _start_response: StartResponse) -> Iterable[bytes]:
        raise RuntimeError

    metrics = Metrics()
    with pytest.raises(RuntimeError):
        measured(behind, metrics)({}, lambda _status, _headers: None)  # type: ignore[arg-type, return-value]
    samples = scraped(metrics.exposition(team.store, NOON))
    assert value(samples, "errata_requests_total", kind="unknown", outcome="failed") == 1


def test_requests_are_counted_by_what_slack_calls_them_and_by_how_they_ended(office: Office) -> None:
    metrics = Metrics()
    app = build(office.settings, office.store)
    with served(measured(gated(app, office.settings, office.store), metrics)) as url:
        office.workspace.deliver_to(url)
        _, reply = office.ask("A question?", "A wrong answer.")
        office.correct(office.ana, reply, "A right answer.")
        office.ana.command("/errata", "help", office.channel)
        office.workspace.redeliver(office.workspace.deliveries[-1])
        assert httpx.post(url, content=b"{}", trust_env=False).status_code == 400
    samples = scraped(metrics.exposition(office.store, now()))
    for kind, outcome in (
        ("message_action", "answered"),
        ("view_submission", "answered"),
        ("command", "answered"),
        ("unknown", "replayed"),
        ("unknown", "refused"),
    ):
        assert value(samples, "errata_requests_total", kind=kind, outcome=outcome) == 1, kind
    assert 0 < value(samples, "errata_ack_seconds_sum", kind="view_submission") < time.monotonic()
    assert "right answer" not in metrics.exposition(office.store, now())
