"""Whether a training still learns: no number, a rise that will not come down again, or nothing gained for long.

Owns the guards that end a training early. What is noted goes into a snapshot, so that a resumed training ends where
an uninterrupted one would have.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from curation.errors import ErrataError

WINDOW = 20
"""Steps over which a loss is averaged before it is called a rise."""
RISE = 3.0
"""Nats per supervised token above the lowest such average at which a training has diverged: a third of what a model
that knows nothing of 32,000 tokens would have."""


class Diverged(ErrataError):
    """The loss left the numbers or rose for good; the sentence says at which step."""


@dataclass
class Convergence:
    """What the losses so far come to.

    Attributes:
        recent: mean losses of the last ``WINDOW`` steps, in nats per supervised token.
        lowest: the lowest mean over a window so far; None before the first whole one.
        best: the lowest validation loss so far; None before the first.
        without_gain: validations since then.
    """

    recent: list[float] = field(default_factory=list)
    lowest: float | None = None
    best: float | None = None
    without_gain: int = 0

    def stepped(self, step: int, loss: float, learning_rate: float, *, scale: float = 1.0) -> None:
        """Note the mean loss of a step.

        Args:
            step: its number, from 1.
            loss: in nats.
            learning_rate: of the recipe, for the sentence.
            scale: how many times as steep the loss is as that of a supervised token.

        Raises:
            Diverged: it is no number, or the last window's mean lies ``RISE`` times ``scale`` above the lowest one's.
        """
        if not math.isfinite(loss):
            raise Diverged(
                "The loss was no number at step {step}; lower learning_rate, which is {rate:g}.",
                step=step,
                rate=learning_rate,
            )
        self.recent = [*self.recent[1 - WINDOW :], loss]
        if len(self.recent) < WINDOW:
            return
        mean = sum(self.recent) / WINDOW
        self.lowest = mean if self.lowest is None else min(self.lowest, mean)
        if mean > self.lowest + RISE * scale:
            raise Diverged(
                "The loss rose from {lowest:.2f} to {mean:.2f} by step {step}; lower learning_rate, which is {rate:g}.",
                lowest=self.lowest,
                mean=mean,
                step=step,
                rate=learning_rate,
            )

    def validated(self, loss: float) -> bool:
        """Note a validation loss; whether it is the lowest so far."""
        if self.best is None or loss < self.best:
            self.best, self.without_gain = loss, 0
            return True
        self.without_gain += 1
        return False
