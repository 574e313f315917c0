"""Whether this process serves, and whether it could do its work: ``/healthz`` and ``/readyz``.

Owns the checks behind an answer that anybody may ask for: it holds no name, no path, no count of what people
wrote. What a person should do about a failed check is the doctor's.
"""

from __future__ import annotations

import json
import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from sqlmodel import Session

from bot import migrations, revocations
from bot.metrics import Metrics, outbox_seconds
from bot.settings import Settings
from curation.errors import Conflict, StoreUnavailable
from curation.exposition import CONTENT_TYPE
from curation.store.engine import Store

log = logging.getLogger("errata.health")

HEALTH, READINESS, METRICS = "/healthz", "/readyz", "/metrics"

OLDEST_NOTICE = timedelta(minutes=10)
"""How long a notice may be owed before somebody should look: Slack, the token or the worker is gone."""

LEAST_FREE_BYTES = 100_000_000
KEPT_SECONDS = 1.0
_CLIENT_SECONDS = 5


class Readiness:
    """Looks at what the work needs, at most once a second and on one thread at a time.

    Attributes:
        store: the database.
        home: the folder whose disk must have room.
        clock: the present, aware, for the age of notices.
        monotonic: seconds, for the age of the answer.
    """

    def __init__(
        self,
        store: Store,
        home: Path,
        clock: Callable[[], datetime],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._home = home
        self._clock = clock
        self._monotonic = monotonic
        self._began = clock()
        self._looking = threading.Lock()
        self._looked_at = float("-inf")
        self._checks: dict[str, dict[str, Any]] = {"database": _no("not_looked_at")}

    def checks(self) -> dict[str, dict[str, Any]]:
        """``{"database": {"ready": true}, "outbox": {"ready": false, "reason": "old", "oldest_seconds": 900}, …}``.

        While one caller looks, which takes long where the database hangs, the others get the last answer:
        questions about readiness never hold up the threads that answer Slack.
        """
        if self._monotonic() - self._looked_at >= KEPT_SECONDS and self._looking.acquire(blocking=False):
            try:
                self._checks = self._look()
                self._looked_at = self._monotonic()
            finally:
                self._looking.release()
        return self._checks

    def _look(self) -> dict[str, dict[str, Any]]:
        checks = {"disk": self._disk()}
        try:
            with self._store.read() as session:
                checks |= {"database": {"ready": True}, "migrations": _migrations(session)}
                if checks["migrations"]["ready"]:  # other tables may not have what is asked of them
                    checks["outbox"] = _outbox(session, self._clock())
                    if revocations.any_since(session, self._began):
                        checks["slack"] = _no("revoked")
        except Exception as error:  # the edge of the process: whatever the driver raises, it is not ready
            log.debug("not ready", exc_info=error)
            checks["database"] = _no("unavailable" if isinstance(error, StoreUnavailable) else "failed")
        return checks

    def _disk(self) -> dict[str, Any]:
        try:
            free = shutil.disk_usage(self._home).free
        except OSError:
            return _no("missing")
        return {"ready": True} if free >= LEAST_FREE_BYTES else _no("full")


def _migrations(session: Session) -> dict[str, Any]:
    revision = migrations.revision_of(session.connection())
    return {"ready": True} if revision == migrations.head() else _no("other_revision")


def _outbox(session: Session, now: datetime) -> dict[str, Any]:
    oldest = outbox_seconds(session, now)
    late = oldest > OLDEST_NOTICE.total_seconds()
    return {**(_no("old") if late else {"ready": True}), "oldest_seconds": round(oldest)}


def _no(reason: str) -> dict[str, Any]:
    return {"ready": False, "reason": reason}


def with_health(
    app: WSGIApplication, readiness: Readiness, *, exposition: Callable[[], str] | None = None
) -> WSGIApplication:
    """``app`` with GETs of ``/healthz``, ``/readyz`` and, given an ``exposition``, ``/metrics`` answered before it.

    ``/healthz`` says 200 as soon as this process serves; ``/readyz`` 200 or 503, and why.
    """

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path, method = environ.get("PATH_INFO"), environ.get("REQUEST_METHOD")
        status, content_type = HTTPStatus.OK, "text/plain; charset=utf-8"
        if method not in {"GET", "HEAD"}:
            return app(environ, start_response)
        if path == HEALTH:
            body = b"ok\n"
        elif path == READINESS:
            checks = readiness.checks()
            ready = all(check["ready"] for check in checks.values())
            status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
            content_type = "application/json"
            body = json.dumps({"ready": ready, "checks": dict(sorted(checks.items()))}).encode() + b"\n"
        elif path == METRICS and exposition is not None:
            content_type, body = CONTENT_TYPE, exposition().encode()
        else:
            return app(environ, start_response)
        headers = [("Content-Type", content_type), ("Content-Length", str(len(body))), ("Cache-Control", "no-store")]
        start_response(f"{status.value} {status.phrase}", headers)
        return [] if method == "HEAD" else [body]

    return answer


def _nothing_here(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("404 Not Found", [("Content-Length", "0")])
    return []


@contextmanager
def listening(
    address: tuple[str, int], settings: Settings, store: Store, metrics: Metrics, clock: Callable[[], datetime]
) -> Iterator[int]:
    """Answer for this process at an address of its own for the length of the block; gives the port.

    Raises:
        Conflict: the address is taken, or not one of this machine's.
    """
    host, port = address
    exposition = (lambda: metrics.exposition(store, clock())) if settings.metrics else None
    app = with_health(_nothing_here, Readiness(store, settings.home, clock), exposition=exposition)
    try:
        server = make_server(host, port, app, server_class=_Server, handler_class=_Quiet)
    except OSError as error:
        raise Conflict(
            "{host}:{port} cannot be served ({cause}); choose another HOST:PORT.",
            host=host,
            port=port,
            cause=error.strerror,
        ) from error
    thread = threading.Thread(target=server.serve_forever, name="errata-health", daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def handle_error(self, _request: Any, _client_address: Any) -> None:
        """A client that goes away mid-answer is no news."""
        log.debug("a health check was not answered")


class _Quiet(WSGIRequestHandler):
    timeout = _CLIENT_SECONDS

    def log_message(self, *_: Any) -> None:
        """Health checks come every few seconds: no access log."""
