"""Which examples are missing, in words that name the candidates that would fill the gap.

Owns the target of a topic in a language, and the order in which gaps are urgent. What there is comes from
``curation.measures.balance``, which gives these names to whoever asks it.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from curation.language import name_of
from curation.wording import phrase, plural

if TYPE_CHECKING:
    from curation.measures.balance import Balance

Cell = tuple[str, str]
"""Topic and language."""

CELL_FLOOR = 10
ADVICE_LIMIT = 10
SHOWN_IDS = 5
"""Candidates that a sentence of advice names; its JSON names ``KEPT_IDS``."""
KEPT_IDS = 50
DEMAND_DIALOGUES = 100
"""Below so many captured dialogues their shares by topic and language are noise."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What happens in production in one cell: dialogues that were captured, and how many of them were flagged."""

    asked: int
    flagged: int


@dataclass(frozen=True, slots=True)
class Advice:
    """Examples that are missing in one cell, and the pending candidates that would fill it.

    Attributes:
        missing: how many to the cell's target.
        waiting: pending candidates of the cell.
        ids: the oldest of them, at most ``KEPT_IDS``.
    """

    topic: str
    language: str
    missing: int
    waiting: int
    ids: tuple[int, ...] = ()

    def sentence(self) -> str:
        """Add 30 German billing examples; 12 wait in the queue: 14, 19, …; and the command that reviews them."""
        add = plural(
            "Add {count:,} {language} {topic} example",
            "Add {count:,} {language} {topic} examples",
            self.missing,
            language=name_of(self.language),
            topic=self.topic,
        )
        wait = (
            plural("{count:,} waits in the queue", "{count:,} wait in the queue", self.waiting)
            if self.waiting
            else phrase("none waits in the queue")
        )
        if not self.ids:
            return phrase("{add}; {wait}.", add=add, wait=wait)
        named = [str(key) for key in self.ids[:SHOWN_IDS]] + (["…"] if self.waiting > SHOWN_IDS else [])
        return phrase(
            "{add}; {wait}: {ids}; review it with: {command}"
            if self.waiting == 1
            else "{add}; {wait}: {ids}; review them with: {command}",
            add=add,
            wait=wait,
            ids=named,
            command=self.command(),
        )

    def command(self) -> str:
        """The command that walks through the cell's pending candidates."""
        return f"errata review --topic {shlex.quote(self.topic)} --language {shlex.quote(self.language)}"

    def as_json(self) -> dict[str, Any]:
        """``{"topic", "language", "missing", "waiting", "ids", "sentence"}``."""
        return {
            "topic": self.topic,
            "language": self.language,
            "missing": self.missing,
            "waiting": self.waiting,
            "ids": list(self.ids),
            "sentence": self.sentence(),
        }


def advise(
    balance: Balance,
    pending: Mapping[Cell, Sequence[int]],
    *,
    demand: Mapping[Cell, Demand] | None = None,
) -> list[Advice]:
    """The cells that lack most, at most ``ADVICE_LIMIT``, the most urgent first.

    A cell is any topic in any language, of those met among examples, pending candidates or dialogues. Its target is
    ``max(CELL_FLOOR, share * N)`` with N the labelled examples and ``share`` its part of what production is asked.
    Where production is not known well enough (``DEMAND_DIALOGUES``), the share is half of what the cell would
    have if topics were spread alike over languages: half, because asking for the whole would find fault with
    every set that is large enough. Urgency is the gap times the flag rate, ``(flagged + mean) / (asked + 1)``,
    which is the mean where a cell was never asked about.

    Args:
        balance: of the examples.
        pending: ids of candidates that wait for review, oldest first.
        demand: what production is asked; without it, pending candidates stand for what is flagged.
    """
    known = {cell: one for cell, one in (demand or {}).items() if one.asked > 0}
    seen = Counter(balance.cells)
    seen.update({cell: len(ids) for cell, ids in pending.items() if ids})
    if not known:
        known = {cell: Demand(count, len(pending.get(cell, ()))) for cell, count in seen.items()}
    asked, flagged = (sum(getattr(one, name) for one in known.values()) for name in ("asked", "flagged"))
    mean = flagged / asked if asked else 0.0
    cells = {*seen, *known}
    shares = {cell: one.asked / asked for cell, one in known.items()} if demand and asked >= DEMAND_DIALOGUES else None
    alike = _alike(seen)
    labelled = sum(balance.cells.values())
    ranked = []
    for topic in {topic for topic, _ in cells}:
        for language in {language for _, language in cells}:
            cell = (topic, language)
            share = shares.get(cell, 0.0) if shares is not None else alike(topic, language) / 2
            missing = max(CELL_FLOOR, int(share * labelled)) - balance.cells.get(cell, 0)
            if missing > 0:
                ids = pending.get(cell, ())
                one = known.get(cell, Demand(0, 0))
                urgency = missing * (one.flagged + mean) / (one.asked + 1)
                ranked.append((urgency, Advice(topic, language, missing, len(ids), tuple(ids[:KEPT_IDS]))))
    ranked.sort(key=lambda pair: (-pair[0], -pair[1].missing, -pair[1].waiting, pair[1].topic, pair[1].language))
    return [advice for _, advice in ranked[:ADVICE_LIMIT]]


def _alike(seen: Counter[Cell]) -> Callable[[str, str], float]:
    """The share of a cell if every topic spread over the languages as all examples do."""
    topics, languages, total = Counter[str](), Counter[str](), seen.total()
    for (topic, language), count in seen.items():
        topics[topic] += count
        languages[language] += count
    return lambda topic, language: topics[topic] * languages[language] / total**2 if total else 0.0
