"""Trainings that go on at their provider though their run has ended here: paid for, and watched by nobody.

Owns which those are. Asking a provider takes seconds: this is for a terminal. Ending one is a deletion's.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from sqlmodel import col, select

from curation.errors import Unavailable
from training.backends.base import Job
from training.backends.names import PAID, BackendName
from training.runs import RESUMABLE
from training.store.tables import Run
from training.uploads import CLEARED
from training.workplace import Workplace


@runtime_checkable
class Lasting(Protocol):
    """A backend whose jobs go on whatever becomes of Errata."""

    def trains(self, job: Job) -> bool:
        """Whether a job of the run trains there now, also where nothing is known of it here.

        Raises:
            Refused, Unreached: the provider says no, or nothing.
        """


def found(place: Workplace) -> tuple[list[Run], list[str]]:
    """The runs that ended without a model and train all the same, and a sentence of each that nobody tells of."""
    with place.store.read() as session:
        ended = select(Run).where(
            col(Run.status).in_([one.value for one in RESUMABLE]),
            col(Run.backend).in_([one.value for one in PAID]),
            col(Run.started_at).is_not(None),
        )
        asked = [one for one in session.exec(ended.order_by(col(Run.requested_at))) if CLEARED not in one.progress]
    training: list[Run] = []
    silent: list[str] = []
    for run in asked:
        backend: object = place.backends.get(BackendName(run.backend))
        try:
            if isinstance(backend, Lasting) and backend.trains(place.ended(run)):
                training.append(run)
        except Unavailable as error:
            silent.append(f"{run.id}: {error}")
    return training, silent
