"""What the appraisals of two or three models come to: the object of ``report.json``.

Owns its keys. Knows no model and no torch; what the figures permit to claim is ``training.evaluation.gate``'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from training.evaluation import sanity
from training.evaluation.composing import case_rows, golden_set, mean_scores, safety_set

if TYPE_CHECKING:
    from training.backends.local.evaluating.appraisal import Appraisal
    from training.backends.local.evaluating.asked import Asked
    from training.backends.local.evaluating.generation import Drawn


def compose(asked: Asked, models: Mapping[str, Appraisal], before: Appraisal) -> dict[str, Any]:
    """The report without the run's id.

    Args:
        asked: what the models were asked.
        models: ``candidate``, ``base`` and, where one is in production, ``baseline``.
        before: the appraisal of the model to beat, which is the baseline's or the base's.
    """
    after = models["candidate"]
    cases = _cases(asked, before, after, models["base"])
    return {
        "validation": {name: _fit(one, after) for name, one in models.items()},
        **after.yardsticks,
        "losses": _losses(asked, models),
        "cases": cases,
        "pairs": _pairs(asked, before, after, models["base"]),
        "replies": {"before": mean_scores(cases, "before"), "candidate": mean_scores(cases, "after")},
        "sets": _sets(asked, before, after),
        "sanity": {"before": _sanity(before), "candidate": _sanity(after)},
        "left_out": {
            "validation": len(asked.validation) - len(after.validation),
            "cases": sum(not whole for whole in _both(before.cases, after.cases)),
        },
    }


def _fit(one: Appraisal, candidate: Appraisal) -> dict[str, Any]:
    fit = one.scores.fit
    return {
        "perplexity": fit.perplexity,
        "token_accuracy": fit.accuracy,
        "supervised_tokens": fit.tokens,
        "comparable": _comparable(one, candidate),
    }


def _comparable(one: Appraisal, other: Appraisal) -> bool:
    """Perplexity is per token: models with different tokenizers cannot be compared by it."""
    return one.validation == other.validation


def _losses(asked: Asked, models: Mapping[str, Appraisal]) -> dict[str, Any]:
    """Nats of each validation conversation under each model, the same conversations in the same order."""
    candidate = models["candidate"]
    nats = {name: list(one.scores.nats) for name, one in models.items() if _comparable(one, candidate)}
    kinds = [asked.validation[place].kind or "imported" for place in candidate.validation]
    return {**nats, "tokens": list(candidate.scores.tokens), "kinds": kinds}


def _cases(asked: Asked, before: Appraisal, after: Appraisal, base: Appraisal) -> list[dict[str, Any]]:
    """The cases that fit both models, with both replies."""
    margins = _margins(before, after, base)[: len(asked.cases)]
    return case_rows(asked.cases, _words(before.cases), _words(after.cases), margins)


def _pairs(asked: Asked, before: Appraisal, after: Appraisal, base: Appraisal) -> list[dict[str, Any]]:
    """The imported pairs that fit every model, without their words."""
    margins = _margins(before, after, base)[len(asked.cases) :]
    return [
        {"id": pair["id"], "side": pair["side"], "margins": found}
        for pair, found in zip(asked.pairs, margins, strict=True)
        if found is not None
    ]


def _margins(before: Appraisal, after: Appraisal, base: Appraisal) -> list[dict[str, float] | None]:
    return [
        {"before": first, "after": second, "base": third}
        if first is not None and second is not None and third is not None
        else None
        for first, second, third in zip(before.margins, after.margins, base.margins, strict=True)
    ]


def _sets(asked: Asked, before: Appraisal, after: Appraisal) -> dict[str, Any]:
    sets = {
        "golden": (asked.golden or asked.problem, _golden),
        "safety": (asked.safety, _safety),
        "general": (asked.general, _general),
    }
    return {name: measured(asked, before, after) for name, (asks, measured) in sets.items() if asks}


def _golden(asked: Asked, before: Appraisal, after: Appraisal) -> dict[str, Any]:
    return golden_set(asked.golden, asked.problem, _words(before.golden), _words(after.golden))


def _safety(asked: Asked, before: Appraisal, after: Appraisal) -> dict[str, Any]:
    return safety_set(asked.safety, asked.train, _words(before.safety), _words(after.safety))


def _words(drawn: Sequence[Drawn | None]) -> list[str | None]:
    return [None if one is None else one.text for one in drawn]


def _general(asked: Asked, before: Appraisal, after: Appraisal) -> dict[str, Any]:
    """Losses of the rows that both models see as the same tokens."""
    both = [place for place, row in after.general.items() if before.general.get(place) == row]
    nats = {
        name: dict(zip(one.general, one.general_scores.nats, strict=True))
        for name, one in (("before", before), ("after", after))
    }
    return {
        "rows": len(both),
        "left_out": len(asked.general) - len(both),
        **{name: [found[place] for place in both] for name, found in nats.items()},
        "tokens": [after.general[place].targets for place in both],
    }


def _sanity(one: Appraisal) -> dict[str, Any]:
    answered = [
        (reply, expected)
        for reply, expected in zip([*one.cases, *one.golden], one.expected, strict=True)
        if reply is not None
    ]
    return sanity.counts([reply for reply, _ in answered], [expected for _, expected in answered])


def _both(first: Sequence[object], second: Sequence[object]) -> list[bool]:
    return [one is not None and other is not None for one, other in zip(first, second, strict=True)]
