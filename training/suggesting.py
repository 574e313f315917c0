"""Suggesting: every live classifier is asked about what waits for review, shortly after it arrives.

Owns whom to ask about what, and that nobody waits for it: a worker asks, a few candidates at a time, and an endpoint
that does not answer is left alone for a while. What becomes of a suggestion is the reviewer's business: it decides
nothing (``curation.suggestions``).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from curation import suggestions
from curation.conversation import Conversation
from curation.errors import Unavailable
from curation.suggestions import Kind
from training import slots
from training.backends.base import Endpoint, Guess
from training.hyperparameters import FLAGGED
from training.slots import Live
from training.workplace import Workplace

log = logging.getLogger("errata.suggesting")

BATCH = 16
"""Candidates of one request: a second on a GPU, and on a CPU still less than the endpoint's time-out."""
PAUSE = timedelta(minutes=1)
"""For how long an endpoint that did not answer is left alone."""


@dataclass
class Suggesting:
    """Asks the live classifiers, once per call."""

    place: Workplace
    _paused: dict[str, datetime] = field(default_factory=dict)

    def __call__(self) -> bool:
        """Ask each about at most ``BATCH`` candidates; whether anything was suggested, so that there may be more.

        Raises:
            StoreUnavailable, Overtaken: the next call tries again.
        """
        with self.place.store.read() as session:
            classifiers = {slot: one for slot, one in slots.live(session).items() if slot != slots.REPLIES}
        return sum(self._ask(Kind(slot), one) for slot, one in classifiers.items()) > 0

    def _ask(self, kind: Kind, live: Live) -> int:
        """Ask one classifier; how many suggestions were kept."""
        run, now = live.run, self.place.clock()
        if now < self._paused.get(run.id, now):
            return 0
        with self.place.store.read() as session:
            waiting = suggestions.unlabelled(session, kind, run.id, most=BATCH)
        if not waiting:
            return 0
        endpoint = Endpoint(str(live.deployment.url), live.deployment.pid or 0, run.id)
        asked = [Conversation.from_json(one.turns).answered(one.reply) for one in waiting]
        try:
            answers = self.place.backend(run).classify(endpoint, asked)
        except Unavailable as error:
            log.warning("a classifier does not answer and is left alone for a while: run=%s error=%s", run.id, error)
            self._paused[run.id] = now + PAUSE
            return 0
        suggested = {one.id: _suggested(kind, found) for one, found in zip(waiting, answers, strict=True)}
        with self.place.store.write() as session:
            return suggestions.note(session, self.place.clock(), kind, run.id, suggested)


def _suggested(kind: Kind, guesses: Sequence[Guess]) -> tuple[str, float] | None:
    """The most probable answer; of whether staff would flag a reply, how probable it is that they would."""
    if kind is Kind.FLAGGED:
        guesses = [one for one in guesses if one.label == FLAGGED]
    return (guesses[0].label, guesses[0].probability) if guesses else None
