"""What a worker does once a week: samples of good replies are drawn, digests and reminders of idle models are owed.

Owns when it looks: every hour, since a week is told about on Monday, or as soon as a worker runs again. Rows say what
was done, so that a second worker, or the same one after a kill, does nothing twice.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from datetime import datetime, timedelta

from bot.installations import Workspaces
from bot.settings import Settings
from curation import digests, samples
from curation.store.engine import Store
from training import idling

log = logging.getLogger("errata.worker")

LOOKS_EVERY = timedelta(hours=1)


class Weekly:
    """The weekly work of whichever worker leads; a surprise is logged, and it is tried again in an hour."""

    def __init__(
        self,
        store: Store,
        clock: Callable[[], datetime],
        settings: Settings,
        *,
        leads: Callable[[], bool] = lambda: True,
        rng: random.Random | None = None,
        workspaces: Workspaces | None = None,
    ) -> None:
        """``rng`` chooses the replies; chance itself, unless another one is given."""
        self._store, self._clock, self._settings, self._leads = store, clock, settings, leads
        self._rng = rng or random.SystemRandom()
        self._workspaces = workspaces or Workspaces(settings, store)
        self._next = clock()

    def __call__(self) -> None:
        """Do what is due, if it is time to look."""
        now = self._clock()
        if now < self._next or not self._leads():
            return
        self._next = now + LOOKS_EVERY
        for work in (self._sample, self._digests, self._idle):
            try:
                work(now)
            except Exception:  # the process edge: a worker that dies of one bad moment leaves every run standing still
                log.exception("the week could not be told about; it is tried again in an hour")

    def _sample(self, now: datetime) -> None:
        if not self._settings.sample:
            return
        places = self._workspaces.review_places()  # before the unit of work: it may ask Slack
        with self._store.write() as session:
            samples.draw(session, now, self._rng, size=self._settings.sample, review_place=places)

    def _digests(self, now: datetime) -> None:
        with self._store.write() as session:
            digests.owe_due(session, now)

    def _idle(self, now: datetime) -> None:
        with self._store.write() as session:
            idling.remind(session, now)
