"""What is measured, in the text format that Prometheus reads.

Owns the metrics' names and labels. What happens in this process (requests, acks, ticks) is counted as it happens;
what the database knows is asked of it when somebody scrapes, so that a restart forgets nothing of it. Labels are
enum values of ours and kinds of Slack's: never an id, never a word of anybody's.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from sqlmodel import Session, col, func, select

from bot.gate import KIND, OUTCOME
from curation import notices
from curation.candidates import CandidateStatus
from curation.errors import StoreUnavailable
from curation.exposition import Histogram, head, line
from curation.notices import NoticeStatus
from curation.store.engine import Store
from curation.store.tables import Candidate, Notice
from training.runs import RunStatus
from training.store.tables import Run

ACK_SECONDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0)
"""Bounds of the buckets; Slack gives up at 3."""

TICK_SECONDS = (0.001, 0.01, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0)


class Outcome(StrEnum):
    """How a request ended."""

    ANSWERED = "answered"
    REPLAYED = "replayed"
    REFUSED = "refused"
    FAILED = "failed"


class Metrics:
    """The figures of one process; any thread may count."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, str]] = Counter()
        self._acks: dict[str, Histogram] = {}
        self._ticks = Histogram(TICK_SECONDS)

    def request(self, kind: str, outcome: Outcome, seconds: float) -> None:
        """Count a request of Slack's, and how long its answer took."""
        with self._lock:
            self._requests[kind, outcome.value] += 1
            self._acks.setdefault(kind, Histogram(ACK_SECONDS)).observe(seconds)

    def tick(self, seconds: float) -> None:
        """Count one look of the worker's at everything unfinished."""
        with self._lock:
            self._ticks.observe(seconds)

    def exposition(self, store: Store, now: datetime) -> str:
        """Every metric as text; where the database cannot be read, what it knows is absent."""
        with self._lock:
            requests = [
                ({"kind": kind, "outcome": outcome}, count) for (kind, outcome), count in self._requests.items()
            ]
            acks = [
                line for kind, one in self._acks.items() for line in one.lines("errata_ack_seconds", {"kind": kind})
            ]
            ticks = list(self._ticks.lines("errata_worker_tick_seconds", {}))
        lines = [
            *head("errata_requests_total", "counter", "Requests by kind and outcome."),
            *(line("errata_requests_total", labels, count) for labels, count in requests),
            *head("errata_ack_seconds", "histogram", "Seconds from a request to its answer."),
            *acks,
            *head("errata_worker_tick_seconds", "histogram", "Seconds of one look at everything unfinished."),
            *ticks,
        ]
        try:
            with store.read() as session:
                known, up = list(_known(session, now)), 1
        except StoreUnavailable:
            known, up = [], 0
        lines += [
            *head("errata_database_up", "gauge", "Whether the database can be read."),
            f"errata_database_up {up}",
        ]
        return "\n".join([*lines, *known, ""])


def measured(app: WSGIApplication, metrics: Metrics) -> WSGIApplication:
    """``app``, each of its answers counted and timed."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        began = time.monotonic()
        statuses: list[int] = []

        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            statuses.append(int(status[:3]))
            return start_response(status, headers, *more)

        try:
            return app(environ, start)
        finally:
            outcome = Outcome(environ.get(OUTCOME) or _outcome(statuses[-1] if statuses else 500))
            metrics.request(environ.get(KIND, "unknown"), outcome, time.monotonic() - began)

    return answer


def outbox_seconds(session: Session, now: datetime) -> float:
    """The age of the oldest notice that is still owed; 0 where none is."""
    oldest = session.exec(select(func.min(Notice.owed_at)).where(col(Notice.status).in_(notices.OPEN))).one()
    return max(0.0, (now - oldest).total_seconds()) if oldest is not None else 0.0


def _outcome(status: int) -> Outcome:
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Outcome.FAILED
    return Outcome.REFUSED if status >= HTTPStatus.BAD_REQUEST else Outcome.ANSWERED


def _known(session: Session, now: datetime) -> Iterator[str]:
    """What the database says, with a zero for each status that nothing is in."""
    for name, help_text, column, statuses in (
        ("errata_notices", "Notices by status.", Notice.status, NoticeStatus),
        ("errata_runs", "Runs by status.", Run.status, RunStatus),
        ("errata_candidates", "Candidates by status.", Candidate.status, CandidateStatus),
    ):
        counts = dict(session.exec(select(column, func.count()).group_by(column)).all())
        yield from head(name, "gauge", help_text)
        yield from (line(name, {"status": status.value}, counts.get(status.value, 0)) for status in statuses)
    yield from head("errata_outbox_age_seconds", "gauge", "Age of the oldest notice that is still owed.")
    yield line("errata_outbox_age_seconds", {}, outbox_seconds(session, now))
