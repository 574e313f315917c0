"""The proxy that clients find in HTTPS_PROXY: it answers CONNECT for any host and ends the TLS connection itself.

Owns sockets, TLS and HTTP/1.1 (keep-alive, both kinds of body). Decides nothing about any host: a request goes to
``answer``. Nothing is passed on but to this machine itself: slack_sdk knows no NO_PROXY, and a Slack-shaped sandbox
may stand beside this one. Binds 127.0.0.1 only.
"""

from __future__ import annotations

import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler

from training.sandbox import passing
from training.sandbox.authority import Authority
from training.sandbox.wire import Response

_STOP_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request as it came over a connection to ``host``; header names in lower case."""

    method: str
    host: str
    target: str
    headers: dict[str, str]
    body: bytes


class Proxy:
    """Serves from a thread of its own until ``stop``; ``answer`` may say None, and the connection closes unanswered."""

    def __init__(self, authority: Authority, answer: Callable[[Arrival], Response | None], port: int = 0) -> None:
        self._server = _Server(("127.0.0.1", port), authority, answer)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=[0.05], name="azure-sandbox", daemon=True
        )

    @property
    def address(self) -> str:
        """``http://127.0.0.1:PORT``."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> None:
        """Serve; clients that came earlier have waited."""
        self._thread.start()

    def stop(self) -> None:
        """Close every connection and wait for the threads to end."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server.hang_up()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(
        self, address: tuple[str, int], authority: Authority, answer: Callable[[Arrival], Response | None]
    ) -> None:
        self.authority = authority
        self.answer = answer
        self._lock = threading.Lock()
        self._lines: dict[threading.Thread, socket.socket] = {}
        super().__init__(address, _Line)

    def keep(self, line: socket.socket) -> None:
        with self._lock:
            self._lines[threading.current_thread()] = line

    def forget(self) -> None:
        with self._lock:
            self._lines.pop(threading.current_thread(), None)

    def hang_up(self) -> None:
        with self._lock:
            lines = dict(self._lines)
        for line in lines.values():
            _shut(line)
        for thread in lines:
            thread.join(_STOP_SECONDS)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away, or does not trust the authority, is the client's affair."""


class _Line(BaseHTTPRequestHandler):
    """One connection: a CONNECT, then requests under TLS."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server
    _host: str | None = None
    _tls: ssl.SSLSocket | None = None

    def setup(self) -> None:
        super().setup()
        self.server.keep(self.connection)

    def finish(self) -> None:
        self.server.forget()
        try:
            super().finish()
        except OSError:
            pass
        finally:
            if self._tls is not None:
                self._tls.close()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name is the base class's)
        """Say nothing: what came is in the sandbox's record."""

    def do_CONNECT(self) -> None:
        host, _, port = self.path.rpartition(":")
        self._host = host.lower()
        self.send_response_only(200, "Connection established")
        self.end_headers()
        self.rfile.close()
        if self._host in passing.HERE:
            passing.join(self.connection, int(port))
            self.close_connection = True
            return
        self._tls = self.server.authority.context(self._host).wrap_socket(self.connection, server_side=True)
        self.connection = self._tls
        self.server.keep(self._tls)
        self.rfile = self._tls.makefile("rb")
        self.wfile = self._tls.makefile("wb")
        self.close_connection = False

    def _serve(self) -> None:
        body = self._body()
        headers = {name.lower(): value for name, value in self.headers.items()}
        if self._host is None:
            self._send(passing.ask(self.command, self.path, headers, body))
            return
        answer = self.server.answer(Arrival(self.command, self._host, self.path, headers, body))
        if answer is None:
            self.close_connection = True
            _shut(self.connection)
            return
        self._send(answer)

    def __getattr__(self, name: str) -> Callable[[], None]:
        """``do_GET``, ``do_PUT`` and so on: whatever it is, it is for the services."""
        if name.startswith("do_"):
            return self._serve
        raise AttributeError(name)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return b"".join(self._chunks())
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _chunks(self) -> Iterable[bytes]:
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass  # trailers say nothing that anybody here reads

    def _send(self, answer: Response) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        bodiless = self.command == "HEAD" or answer.status in {204, 304}
        if answer.chunks is not None:
            self.send_header("Transfer-Encoding", "chunked")
        elif "content-length" not in {name.lower() for name in answer.headers}:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if answer.chunks is None:
            self.wfile.write(b"" if bodiless else answer.body)
            return
        for chunk in answer.chunks:
            self.wfile.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")


def _shut(line: socket.socket) -> None:
    with suppress(OSError):  # it may have closed by itself
        # Not SSLSocket.shutdown, which takes the TLS object away from the thread that is reading with it.
        socket.socket.shutdown(line, socket.SHUT_RDWR)
