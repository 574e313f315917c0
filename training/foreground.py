"""One worker to a home folder, or one that leads, and doing its part for as long as a command takes.

Owns the worker's lock and its pace. Leases, where several workers share a database, are
``training.leases``'s; what a tick does is ``training.worker``'s; how progress is shown is the command line's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from curation.errors import Conflict
from curation.store.engine import Store
from training.leases import Lease, somebody_leads
from training.worker import InlineCarrier, Worker
from training.workplace import Workplace

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
            "A worker runs on {home} already, and two would advance the same run twice; stop it first (errata serve "
            "starts one too), or use another --home.",
            home=home,
        ) from error
    try:
        yield
    finally:
        lock.release()


def worker_runs(home: Path, store: Store | None = None) -> bool:
    """Whether somebody does a worker's part: on this home folder, or on the shared database."""
    if store is not None and store.shared:
        return somebody_leads(store)
    if not (home / LOCK).exists():
        return False
    lock = FileLock(home / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def follow(place: Workplace, done: Callable[[], bool], *, sleep: Callable[[float], object] = time.sleep) -> None:
    """Look again and again until ``done``, and do the worker's part meanwhile wherever no worker does.

    The other worker may end at any time, so every round tries for its place again.
    """
    worker = Worker(place, InlineCarrier(place))
    while not done():
        with suppress(Conflict), _in_place_of_a_worker(place) as leads:
            while not done():
                if leads():
                    worker.tick()
                if not done():
                    sleep(BUSY_SECONDS)
            return
        sleep(BUSY_SECONDS)


def look_once(place: Workplace) -> None:
    """Do the worker's part once, wherever no worker does: what has ended while nobody looked is known then."""
    with suppress(Conflict), _in_place_of_a_worker(place) as leads:
        if leads():
            Worker(place, InlineCarrier(place)).tick()


@contextmanager
def _in_place_of_a_worker(place: Workplace) -> Iterator[Callable[[], bool]]:
    """The block gets a function that says whether the worker's part is its own now.

    Raises:
        Conflict: a worker has the home folder.
    """
    if place.store.shared:
        with Lease(place.store, carries=False) as lease:
            yield lease.leads
    else:
        with sole_worker(place.home, patience_seconds=0):
            yield lambda: True
