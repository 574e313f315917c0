"""What became of an evaluation's cases: fixed, kept, won, lost.

Owns the words of it and the counting. Pure: who generated the replies, and how, is the backends' business; what may be
claimed from the counts is ``training.evaluation.gate``'s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Self

from training.evaluation.metrics import exact

JUDGED = frozenset({"correction", "endorsement"})
"""The kinds of cases behind which stands somebody's judgement of a reply."""


class Verdict(StrEnum):
    """What may be claimed of a tuned model against the one before."""

    BETTER = "better"
    WORSE = "worse"
    CANNOT_TELL = "cannot_tell"

    @classmethod
    def _missing_(cls, value: object) -> Verdict | None:
        """Databases hold two words of an older Errata that both come to this."""
        return cls.CANNOT_TELL if value in {"no_improvement", "untested"} else None


class Outcome(StrEnum):
    """What became of one case, from the model before to the tuned one."""

    FIXED = "fixed"
    KEPT = "kept"
    GAINED = "gained"
    RIGHT = "right"
    LOST = "lost"
    NOT_FIXED = "not fixed"
    NOT_RIGHT = "not right"


@dataclass(frozen=True, slots=True)
class Case:
    """One prompt with its wanted reply and what both models said.

    Attributes:
        id: of the example it came from.
        kind: ``correction``, ``endorsement`` or ``golden``.
        expected: the approved reply, as it was trained on: a name in it may be ``[NAME]``.
        before: the reply of the model in production.
        after: the reply of the tuned model.
        flagged: the reply that was corrected; None for any other.
        side: ``train`` or ``validation``: whether the tuned model was shown the wanted reply.
        reason: why the reply was flagged, where somebody said so.
        topic: of the conversation, where it has one.
        language: likewise.
        margins: by how many nats a token, in the mean, each model prefers the corrected reply to the flagged one.
    """

    id: str
    kind: str
    expected: str
    before: str
    after: str
    flagged: str | None = None
    side: str = "train"
    reason: str | None = None
    topic: str | None = None
    language: str | None = None
    margins: Mapping[str, float] | None = None

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        """Read one of the cases of a ``report.json``; what else it holds is left out."""
        return cls(**{name: row[name] for name in cls.__dataclass_fields__ if name in row})

    @property
    def won_before(self) -> bool | None:
        """Whether the model before preferred the corrected reply to the flagged one; None where that is not known."""
        return self.margins["before"] > 0 if self.margins and self.margins.get("before") is not None else None

    @property
    def won_after(self) -> bool | None:
        """Whether the tuned model does."""
        return self.margins["after"] > 0 if self.margins and self.margins.get("after") is not None else None

    @property
    def right_before(self) -> bool:
        """Whether production already gave the wanted reply.

        Measured as ``metrics.exact``: what was redacted in the wanted reply may be anything, as production was taught
        Kari where the dataset has ``[NAME]``, and is no worse for it.
        """
        return exact(self.before, self.expected)

    @property
    def right_after(self) -> bool:
        """Whether the tuned model gives the wanted reply, by the same measure."""
        return exact(self.after, self.expected)

    @property
    def outcome(self) -> Outcome:
        """What became of it."""
        match self.right_before, self.right_after, self.kind == "correction":
            case True, True, correction:
                return Outcome.RIGHT if correction else Outcome.KEPT
            case True, False, _:
                return Outcome.LOST
            case False, True, correction:
                return Outcome.FIXED if correction else Outcome.GAINED
            case _, _, correction:
                return Outcome.NOT_FIXED if correction else Outcome.NOT_RIGHT


@dataclass(frozen=True, slots=True)
class Scores:
    """Counts over an evaluation's cases.

    Attributes:
        fixed: corrections that were wrong before and are right after.
        corrections: all corrections.
        kept: endorsements that were right before and still are.
        endorsements: all endorsements.
        already_right: corrections that production already answered as corrected; they can never be fixed.
        gained: cases of either kind that became right.
        lost: cases of either kind that became wrong.
        lost_endorsements: endorsements that became wrong.
    """

    fixed: int
    corrections: int
    kept: int
    endorsements: int
    already_right: int
    gained: int
    lost: int
    lost_endorsements: int

    def as_json(self) -> dict[str, int]:
        """The counts by name, as ``--json`` prints them."""
        return asdict(self)


def score(cases: Iterable[Case]) -> Scores:
    """Count what changed between the two models.

    A correction wrong before and right after is *fixed*; an endorsement right before and after is *kept*.
    """
    cases = list(cases)
    outcomes = Counter((case.kind, case.outcome) for case in cases)
    kinds = Counter(case.kind for case in cases)
    of_any = Counter(case.outcome for case in cases)
    return Scores(
        fixed=of_any[Outcome.FIXED],
        corrections=kinds["correction"],
        kept=of_any[Outcome.KEPT],
        endorsements=kinds["endorsement"],
        already_right=sum(case.right_before for case in cases if case.kind == "correction"),
        gained=of_any[Outcome.FIXED] + of_any[Outcome.GAINED],
        lost=of_any[Outcome.LOST],
        lost_endorsements=outcomes["endorsement", Outcome.LOST],
    )
