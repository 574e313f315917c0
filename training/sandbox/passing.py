"""Passing on to this machine: plain requests and tunnels to loopback, and to nowhere else.

Owns the one exception to the sandbox's rule that nothing leaves it.
"""

from __future__ import annotations

import http.client
import selectors
import socket
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import urlsplit

from training.sandbox.wire import Response

HERE = frozenset({"127.0.0.1", "localhost"})

_SECONDS = 60.0
_PIECE = 65536
_OF_THE_LINE = {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "content-length"}


def ask(method: str, address: str, headers: Mapping[str, str], body: bytes) -> Response:
    """What ``http://127.0.0.1:PORT/…`` answers; 403 for any other address, 502 where nobody does."""
    parts = urlsplit(address)
    if parts.scheme != "http" or parts.hostname not in HERE:
        return Response(403, b"This proxy passes nothing on but to this machine.\n")
    return send(parts.netloc, method, parts._replace(scheme="", netloc="").geturl() or "/", headers, body)


def send(netloc: str, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Response:
    """The answer of a server on this machine; the headers that belong to the line itself are made anew."""
    line = http.client.HTTPConnection(netloc, timeout=_SECONDS)
    try:
        kept = {name: value for name, value in headers.items() if name.lower() not in _OF_THE_LINE - {"content-length"}}
        line.request(method, target, body, kept)
        answer = line.getresponse()
        dropped = _OF_THE_LINE - {"content-length"} if method == "HEAD" else _OF_THE_LINE
        given = {name: value for name, value in answer.getheaders() if name.lower() not in {*dropped, "date", "server"}}
        return Response(answer.status, answer.read(), given)
    except OSError:
        return Response(502, f"Nobody answers at {netloc}.\n".encode())
    finally:
        line.close()


def join(near: socket.socket, port: int) -> None:
    """Carry bytes between a client and a port of this machine until either closes."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port)) as far, selectors.DefaultSelector() as ready:
        ready.register(near, selectors.EVENT_READ, far)
        ready.register(far, selectors.EVENT_READ, near)
        while True:
            for key, _ in ready.select():
                piece = key.fileobj.recv(_PIECE)  # type: ignore[union-attr]  # only sockets are registered
                if not piece:
                    return
                key.data.sendall(piece)
