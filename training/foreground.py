"""One worker to a home folder, and being that worker for as long as one run takes.

Owns the worker's lock and its pace. What a tick does is ``training.workflow``'s; how progress is
shown is the command line's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from curation.errors import Conflict
from training.workflow import Worker

LOCK = "worker.lock"
BUSY_SECONDS = 0.3
IDLE_SECONDS = 1.0


@contextmanager
def sole_worker(home: Path, *, patience_seconds: float = 1.0) -> Iterator[None]:
    """Be the one worker of this home folder for the length of the block.

    The patience outlasts somebody who only looks whether a worker runs.

    Raises:
        Conflict: another worker has the folder.
    """
    home.mkdir(parents=True, exist_ok=True)
    lock = FileLock(home / LOCK)
    try:
        lock.acquire(timeout=patience_seconds)
    except Timeout as error:
        raise Conflict(
            f"A worker runs on {home} already, and two would advance the same run twice; stop it first "
            "(errata serve starts one too), or use another --home."
        ) from error
    try:
        yield
    finally:
        lock.release()


def worker_runs(home: Path) -> bool:
    """Whether a worker has this home folder."""
    if not (home / LOCK).exists():
        return False
    lock = FileLock(home / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def follow(worker: Worker, done: Callable[[], bool], *, sleep: Callable[[float], object] = time.sleep) -> None:
    """Look again and again until ``done``, and be the worker meanwhile wherever no other process is.

    The other worker may end at any time, so every round tries for its place again.
    """
    while not done():
        with suppress(Conflict), sole_worker(worker.home, patience_seconds=0):
            while not done():
                worker.tick()
                if not done():
                    sleep(BUSY_SECONDS)
            return
        sleep(BUSY_SECONDS)
