"""Serving Slack: signed requests over HTTP, or envelopes over Socket Mode.

Owns the serving processes and their end. What a request is allowed to be is ``bot.gate``'s and
``bot.payloads``'s; what it does is the listeners'.
"""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from gunicorn.app.base import BaseApplication
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_sdk.errors import SlackApiError
from slack_sdk.socket_mode.builtin import SocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse

from bot import app as composition
from bot.connection import client_for
from bot.entry import open_store
from bot.payloads import PayloadError, parse_socket
from bot.settings import Settings
from bot.working import stop_event
from curation.errors import Conflict, ErrataError, Invalid, Unavailable
from curation.store.engine import Store

log = logging.getLogger("errata.serving")

HEALTH = "/healthz"
THREADS = 8
GRACE_SECONDS = 5
_MAX_PORT = 65_535
_BOOT_ERROR = 3  # gunicorn's code for a worker that cannot boot: the master then ends instead of trying for ever


def parse_address(text: str) -> tuple[str, int]:
    """``127.0.0.1:8080`` or ``:8080``, which is the same: only this machine, unless a host is said.

    Raises:
        Invalid: no port in it, or one that is none.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdecimal() or int(port) > _MAX_PORT:
        raise Invalid(f"{text} is not HOST:PORT; write for example --http 127.0.0.1:8080.")
    return host.strip("[]") or "127.0.0.1", int(port)


def require_free(address: tuple[str, int]) -> None:
    """Bind the address for a moment; gunicorn would try five times and then say so in its log only.

    Raises:
        Conflict: it is taken, or not one of this machine's.
    """
    host, port = address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server(address, family=family).close()
    except OSError as error:
        raise Conflict(f"{host}:{port} cannot be served ({error.strerror}); choose another HOST:PORT.") from error


@contextmanager
def worker_beside(environ: Mapping[str, str]) -> Iterator[None]:
    """Run ``errata work`` as a child for the length of the block, and end it with the block."""
    command = [sys.executable, "-m", "bot.cli", "work", "--with-parent"]
    child = subprocess.Popen(command, env=dict(environ), stdin=subprocess.DEVNULL)  # noqa: S603 (our own module, no shell)
    try:
        yield
    finally:
        child.terminate()
        try:
            child.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def serve_http(settings: Settings, address: tuple[str, int], *, ready: Callable[[str], None]) -> None:
    """Serve HTTP under gunicorn until SIGTERM or SIGINT; ends the process.

    Raises:
        Invalid: a token or secret is missing.
    """
    settings.require_http()
    _Http(settings, address, ready).run()


class _Http(BaseApplication):  # type: ignore[misc]  # gunicorn publishes no types
    """gunicorn with one gthread worker: SQLite has one writer, and a second process only waits for it."""

    def __init__(self, settings: Settings, address: tuple[str, int], ready: Callable[[str], None]) -> None:
        self._settings = settings
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
            "control_socket_disable": True,  # it would write into the home of whoever starts the bot
            "post_worker_init": self._booted,
        }
        for name, value in chosen.items():
            self.cfg.set(name, value)

    def load(self) -> WSGIApplication:
        """The application, made in the worker process: threads and connections do not survive a fork."""
        try:
            store = open_store(self._settings)
            gate = composition.gated(composition.build(self._settings, store), self._settings, store)
        except ErrataError as error:
            print(error, file=sys.stderr)  # noqa: T201 (gunicorn would show a traceback in its place)
            sys.exit(_BOOT_ERROR)
        return with_health(gate)

    def _booted(self, worker: Any) -> None:
        host, port = worker.sockets[0].getsockname()[:2]
        self._ready(f"Errata answers at http://{host}:{port}")


def with_health(app: WSGIApplication) -> WSGIApplication:
    """``app`` with a GET of ``/healthz`` answered before it: 200 as soon as this process serves."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ.get("PATH_INFO") != HEALTH or environ.get("REQUEST_METHOD") not in {"GET", "HEAD"}:
            return app(environ, start_response)
        body = b"ok\n"
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    return answer


def serve_socket(settings: Settings, store: Store, *, ready: Callable[[str], None]) -> None:
    """Serve over Socket Mode until SIGTERM or SIGINT.

    Raises:
        Invalid: a token is missing.
        Unavailable: Slack refuses a token or cannot be reached.
    """
    settings.require_socket()
    stopping = stop_event()
    app = composition.build(settings, store)
    handler = CheckedSocketHandler(app, settings.app_token, web_client=client_for(settings, settings.app_token))
    try:
        try:
            handler.connect()  # type: ignore[no-untyped-call]  # slack_bolt annotates it by half
        except SlackApiError as error:
            raise Unavailable(
                f"Slack refuses SLACK_APP_TOKEN ({error.response.get('error')}): create an app-level token with the "
                "scope connections:write and turn Socket Mode on."
            ) from error
        except OSError as error:
            raise Unavailable(f"Slack cannot be reached ({type(error).__name__}); try again later.") from error
        ready("Errata is connected to Slack over Socket Mode")
        stopping.wait()
    finally:
        handler.close()  # type: ignore[no-untyped-call]


class CheckedSocketHandler(SocketModeHandler):
    """Bolt's handler behind the same strict reading as HTTP: what fails is acknowledged and never dispatched."""

    def handle(self, client: SocketModeClient, req: SocketModeRequest) -> None:  # type: ignore[override]  # as in Bolt
        """Read strictly, then dispatch."""
        try:
            parse_socket({"type": req.type, "payload": req.payload})
        except PayloadError as error:
            log.warning("refused: reason=payload detail=%s", error.reason)
            # Unacknowledged, Slack would bring it again.
            client.send_socket_mode_response(SocketModeResponse(envelope_id=req.envelope_id))
            return
        super().handle(client, req)
