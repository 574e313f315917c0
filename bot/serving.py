"""Serving Slack: signed requests over HTTP, or envelopes over Socket Mode.

Owns the serving processes and their end. What a request is allowed to be is ``bot.gate``'s and
``bot.payloads``'s; what it does is the listeners'.
"""

from __future__ import annotations

import fcntl
import gc
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from http import HTTPStatus
from typing import IO, Any
from wsgiref.types import WSGIApplication

from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger as GunicornLogger
from slack_bolt import App
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_bolt.adapter.socket_mode.internals import run_bolt_app, send_response
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.socket_mode.builtin import SocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse

from bot import app as composition
from bot.connection import client_for
from bot.entry import open_store
from bot.health import Readiness, listening, with_health
from bot.installations import Workspaces
from bot.metrics import Metrics, Outcome, measured
from bot.payloads import PayloadError, parse_socket
from bot.settings import Settings
from bot.working import stop_event
from curation.errors import Conflict, ErrataError, Unavailable
from curation.store.engine import Store

log = logging.getLogger("errata.serving")

THREADS = 8
GRACE_SECONDS = 5
"""What is in flight has this long to be answered after SIGTERM; Slack itself waits three seconds."""

WORKER_GRACE_SECONDS = 4
"""What the worker beside has after that: both end within the ten seconds that supervisors grant."""

WEB_LOCK = "web.lock"
WEB_PATIENCE_SECONDS = 3.0

_BOOT_ERROR = 3  # gunicorn's code for a worker that cannot boot: the master then ends instead of trying for ever


@contextmanager
def sole_web_process(settings: Settings, store: Store) -> Iterator[None]:
    """Be the one web process of the home folder for the length of the block; a shared database takes several.

    The patience outlasts a process of gunicorn's that has just lost its master.

    Raises:
        Conflict: another one serves from this folder.
    """
    if store.shared:
        yield
        return
    settings.home.mkdir(parents=True, exist_ok=True)
    with (settings.home / WEB_LOCK).open("a") as lock:
        end = time.monotonic() + WEB_PATIENCE_SECONDS
        while not _locked(lock):
            if time.monotonic() > end:
                raise Conflict(
                    "Errata serves from {home} already, and SQLite has room for one web process; stop it first, use "
                    "another --home, or set ERRATA_DATABASE_URL to a PostgreSQL database.",
                    home=settings.home,
                )
            time.sleep(0.1)
        yield  # closing the file gives the lock back, and only in the last process that has it open


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def worker_beside(environ: Mapping[str, str], options: Sequence[str] = ()) -> Iterator[None]:
    """Run ``errata work`` with these options as a child for the length of the block, and end it with the block."""
    command = [sys.executable, "-m", "bot.cli", "work", "--with-parent", *options]
    child = subprocess.Popen(command, env=dict(environ), stdin=subprocess.DEVNULL)  # noqa: S603 (our own module, no shell)
    try:
        yield
    finally:
        child.terminate()
        try:
            child.wait(WORKER_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def serve_http(
    settings: Settings,
    address: tuple[str, int],
    *,
    ready: Callable[[str], None],
    health: tuple[str, int] | None = None,
) -> None:
    """Serve HTTP under gunicorn until SIGTERM or SIGINT, what is in flight then included; ends the process.

    Whether it is healthy and ready is told at ``address``; at ``health``, if given, its figures as well.

    Raises:
        Invalid: a token or secret is missing.
    """
    settings.require_http()
    _Http(settings, address, ready, health).run()


class _Http(BaseApplication):  # type: ignore[misc]  # gunicorn publishes no types
    """gunicorn with one gthread worker: SQLite has one writer, and a second process only waits for it."""

    def __init__(
        self,
        settings: Settings,
        address: tuple[str, int],
        ready: Callable[[str], None],
        health: tuple[str, int] | None,
    ) -> None:
        self._settings = settings
        self._health = health
        self._open = ExitStack()
        self._address = address
        self._ready = ready
        super().__init__()

    def load_config(self) -> None:
        """Everything that differs from gunicorn's defaults."""
        host, port = self._address
        chosen = {
            "bind": [f"[{host}]:{port}" if ":" in host else f"{host}:{port}"],
            "worker_class": "gthread",
            "workers": 1,
            "threads": THREADS,
            "keepalive": 75,  # longer than the proxies in front keep theirs
            "graceful_timeout": GRACE_SECONDS,
            "loglevel": "warning",
            "logger_class": _GunicornLog,
            "control_socket_disable": True,  # it would write into the home of whoever starts the bot
            "post_worker_init": self._booted,
        }
        for name, value in chosen.items():
            self.cfg.set(name, value)

    def load(self) -> WSGIApplication:
        """The application, made in the worker process: threads and connections do not survive a fork."""
        try:
            store = open_store(self._settings)
            workspaces = Workspaces(self._settings, store)
            app = composition.build(self._settings, store, workspaces=workspaces)
            gate = composition.gated(app, self._settings, store)
            metrics = Metrics()
            if self._health is not None:
                self._open.enter_context(listening(self._health, self._settings, store, metrics, composition.now))
        except ErrataError as error:
            print(error, file=sys.stderr)  # noqa: T201 (gunicorn would show a traceback in its place)
            sys.exit(_BOOT_ERROR)
        installable = composition.installable(measured(gate, metrics), self._settings, store, workspaces)
        served = with_health(installable, Readiness(store, self._settings.home, composition.now))
        gc.collect()
        gc.freeze()  # what was made so far stays; to look through it again took 100 ms, in the middle of a request
        return served

    def _booted(self, worker: Any) -> None:
        host, port = worker.sockets[0].getsockname()[:2]
        self._ready(f"Errata answers at http://{host}:{port}")


class _GunicornLog(GunicornLogger):  # type: ignore[misc]  # gunicorn publishes no types
    """gunicorn's messages through our own log, which knows what a line may hold."""

    def setup(self, cfg: Any) -> None:
        """No handler of its own: what it says goes to the root's."""
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True


def serve_socket(
    settings: Settings, store: Store, *, ready: Callable[[str], None], health: tuple[str, int] | None = None
) -> None:
    """Serve over Socket Mode until SIGTERM or SIGINT, what is in flight then included.

    Raises:
        Invalid: a token is missing.
        Conflict: the address ``health`` is taken.
        Unavailable: Slack refuses a token or cannot be reached.
    """
    settings.require_socket()
    stopping, metrics = stop_event(), Metrics()
    app = composition.build(settings, store)
    handler = CheckedSocketHandler(
        app, settings.app_token, web_client=client_for(settings, settings.app_token), metrics=metrics
    )
    answering = nullcontext() if health is None else listening(health, settings, store, metrics, composition.now)
    with answering, handler.until_drained():
        try:
            handler.connect()  # type: ignore[no-untyped-call]  # slack_bolt annotates it by half
        except SlackApiError as error:
            raise Unavailable(
                "Slack refuses SLACK_APP_TOKEN ({code}): create an app-level token with the scope connections:write "
                "and turn Socket Mode on.",
                code=error.response.get("error"),
            ) from error
        except OSError as error:
            raise Unavailable(
                "Slack cannot be reached ({error}); try again later.", error=type(error).__name__
            ) from error
        ready("Errata is connected to Slack over Socket Mode")
        stopping.wait()


class CheckedSocketHandler(SocketModeHandler):
    """Bolt's handler behind the same strict reading as HTTP: what fails is acknowledged and never dispatched.

    Attributes:
        metrics: where its requests are counted.
    """

    def __init__(self, app: App, app_token: str, *, web_client: WebClient, metrics: Metrics | None = None) -> None:
        super().__init__(app, app_token, web_client=web_client)
        self.metrics = metrics or Metrics()
        self._idle = threading.Condition()
        self._in_flight = 0
        self._draining = False

    @contextmanager
    def until_drained(self) -> Iterator[None]:
        """When the block ends: take nothing new, answer what is in flight within ``GRACE_SECONDS``, then disconnect."""
        try:
            yield
        finally:
            with self._idle:
                self._draining = True
                self._idle.wait_for(lambda: not self._in_flight, GRACE_SECONDS)
            self.close()  # type: ignore[no-untyped-call]

    def handle(self, client: SocketModeClient, req: SocketModeRequest) -> None:  # type: ignore[override]  # as in Bolt
        """Read strictly, then dispatch; while draining nothing new begins, and no answer claims that it did."""
        with self._idle:
            if self._draining:
                log.info("refused: reason=%s", "draining")
                return
            self._in_flight += 1
        try:
            self._answer(client, req)
        finally:
            with self._idle:
                self._in_flight -= 1
                self._idle.notify_all()

    def _answer(self, client: SocketModeClient, req: SocketModeRequest) -> None:
        began, kind, outcome = time.time(), "unknown", Outcome.FAILED
        try:
            kind = parse_socket({"type": req.type, "payload": req.payload}).kind.value
            answer = run_bolt_app(self.app, req)
            send_response(client, req, answer, began)
            outcome = Outcome.ANSWERED if answer.status == HTTPStatus.OK else Outcome.FAILED
        except PayloadError as error:
            outcome = Outcome.REFUSED
            log.warning("refused: reason=%s detail=%s", "payload", error.reason)
            # Unacknowledged, Slack would bring it again.
            client.send_socket_mode_response(SocketModeResponse(envelope_id=req.envelope_id))
        finally:
            self.metrics.request(kind, outcome, time.time() - began)
