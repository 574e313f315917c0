"""Whether a run's training ever began at its provider: one that never did has cost nothing, however long it waited.

Owns the question, which the provider itself answers. Fails closed: where it does not answer, the run may have cost
what it was estimated to, and nobody says otherwise.
"""

from __future__ import annotations

import logging
from typing import Protocol, runtime_checkable

from curation.errors import ErrataError
from training.backends.base import Job
from training.store.tables import Run
from training.workplace import Workplace

log = logging.getLogger("errata.workflow")


@runtime_checkable
class Billing(Protocol):
    """A backend whose provider sends a bill for what it trains."""

    def began(self, job: Job) -> bool:
        """Whether the provider has, or had, a job of the run, by any of its attempts.

        Raises:
            Refused, Unreached: the provider says no, or nothing.
        """


def never_began(place: Workplace, run: Run) -> bool:
    """Whether it is certain that the run's provider never had a job of it; this may ask the provider."""
    if run.cost is None:
        return False
    try:
        backend: object = place.backend(run)
        return isinstance(backend, Billing) and not backend.began(place.ended(run))
    except ErrataError as error:
        log.warning("nobody knows whether a training began: run=%s error=%s", run.id, type(error).__name__)
        return False
