"""Parts of a cost: an amount, what it is known from, its price, and the arithmetic in a sentence.

Owns how one product is put into words. Refuses to guess: without a price or an amount there is no product, and the
sentence says which of them is missing. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from typing import Any, Self

from curation.wording import Phrase, phrase
from training.hyperparameters import TrainingTier
from training.planning.prices import UNITS, Kind, Price, PriceTable

_CENT = 0.01


class Basis(StrEnum):
    """What an amount is known from."""

    COUNTED = "counted"
    AT_MOST = "at most"
    PROVIDER = "as the provider counted"
    CLOCK = "by the clock"
    ASSUMED = "assumed"
    PACE = "by the pace of earlier runs"
    UNKNOWN = "unknown"


_TOLD = {
    Basis.COUNTED: phrase("counted"),
    Basis.AT_MOST: phrase("at most"),
    Basis.PROVIDER: phrase("as the provider counted"),
    Basis.CLOCK: phrase("by the clock"),
    Basis.ASSUMED: phrase("assumed"),
    Basis.PACE: phrase("by the pace of earlier runs"),
    Basis.UNKNOWN: phrase("unknown"),
}


@dataclass(frozen=True, slots=True)
class Part:
    """One product of an amount and a price.

    Attributes:
        kind: of the price.
        model: whose price it is: a model's, or a kind of machine's.
        amount: tokens or hours, of all machines together; None where nobody knows.
        basis: what the amount is known from.
        price: None where nobody has told Errata.
    """

    kind: Kind
    model: str
    tier: TrainingTier | None
    amount: float | None
    basis: Basis
    price: Price | None

    @property
    def dollars(self) -> float | None:
        """The product; None where either is unknown, unless the other is nothing."""
        if self.amount == 0 or (self.price is not None and self.price.dollars == 0):
            return 0.0
        if self.amount is None or self.price is None:
            return None
        return self.amount / UNITS[self.kind] * self.price.dollars

    def sentence(self) -> Phrase:
        """The arithmetic, or what of it is unknown."""
        what = _WHAT[self.kind]
        if self.price is None:
            return phrase("{what}: the price of {model} is unknown here.", what=what, model=self.model)
        if self.amount is None or self.dollars is None:
            if UNITS[self.kind] > 1:
                return phrase("{what}: nobody has counted the tokens with this model's tokenizer.", what=what)
            return phrase("{what}: for how long is unknown, as no run from this model has ended there yet.", what=what)
        told = {
            "what": what,
            "amount": self.amount,
            "basis": _TOLD[self.basis],
            "price": money(self.price.dollars),
            "dollars": money(self.dollars),
            "day": self.price.day.isoformat(),
        }
        if UNITS[self.kind] > 1:
            return phrase(
                "{what}: {amount:,.0f} tokens ({basis}) at {price} a million make {dollars} (price of {day}).", **told
            )
        return phrase(
            "{what}: {amount:,.1f} hours ({basis}) at {price} an hour make {dollars} (price of {day}).", **told
        )

    def priced(self, prices: PriceTable) -> Part:
        """The same by another table, where its own had no price."""
        return self if self.price is not None else replace(self, price=prices.find(self.kind, self.model, self.tier))

    def as_json(self) -> dict[str, Any]:
        """Every attribute, and the product."""
        return {
            "kind": self.kind.value,
            "model": self.model,
            "tier": self.tier.value if self.tier is not None else None,
            "amount": self.amount,
            "basis": self.basis.value,
            "price": self.price.as_json() if self.price is not None else None,
            "dollars": self.dollars,
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        """What ``as_json`` gave."""
        price, kind = row["price"], Kind(row["kind"])
        return cls(
            kind=kind,
            model=row["model"],
            tier=_tier(row["tier"]),
            amount=row["amount"],
            basis=Basis(row["basis"]),
            price=None
            if price is None
            else Price(
                kind=kind,
                model=price["model"],
                tier=_tier(price["tier"]),
                dollars=price["dollars"],
                day=date.fromisoformat(price["date"]),
                source=price["source"],
                note=price["note"],
            ),
        )


_WHAT = {
    Kind.TRAINING: phrase("Training"),
    Kind.HOSTING: phrase("Hosting while it is evaluated"),
    Kind.MACHINE: phrase("Machines"),
    Kind.INPUT: phrase("Questions"),
    Kind.OUTPUT: phrase("Replies"),
}


def money(dollars: float) -> Phrase:
    """``$12.30``; of less than a cent, so much."""
    if 0 < dollars < _CENT:
        return phrase("less than $0.01")
    return phrase("${dollars:,.2f}", dollars=dollars)


def _tier(value: str | None) -> TrainingTier | None:
    return TrainingTier(value) if value is not None else None
