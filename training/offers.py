"""Offers: the models that a provider's registry lists, what is said of each there, and what Errata can do with it.

Owns their shape, how the registry's tags are read, and the dated copy in the home folder with which one looks without
a network. Refuses to ask anybody: what asks is ``training.backends.foundry.registry``. Pure but for that file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from curation.wording import Phrase, phrase
from training import catalogue
from training.backends.local.folder import write_json
from training.catalogue import BaseModel
from training.planning import regions

FRESH = timedelta(days=1)
"""So long what was read is not read again."""

FIRST = "phi"
"""What is looked for where nobody has looked for anything."""

CHAT = "chat-completion"

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_REGION = re.compile(r"[a-z][a-z0-9]{3,}")
_WORD = re.compile(r"[a-z0-9][a-z0-9-]*")
_TRUE = frozenset({"true", "1", "yes"})


class Way(StrEnum):
    """What Errata can do with a model."""

    MANAGED = "managed"
    OWN_GPU = "own GPU"


@dataclass(frozen=True, slots=True)
class Offer:
    """One model of a registry. What the registry does not say is None or empty.

    Attributes:
        name: as the registry spells it.
        context: most tokens of one conversation.
        tasks: what it is there for, such as ``chat-completion``.
        tuned: what it can be fine-tuned for.
        tuned_as_a_service: whether the registry says that the provider tunes it.
        tune_regions: where a project has to be for that, by the registry or by the table of its family.
        deploy_regions: where a tuned one answers.
        deprecated_at: from then on one should look for another to tune.
        retires_at: from then on it is no longer tuned as a service.
        replies_until: from then on the provider's own deployments of it no longer answer.
        archived: whether the registry has put it away.
        licence: under which it is given away.
    """

    name: str
    version: str
    context: int | None = None
    tasks: tuple[str, ...] = ()
    tuned: tuple[str, ...] = ()
    tuned_as_a_service: bool = False
    tune_regions: tuple[str, ...] = ()
    deploy_regions: tuple[str, ...] = ()
    deprecated_at: date | None = None
    retires_at: date | None = None
    replies_until: date | None = None
    archived: bool = False
    licence: str | None = None

    @property
    def listed(self) -> BaseModel | None:
        """The model of Errata's own catalogue that it is."""
        wanted = self.name.lower()
        return next(
            (
                one
                for one in catalogue.CATALOGUE
                if one.hub_id is not None and wanted in {one.name, one.hub_id.lower().rpartition("/")[2]}
            ),
            None,
        )

    def ways(self, on: date) -> tuple[Way, ...]:
        """What Errata can do with it on a day: have it tuned as a service, tune it on a GPU, both, or nothing."""
        offered = self.tuned_as_a_service and not self.archived and CHAT in self.tuned
        managed = offered and (self.retires_at is None or on < self.retires_at)
        return tuple(
            way for way, possible in ((Way.MANAGED, managed), (Way.OWN_GPU, self.listed is not None)) if possible
        )

    def caution(self, on: date) -> Phrase | None:
        """What stands against having it tuned as a service on this day; None where nothing does."""
        if self.archived:
            return phrase("archived")
        if self.retires_at is not None:
            day = self.retires_at.isoformat()
            return phrase("retired {day}", day=day) if on >= self.retires_at else phrase("retires {day}", day=day)
        if self.deprecated_at is not None:
            return phrase("deprecated {day}", day=self.deprecated_at.isoformat())
        return None

    def as_json(self) -> dict[str, Any]:
        """Every attribute, days as ISO 8601."""
        return {
            field.name: value.isoformat() if isinstance(value, date) else list(value) if type(value) is tuple else value
            for field in fields(self)
            for value in (getattr(self, field.name),)
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        """What ``as_json`` gave."""
        values: dict[str, Any] = {
            field.name: tuple(row[field.name]) if isinstance(row[field.name], list) else row[field.name]
            for field in fields(cls)
        }
        for name in ("deprecated_at", "retires_at", "replies_until"):
            values[name] = date.fromisoformat(values[name]) if values[name] is not None else None
        return cls(**values)


def read_offer(
    name: str, version: str, tags: Mapping[str, Any], properties: Mapping[str, Any], *, archived: bool
) -> Offer:
    """The offer that a model's tags and properties in the registry describe.

    Their names are those of github.com/Azure/azureml-assets; case, hyphens and underscores do not count. Where they
    say nothing of regions and of an end, the table of the model's family does.
    """
    told = {_key(key): str(value) for key, value in {**properties, **tags}.items() if value is not None}
    family = regions.family_of(name)
    tuned = _words(told.get("finetuningtasks"))
    service = told.get("maasfinetuning", "").lower() in _TRUE
    retires = _day(told.get("finetuneretirementdate")) or (family.retired if family is not None and service else None)
    context = told.get("textcontextwindow", "")
    return Offer(
        name=name,
        version=version,
        context=int(context) if context.isascii() and context.isdigit() else None,
        tasks=_words(told.get("task")),
        tuned=tuned,
        tuned_as_a_service=service,
        tune_regions=family.regions if family is not None and service else (),
        deploy_regions=tuple(_REGION.findall(told.get("maasfinetuningdeployregions", "").lower())),
        deprecated_at=_day(told.get("finetunedeprecationdate")),
        retires_at=retires,
        replies_until=_day(told.get("inferenceretirementdate")),
        archived=archived,
        licence=told.get("license"),
    )


@dataclass(frozen=True, slots=True)
class Copy:
    """What was read of a registry, and when.

    Attributes:
        searched: the words that were looked for, and when each was; of models that nobody looked for nothing is kept.
        offers: by name.
    """

    searched: Mapping[str, datetime]
    offers: Mapping[str, Offer]

    def found(self, words: str) -> tuple[Offer, ...]:
        """The models whose names have these words in them, in any case, by name."""
        return tuple(self.offers[name] for name in sorted(self.offers, key=str.lower) if matches(name, words))

    def read_at(self, words: str) -> datetime | None:
        """When these words, or fewer that find as much, were last looked for; None where never."""
        times = [at for looked_for, at in self.searched.items() if looked_for in folded(words)]
        return max(times, default=None)

    def with_(self, words: str, now: datetime, offers: Sequence[Offer]) -> Copy:
        """The same with what was just read instead of what was known of these words."""
        kept = {name: offer for name, offer in self.offers.items() if not matches(name, words)}
        return Copy({**self.searched, folded(words): now}, {**kept, **{one.name: one for one in offers}})

    def stale(self, now: datetime) -> tuple[str, ...]:
        """The words that were last looked for a day ago or longer, the shortest first; at first those of the Phis.

        What the shorter ones find is found for the longer ones as well.
        """
        kept = [words for words in self.searched if (at := self.read_at(words)) is None or not at <= now < at + FRESH]
        return tuple(sorted(kept, key=len)) if self.searched else (FIRST,)


EMPTY = Copy({}, {})


def matches(name: str, words: str) -> bool:
    """Whether a model's name has these words in it: ``phi 3`` and ``PHI-3`` are in ``Phi-3-mini-4k-instruct``."""
    return folded(words) in folded(name)


def folded(words: str) -> str:
    """The words as names are compared."""
    return re.sub(r"[\s_-]+", "-", words.strip().lower())


def file_of(home: Path) -> Path:
    """Where the copy lies."""
    return home / "azure" / "catalogue.json"


def load(home: Path) -> Copy:
    """The copy of this installation; an empty one where there is none that can be read."""
    try:
        told = json.loads(file_of(home).read_text(encoding="utf-8"))
        return Copy(
            {words: _moment(at) for words, at in told["searched"].items()},
            {row["name"]: Offer.from_json(row) for row in told["offers"]},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return EMPTY  # an older Errata's, or half a file: it is only a copy, and is read anew


def save(home: Path, copy: Copy) -> None:
    """Write the copy, whole or not at all."""
    path = file_of(home)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(
        path,
        {
            "searched": {words: at.isoformat() for words, at in copy.searched.items()},
            "offers": [copy.offers[name].as_json() for name in sorted(copy.offers)],
        },
    )


def _moment(text: str) -> datetime:
    """An aware moment: one without a zone was not written here, and could not be compared with the clock."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError("a moment without a zone")
    return found


def _key(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).lower()


def _words(text: str | None) -> tuple[str, ...]:
    """``"chat-completion, text-generation"`` and ``"['chat-completion']"`` alike."""
    return tuple(_WORD.findall((text or "").lower()))


def _day(text: str | None) -> date | None:
    found = _DAY.search(text or "")
    try:
        return date.fromisoformat(found[0]) if found else None
    except ValueError:
        return None
