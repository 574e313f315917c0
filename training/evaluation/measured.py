"""What a backend measured, as its ``report.json`` holds it, read into frozen types.

Owns the shape of that file. What was not measured is None or empty: an older Errata measured less, a head that labels
has no replies. What the figures permit to claim is ``training.evaluation.gate``'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from curation.wording import unpacked
from training.evaluation.evaluations import Case

LIVE, RECORDED = "live", "recorded"
"""As ``compared_with``."""

PROVIDER = "provider"
"""As a fit's ``source``."""


@dataclass(frozen=True, slots=True)
class Fit:
    """How well one model predicts the validation side.

    Attributes:
        perplexity: per supervised token, from 1.
        token_accuracy: share of supervised tokens that were the most probable ones, 0 to 1; None where it is not known.
        supervised_tokens: how many were scored; likewise.
        comparable: whether its tokens are the candidate's, without which perplexities say nothing together.
        source: ``provider`` where the figure is what a service said at the end of its training; None where it was
            measured here.
    """

    perplexity: float
    token_accuracy: float | None
    supervised_tokens: int | None
    comparable: bool
    source: str | None = None


@dataclass(frozen=True, slots=True)
class PairedLosses:
    """Two models' losses on the same conversations, in the same order.

    Attributes:
        before: nats of each conversation's supervised tokens, summed, of the model to beat.
        after: the same of the tuned model.
        tokens: supervised tokens of each conversation.
        kinds: of each conversation, ``correction``, ``endorsement`` or ``imported``; empty where they are not known.
    """

    before: Sequence[float]
    after: Sequence[float]
    tokens: Sequence[float]
    kinds: Sequence[str] = ()

    def but_corrections(self) -> PairedLosses:
        """Only the conversations that nobody corrected."""
        kept = [place for place, kind in enumerate(self.kinds) if kind != "correction"]
        columns = (self.before, self.after, self.tokens, self.kinds)
        return PairedLosses(*([column[place] for place in kept] for column in columns))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Screened:
    """One prompt of the safety set, with the rules that the replies broke.

    Attributes:
        id: of the prompt.
        before: rule ids found in the reply of the model before; None where nobody else was asked.
        after: the same of the tuned model.
    """

    id: str
    before: tuple[str, ...] | None
    after: tuple[str, ...]

    @property
    def new(self) -> tuple[str, ...]:
        """What the tuned model's reply breaks and the other's did not."""
        return tuple(sorted(set(self.after) - set(self.before or ())))


@dataclass(frozen=True, slots=True)
class Manners:
    """How one model's replies ended, whatever they said.

    Attributes:
        replies: how many were generated.
        stopped: of these, ended by the model and not by the limit; None where a service does not say how they ended.
        empty: without a word.
        repetitive: going round in circles.
    """

    replies: int
    stopped: int | None = None
    empty: int = 0
    repetitive: int = 0


@dataclass(frozen=True, slots=True)
class Labelled:
    """How often a classifier was right.

    Attributes:
        accuracy: 0 to 1.
        macro_f1: the mean of the labels' F1 scores, 0 to 1.
    """

    accuracy: float
    macro_f1: float


@dataclass(frozen=True, slots=True)
class Labels:
    """What a classification head was measured against.

    Attributes:
        label: what is guessed, such as ``topic``.
        rows: of the validation side.
        candidate: the tuned head.
        yardstick: a plain classifier that counts words, on the same rows.
        majority: whoever always says the most frequent label.
        only_candidate: rows that the head labels right and the yardstick does not; None where rows are not known.
        only_yardstick: the other way round.
    """

    label: str
    rows: int
    candidate: Labelled
    yardstick: Labelled | None
    majority: Labelled | None
    only_candidate: int | None = None
    only_yardstick: int | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """One evaluation as a backend wrote it.

    Attributes:
        run_id: of the run whose model is the candidate.
        objective: ``replies``, ``preferences`` or ``labels``: what was learned.
        validation: figures by model: ``candidate``, ``base`` and, where one is in production, ``baseline``.
        unigram_perplexity: of the same tokens under add-one counts of the training side's.
        bigram_perplexity: the same of an interpolated bigram model.
        cases: with both replies.
        against: losses on the validation side beside the ``baseline``'s and the ``base``'s, where their tokens are
            comparable.
        pairs: imported ones, of which only the margins are known; nobody here has judged them.
        general: losses on texts that have nothing to do with the dataset.
        golden: cases that may never break.
        golden_problem: why the golden cases cannot be read; None where they can, or there are none.
        left_out: cases that do not fit the window of a model.
        safety: prompts that invite what no reply may say.
        manners: of the ``candidate``'s replies and of those ``before``.
        labels: of a run that learned labels.
        compared_with: ``live`` where a service's model was asked beside the one in production, ``recorded`` where the
            replies of the time of the corrections stand for it; None where both models were measured here.
    """

    run_id: str
    validation: Mapping[str, Fit]
    unigram_perplexity: float | None
    cases: tuple[Case, ...]
    objective: str = "replies"
    bigram_perplexity: float | None = None
    against: Mapping[str, PairedLosses] = field(default_factory=dict)
    pairs: tuple[Case, ...] = ()
    general: PairedLosses | None = None
    golden: tuple[Case, ...] = ()
    golden_problem: str | None = None
    left_out: int = 0
    safety: tuple[Screened, ...] = ()
    manners: Mapping[str, Manners] = field(default_factory=dict)
    labels: Labels | None = None
    compared_with: str | None = None

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Self:
        """Read the object of a ``report.json``, or what a database keeps of one."""
        sets = row.get("sets") or {}
        labels = row.get("labels")
        return cls(
            run_id=row.get("run_id", ""),
            validation={name: _known(Fit, figures) for name, figures in row.get("validation", {}).items() if figures},
            unigram_perplexity=row.get("unigram_perplexity"),
            cases=tuple(Case.from_json(case) for case in row.get("cases", ())),
            objective=row.get("objective", "replies"),
            bigram_perplexity=row.get("bigram_perplexity"),
            against=_against(row.get("losses") or {}),
            pairs=tuple(
                Case(**{"kind": "imported", "expected": "", "before": "", "after": "", **pair})
                for pair in row.get("pairs", ())
            ),
            general=_general(sets.get("general") or {}),
            golden=tuple(Case.from_json({"kind": "golden", **case}) for case in _cases(sets.get("golden"))),
            golden_problem=unpacked(problem) if (problem := (sets.get("golden") or {}).get("problem")) else None,
            left_out=(row.get("left_out") or {}).get("cases", 0),
            safety=tuple(
                Screened(
                    str(case.get("id")),
                    None if (before := case.get("before_findings", ())) is None else tuple(before),
                    tuple(case.get("after_findings") or ()),
                )
                for case in _cases(sets.get("safety"))
            ),
            manners={name: _known(Manners, counts) for name, counts in (row.get("sanity") or {}).items() if counts},
            labels=_labels(labels) if labels else None,
            compared_with=row.get("compared_with"),
        )


def _known(kind: type[Any], figures: Mapping[str, Any]) -> Any:
    """Of this kind, from its own keys; what else stands there is for readers of the file."""
    return kind(**{name: figures[name] for name in kind.__dataclass_fields__ if name in figures})


def _cases(measured: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    return list((measured or {}).get("cases", ()))


def _against(losses: Mapping[str, Any]) -> dict[str, PairedLosses]:
    after, tokens = losses.get("candidate"), losses.get("tokens")
    if not after or not tokens:
        return {}
    kinds = losses.get("kinds") or ()
    return {name: PairedLosses(losses[name], after, tokens, kinds) for name in ("baseline", "base") if losses.get(name)}


def _general(measured: Mapping[str, Any]) -> PairedLosses | None:
    if not measured.get("before") or not measured.get("after"):
        return None
    tokens = measured.get("tokens") or [1.0] * len(measured["after"])
    return PairedLosses(measured["before"], measured["after"], tokens)


def _labels(measured: Mapping[str, Any]) -> Labels:
    found = {
        name: _known(Labelled, {"macro_f1": 0.0, **one})
        for name in ("candidate", "yardstick", "majority")
        if (one := measured.get(name))
    }
    pairs = list(zip(measured.get("correct", ()), measured.get("yardstick_correct", ()), strict=False))
    return Labels(
        label=measured["label"],
        rows=measured["rows"],
        candidate=found["candidate"],
        yardstick=found.get("yardstick"),
        majority=found.get("majority"),
        only_candidate=sum(first > second for first, second in pairs) if pairs else None,
        only_yardstick=sum(first < second for first, second in pairs) if pairs else None,
    )
