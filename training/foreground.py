"""One worker to a home folder, and being that worker for as long as one run takes.

Owns the worker's lock and its pace. What a tick does is ``training.workflow``'s; how progress is
shown is the command line's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from curation.errors import Conflict
from training.workflow import Worker

LOCK = "worker.lock"
BUSY_SECONDS = 0.3
IDLE_SECONDS = 1.0
# Somebody who only looks whether a worker runs holds the lock for a moment.
_PATIENCE_SECONDS = 1.0


@contextmanager
def sole_worker(home: Path) -> Iterator[None]:
    """Be the one worker of this home folder for the length of the block.

    Raises:
        Conflict: another worker has the folder.
    """
    home.mkdir(parents=True, exist_ok=True)
    lock = FileLock(home / LOCK)
    try:
        lock.acquire(timeout=_PATIENCE_SECONDS)
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
    """Look again and again until ``done``, and do the work meanwhile wherever no other worker does it.

    A worker that another process runs may end at any time, so every round tries for the lock again.
    """
    while not done():
        if not worker_runs(worker.home):
            with sole_worker(worker.home):
                while not done():
                    worker.tick()
                    if not done():
                        sleep(BUSY_SECONDS)
            return
        sleep(BUSY_SECONDS)
