"""The worker: it finds what waits, hands each run to a carrier and sees deployments through.

Owns the round (``tick``) and the port for carrying runs. How a run gets from station to station is
the carrier's: one at a time inside the round here, or durably in ``training.durable``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from training import deployments, filters, runs, switching, workflow
from training.backends.names import BackendName
from training.deployments import DeploymentStatus
from training.workplace import Workplace

LONE_WORKER = "worker"
"""The id of the one worker of a home folder: the next one finds what it left under it."""


class Tick(IntEnum):
    """What a round has seen; nothing is under way after one that is false."""

    IDLE = 0
    WATCHING = 1
    """Only trainings elsewhere, of which each is looked at in its own time: nothing is gained by the next round."""
    BUSY = 2


class Carrier(Protocol):
    """Whoever brings runs from station to station."""

    def carry(self, run_id: str) -> None:
        """See to it that this unfinished run gets on; asking twice carries it once.

        Raises:
            StoreUnavailable, Overtaken: not now; asked again, it goes on.
        """


@dataclass(frozen=True)
class InlineCarrier:
    """Carries a run by one station whenever it is asked to: for a worker that lasts as long as one command."""

    place: Workplace

    def carry(self, run_id: str) -> None:
        """Visit the run's station."""
        workflow.station(self.place, run_id)


@dataclass(frozen=True)
class Worker:
    """Sees to every unfinished run, every waiting deployment and whatever is live, once per ``tick``."""

    place: Workplace
    carrier: Carrier

    def tick(self) -> Tick:
        """Look at everything unfinished once; what of it is still under way.

        Raises:
            StoreUnavailable, Overtaken: the next tick tries again.
        """
        with self.place.store.read() as session:
            waiting = runs.waiting(session)
            switching_over = [one.key for one in deployments.with_status(session, *switching.WAITING)]
            live = [one.key for one in deployments.with_status(session, DeploymentStatus.LIVE)]
        for run_id in waiting:
            self.carrier.carry(run_id)
        filters.carry_out(self.place)
        for key in switching_over:
            switching.station(self.place, key)
        for key in live:
            switching.look_after(self.place, key)
        if switching_over or BackendName.LOCAL in waiting.values():
            return Tick.BUSY
        return Tick.WATCHING if waiting else Tick.IDLE
