"""How figures spread: lengths by percentile, examples over classes, work over people.

Owns the arithmetic, each with its formula. Knows nothing of examples.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Lengths:
    """Percentiles by nearest rank, and the largest; all 0 for an empty set."""

    p5: int
    p50: int
    p95: int
    max: int

    @classmethod
    def of(cls, values: Collection[int]) -> Lengths:
        """``[1, 2, 3, 4]`` gives p5 1, p50 2, p95 4, max 4: the value at rank ``ceil(n * percent / 100)``."""
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
    """How evenly examples spread over classes, with shares ``p`` of the classes that occur.

    Attributes:
        entropy: ``-sum(p ln p) / ln(classes)``, from 0 (all in one class) to 1 (every class that occurs has as
            many). Shannon 1948, normalised (Pielou 1966).
        effective: ``exp(-sum(p ln p))``: as many equally large classes would be as diverse. Hill 1973, order 1.
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
class Concentration:
    """How much of the work is one person's.

    Attributes:
        people: how many there are.
        largest: the share of whoever did most, from 0 to 1; somebody who wrote half of a row counts whole.
        who: that person; None where nobody is known. Of equals the first by name.
        effective: as many people with equal shares would be as concentrated, ``1 / sum(p²)`` (Simpson 1949).
    """

    people: int
    largest: float
    who: str | None
    effective: float

    @classmethod
    def of(cls, counts: Mapping[str, int]) -> Concentration:
        """``{"ana": 3, "ben": 1}`` gives ana with 0.75, and 1.6 effective people."""
        present = {person: count for person, count in counts.items() if count > 0}
        total = sum(present.values())
        if not total:
            return cls(0, 0.0, None, 0.0)
        who = min(present, key=lambda person: (-present[person], person))
        # Whole numbers until the division, so that the order of people cannot change the last digit.
        return cls(len(present), present[who] / total, who, total**2 / sum(count**2 for count in present.values()))

    def as_json(self) -> dict[str, Any]:
        """``{"people", "largest", "who", "effective"}``, to three digits."""
        return {
            "people": self.people,
            "largest": round(self.largest, 3),
            "who": self.who,
            "effective": round(self.effective, 3),
        }
