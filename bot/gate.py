"""What happens to a request before Bolt sees it.

Owns where requests may go, how large and how old they may be, who signed them, and what a replayed
one is told. Bolt parses a body before it verifies the signature, and raises on what it cannot parse;
here nothing is parsed that is not signed, and Bolt is handed only what ``bot.payloads`` let pass.
Refuses to log what people wrote: a line has a reason, a status and a size.

The app behind gets the payload, not the request: nothing that was not signed (``X-Slack-Bolt-Lazy-Only``,
a query) can steer it, and two parsers can't disagree about one body. (Bolt's own takes
``/errata help payload`` for a form without a payload and loses it.)
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from datetime import datetime
from http import HTTPStatus
from typing import Any, NamedTuple, Protocol
from wsgiref.types import StartResponse, WSGIEnvironment

from bot.payloads import Payload, PayloadError, parse
from curation.errors import Invalid

PATH = "/slack/events"

WINDOW_SECONDS = 300
"""How far a request's timestamp may be from our clock, either way, as Slack recommends.

https://docs.slack.dev/authentication/verifying-requests-from-slack
"""

KIND, OUTCOME = "errata.kind", "errata.outcome"
"""Left in the request's environ for whoever measures: what a payload is, and whether its answer is an old one."""

REPLAYED = "replayed"

REPLAY_SECONDS = 2 * WINDOW_SECONDS
"""How long an outcome has to be remembered: a request stamped ahead of our clock stays valid this long."""


class Outcome(NamedTuple):
    """What a request was answered, to be answered again: status, content type and body."""

    status: int
    content_type: str
    body: bytes


App = Callable[[Payload], Outcome]
"""What answers a payload."""


class ReplayMemory(Protocol):
    """Where outcomes are kept, for at least ``REPLAY_SECONDS``, by every process that serves one app."""

    def recall(self, key: str) -> Outcome | None:
        """The outcome kept under this key (SHA-256 in hex), or None."""

    def handling(self, key: str, now: datetime) -> AbstractContextManager[None]:
        """While a request with this key is at the app: a memory may keep it together with what the app writes."""

    def remember(self, key: str, outcome: Outcome, now: datetime) -> None:
        """Keep an outcome; the first one under a key wins."""


class _RefusedError(Exception):
    def __init__(self, reason: str, status: HTTPStatus, sentence: str, *, detail: str = "") -> None:
        super().__init__(sentence)
        self.reason = reason
        self.status = status
        self.sentence = sentence
        self.detail = detail


class Gate:
    """A WSGI application that lets signed, fresh, well-formed requests through to another, each of them once.

    Attributes:
        app: what is behind.
        signing_secrets: one, or two while the secret is being rotated.
        memory: outcomes of earlier requests.
        clock: the present as an aware datetime.
        max_bytes: size limit of a body. Slack's largest, a modal with its view, stays under 300,000.
        log: where refusals and failures go.

    Raises:
        Invalid: no signing secret, or a blank one, which would let anybody sign.
    """

    def __init__(
        self,
        app: App,
        *,
        signing_secrets: tuple[str, ...],
        memory: ReplayMemory,
        clock: Callable[[], datetime],
        max_bytes: int = 1_000_000,
        log: logging.Logger = logging.getLogger("errata.gate"),  # noqa: B008 - loggers are singletons by name
    ) -> None:
        if not signing_secrets or not all(secret.strip() for secret in signing_secrets):
            raise Invalid("The gate has no signing secret: set SLACK_SIGNING_SECRET to the one of your Slack app.")
        self._app = app
        self._secrets = [secret.encode() for secret in signing_secrets]
        self._memory = memory
        self._clock = clock
        self._max_bytes = max_bytes
        self._log = log

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request; never raises an ``Exception``."""
        try:
            outcome = self._answer(environ)
        except _RefusedError as refused:
            self._log.warning(
                "refused: reason=%s status=%d size=%s detail=%s",
                *(refused.reason, refused.status, _digits(environ.get("CONTENT_LENGTH")) or "unknown"),
                refused.detail or "none",
            )
            outcome = _plain(refused.status, refused.sentence)
        except Exception as error:  # noqa: BLE001 - the edge of the process: Slack gets a sentence, not a traceback
            self._log.error("failed: error=%s status=500", type(error).__name__)
            self._log.debug("failed: traceback", exc_info=True)
            outcome = _plain(HTTPStatus.INTERNAL_SERVER_ERROR, "Something failed here. Try again in a moment.")
        headers = [("Content-Type", outcome.content_type), ("Content-Length", str(len(outcome.body)))]
        start_response(f"{outcome.status} {HTTPStatus(outcome.status).phrase}", headers)
        return [outcome.body]

    def _answer(self, environ: WSGIEnvironment) -> Outcome:
        method, path = environ.get("REQUEST_METHOD"), environ.get("PATH_INFO", "")
        if path != PATH or method != "POST":
            raise _RefusedError("path", HTTPStatus.NOT_FOUND, "There is nothing here.")
        body = self._receive(environ)
        now = self._clock()
        signature = self._verify(environ, body, now)
        key = hashlib.sha256(signature + body).hexdigest()
        outcome = self._memory.recall(key)
        if outcome is not None:
            environ[OUTCOME] = REPLAYED
            return outcome
        payload = _read(environ, body)
        with self._memory.handling(key, now):
            outcome = self._app(payload)
            if HTTPStatus.OK <= outcome.status < HTTPStatus.MULTIPLE_CHOICES:
                self._remember(key, outcome, now)
        return outcome

    def _receive(self, environ: WSGIEnvironment) -> bytes:
        """The raw body, read only once its announced size is known to be acceptable."""
        announced = environ.get("CONTENT_LENGTH")
        if not announced or environ.get("HTTP_TRANSFER_ENCODING"):
            raise _RefusedError("length.missing", HTTPStatus.LENGTH_REQUIRED, "Send a Content-Length.")
        digits = _digits(announced)
        if digits is None:
            raise _RefusedError("length.invalid", HTTPStatus.BAD_REQUEST, "The Content-Length is not a number.")
        # The number of digits first: Python refuses to convert thousands of them.
        if len(digits) > len(str(self._max_bytes)) or int(digits) > self._max_bytes:
            raise _RefusedError(
                "length.large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The limit is {self._max_bytes:,} bytes."
            )
        try:
            body: bytes = environ["wsgi.input"].read(int(digits))
        except OSError:  # the client went away
            body = b""
        if len(body) != int(digits):
            raise _RefusedError("length.short", HTTPStatus.BAD_REQUEST, "The body is shorter than its Content-Length.")
        return body

    def _verify(self, environ: WSGIEnvironment, body: bytes, now: datetime) -> bytes:
        """The signature, once one of the secrets is known to have made it within the window."""
        stamp = environ.get("HTTP_X_SLACK_REQUEST_TIMESTAMP", "")
        # Longer than any Unix time in seconds for the next thirty thousand years is no timestamp.
        if _digits(stamp) != stamp or len(stamp) > len("999999999999"):
            raise _RefusedError("timestamp.invalid", HTTPStatus.BAD_REQUEST, "The request timestamp is not a number.")
        if abs(now.timestamp() - int(stamp)) > WINDOW_SECONDS:
            raise _RefusedError(
                "timestamp.stale", HTTPStatus.UNAUTHORIZED, "The request is too old or from the future."
            )
        # WSGI header values are Latin-1; compare_digest raises on text that is not ASCII.
        signature = str(environ.get("HTTP_X_SLACK_SIGNATURE", "")).encode("latin-1", "replace")
        base = b"v0:" + stamp.encode() + b":" + body
        made = [b"v0=" + hmac.new(secret, base, hashlib.sha256).hexdigest().encode() for secret in self._secrets]
        # A sum, not any(): all secrets are tried, so that time does not tell which one fits.
        if not sum(hmac.compare_digest(signature, ours) for ours in made):
            raise _RefusedError("signature", HTTPStatus.UNAUTHORIZED, "The signature does not fit.")
        return signature

    def _remember(self, key: str, outcome: Outcome, now: datetime) -> None:
        try:
            self._memory.remember(key, outcome, now)
        except Exception as error:  # noqa: BLE001 - the app has committed; an error now would deny a write that stands
            self._log.error("outcome not remembered: error=%s", type(error).__name__)
            self._log.debug("outcome not remembered: traceback", exc_info=True)


def _digits(value: Any) -> str | None:
    return value if isinstance(value, str) and value.isascii() and value.isdecimal() else None


def _read(environ: WSGIEnvironment, body: bytes) -> Payload:
    try:
        payload = parse(environ.get("CONTENT_TYPE", ""), body)
    except PayloadError as error:
        sentence = "The payload is not one that Slack sends."
        raise _RefusedError("payload", HTTPStatus.BAD_REQUEST, sentence, detail=error.reason) from error
    environ[KIND] = payload.kind.value
    return payload


def _plain(status: HTTPStatus, sentence: str) -> Outcome:
    return Outcome(status.value, "text/plain; charset=utf-8", sentence.encode())
