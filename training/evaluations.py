"""What an evaluation's replies say: fixed, kept, and whether that is better than before.

Owns the counting and the claim. Pure: who generated the replies, and how, is the backends' business.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Self

from curation.privacy.spans import stands_for
from curation.wording import Phrase, phrase

# Of the good replies, more than one in ten lost is worse, whatever else was fixed.
LEAST_KEPT = 0.9


class Verdict(StrEnum):
    """What may be claimed of a tuned model against the one before."""

    BETTER = "better"
    NO_IMPROVEMENT = "no_improvement"
    WORSE = "worse"
    UNTESTED = "untested"


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
        kind: ``correction`` or ``endorsement``.
        expected: the approved reply, as it was trained on: a name in it may be ``[NAME]``.
        before: the reply of the model in production.
        after: the reply of the tuned model.
        flagged: the reply that was corrected; None for an endorsement.
        side: ``train`` or ``validation``: whether the tuned model was shown the wanted reply.
    """

    id: str
    kind: Literal["correction", "endorsement"]
    expected: str
    before: str
    after: str
    flagged: str | None = None
    side: str = "train"

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        """Read one of the cases of a ``report.json``; what else it holds is left out."""
        names = ("id", "kind", "expected", "before", "after", "flagged", "side")
        return cls(**{name: row[name] for name in names if name in row})

    @property
    def right_before(self) -> bool:
        """Whether production already gave the wanted reply.

        Outer whitespace does not count, and what was redacted in the wanted reply may be anything: production was
        taught Kari where the dataset has ``[NAME]``, and is no worse for it.
        """
        return stands_for(self.expected, self.before)

    @property
    def right_after(self) -> bool:
        """Whether the tuned model gives the wanted reply, by the same measure."""
        return stands_for(self.expected, self.after)

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
class Fit:
    """How well one model predicts the validation side.

    Attributes:
        perplexity: per supervised token, from 1.
        token_accuracy: share of supervised tokens that were the most probable ones, 0 to 1.
        supervised_tokens: how many were scored.
        comparable: whether its tokens are the candidate's, without which perplexities say nothing together.
    """

    perplexity: float
    token_accuracy: float
    supervised_tokens: int
    comparable: bool


@dataclass(frozen=True, slots=True)
class Report:
    """One evaluation as a backend wrote it.

    Attributes:
        run_id: of the run whose model is the candidate.
        validation: figures by model: ``candidate``, ``base`` and, where one is in production, ``baseline``.
        unigram_perplexity: of the same tokens under add-one counts of the training side's.
        cases: with both replies.
    """

    run_id: str
    validation: Mapping[str, Fit]
    unigram_perplexity: float
    cases: tuple[Case, ...]

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        """Read the object of a ``report.json``."""
        return cls(
            run_id=row["run_id"],
            validation={name: Fit(**figures) for name, figures in row["validation"].items()},
            unigram_perplexity=row["unigram_perplexity"],
            cases=tuple(Case.from_json(case) for case in row["cases"]),
        )


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


@dataclass(frozen=True, slots=True)
class Claim:
    """A verdict and the sentence that carries it."""

    verdict: Verdict
    sentence: Phrase


def read_report(path: Path) -> Report:
    """Read a ``report.json``."""
    return Report.from_json(json.loads(path.read_text(encoding="utf-8")))


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


def claim(scores: Scores, *, least_kept: float = LEAST_KEPT) -> Claim:
    """What these counts permit to say, by the paired cases that changed.

    Better where the 95 % Wilson interval of the share of changes for the better lies above one half,
    worse where it lies below, or where fewer than ``least_kept`` of the good replies were kept. With
    three changes, all of them good, nothing can be claimed yet; with four it can.

    Args:
        scores: from ``score``.
        least_kept: share of the endorsements that were right before, 0 to 1.
    """
    counted = phrase(
        "fixed {fixed} of {corrections} corrections, kept {kept} of {endorsements} good replies",
        fixed=scores.fixed,
        corrections=scores.corrections,
        kept=scores.kept,
        endorsements=scores.endorsements,
    )
    if not scores.corrections and not scores.endorsements:
        return Claim(
            Verdict.UNTESTED,
            phrase(
                "Nothing to compare: the dataset holds no correction and no endorsement, so perplexity is all there is."
            ),
        )
    good_before = scores.kept + scores.lost_endorsements
    if good_before and scores.kept < least_kept * good_before:
        return Claim(
            Verdict.WORSE,
            phrase(
                "Worse: {counted}; of {good} good replies {lost} were lost. Add endorsements and tune again.",
                counted=counted,
                good=good_before,
                lost=scores.lost_endorsements,
            ),
        )
    changed = scores.gained + scores.lost
    low, high = wilson_interval(scores.gained, changed)
    known = {
        "counted": counted,
        "between": phrase(
            "{gained} of {changed} changes were for the better (95 % interval {low:.0%} to {high:.0%})",
            gained=scores.gained,
            changed=changed,
            low=low,
            high=high,
        ),
    }
    if changed and low > 1 / 2:
        return Claim(Verdict.BETTER, phrase("Better: {counted}; {between}.", **known))
    if changed and high < 1 / 2:
        return Claim(Verdict.WORSE, phrase("Worse: {counted}; {between}. Keep the model in production.", **known))
    if not changed:
        return Claim(
            Verdict.NO_IMPROVEMENT,
            phrase("No improvement: {counted}; no reply changed between right and wrong.", **known),
        )
    return Claim(
        Verdict.NO_IMPROVEMENT,
        phrase("No improvement that chance would not explain: {counted}; {between}.", **known),
    )


def wilson_interval(successes: int, trials: int, *, z: float = 1.959964) -> tuple[float, float]:
    """Confidence interval of a share, both ends 0 to 1; (0, 1) where nothing was tried.

    ``wilson_interval(9, 10)`` is about ``(0.596, 0.982)``. Wilson 1927,
    https://doi.org/10.1080/01621459.1927.10502953. ``z`` is the normal quantile: 1.96 for 95 %.
    """
    if not trials:
        return 0.0, 1.0
    share = successes / trials
    scale = 1 + z * z / trials
    centre = (share + z * z / (2 * trials)) / scale
    half = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials)) / scale
    # In exact arithmetic the interval always holds the share; rounding may put it a hair outside.
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))
