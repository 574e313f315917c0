"""Regions: where a family of models is fine-tuned as a service, and until when, where the registry is silent.

Owns the table beside it, ``regions.toml``, which is dated. Refuses to guess: of a family that is not in it, nothing
is known. What a model's own registry says (``training.offers``) goes before it.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from curation.wording import Phrase, phrase

INSTEAD = "phi-4-mini-instruct"
"""What is tuned as a service where an older Phi no longer is."""


@dataclass(frozen=True, slots=True)
class Family:
    """Models that are offered together.

    Attributes:
        prefixes: how their names begin, in small letters.
        regions: where a project has to be, such as ``eastus2``.
        retired: since when they are no longer tuned as a service; None while they are.
        day: when this was read, at ``source``.
    """

    name: str
    prefixes: tuple[str, ...]
    regions: tuple[str, ...]
    retired: date | None
    day: date
    source: str


def _read() -> tuple[Family, ...]:
    told = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    return tuple(
        Family(
            name=row["name"],
            prefixes=tuple(row["models"]),
            regions=tuple(row["regions"]),
            retired=row.get("retired"),
            day=row["date"],
            source=row["source"],
        )
        for row in told["family"]
    )


FAMILIES = _read()


def family_of(model_name: str) -> Family | None:
    """The family of a model by its name or hub id, in any case; None where it is not known here."""
    name = model_name.strip().lower().rpartition("/")[2]
    return next((one for one in FAMILIES if name.startswith(one.prefixes)), None)


def regions_of(model_name: str) -> tuple[str, ...] | None:
    """Where the model can be tuned as a service; None where nobody knows."""
    family = family_of(model_name)
    return family.regions if family is not None else None


def retired(model_name: str, *, on: date) -> Phrase | None:
    """Why the model cannot be tuned as a service on this day, and what can be done; None where nothing is known."""
    family = family_of(model_name)
    if family is None or family.retired is None or on < family.retired:
        return None
    return phrase(
        "{model} can no longer be fine-tuned as a service: the provider retired that on {day}. Take {instead}, or tune "
        "it on a GPU of your own: --backend local or azureml.",
        model=model_name,
        day=family.retired.isoformat(),
        instead=INSTEAD,
    )
