"""A small OpenAI-compatible server on the loopback interface: it streams for real, and fails as it is told to.

    with serving(ChatEndpoint()) as url: …

What it answers next is queued with ``then``; with nothing queued it answers ``Six months.`` piece by piece.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "lumi-7b"
VERSION = "lumi-7b-2026-11"


@dataclass(frozen=True)
class Saying:
    """What one question is answered.

    Attributes:
        pieces: the words, as they come.
        status: of the response; anything but 200 comes with ``body``.
        streams: one JSON object in place of a stream, where not.
        finish: the finish reason; None where the connection ends without one.
        between: called before each piece, with its number.
    """

    pieces: Sequence[str] = ("Six ", "months", ".")
    status: int = 200
    body: bytes = b'{"error": {"message": "no"}}'
    streams: bool = True
    finish: str | None = "stop"
    between: Callable[[int], object] = lambda _number: None


@dataclass
class ChatEndpoint:
    """What was asked, and what will be answered.

    Attributes:
        asked: the bodies of the requests, oldest first.
        keys: the keys that came with them.
    """

    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    sayings: deque[Saying] = field(default_factory=deque)

    def then(self, *sayings: Saying) -> None:
        """Answer the next questions so."""
        self.sayings.extend(sayings)

    def said(self, number: int = -1) -> list[tuple[str, str]]:
        """The turns of one request, as role and content."""
        return [(turn["role"], turn["content"]) for turn in self.asked[number]["messages"]]


class _Handler(BaseHTTPRequestHandler):
    endpoint: ChatEndpoint
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._send(200, json.dumps({"data": [{"id": MODEL}]}).encode())

    def do_POST(self) -> None:
        endpoint = self.endpoint
        endpoint.asked.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        endpoint.keys.append(self.headers.get("authorization", ""))
        saying = endpoint.sayings.popleft() if endpoint.sayings else Saying()
        if saying.status == 0:
            self.connection.close()
            self.close_connection = True
        elif saying.status != 200:
            self._send(saying.status, saying.body)
        elif saying.streams:
            self._stream(saying)
        else:
            choice = {"message": {"content": "".join(saying.pieces)}, "finish_reason": saying.finish}
            self._send(
                200, json.dumps({"model": VERSION, "choices": [choice]}).encode() if saying.pieces else b"<html>"
            )

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, saying: Saying) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream; charset=utf-8")
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True
        self._event({"delta": {"role": "assistant", "content": ""}, "finish_reason": None})
        for number, piece in enumerate(saying.pieces):
            saying.between(number)
            self._event({"delta": {"content": piece}, "finish_reason": None})
        if saying.finish is not None:
            self._event({"delta": {}, "finish_reason": saying.finish})
            self.wfile.write(b": a comment\n\ndata: [DONE]\n\n")

    def _event(self, choice: dict[str, Any]) -> None:
        row = {"model": VERSION, "object": "chat.completion.chunk", "choices": [{"index": 0, **choice}]}
        self.wfile.write(f"data: {json.dumps(row)}\n\n".encode())
        self.wfile.flush()

    def log_message(self, *_: Any) -> None:
        """Tests read answers, not access logs."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """A client that went away in the middle is a test's own doing."""


@contextmanager
def serving(endpoint: ChatEndpoint) -> Iterator[str]:
    """Serve on a free port; the base address of the endpoint."""
    handler = type("_Bound", (_Handler,), {"endpoint": endpoint})
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
