"""A look: one question to what was measured, with its interval and what may be read from it.

Owns what a look and a decision are, and every tolerance of the gate: no threshold stands anywhere else. Pure. The
questions are asked in ``judged_looks`` and ``harm_looks``; what the answers come to together is ``gate``'s.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from statistics import NormalDist
from typing import Any

from curation.wording import Phrase
from training.evaluation.evaluations import Verdict

LEVEL = 0.95
"""Confidence of every interval; that of a gain is higher where several kinds of gain are looked for."""

POWER = 0.8
"""The probability with which *about n more* would show what is there, if it is as large as it looked."""

LEAST_KEPT = 0.9
"""Share of the good replies that has to be kept: one in ten may be lost to other words for the same."""

SURELY_KEPT = 0.75
"""Under this the share kept may not lie even at the lower end of its interval: twelve of twelve, or 42 of 45."""

TOLERATED_RISE = 0.05
"""Nats per token by which a loss may rise: a perplexity 5 % higher."""

LEAST_CONVERSATIONS = 8
"""Fewer pairs of losses say nothing: a bootstrap over so few rows has too narrow an interval."""

KNOWN_LOSS = 4.0
"""Nats per token, a perplexity of 55: what a model predicted worse than this it never knew, and cannot forget."""

TOLERATED_SHARE = 0.05
"""How much more of the replies may run on to the limit, say nothing or go round in circles."""

MOST_NEEDED = 100_000
"""Where more than this were needed to tell, there is nothing to be told apart."""

Z_POWER = NormalDist().inv_cdf(POWER)
"""Its normal quantile."""


class Sign(StrEnum):
    """What may be read from one look."""

    GAIN = "gain"
    """Better, and more so than chance explains."""
    CLEAR = "clear"
    """Nothing lost that this look would show."""
    OPEN = "open"
    """It cannot be told."""
    HARM = "harm"
    """Worse, and more so than chance explains."""


@dataclass(frozen=True, slots=True)
class Look:
    """The answer to one question.

    Attributes:
        name: of the question, such as ``changes`` or ``kept``.
        sign: what may be read from it.
        told: the answer as a clause, with its figures.
        rows: how many cases, pairs or conversations it rests on.
        needed: about how many more of them would tell; None where it tells already, or no number would.
        figures: estimate and interval, by name.
    """

    name: str
    sign: Sign
    told: Phrase
    rows: int
    needed: int | None = None
    figures: dict[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Every attribute, as a report keeps it."""
        return {**asdict(self), "sign": self.sign.value, "told": str(self.told)}


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict with what it rests on.

    Attributes:
        verdict: better, worse or cannot tell.
        sentence: the verdict with the one look that decided it, and what was fixed and kept.
        reasons: every look's answer, the deciding one first.
        looks: the same with their figures, in the order in which they are asked.
    """

    verdict: Verdict
    sentence: Phrase
    reasons: tuple[Phrase, ...]
    looks: tuple[Look, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """As a report keeps it, in English."""
        return {
            "verdict": self.verdict.value,
            "sentence": str(self.sentence),
            "reasons": [str(reason) for reason in self.reasons],
            "looks": [look.as_json() for look in self.looks],
        }


def more_needed(share: float, seen: int, *, target: float = 0.5, level: float = LEVEL, per: float = 1.0) -> int | None:
    """About how many more rows would tell a share from a target, if it stays what it is; None where no number would.

    The normal approximation for one share, with ``POWER``: Fleiss, Levin and Paik 2003, *Statistical Methods for Rates
    and Proportions*, section 2.2. ``more_needed(0.75, 8)`` is 25.

    Args:
        per: how many rows have to be looked at for one that counts.
    """
    if share == target:
        return None
    spread = z_of(level) * math.sqrt(target * (1 - target)) + Z_POWER * math.sqrt(share * (1 - share))
    return roughly(per * ((spread / (share - target)) ** 2 - seen))


def z_of(level: float) -> float:
    """The normal quantile of a two-sided interval: 1.96 for 0.95."""
    return NormalDist().inv_cdf((1 + level) / 2)


def roughly(count: float) -> int | None:
    """More than this many, rounded up: to fives from ten, to two digits from a hundred; None over ``MOST_NEEDED``."""
    whole = max(1, math.floor(count) + 1)
    if whole > MOST_NEEDED:
        return None
    step = 1 if whole < 10 else 5 if whole < 100 else 10 ** (len(str(whole)) - 2)  # noqa: PLR2004 (as said)
    return -(-whole // step) * step
