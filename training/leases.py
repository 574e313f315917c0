"""Leases: which workers of a shared database are alive, and which one of them leads.

Owns the table of leases and its clock, which is the database's: the clocks of hosts differ. The leader
alone picks up runs, delivers notices, switches deployments and takes over from the dead.

The lead is a row that is taken over by one conditional update once it has run out, and not an advisory
lock: a lock lives as long as its connection, and a process that hangs, or a host that is cut off, can
keep that for hours.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from typing import Self

from sqlalchemy import text
from sqlalchemy.engine import Connection

from curation.errors import ErrataError
from curation.store.engine import Store

log = logging.getLogger("errata.leases")

RENEW_SECONDS = 2.0
EXPIRE_SECONDS = 6.0
_AFTERWARDS_SECONDS = 0.05
LEADER = "leader"
"""The row of ``worker_leases`` that is the lead: its ``host`` names the worker that has it."""

# The columns hold UTC without a zone, as all our moments do. clock_timestamp() goes on within a transaction.
_RENEW = text(
    """INSERT INTO worker_leases (worker_id, host, process, renewed_at, expires_at)
    VALUES (:worker, :host, :process, clock_timestamp() AT TIME ZONE 'UTC',
            clock_timestamp() AT TIME ZONE 'UTC' + make_interval(secs => :expire))
    ON CONFLICT (worker_id) DO UPDATE SET renewed_at = excluded.renewed_at, expires_at = excluded.expires_at"""
)
_LEAD = text(
    """INSERT INTO worker_leases (worker_id, host, process, renewed_at, expires_at)
    VALUES (:leader, :worker, :process, clock_timestamp() AT TIME ZONE 'UTC',
            clock_timestamp() AT TIME ZONE 'UTC' + make_interval(secs => :expire))
    ON CONFLICT (worker_id) DO UPDATE
    SET host = excluded.host, process = excluded.process,
        renewed_at = excluded.renewed_at, expires_at = excluded.expires_at
    WHERE worker_leases.host = excluded.host
       OR worker_leases.expires_at < clock_timestamp() AT TIME ZONE 'UTC'"""
)
_LEAD_LEFT = text(
    """SELECT extract(epoch FROM expires_at - clock_timestamp() AT TIME ZONE 'UTC')
    FROM worker_leases WHERE worker_id = :leader"""
)
_ALIVE = text(
    """SELECT worker_id FROM worker_leases
    WHERE worker_id <> :leader AND expires_at >= clock_timestamp() AT TIME ZONE 'UTC'"""
)
_FORGET = text(
    "DELETE FROM worker_leases WHERE expires_at < clock_timestamp() AT TIME ZONE 'UTC' - make_interval(hours => 1)"
)
_GIVE_BACK = text("DELETE FROM worker_leases WHERE worker_id = :worker OR (worker_id = :leader AND host = :worker)")


class Lease:
    """This process's claim to be alive, renewed in the background between ``__enter__`` and ``__exit__``.

    Attributes:
        worker_id: unique to this life of the process.
    """

    def __init__(
        self,
        store: Store,
        *,
        carries: bool = True,
        renew_seconds: float = RENEW_SECONDS,
        expire_seconds: float = EXPIRE_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """``carries=False`` is for a command that leads only while no worker is alive, and is none itself."""
        host = socket.gethostname()
        self.worker_id = f"{host}:{os.getpid()}:{secrets.token_hex(4)}"
        self._store = store
        self._carries = carries
        self._renew_seconds = renew_seconds
        self._expire_seconds = expire_seconds
        self._monotonic = monotonic
        self._names = {
            "worker": self.worker_id,
            "host": host,
            "process": os.getpid(),
            "expire": expire_seconds,
            "leader": LEADER,
        }
        self._leads_until = float("-inf")
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="errata-lease", daemon=True)

    def __enter__(self) -> Self:
        """Take the lease, and the lead where nobody has it.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        self.renew()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Give the lease back, so that nobody has to wait for its end."""
        self._stopping.set()
        self._thread.join()
        self._leads_until = float("-inf")
        try:
            with self._store.aside() as connection:
                connection.execute(_GIVE_BACK, self._names)
        except ErrataError as error:
            log.warning("the lease was not given back, and runs out: error=%s", type(error).__name__)

    def leads(self) -> bool:
        """Whether this process leads now; false as soon as its own lease has run out, whatever the database says."""
        return self._monotonic() < self._leads_until

    def renew(self) -> float:
        """Renew the lease, and the lead or try for it; the seconds after which to do so again.

        Raises:
            StoreUnavailable: the database does not answer; the lease goes on running out.
        """
        began = self._monotonic()
        with self._store.aside() as connection:
            if self._carries:
                connection.execute(_RENEW, self._names)
            may = self._carries or not _alive(connection)
            led = may and connection.execute(_LEAD, self._names).rowcount == 1
            if not may:
                connection.execute(_GIVE_BACK, self._names)  # a worker has come: it does what a worker does
            left = _lead_left(connection)
            if led:
                connection.execute(_FORGET)
        if led != self.leads():
            log.info("the lead changed: worker=%s leads=%s", self.worker_id, led)
        self._leads_until = began + self._expire_seconds if led else float("-inf")
        # Whoever waits for the lead looks as soon as it runs out, not a whole round later.
        return self._renew_seconds if led else min(self._renew_seconds, max(left, 0.0) + _AFTERWARDS_SECONDS)

    def alive(self) -> frozenset[str]:
        """The workers whose leases have not run out, this one included.

        Raises:
            StoreUnavailable: the database does not answer.
        """
        with self._store.aside() as connection:
            return _alive(connection)

    def _keep(self) -> None:
        pause = self._renew_seconds
        while not self._stopping.wait(pause):
            try:
                pause = self.renew()
            except ErrataError as error:
                log.warning("the lease was not renewed: error=%s", type(error).__name__)
                pause = self._renew_seconds / 2


def somebody_leads(store: Store) -> bool:
    """Whether a worker, or a command in its place, leads now."""
    with store.aside() as connection:
        return _lead_left(connection) > 0


def _lead_left(connection: Connection) -> float:
    """Seconds until the lead runs out; none where nobody has it."""
    return float(connection.execute(_LEAD_LEFT, {"leader": LEADER}).scalar() or 0.0)


def _alive(connection: Connection) -> frozenset[str]:
    return frozenset(connection.execute(_ALIVE, {"leader": LEADER}).scalars())
