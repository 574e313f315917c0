"""Where a process listens: ``HOST:PORT`` as it is written, and whether it is free.

Owns that both are said before anything is started.
"""

from __future__ import annotations

import socket

from curation.errors import Conflict, Invalid

_MAX_PORT = 65_535


def parse_address(text: str) -> tuple[str, int]:
    """``127.0.0.1:8080`` or ``:8080``, which is the same: only this machine, unless a host is said.

    Raises:
        Invalid: no port in it, or one that is none.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdecimal() or int(port) > _MAX_PORT:
        raise Invalid("{text} is not HOST:PORT; write for example --http 127.0.0.1:8080.", text=text)
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
        raise Conflict(
            "{host}:{port} cannot be served ({cause}); choose another HOST:PORT.",
            host=host,
            port=port,
            cause=error.strerror,
        ) from error
