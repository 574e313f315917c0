"""Counsel: whether to tune at all, said before anything is spent.

Owns the three answers and their order: a fact that changes belongs in the source that the assistant reads, whatever
else is true; then what is still missing; then *Tune*. The reasons are those of docs/adr/0001 and of
docs/explanation/when-not-to-fine-tune.md. Pure: what is known of a dataset comes in as ``Grounds``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from curation.checking.checks import ADVISED_EXAMPLES, MINIMUM_EXAMPLES
from curation.findings import Finding, blocking
from curation.measures.balance import ENDORSEMENT_SHARE
from curation.wording import Phrase, phrase
from training.hyperparameters import Objective

LEAST_JUDGED = 4
"""So many changes, all for the better, are the fewest that chance does not explain: the 95 % Wilson interval of 4 of 4
lies above one half, that of 3 of 3 does not."""


class Cure(StrEnum):
    """What helps against the replies that were corrected."""

    TUNE = "Tune"
    NOT_YET = "Not yet"
    FIX_THE_SOURCE = "Fix the source"


@dataclass(frozen=True, slots=True)
class Grounds:
    """What the counsel rests on.

    Attributes:
        train: rows that are trained on.
        validation: rows that are held out.
        corrections: of the rows on both sides.
        pairs: corrections that have the reply that was flagged.
        facts: corrections of a wrong fact, of whichever kind.
        changing: of these, of facts that change.
        left_out: corrections of facts that change which are approved, and left out of the dataset for that.
        findings: about the dataset, and about what the machine lacks; those of severity error stand in the way.
        endorsement_share: the least share of good replies, from 0 to 1.
    """

    train: int
    validation: int
    corrections: int
    pairs: int
    facts: int
    changing: int
    left_out: int
    findings: Sequence[Finding] = ()
    endorsement_share: float = ENDORSEMENT_SHARE


@dataclass(frozen=True, slots=True)
class Counsel:
    """One of the three answers, and why."""

    cure: Cure
    reason: Phrase


def counsel(grounds: Grounds, objective: Objective = Objective.REPLIES) -> Counsel:
    """What to do about this dataset."""
    source = _of_the_source(grounds) if objective is not Objective.LABELS else None
    if source is not None:
        return Counsel(Cure.FIX_THE_SOURCE, source)
    missing = next(_missing(grounds, objective), None)
    if missing is not None:
        return Counsel(Cure.NOT_YET, missing)
    rows = grounds.train + grounds.validation
    return Counsel(
        Cure.TUNE,
        phrase(
            "{rows:,} examples, {validation:,} of them held out and {corrections:,} of them corrections; nothing "
            "stands in the way.",
            rows=rows,
            validation=grounds.validation,
            corrections=grounds.corrections,
        ),
    )


def _of_the_source(grounds: Grounds) -> Phrase | None:
    """Why the source is to be mended first: most corrections are of facts."""
    corrections = grounds.corrections + grounds.left_out
    changing, facts = grounds.changing + grounds.left_out, grounds.facts + grounds.left_out
    if corrections < LEAST_JUDGED:
        return None
    if 2 * changing > corrections:
        return phrase(
            "{changing:,} of {corrections:,} corrections are of facts that change; write them where the assistant "
            "reads, not into its weights. See: errata knowledge-gaps",
            changing=changing,
            corrections=corrections,
        )
    if 2 * facts > corrections:
        return phrase(
            "{facts:,} of {corrections:,} corrections are of facts; make sure that what the assistant reads says them "
            "right, then tune on what is left.",
            facts=facts,
            corrections=corrections,
        )
    return None


def _missing(grounds: Grounds, objective: Objective) -> Iterator[Phrase]:
    """What is missing, what weighs most first."""
    rows = grounds.train + grounds.validation
    if rows < MINIMUM_EXAMPLES:
        yield phrase(
            "{rows:,} examples are fewer than the {least} that any tuning takes.", rows=rows, least=MINIMUM_EXAMPLES
        )
    for finding in blocking(grounds.findings):
        yield phrase("{message} {fix}", message=finding.message, fix=finding.fix)
    if rows < ADVISED_EXAMPLES:
        yield phrase(
            "{rows:,} examples are few; with {advised} or more the result can be told from chance.",
            rows=rows,
            advised=ADVISED_EXAMPLES,
        )
    if grounds.validation < LEAST_JUDGED:
        yield phrase(
            "{validation:,} rows are held out; with fewer than {least} nobody can tell whether the model is better.",
            validation=grounds.validation,
            least=LEAST_JUDGED,
        )
    if objective is Objective.PREFERENCES and grounds.pairs < MINIMUM_EXAMPLES:
        yield phrase(
            "{pairs:,} corrections have the reply that was flagged; preferences are learned from {least} or more.",
            pairs=grounds.pairs,
            least=MINIMUM_EXAMPLES,
        )
    good = rows - grounds.corrections
    if objective is Objective.REPLIES and good < grounds.endorsement_share * rows:
        yield phrase(
            "{good:,} of {rows:,} examples are good replies; with less than {share:.0%} of them a model forgets what "
            "it did well. Approve more good replies as they are.",
            good=good,
            rows=rows,
            share=grounds.endorsement_share,
        )
