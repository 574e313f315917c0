"""The serving process: ``python -m training.backends.local.serving.endpoint DIRECTORY``.

Owns loading what the directory's request names, and the address: the loopback interface only, as nobody is asked who
they are. What is spoken there is ``serving``'s, who replies when ``engine``'s. For many users, serve with vLLM.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from curation.errors import Invalid, Unavailable
from training.backends.local import folder, labels, process
from training.backends.local.serving import threads
from training.backends.local.serving.engine import Engine
from training.backends.local.serving.entries import Entry
from training.backends.local.serving.http import adapters, chat, classify
from training.backends.local.serving.http.app import build_app
from training.backends.local.serving.http.figures import Figures
from training.backends.local.serving.roster import Roster
from training.backends.local.tuning.classifier import load_classifier

_LOOPBACK = "127.0.0.1"
_LOOK_SECONDS = 1.0


def serve(directory: Path) -> dict[str, Any]:
    """Load the models named in the directory's request and answer until told to stop."""
    row = folder.read_json(directory / folder.REQUEST)
    if row is None:
        raise Invalid(
            "{folder} holds no {file}; start an endpoint with `errata deploy`.", folder=directory, file=folder.REQUEST
        )
    # Before anything is loaded: a port that is taken is said at once.
    with bound(row["port"], former=row.get("former", 0)) as listener:
        if (parent := row.get("parent")) is not None:
            threading.Thread(target=_end_after, args=(parent,), name="errata-parent", daemon=True).start()
        app = _application([Entry.from_json(one) for one in row["models"]], Figures())
        listener.listen()
        folder.write_json(directory / folder.READY, {**row, "port": listener.getsockname()[1], "pid": os.getpid()})
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2))
        server.run(sockets=[listener])
    return {}


def bound(port: int, *, former: int = 0) -> socket.socket:
    """A socket at this port, or for 0 at the former one where nobody else has it, or at any that is free.

    Raises:
        Unavailable: the port is taken, or is not ours to take.
    """
    # Named as TCP: only then asyncio sends each word at once, instead of 40 ms later with the next one.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    # Without this the port stays taken for a minute after the endpoint before it.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if not port:
        with suppress(OSError):
            listener.bind((_LOOPBACK, former))
            return listener
    try:
        listener.bind((_LOOPBACK, port))
    except OSError as error:
        listener.close()
        raise Unavailable(
            "Port {port} cannot be used ({cause}); choose another.", port=port, cause=error.strerror
        ) from error
    return listener


def _application(entries: Sequence[Entry], figures: Figures) -> FastAPI:
    """Over models that reply, or over the one that answers with labels."""
    first = entries[0]
    if labels.is_classifier(Path(first.path)):
        classifier = load_classifier(Path(first.path))
        return build_app(lambda: (first.name,), figures, classify.router(first.name, classifier))
    roster = Roster.load(entries)
    threads.choose(roster.find(first.name).host.loaded.model)
    engine = Engine(figures)
    return build_app(roster.names, figures, chat.router(roster, engine), adapters.router(roster, engine), engine=engine)


def _end_after(parent: int) -> None:
    """End this process once the one that it serves for is gone, be it by kill -9 or with its terminal."""
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(process.carry_out(process.directory_argument(), serve))
