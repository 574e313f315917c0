"""Prices: what providers ask for, read from a dated table that an operator may override.

Owns how a price is found, and refuses to make one up: what stands in no table is unknown. The table that ships is
``prices.toml`` beside this module; an installation's own is ``prices.toml`` in its home folder, in the same form.
"""

from __future__ import annotations

import logging
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Any

from curation.errors import Invalid
from training.backends.names import BackendName
from training.hyperparameters import TrainingTier

log = logging.getLogger("errata.prices")

FILE = "prices.toml"
"""In the home folder: an installation's own prices."""

SHIPPED_FILE = Path(__file__).with_name(FILE)

ANY = "*"

_DATED = re.compile(r"-\d{4}-\d{2}-\d{2}$")
_KEYS = frozenset({"for", "model", "tier", "dollars", "date", "source", "note"})


class Kind(StrEnum):
    """What a price is for."""

    TRAINING = "training"
    HOSTING = "hosting"
    MACHINE = "machine"
    INPUT = "input"
    OUTPUT = "output"


UNITS: Mapping[Kind, float] = {
    Kind.TRAINING: 1e6,
    Kind.HOSTING: 1,
    Kind.MACHINE: 1,
    Kind.INPUT: 1e6,
    Kind.OUTPUT: 1e6,
}
"""Of how many tokens or hours a price is."""


@dataclass(frozen=True, slots=True)
class Price:
    """One line of a table.

    Attributes:
        model: the model's name without its date, the kind of machine, or ``*``.
        tier: None where it is for every tier.
        dollars: US dollars for ``UNITS[kind]`` tokens or hours.
        day: when it was read.
        source: an address, or in whose words it is known.
        note: what else is to be known about it.
    """

    kind: Kind
    model: str
    tier: TrainingTier | None
    dollars: float
    day: date
    source: str
    note: str | None = None

    def as_json(self) -> dict[str, Any]:
        """``{"for", "model", "tier", "dollars", "date", "source", "note"}``, as the tables write it."""
        return {
            "for": self.kind.value,
            "model": self.model,
            "tier": self.tier.value if self.tier is not None else None,
            "dollars": self.dollars,
            "date": self.day.isoformat(),
            "source": self.source,
            "note": self.note,
        }


@dataclass(frozen=True, slots=True)
class PriceTable:
    """The prices that are known here.

    Attributes:
        pages: where a backend's provider says what it asks for.
    """

    prices: tuple[Price, ...] = ()
    pages: Mapping[BackendName, str] = field(default_factory=dict)

    def find(self, kind: Kind, model: str, tier: TrainingTier | None = None) -> Price | None:
        """The price, or None where it is unknown: of this model before any, of this tier before all.

        ``gpt-4.1-2025-04-14`` costs what ``gpt-4.1`` does; ``gpt-4.1-mini`` is another model.
        """
        names = (_plain(model), ANY)
        for wanted in ((name, which) for which in dict.fromkeys((tier, None)) for name in names):
            found = [one for one in self.prices if one.kind is kind and (one.model, one.tier) == wanted]
            if found:
                return found[0]
        return None


def _plain(model: str) -> str:
    return _DATED.sub("", model.strip().lower())


def read(home: Path) -> PriceTable:
    """The table that ships, and before it the installation's own.

    Raises:
        Invalid: the installation's own cannot be read; the sentence says what is wrong with which price.
    """
    own = home / FILE
    if not own.is_file():
        return SHIPPED
    try:
        text = own.read_text(encoding="utf-8-sig")
        told = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Invalid("{file} cannot be read: write it as TOML, as the how-to on costs shows.", file=own) from error
    table = _parsed(told, str(own))
    return PriceTable(table.prices + SHIPPED.prices, {**SHIPPED.pages, **table.pages})


def shown(home: Path) -> PriceTable:
    """The same where a price is only told: a table that cannot be read must keep back no message, and ships unread."""
    try:
        return read(home)
    except Invalid as error:
        log.warning("an installation's own prices cannot be read: error=%s", type(error).__name__)
        return SHIPPED


def _parsed(told: Mapping[str, Any], file: str) -> PriceTable:
    rows, pages = told.get("price", []), told.get("pages", {})
    if set(told) - {"price", "pages"} or not isinstance(rows, list) or not isinstance(pages, dict):
        raise Invalid("{file} holds something other than [[price]] and [pages].", file=file)
    unknown = [name for name in pages if name not in set(BackendName)]
    if unknown:
        raise Invalid(
            "{file}: [pages] knows {known:and}, not {name}.", file=file, known=tuple(BackendName), name=unknown[0]
        )
    return PriceTable(
        tuple(_price(row, file, number) for number, row in enumerate(rows, start=1)),
        {BackendName(name): str(page) for name, page in pages.items()},
    )


def _price(row: Any, file: str, number: int) -> Price:
    """One ``[[price]]``.

    Raises:
        Invalid: the sentence names the file, which price it is from its beginning, and the key.
    """
    told = row if isinstance(row, dict) else {}
    wrong = [name for name in told if name not in _KEYS]
    wrong += [name for name in ("for", "model", "dollars", "date") if name not in told]
    wrong += _unfit(told)
    if wrong:
        raise Invalid(
            "{file}, price {number}: {key} is missing, misspelt or not of its kind; a price has for, model, tier, "
            "dollars, date, source and note, as the how-to on costs shows.",
            file=file,
            number=number,
            key=wrong[0],
        )
    return Price(
        kind=Kind(told["for"]),
        model=told["model"].strip().lower(),
        tier=TrainingTier(told["tier"]) if "tier" in told else None,
        dollars=float(told["dollars"]),
        day=told["date"],
        source=str(told.get("source", "")),
        note=str(told["note"]) if "note" in told else None,
    )


def _unfit(told: Mapping[str, Any]) -> list[str]:
    """The keys whose values are of another kind than they have to be; True is no number, and a moment no day."""
    dollars = told.get("dollars", 0)
    fits = {
        "for": told.get("for", Kind.TRAINING) in tuple(Kind),
        "model": isinstance(told.get("model", ""), str),
        "tier": told.get("tier", TrainingTier.GLOBAL) in tuple(TrainingTier),
        "dollars": type(dollars) in {int, float} and 0 <= dollars < float("inf"),
        "date": type(told.get("date", date.min)) is date,
    }
    return [name for name, fit in fits.items() if not fit]


SHIPPED = _parsed(tomllib.loads(SHIPPED_FILE.read_text(encoding="utf-8")), FILE)
"""The table beside this module."""
