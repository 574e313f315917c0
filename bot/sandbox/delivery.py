"""How what people do reaches the bot: signed HTTP requests, or envelopes over Socket Mode.

Owns signatures, the three seconds Slack waits, retries of events and the log of every attempt.
Refuses to retry interactions and commands, because Slack does not, and to reach beyond the address
it was given: no proxy, no redirect.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol
from urllib.parse import urlencode

import httpx

from bot.sandbox.payloads import Json

HTTP_OK = range(200, 300)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. ``status`` is None where nothing did; ``trouble`` then says why."""

    status: int | None
    body: str
    milliseconds: float
    headers: Mapping[str, str] = field(default_factory=dict)
    trouble: str = ""

    @property
    def ok(self) -> bool:
        """Whether Slack would take it as an acknowledgement."""
        return self.status in HTTP_OK

    def as_json(self) -> Json:
        """The answer's body as an object; plain text becomes ``{"text": …}``, nothing becomes ``{}``."""
        try:
            content = json.loads(self.body) if self.body.strip() else {}
        except json.JSONDecodeError:
            return {"text": self.body}
        return content if isinstance(content, dict) else {"text": self.body}


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt to bring one payload to the bot, with the very bytes and headers that were sent."""

    kind: str  # "event", "interaction" or "command"
    payload: Json
    body: bytes
    headers: Mapping[str, str]
    attempt: int = 0
    answer: Answer | None = None

    @property
    def acknowledged(self) -> bool:
        """Whether the bot took it in time."""
        return self.answer is not None and self.answer.ok


class Line(Protocol):
    """A way to the bot."""

    def prepare(self, kind: str, payload: Json, *, attempt: int, reason: str) -> Delivery:
        """Write the payload as it will travel."""
        ...

    def send(self, delivery: Delivery) -> Answer:
        """Bring exactly these bytes to the bot and wait for its answer."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """Slack's ``v0`` signature: HMAC-SHA256 in hex over ``v0:timestamp:body``.

    Source: https://docs.slack.dev/authentication/verifying-requests-from-slack
    """
    return "v0=" + hmac.new(secret.encode(), f"v0:{timestamp}:".encode() + body, hashlib.sha256).hexdigest()


class HttpLine:
    """Signed POST requests to the app's request URL."""

    def __init__(self, url: str, *, secret: str, now_seconds: Callable[[], float], timeout_seconds: float) -> None:
        self._url = url
        self._secret = secret
        self._now_seconds = now_seconds
        # A fresh connection each time: a bot that restarts must not be met over a dead one.
        limits = httpx.Limits(max_keepalive_connections=0)
        # Reading the authorities' certificates takes longer than a delivery, and on loopback nobody has any.
        self._client = httpx.Client(
            timeout=timeout_seconds,
            limits=limits,
            trust_env=False,
            follow_redirects=False,
            verify=url.startswith("https:"),
        )

    def prepare(self, kind: str, payload: Json, *, attempt: int, reason: str) -> Delivery:
        """Events as JSON, commands as form fields, interactions as a form with one JSON field."""
        if kind == "event":
            content_type, body = "application/json", json.dumps(payload).encode()
        else:
            content_type = "application/x-www-form-urlencoded"
            fields = payload if kind == "command" else {"payload": json.dumps(payload)}
            body = urlencode(fields).encode()
        timestamp = int(self._now_seconds())
        headers = {
            "content-type": content_type,
            "user-agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
            "x-slack-request-timestamp": str(timestamp),
            "x-slack-signature": signature(self._secret, timestamp, body),
        }
        if attempt:
            headers |= {"x-slack-retry-num": str(attempt), "x-slack-retry-reason": reason}
        return Delivery(kind, payload, body, headers, attempt)

    def send(self, delivery: Delivery) -> Answer:
        """POST and wait for the answer, at most as long as Slack does."""
        started = time.perf_counter()
        try:
            response = self._client.post(self._url, content=delivery.body, headers=dict(delivery.headers))
        except httpx.TimeoutException:
            return Answer(None, "", _since(started), trouble="http_timeout")
        except httpx.TransportError as error:
            return Answer(None, "", _since(started), trouble=f"connection_failed: {error}")
        trouble = "" if response.status_code in HTTP_OK else "http_error"
        return Answer(response.status_code, response.text, _since(started), response.headers, trouble)

    def close(self) -> None:
        """Close pooled connections."""
        self._client.close()


class Deliverer:
    """Sends payloads over the current line; events in order from one thread, the rest at once."""

    def __init__(self, *, retry_delays_seconds: Sequence[float]) -> None:
        self.line: Line | None = None
        self._lines: list[Line] = []
        self.log: list[Delivery] = []
        self._retry_delays_seconds = tuple(retry_delays_seconds)
        self._events: queue.SimpleQueue[Json | None] = queue.SimpleQueue()
        self._held: list[Json] | None = None
        self._pending = 0
        self._closing = threading.Event()
        self._idle = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="sandbox-events", daemon=True)

    def start(self) -> None:
        """Begin to deliver events."""
        self._thread.start()

    def close(self) -> None:
        """Stop after the event now under way; events still waiting are lost, as when Slack gives up."""
        self._closing.set()
        self._events.put(None)
        self._thread.join()
        for line in self._lines:
            line.close()

    def use(self, line: Line) -> None:
        """Reach the bot over this line from now on; an earlier one may still be busy and closes at the end."""
        self._lines.append(line)
        self.line = line

    def say(self, envelope: Json) -> None:
        """Queue an event; with no line to the bot it is lost."""
        if self.line is None:
            return
        with self._idle:
            if self._held is not None:
                self._held.append(envelope)
                return
            self._pending += 1
        self._events.put(envelope)

    @contextmanager
    def held(self, *, copies: int) -> Iterator[None]:
        """Keep events back while the block runs, then queue them newest first, each ``copies`` times."""
        with self._idle:
            self._held = []
        try:
            yield
        finally:
            with self._idle:
                kept, self._held = self._held, None
            for envelope in reversed(kept):
                for _ in range(copies):
                    self.say(envelope)

    def wait_until_idle(self, timeout_seconds: float) -> bool:
        """Whether every queued event was delivered or given up within the time."""
        with self._idle:
            return self._idle.wait_for(lambda: self._pending == 0, timeout_seconds)

    def hand_over(self, kind: str, payload: Json) -> Delivery:
        """Bring one payload to the bot now, once, and log the attempt."""
        if self.line is None:
            raise RuntimeError("there is no line to the bot")  # callers check; see Workspace.hand_over
        return self.resend(self.line.prepare(kind, payload, attempt=0, reason=""))

    def resend(self, delivery: Delivery) -> Delivery:
        """Send the same bytes and headers (again) and log the attempt."""
        if self.line is None:
            raise RuntimeError("there is no line to the bot")
        delivery = replace(delivery, answer=self.line.send(delivery))
        self.log.append(delivery)
        return delivery

    def _work(self) -> None:
        while (envelope := self._events.get()) is not None:
            if not self._closing.is_set():
                self._deliver_event(envelope)
            with self._idle:
                self._pending -= 1
                self._idle.notify_all()

    def _deliver_event(self, envelope: Json) -> None:
        reason = ""
        for attempt, delay_seconds in enumerate((0.0, *self._retry_delays_seconds)):
            if self._closing.wait(delay_seconds) or self.line is None:
                return
            delivery = self.resend(self.line.prepare("event", envelope, attempt=attempt, reason=reason))
            answer = delivery.answer
            if answer is None or answer.ok or answer.headers.get("x-slack-no-retry") == "1":
                return
            reason = answer.trouble.split(":")[0]


def _since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
