"""The worker process: it advances runs and deployments and delivers what is owed, until told to stop."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from datetime import datetime

from bot.connection import slack_client
from bot.notices import Deliverer
from bot.settings import Settings
from curation.store.engine import Store
from training.backends.local.backend import LocalBackend
from training.backends.names import BackendName
from training.foreground import BUSY_SECONDS, IDLE_SECONDS, sole_worker
from training.workflow import Worker

log = logging.getLogger("errata.worker")

_LOOK_SECONDS = 0.5


def work(settings: Settings, store: Store, clock: Callable[[], datetime], *, ready: Callable[[str], None]) -> None:
    """Work until SIGTERM or SIGINT.

    Raises:
        Conflict: another worker has the home folder.
    """
    stopping = stop_event()
    with sole_worker(settings.home):
        worker = Worker(store, {BackendName.LOCAL: LocalBackend()}, settings.home, clock)
        deliverer = Deliverer(store, slack_client(settings), clock) if settings.bot_token else None
        if deliverer is not None:
            deliverer.start()
        ready("The worker runs." if deliverer else "The worker runs; without SLACK_BOT_TOKEN notices stay owed.")
        try:
            while not stopping.is_set():
                stopping.wait(BUSY_SECONDS if _tick(worker) else IDLE_SECONDS)
        finally:
            if deliverer is not None:
                deliverer.stop()


def stop_event() -> threading.Event:
    """An event that SIGTERM and SIGINT set, in place of ending the process at once."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopping.set())
    return stopping


def end_with_parent() -> None:
    """Send this process SIGTERM once the process that started it is gone, be it by kill -9."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="errata-parent", daemon=True).start()


def _tick(worker: Worker) -> bool:
    """One tick; a surprise (a locked database, a full disk) is logged, and the next tick tries again."""
    try:
        return worker.tick()
    except Exception:  # the process edge: a worker that dies of one bad moment leaves every run standing still
        log.exception("the worker's tick failed; it goes on")
        return False
