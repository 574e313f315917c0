"""Costs: what a run at a provider's will cost before it starts.

Owns the sums of parts, and what a provider says still costs money (``Hosted``). Refuses to guess: a sum of which one
part is unknown is unknown. Pure; what a run is made of comes from ``training.planning.plans``, what it came to in the
end from ``training.planning.settling``, what is allowed from ``training.spending``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol, Self, runtime_checkable

from curation.wording import Phrase, phrase, plural
from training.backends.names import BackendName
from training.hyperparameters import TrainingTier
from training.planning.parts import Basis, Part, money
from training.planning.prices import Kind, PriceTable

EVALUATION_HOURS = 1.0
"""How long a candidate's own deployment is taken to stand while it is evaluated: to come up, answer and go again."""

HOURS_A_DAY = 24
_HOUR = 3_600


@dataclass(frozen=True, slots=True)
class Cost:
    """What a run costs.

    Attributes:
        parts: what the sum is made of; their amounts are of all epochs and all machines.
        daily: what a day of the tuned model at an endpoint costs afterwards, which is in no sum of a run's; None where
            the model answers on a machine of one's own.
        corrections: how many the dataset holds, for the price of each; None where it is not known.
        page: where the provider says what it asks for.
    """

    parts: tuple[Part, ...]
    daily: Part | None = None
    corrections: int | None = None
    page: str | None = None

    @property
    def dollars(self) -> float | None:
        """The sum in US dollars; None where a part is unknown."""
        known = [part.dollars for part in self.parts if part.dollars is not None]
        return sum(known) if len(known) == len(self.parts) else None

    @property
    def per_correction(self) -> float | None:
        """The sum for each correction, whether or not the model will then get it right."""
        return self.dollars / self.corrections if self.dollars is not None and self.corrections else None

    @property
    def unpriced(self) -> tuple[Part, ...]:
        """The parts without a price, that of a day's hosting left out."""
        return tuple(part for part in self.parts if part.price is None)

    def sentences(self) -> list[Phrase]:
        """The arithmetic, part by part; then hosting afterwards, and the price of a correction."""
        told = [part.sentence() for part in self.parts]
        if self.daily is not None:
            told.append(
                phrase(
                    "For its evaluation the tuned model stands at an endpoint of its own for some minutes, and is "
                    "taken down again."
                )
            )
        if self.daily is not None and self.daily.tier is TrainingTier.DEVELOPER and self.daily.dollars == 0:
            told.append(
                phrase("Afterwards an endpoint costs nothing by the hour, and the provider takes it down after a day.")
            )
        elif self.daily is not None and self.daily.price is not None and self.daily.dollars is not None:
            told.append(
                phrase(
                    "Afterwards each day at an endpoint costs {dollars}, also while nobody asks anything.",
                    dollars=money(self.daily.dollars),
                )
            )
        elif self.daily is not None:
            told.append(
                phrase(
                    "Afterwards an endpoint costs something by the hour, also while nobody asks anything; how much is "
                    "unknown here."
                )
            )
        if self.per_correction is not None and self.corrections:
            told.append(
                plural(
                    "That is {dollars} for the one correction in it; whether it is fixed, the evaluation shows.",
                    "That is {dollars} for each of {count:,} corrections in it; how many are fixed, the evaluation "
                    "shows.",
                    self.corrections,
                    dollars=money(self.per_correction),
                )
            )
        if self.page is not None and (self.unpriced or (self.daily is not None and self.daily.price is None)):
            told.append(phrase("The provider's prices: {page}", page=self.page))
        return told

    def priced(self, prices: PriceTable) -> Cost:
        """The same by another table, where its own had no price."""
        daily = self.daily.priced(prices) if self.daily is not None else None
        return replace(self, parts=tuple(part.priced(prices) for part in self.parts), daily=daily)

    def as_json(self) -> dict[str, Any]:
        """Every attribute and sum."""
        return {
            "dollars": self.dollars,
            "parts": [part.as_json() for part in self.parts],
            "daily": self.daily.as_json() if self.daily is not None else None,
            "corrections": self.corrections,
            "per_correction": self.per_correction,
            "page": self.page,
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        """What ``as_json`` gave."""
        return cls(
            parts=tuple(Part.from_json(part) for part in row["parts"]),
            daily=Part.from_json(row["daily"]) if row["daily"] is not None else None,
            corrections=row["corrections"],
            page=row["page"],
        )


@dataclass(frozen=True, slots=True)
class Work:
    """What a run is made of, as far as it costs something.

    Attributes:
        tokens: of the training side, once through; None where nobody counted.
        exact: whether that is their number, or an upper bound.
        seconds: how long all epochs take; None where nobody knows.
        corrections: how many the dataset holds.
        tier: where a service trains and hosts; None where its prices know no tiers.
        machine: the kind of machine of one's own code in the cloud; ``machines`` of them train together.
    """

    backend: BackendName
    model: str
    tokens: int | None
    exact: bool
    epochs: int
    seconds: float | None
    corrections: int | None
    tier: TrainingTier | None = None
    machine: str | None = None
    machines: int = 1


def estimate(work: Work, prices: PriceTable) -> Cost | None:
    """What the work will cost; None where nobody sends a bill.

    A service asks for tokens × epochs × price and for the hours of an endpoint that is evaluated; machines in the cloud
    cost machines × hours × price.
    """
    page = prices.pages.get(work.backend)
    if work.backend is BackendName.LOCAL:
        return None
    if work.backend is BackendName.AZUREML:
        hours = work.seconds / _HOUR * work.machines if work.seconds is not None else None
        basis = Basis.PACE if hours is not None else Basis.UNKNOWN
        kind = work.machine or ""
        part = Part(Kind.MACHINE, kind, None, hours, basis, prices.find(Kind.MACHINE, kind))
        return Cost((part,), None, work.corrections, page)
    tokens = work.tokens * work.epochs if work.tokens is not None else None
    counted = Basis.COUNTED if work.exact else Basis.AT_MOST
    hosting = prices.find(Kind.HOSTING, work.model, work.tier)
    return Cost(
        parts=(
            Part(
                Kind.TRAINING,
                work.model,
                work.tier,
                tokens,
                counted if tokens is not None else Basis.UNKNOWN,
                prices.find(Kind.TRAINING, work.model, work.tier),
            ),
            Part(Kind.HOSTING, work.model, work.tier, EVALUATION_HOURS, Basis.ASSUMED, hosting),
        ),
        daily=Part(Kind.HOSTING, work.model, work.tier, HOURS_A_DAY, Basis.ASSUMED, hosting),
        corrections=work.corrections,
        page=page,
    )


@dataclass(frozen=True, slots=True)
class Hosted:
    """Something at a provider that costs money as long as it stands, as the provider lists it.

    Attributes:
        name: what the provider calls it.
        kind: ``endpoint`` or ``deployment``, or what else it is.
        since: when it was made; None where the provider does not say.
        hourly: US dollars an hour; None where that is unknown.
        run_id: the run whose model answers there; None where it is not one of Errata's.
        undeploy_command: what takes it down, as somebody types it.
    """

    name: str
    kind: str
    since: datetime | None
    hourly: float | None
    run_id: str | None
    undeploy_command: str

    def as_json(self) -> dict[str, Any]:
        """Every attribute."""
        return {
            "name": self.name,
            "kind": self.kind,
            "since": self.since.isoformat() if self.since is not None else None,
            "hourly": self.hourly,
            "run": self.run_id,
            "undeploy": self.undeploy_command,
        }


@runtime_checkable
class Hosting(Protocol):
    """A backend whose provider hosts models for money."""

    def hosted(self) -> list[Hosted]:
        """What costs money there now; raises Unavailable with one sentence where the provider does not say."""


def total(costs: Iterable[float | None]) -> float | None:
    """The sum; None where one of them is unknown."""
    found = list(costs)
    known = [one for one in found if one is not None]
    return sum(known) if len(known) == len(found) else None
