"""A load generator: signed requests over a fixed number of kept connections, as fast as answers come.

Owns the timing of each request, from its first byte out to its answer's last byte in. Needs answers
with a Content-Length; one that is missing, or a status other than the expected one, ends the measurement.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Load:
    """What a server did with a batch: ``seconds`` for all, and the milliseconds of each request."""

    seconds: float
    milliseconds: list[float]

    @property
    def rate(self) -> float:
        """Requests per second."""
        return len(self.milliseconds) / self.seconds

    def percentile(self, share: float) -> float:
        """The milliseconds within which this share (0 to 1) of the requests was answered."""
        ordered = sorted(self.milliseconds)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def signed(secret: str, stamp: int, content_type: str, body: bytes) -> bytes:
    """A whole HTTP request as Slack sends it."""
    digest = hmac.new(secret.encode(), f"v0:{stamp}:".encode() + body, hashlib.sha256).hexdigest()
    head = (
        "POST /slack/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json,*/*\r\n"
        "User-Agent: Slackbot 1.0 (+https://api.slack.com/robots)\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
        f"X-Slack-Request-Timestamp: {stamp}\r\nX-Slack-Signature: v0={digest}\r\n\r\n"
    )
    return head.encode() + body


def offer(port: int, requests: Sequence[bytes], *, connections: int) -> Load:
    """Send every request to this port of the loopback, on so many connections at once."""
    return asyncio.run(_offer(port, requests, connections))


async def _offer(port: int, requests: Sequence[bytes], connections: int) -> Load:
    waiting, milliseconds = iter(requests), []
    loop = asyncio.get_running_loop()
    opened = [
        await loop.create_connection(
            lambda: _Connection(waiting, milliseconds, loop.create_future()), "127.0.0.1", port
        )
        for _ in range(connections)
    ]
    started = time.perf_counter()
    for _, connection in opened:
        connection.send_next()
    try:
        await asyncio.gather(*(connection.done for _, connection in opened))
    finally:
        for transport, _ in opened:
            transport.close()
    return Load(time.perf_counter() - started, milliseconds)


class _Connection(asyncio.Protocol):
    """One kept connection with one request under way."""

    def __init__(self, waiting: Iterator[bytes], milliseconds: list[float], done: asyncio.Future[None]) -> None:
        self._waiting = waiting
        self._milliseconds = milliseconds
        self._received = b""
        self._sent_at = 0.0
        self.done = done

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def send_next(self) -> None:
        request = next(self._waiting, None)
        if request is None:
            self.done.set_result(None)
            return
        self._received = b""
        self._sent_at = time.perf_counter()
        self._transport.write(request)  # type: ignore[attr-defined]  # a TCP transport can

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(_END)
        if not end:
            return
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        if len(body) < int(length):
            return
        if not head.startswith(b"HTTP/1.1 200"):
            self.done.set_exception(RuntimeError(f"answered {self._received[:300]!r}"))
            return
        self._milliseconds.append((time.perf_counter() - self._sent_at) * 1000)
        self.send_next()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("the server closed a connection"))
