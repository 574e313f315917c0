"""The worker: it finds what waits, hands each run to a carrier and sees deployments through.

Owns the round (``tick``) and the port for carrying runs. How a run gets from station to station is
the carrier's: one at a time inside the round here, or durably in ``training.durable``. What is done about
deployments is visits', as a provider may be silent: inside the round, or beside it (``training.visits``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from typing import Protocol

from training import deployments, filters, runs, switching, workflow
from training.backends.names import BackendName
from training.deployments import DeploymentStatus
from training.visits import Start, at_once
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
    start: Start = at_once

    def tick(self) -> Tick:
        """Look at everything unfinished once; what of it is still under way.

        Raises:
            StoreUnavailable, Overtaken: the next tick tries again.
        """
        with self.place.store.look_up() as connection:
            waiting, standing = runs.waiting(connection), deployments.standing(connection)
        switching_over = [one for one in standing if one.status in switching.WAITING]
        live = [one for one in standing if one.status == DeploymentStatus.LIVE]
        for run_id in waiting:
            self.carrier.carry(run_id)
        # All of a run's in one visit: they share its endpoint.
        for run_id in dict.fromkeys(one.run_id for one in (*switching_over, *live)):
            stations, served = ([one.id for one in found if one.run_id == run_id] for found in (switching_over, live))
            self.start(run_id, partial(_visit, self.place, run_id, stations, served), due=bool(stations))
        if switching_over or BackendName.LOCAL in waiting.values():
            return Tick.BUSY
        return Tick.WATCHING if waiting else Tick.IDLE


def _visit(place: Workplace, run_id: str, stations: Sequence[int], standing: Sequence[int]) -> None:
    """See to a run's deployments: those where something waits to be done, then those that are live."""
    filters.carry_out(place, run_id)
    for key in stations:
        switching.station(place, key)
    for key in standing:
        switching.look_after(place, key)
