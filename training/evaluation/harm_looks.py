"""Looks for harm beside the judged replies: the safety set, losses, and replies that do not end as they should.

Owns the questions whose best answer is that nothing got worse. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from curation.wording import Phrase, phrase, plural
from training.evaluation.intervals import difference_of_shares, paired_bootstrap
from training.evaluation.looks import (
    KNOWN_LOSS,
    LEAST_CONVERSATIONS,
    LEVEL,
    TOLERATED_RISE,
    TOLERATED_SHARE,
    Z_POWER,
    Look,
    Sign,
    roughly,
    z_of,
)
from training.evaluation.measured import Manners, PairedLosses, Screened


def safety(prompts: Sequence[Screened]) -> Look | None:
    """Does any reply to the safety set break a rule that it did not break before? None without such a set."""
    if not prompts:
        return None
    fresh = [one for one in prompts if one.new]
    if fresh and all(one.before is None for one in fresh):
        told = plural(
            "{count:,} reply to the safety set breaks a rule ({rules}), and no live model was asked the same: read it",
            "{count:,} replies to the safety set break a rule ({rules}), and no live model was asked the same: read "
            "them",
            len(fresh),
            rules=sorted({rule for one in fresh for rule in one.new}),
        )
        return Look("safety", Sign.OPEN, told, len(prompts), None, {"new": float(len(fresh))})
    told = phrase("no new finding in {count:,} safety prompts", count=len(prompts))
    if fresh:
        told = plural(
            "{count:,} reply to the safety set has a finding that it had not before ({rules}): read it",
            "{count:,} replies to the safety set have a finding that they had not before ({rules}): read them",
            len(fresh),
            rules=sorted({rule for one in fresh for rule in one.new}),
        )
    return Look("safety", Sign.HARM if fresh else Sign.CLEAR, told, len(prompts), None, {"new": float(len(fresh))})


MANNERS = ("stopped", "empty", "repetitive")
"""The looks at how replies end, by name."""

_AGAINST = {
    "baseline": phrase("production"),
    "base": phrase("its base"),
    "others": phrase("production, corrected ones left out"),
    "general": phrase("the model before, on texts that have nothing to do with the dataset"),
}


def loss(name: str, losses: PairedLosses) -> Look | None:
    """Did the loss rise by more than is tolerated? None where no conversation was measured.

    Args:
        name: what it is compared with, ``baseline``, ``base``, ``others`` or ``general``.
    """
    rows = len(losses.after)
    if not rows:
        return None
    if rows < LEAST_CONVERSATIONS:
        told = plural(
            "loss of {count:,} conversation against {model}: {rise:.3f} nats per token; under {least} say nothing",
            "loss of {count:,} conversations against {model}: {rise:.3f} nats per token; under {least} say nothing",
            rows,
            model=_AGAINST[name],
            rise=(sum(losses.after) - sum(losses.before)) / (sum(losses.tokens) or 1),
            least=LEAST_CONVERSATIONS,
        )
        return Look(f"loss_{name}", Sign.CLEAR, told, rows)
    if all(map(math.isfinite, (*losses.after, *losses.before))):
        estimate, low, high = paired_bootstrap(losses.after, losses.before, weights=losses.tokens, level=LEVEL)
    else:
        estimate, low, high = math.inf, math.inf, math.inf
    sign = Sign.HARM if low > TOLERATED_RISE else Sign.OPEN if estimate > TOLERATED_RISE else Sign.CLEAR
    needed = None
    if sign is Sign.OPEN:
        # Of the normal approximation for one mean, its standard error as the interval has it.
        error = (high - low) / (2 * z_of(LEVEL))
        needed = roughly(rows * ((z_of(LEVEL) + Z_POWER) * error / (estimate - TOLERATED_RISE)) ** 2 - rows)
    told = phrase(
        "loss of {rows:,} conversations against {model}: {rise:.3f} nats per token ({level:g} % interval {low:.3f} to "
        "{high:.3f}, up to {tolerated:.2f} is tolerated)"
        if math.isfinite(estimate)
        else "a loss of {rows:,} conversations against {model} is not a number",
        rows=rows,
        model=_AGAINST[name],
        rise=estimate,
        level=100 * LEVEL,
        low=low,
        high=high,
        tolerated=TOLERATED_RISE,
    )
    figures = {"estimate": estimate, "low": low, "high": high} if math.isfinite(estimate) else {}
    return Look(f"loss_{name}", sign, told, rows, needed, figures)


def forgetting(losses: PairedLosses) -> Look | None:
    """Did the loss rise on texts that have nothing to do with the dataset? Who never knew them forgets nothing."""
    known = sum(losses.before) / (sum(losses.tokens) or 1)
    if known > KNOWN_LOSS and len(losses.before) >= LEAST_CONVERSATIONS:
        told = phrase(
            "texts that have nothing to do with the dataset were not known before ({loss:.1f} nats per token), so none "
            "can be forgotten",
            loss=known,
        )
        return Look("loss_general", Sign.CLEAR, told, len(losses.before), None, {"estimate": known})
    return loss("general", losses)


def manners(before: Manners, after: Manners) -> list[Look]:
    """Do more replies than before run on, say nothing or go round in circles, beyond what is tolerated?"""
    if not before.replies or not after.replies:
        return []
    looks = []
    for name in MANNERS:
        if name == "stopped" and (before.stopped is None or after.stopped is None):
            continue
        was, now = (
            one.replies - (one.stopped or 0) if name == "stopped" else getattr(one, name) for one in (before, after)
        )
        estimate, low, high = difference_of_shares((now, after.replies), (was, before.replies))
        sign = Sign.HARM if low > TOLERATED_SHARE else Sign.OPEN if estimate > TOLERATED_SHARE else Sign.CLEAR
        told = _ill_mannered(name, now / after.replies, was / before.replies)
        looks.append(Look(name, sign, told, after.replies, None, {"estimate": estimate, "low": low, "high": high}))
    return looks


def _ill_mannered(name: str, now: float, was: float) -> Phrase:
    if name == "stopped":
        return phrase("{share:.0%} of the replies run on to the limit, before {before:.0%}", share=now, before=was)
    if name == "empty":
        return phrase("{share:.0%} of the replies are empty, before {before:.0%}", share=now, before=was)
    return phrase("{share:.0%} of the replies go round in circles, before {before:.0%}", share=now, before=was)
