"""Looks at replies that people judged: those that changed, those preferred, those kept, the golden ones.

Owns the questions to corrections, endorsements and golden cases. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from curation.wording import Phrase, phrase, plural
from training.evaluation.evaluations import Case, Outcome, score
from training.evaluation.intervals import wilson_interval
from training.evaluation.looks import LEAST_KEPT, LEVEL, Look, Sign, more_needed, z_of

HELD_OUT, IMPORTED = "held_out_wins", "imported_wins"
"""Looks at pairs that show no gain by themselves, by name."""

_HALF = 1 / 2


def changes(cases: Sequence[Case], level: float = LEVEL) -> Look:
    """Of the replies that changed between right and wrong, were more than half for the better?"""
    counts = score(cases)
    return _changed("changes", counts.gained, counts.gained + counts.lost, level, None)


def wins(cases: Sequence[Case], level: float = LEVEL, *, name: str = "wins") -> Look | None:
    """Does the model prefer the corrected reply to the flagged one more often than before? None without such pairs.

    A pair is won where the mean log-probability of the corrected reply's tokens is the higher one. Which of two models
    wins more is asked of the pairs on which they differ, as McNemar's test does (1947,
    https://doi.org/10.1007/BF02295996), with Wilson's interval.
    """
    pairs = [(case.won_before, case.won_after) for case in cases]
    known = [(before, after) for before, after in pairs if before is not None and after is not None]
    if not known:
        return None
    gained = sum(after and not before for before, after in known)
    changed = sum(after != before for before, after in known)
    shares = {
        "pairs": len(known),
        "before": sum(before for before, _ in known),
        "after": sum(after for _, after in known),
    }
    preferred = phrase(
        "of {pairs:,} imported pairs the better reply is preferred in {after:,}, before {before:,}"
        if name == IMPORTED
        else "of {pairs:,} corrected replies {after:,} are preferred to the flagged ones, before {before:,}",
        **shares,
    )
    if name == HELD_OUT:
        preferred = phrase("held out from training: {preferred}", preferred=preferred)
    return _changed(name, gained, changed, level, preferred)


def kept(cases: Sequence[Case]) -> Look | None:
    """Of the endorsed replies that were right before, are enough still right? None where there is none."""
    counts = score(cases)
    good = counts.kept + counts.lost_endorsements
    if not good:
        return None
    share, (low, high) = counts.kept / good, wilson_interval(counts.kept, good)
    sign = Sign.HARM if high < LEAST_KEPT else Sign.OPEN if share < LEAST_KEPT else Sign.CLEAR
    needed = more_needed(share, good, target=LEAST_KEPT) if sign is Sign.OPEN else None
    told = phrase(
        "of {good:,} good replies that were right before {kept:,} still are ({level:g} % interval {low:.0%} to "
        "{high:.0%})",
        kept=counts.kept,
        good=good,
        level=100 * LEVEL,
        low=low,
        high=high,
    )
    if sign in {Sign.HARM, Sign.OPEN}:
        told = phrase("{kept}, where one in ten may be lost", kept=told)
    if needed:
        told = phrase("{told}; about {more:,} more would tell", told=told, more=needed)
    return Look("kept", sign, told, good, needed, {"estimate": share, "low": low, "high": high})


def golden(cases: Sequence[Case], problem: str | None = None, *, alone: bool = False) -> Look | None:
    """Is every golden case still right that was? None where none was.

    Args:
        problem: why the cases cannot be read: then it cannot be told.
        alone: no other model was asked: then each has to be right, and one that is not may have been wrong before.
    """
    if problem is not None:
        told = phrase("the golden cases could not be asked ({problem})", problem=problem)
        return Look("golden", Sign.OPEN, told, 0)
    if alone and cases:
        good = sum(case.right_after for case in cases)
        told = phrase(
            "{good:,} of {count:,} golden cases are right, and no live model was asked the same",
            good=good,
            count=len(cases),
        )
        return Look("golden", Sign.CLEAR if good == len(cases) else Sign.OPEN, told, len(cases))
    right = [case for case in cases if case.right_before]
    broken = [case.id for case in right if case.outcome is Outcome.LOST]
    if not right:
        return None
    told = phrase("all {count:,} golden cases that were right still are", count=len(right))
    if broken:
        told = plural(
            "{count:,} golden case broke ({cases}), and none may",
            "{count:,} golden cases broke ({cases}), and none may",
            len(broken),
            cases=broken[:5],
        )
    return Look("golden", Sign.HARM if broken else Sign.CLEAR, told, len(right), None, {"broken": float(len(broken))})


def _changed(name: str, gained: int, changed: int, level: float, preferred: Phrase | None) -> Look:
    """A look at paired rows by those that changed: gain and harm on either side of one half."""
    low, high = wilson_interval(gained, changed, z=z_of(level))
    sign = Sign.CLEAR if gained >= changed / 2 else Sign.OPEN
    if changed and low > _HALF:
        sign = Sign.GAIN
    # A harm is looked for with no more than the usual confidence, however many gains are.
    elif changed and wilson_interval(gained, changed)[1] < _HALF:
        sign, level = Sign.HARM, LEVEL
        low, high = wilson_interval(gained, changed)
    share = gained / changed if changed else 1.0
    told, needed = phrase("no reply changed between right and wrong"), None
    if preferred is not None:
        told = phrase("none of these changed")
    if changed:
        told = phrase(
            "{gained:,} of {changed:,} changes were for the better ({level:g} % interval {low:.0%} to {high:.0%})",
            gained=gained,
            changed=changed,
            level=100 * level,
            low=low,
            high=high,
        )
    if sign in {Sign.CLEAR, Sign.OPEN}:
        needed = more_needed(share, changed, level=level)
        told = phrase("{told}; {more}", told=told, more=_more(needed, seen=changed))
    if preferred is not None:
        told = phrase("{preferred}; {told}", preferred=preferred, told=told)
    return Look(name, sign, told, changed, needed, {"estimate": share, "low": low, "high": high} if changed else {})


def _more(needed: int | None, *, seen: int) -> Phrase:
    if needed is None:
        return phrase("more of the same would not tell")
    if not seen:
        return phrase("it takes at least {count:,} that change for the better to tell", count=needed)
    return plural("about {count:,} more change would tell", "about {count:,} more changes would tell", needed)
