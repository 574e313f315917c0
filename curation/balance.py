"""Whether a set of examples is balanced, and which examples are missing.

Owns the measures (topic by language table, entropies, lengths, kinds) and the advice. Refuses to
look at words: topic, language and length of each example come in as a ``Facet``.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from curation.findings import Finding, Severity
from curation.language import name_of
from curation.rules import Rule

Cell = tuple[str, str]
"""Topic and language."""

CELL_FLOOR = 10
ADVICE_LIMIT = 10

RULES: tuple[Rule, ...] = (
    Rule(
        "balance.endorsements",
        Severity.WARNING,
        "At least half of a dataset are good replies.",
        "Approve more good replies as they are: a model tuned on its mistakes alone forgets what it did well.",
    ),
    Rule(
        "balance.unlabelled",
        Severity.INFO,
        "Every example has a topic and a language.",
        "Give each row metadata with a topic and a language, or balance cannot be judged.",
    ),
)
"""What ``findings`` looks for."""


@dataclass(frozen=True, slots=True)
class Facet:
    """What balance looks at in one example.

    Attributes:
        topic: as labelled; None where nobody said.
        language: code such as ``de``; None where it is not known.
        kind: ``correction``, ``endorsement`` or ``imported``.
        tokens: of the whole conversation.
        turns: messages other than the system's.
    """

    topic: str | None
    language: str | None
    kind: str
    tokens: int
    turns: int


@dataclass(frozen=True, slots=True)
class Lengths:
    """Percentiles by nearest rank, and the largest; all 0 for an empty set."""

    p5: int
    p50: int
    p95: int
    max: int

    @classmethod
    def of(cls, values: Collection[int]) -> Lengths:
        """``[1, 2, 3, 4]`` gives p5 1, p50 2, p95 4, max 4."""
        ordered = sorted(values)

        def at(percent: int) -> int:
            # Integers: a float product may land just above a whole rank and take the next value.
            return ordered[max(1, -(-len(ordered) * percent // 100)) - 1] if ordered else 0

        return cls(at(5), at(50), at(95), at(100))

    def as_json(self) -> dict[str, int]:
        """``{"p5", "p50", "p95", "max"}``."""
        return {"p5": self.p5, "p50": self.p50, "p95": self.p95, "max": self.max}


@dataclass(frozen=True, slots=True)
class Spread:
    """How evenly examples spread over classes.

    Attributes:
        entropy: normalised, from 0 (all in one class) to 1 (every class that occurs has as many).
        effective: exp of the entropy in nats: as many equally large classes would be as diverse.
    """

    entropy: float
    effective: float

    @classmethod
    def of(cls, counts: Iterable[int]) -> Spread:
        """``[5, 5]`` gives entropy 1 and 2 effective classes; ``[10]`` gives 0 and 1; nothing gives 0 and 0."""
        # Sorted, so that the order of the examples cannot change the last digit.
        present = sorted(count for count in counts if count > 0)
        total = sum(present)
        nats = -math.fsum(count / total * math.log(count / total) for count in present)
        normalised = nats / math.log(len(present)) if len(present) > 1 else 0.0
        return cls(min(1.0, max(0.0, normalised)), math.exp(nats) if present else 0.0)

    def as_json(self) -> dict[str, float]:
        """``{"entropy", "effective"}``, to three digits."""
        return {"entropy": round(self.entropy, 3), "effective": round(self.effective, 3)}


@dataclass(frozen=True, slots=True)
class Balance:
    """The measures of a set of examples.

    Attributes:
        total: examples measured.
        cells: examples by topic and language, of those that have both.
        topics, languages: how evenly examples spread over each, of those that have it.
        tokens, turns: lengths per example.
        kinds: examples by kind.
    """

    total: int
    cells: Mapping[Cell, int]
    topics: Spread
    languages: Spread
    tokens: Lengths
    turns: Lengths
    kinds: Mapping[str, int]

    @property
    def endorsement_share(self) -> float:
        """Endorsements among all examples, from 0 to 1; 0 for an empty set."""
        return self.kinds.get("endorsement", 0) / self.total if self.total else 0.0

    def as_json(self) -> dict[str, Any]:
        """As ``--json`` prints it; ``table`` is ``{topic: {language: count}}``."""
        table: dict[str, dict[str, int]] = {}
        for (topic, language), count in sorted(self.cells.items()):
            table.setdefault(topic, {})[language] = count
        return {
            "total": self.total,
            "table": table,
            "topics": self.topics.as_json(),
            "languages": self.languages.as_json(),
            "tokens": self.tokens.as_json(),
            "turns": self.turns.as_json(),
            "kinds": dict(sorted(self.kinds.items())),
            "endorsement_share": round(self.endorsement_share, 3),
        }


@dataclass(frozen=True, slots=True)
class Advice:
    """Examples that are missing in one cell, and how many pending candidates would fill it."""

    topic: str
    language: str
    missing: int
    waiting: int

    def sentence(self) -> str:
        """Such as: Add 30 German billing examples; 12 wait in the queue."""
        examples = "example" if self.missing == 1 else "examples"
        wait = {0: "none waits", 1: "1 waits"}.get(self.waiting, f"{self.waiting} wait")
        return f"Add {self.missing} {name_of(self.language)} {self.topic} {examples}; {wait} in the queue."

    def as_json(self) -> dict[str, Any]:
        """``{"topic", "language", "missing", "waiting", "sentence"}``."""
        return {
            "topic": self.topic,
            "language": self.language,
            "missing": self.missing,
            "waiting": self.waiting,
            "sentence": self.sentence(),
        }


def measure(items: Iterable[Facet]) -> Balance:
    """The balance of ``items``; their order makes no difference."""
    facets = list(items)
    labelled = ((facet.topic, facet.language) for facet in facets)
    return Balance(
        total=len(facets),
        cells=Counter((topic, language) for topic, language in labelled if topic and language),
        topics=Spread.of(Counter(facet.topic for facet in facets if facet.topic).values()),
        languages=Spread.of(Counter(facet.language for facet in facets if facet.language).values()),
        tokens=Lengths.of([facet.tokens for facet in facets]),
        turns=Lengths.of([facet.turns for facet in facets]),
        kinds=Counter(facet.kind for facet in facets),
    )


def advise(balance: Balance, pending: Mapping[Cell, int]) -> list[Advice]:
    """The cells that lack most, at most ``ADVICE_LIMIT``, the most urgent first.

    A cell is any topic in any language, of those met among examples or pending candidates. It should have
    half of what it would have if topics were spread alike over languages, and at least ``CELL_FLOOR``:
    half, because asking for the whole would find fault with every set that is large enough. Urgency is
    the gap times the pending candidates plus one: a cell in which replies are flagged is worse off than
    one that nobody asks about.
    """
    demand = Counter(balance.cells)
    demand.update({cell: count for cell, count in pending.items() if count > 0})
    total, labelled = sum(demand.values()), sum(balance.cells.values())
    by_topic: Counter[str] = Counter()
    by_language: Counter[str] = Counter()
    for (topic, language), count in demand.items():
        by_topic[topic] += count
        by_language[language] += count
    advice = []
    for topic in by_topic:
        for language in by_language:
            alike = labelled * by_topic[topic] * by_language[language] // total**2
            target = max(CELL_FLOOR, alike // 2)
            missing = target - balance.cells.get((topic, language), 0)
            if missing > 0:
                advice.append(Advice(topic, language, missing, pending.get((topic, language), 0)))
    advice.sort(key=lambda item: (-item.missing * (1 + item.waiting), item.topic, item.language))
    return advice[:ADVICE_LIMIT]


def findings(balance: Balance) -> list[Finding]:
    """What ``RULES`` says about ``balance``. Imported examples count as good replies: somebody attested them."""
    endorsements, unlabelled = RULES
    found = []
    corrections = balance.kinds.get("correction", 0)
    if corrections * 2 > balance.total:
        message = f"{corrections:,} of {balance.total:,} examples are corrections, more than half."
        found.append(endorsements.found(message))
    without = balance.total - sum(balance.cells.values())
    if without:
        found.append(unlabelled.found(f"{without:,} of {balance.total:,} examples lack a topic or a language."))
    return found
