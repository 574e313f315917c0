"""Settling: what a run has cost by what was measured, beside what was estimated before it began.

Owns what a run's row keeps of its cost, ``{"estimated", "machines", "actual", "since", "hours"}``. The hours that it
spends at each station are added up as it moves, so that a run that is resumed days later has not cost money in between.
What nobody measured stays as it was estimated. Refuses to know prices; a part without one stays without. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from curation.wording import Phrase, phrase
from training.planning.costs import Cost
from training.planning.parts import Basis, Part, money
from training.planning.prices import Kind, PriceTable

TRAINING, EVALUATING = "training", "evaluating"
"""The stations at which a provider works, as ``training.runs`` calls them."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What was measured of a run.

    Attributes:
        tokens: trained on, as the provider counted; None where it does not say.
        training_hours: of its training, waiting included.
        evaluating_hours: of its evaluation.
    """

    tokens: int | None
    training_hours: float
    evaluating_hours: float


def opened(estimated: Cost | None, *, machines: int) -> dict[str, Any] | None:
    """What the row of a run keeps when it is asked for; None where nobody sends a bill.

    Args:
        machines: how many of them train together.
    """
    return {"estimated": estimated.as_json(), "machines": machines} if estimated is not None else None


def moved(
    kept: Mapping[str, Any] | None, *, left: str, now: datetime, tokens: int | None, began: bool = True
) -> dict[str, Any] | None:
    """What the row keeps once the run has left a station.

    Args:
        left: the station.
        tokens: as for ``Spent``.
        began: whether the provider may have had a job; the hours of waiting for one that it never had are no hours.
    """
    if kept is None:
        return None
    hours = dict(kept.get("hours", {}))
    if "since" in kept:
        stayed = max(timedelta(), now - datetime.fromisoformat(kept["since"]))
        hours[left] = hours.get(left, 0.0) + stayed / timedelta(hours=1)
    if not began:
        hours.pop(TRAINING, None)
    spent = Spent(tokens if TRAINING in hours else 0, hours.get(TRAINING, 0.0), hours.get(EVALUATING, 0.0))
    came_to = actual(Cost.from_json(kept["estimated"]), spent, machines=kept["machines"])
    return {**kept, "since": now.isoformat(), "hours": hours, "actual": came_to.as_json()}


def actual(estimated: Cost, spent: Spent, *, machines: int) -> Cost:
    """What a run has cost by its own amounts.

    The hours of machines are those of the clock, waiting included, so the bill may be lower.
    """

    def measured(part: Part) -> Part:
        if part.kind is Kind.TRAINING and spent.tokens is not None:
            return replace(part, amount=float(spent.tokens), basis=Basis.PROVIDER)
        if part.kind is Kind.MACHINE:
            return replace(part, amount=spent.training_hours * machines, basis=Basis.CLOCK)
        if part.kind is Kind.HOSTING:
            return replace(part, amount=spent.evaluating_hours, basis=Basis.CLOCK)
        return part

    return replace(estimated, parts=tuple(measured(part) for part in estimated.parts))


def priced(kept: Mapping[str, Any] | None, table: PriceTable) -> dict[str, Any] | None:
    """What the row keeps, by another table where there was no price when the run was asked for."""
    if kept is None:
        return None
    costs = {
        name: Cost.from_json(kept[name]).priced(table).as_json() for name in ("estimated", "actual") if name in kept
    }
    return {**kept, **costs}


def told(kept: Mapping[str, Any] | None, *, ended: bool) -> Phrase | None:
    """Estimated and actual beside each other; None where nobody sends a bill.

    Args:
        ended: whether the run is over; before that there is only the estimate.
    """
    if kept is None:
        return None
    guessed = Cost.from_json(kept["estimated"]).dollars
    came_to = Cost.from_json(kept["actual"]).dollars if ended and "actual" in kept else None
    if ended and "actual" in kept and TRAINING not in kept["hours"]:
        return phrase("{actual}: it never began at the provider", actual=money(0.0))
    if came_to is not None and guessed is not None:
        return phrase("{actual}, estimated {estimated}", actual=money(came_to), estimated=money(guessed))
    if came_to is not None:
        return phrase("{actual}; there was no estimate", actual=money(came_to))
    if guessed is not None:
        return phrase("about {estimated}", estimated=money(guessed))
    return phrase("unknown here")
