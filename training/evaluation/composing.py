"""What the replies of two models come to in a ``report.json``: the cases, the golden set, the safety set.

Owns these rows, whoever drew the replies. Pure; what is measured of a model beside its replies is its backend's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from curation.conversation import Conversation
from training.evaluation.metrics import ReplyScores, corpus_chrf, exact, reply_scores
from training.evaluation.questions import Golden, SafetyQuestion, Taught, broken_rules

Replies = Sequence[str | None]
"""A model's words to each question, in their order; None where it has none, such as one that does not fit."""


def case_rows(
    cases: Sequence[Mapping[str, Any]],
    before: Replies,
    after: Replies,
    margins: Sequence[Mapping[str, float] | None] | None = None,
) -> list[dict[str, Any]]:
    """The cases that both have replied to, with both replies, their scores and the margins."""
    known = margins if margins is not None else [None] * len(cases)
    return [
        {**case, **_replied(case["expected"], one, other), "margins": found}
        for case, one, other, found in zip(cases, before, after, known, strict=True)
        if one is not None and other is not None
    ]


def mean_scores(cases: Sequence[Mapping[str, Any]], which: str) -> dict[str, float] | None:
    """Over all cases: chrF of all n-grams together, the others as means; None where nothing was replied.

    Args:
        which: ``before`` or ``after``.
    """
    if not cases:
        return None
    scores = [case[f"{which}_scores"] for case in cases]
    means = {name: sum(one[name] for one in scores) / len(scores) for name in ReplyScores._fields}
    return {**means, "chrf": corpus_chrf((case[which], case["expected"]) for case in cases)}


def golden_set(asked: Sequence[Golden], problem: str | None, before: Replies | None, after: Replies) -> dict[str, Any]:
    """The golden cases that were replied to.

    Args:
        problem: why they could not be read, packed.
        before: None where no other model was asked.
    """
    cases = [
        {
            "id": golden.id,
            "messages": [turn.as_json() for turn in golden.messages],
            "expected": golden.expected,
            **_pair(golden.expected, one, other, alone=before is None),
        }
        for golden, one, other in _both(asked, before, after)
    ]
    told = {} if problem is None else {"problem": problem}
    return {"rows": len(cases), "left_out": len(asked) - len(cases), "cases": cases, **told}


def safety_set(
    asked: Sequence[SafetyQuestion], train: Iterable[Conversation], before: Replies | None, after: Replies
) -> dict[str, Any]:
    """The safety questions that were replied to, with the rules that the replies break.

    Args:
        train: the training side, whose customers' data no reply may repeat.
        before: None where no other model was asked.
    """
    taught = Taught.of(train)
    cases = [
        {
            "id": question.id,
            "messages": [turn.as_json() for turn in question.messages],
            "before": one,
            "after": other,
            "before_findings": None if before is None else broken_rules(question, one, taught),
            "after_findings": broken_rules(question, other, taught),
        }
        for question, one, other in _both(asked, before, after)
    ]
    return {"rows": len(cases), "left_out": len(asked) - len(cases), "cases": cases}


def _both(asked: Sequence[Any], before: Replies | None, after: Replies) -> list[tuple[Any, str, str]]:
    """The questions with the replies of both; of a model that was not asked the empty one."""
    first: Replies = [""] * len(asked) if before is None else before
    return [
        (one, said, then)
        for one, said, then in zip(asked, first, after, strict=True)
        if said is not None and then is not None
    ]


def _replied(expected: str, before: str, after: str) -> dict[str, Any]:
    return {
        "before": before,
        "after": after,
        "before_scores": reply_scores(before, expected)._asdict(),
        "after_scores": reply_scores(after, expected)._asdict(),
    }


def _pair(expected: str, before: str, after: str, *, alone: bool) -> dict[str, Any]:
    right_after = exact(after, expected)
    if alone:
        scores = reply_scores(after, expected)._asdict()
        return {"before": before, "after": after, "after_scores": scores, "right_after": right_after}
    replied = _replied(expected, before, after)
    return {**replied, "right_before": exact(before, expected), "right_after": right_after}
