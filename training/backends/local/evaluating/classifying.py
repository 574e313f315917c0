"""How often a classifier is right, beside a yardstick that anybody could have.

Owns the ``labels`` table of a ``report.json``. The yardstick counts words (multinomial naive Bayes, add-one counts);
chance is the answer that the training side has most. A model worth its electricity beats both.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from curation.errors import Invalid
from curation.measures.diversity import words
from training.backends.base import EvaluationRequest
from training.backends.local import labels
from training.backends.local.chat import read_rows
from training.backends.local.tuning.classifier import LoadedClassifier, load_classifier
from training.evaluation import metrics
from training.particulars import Particulars, read_particulars

PARTICULARS = "particulars.jsonl"
"""Beside the files of a dataset's sides."""


def evaluate(request: EvaluationRequest) -> dict[str, Any]:
    """How the candidate labels the validation side.

    Returns:
        ``label`` and ``names``; ``rows``; ``left_out``: those whose label was not learned; for ``candidate``,
        ``yardstick`` and ``majority`` their ``accuracy`` and ``macro_f1``, of the candidate its ``confusion`` as well
        (a row for each true label); ``correct`` and ``yardstick_correct``: 1 or 0 for each row, in the same order.

    Raises:
        Invalid: no row of the validation side has a label that was learned.
    """
    return measured(load_classifier(request.here[0]), _known(request.train), request.train, request.validation)


def measured(
    classifier: LoadedClassifier, known: dict[int, Particulars], train: Path, validation: Path
) -> dict[str, Any]:
    """The same of a classifier that is loaded."""
    about = classifier.about
    learned, held_out = (labels.samples(about.label, read_rows(path), known) for path in (train, validation))
    rows = [sample for sample in held_out if sample.name in about.names]
    if not rows:
        raise Invalid(
            "{file} has no conversation with a {label} that was learned; add some and freeze again.",
            file=validation.name,
            label=about.label.value,
        )
    truth = [sample.name for sample in rows]
    answers = classifier.classify([sample.conversation for sample in rows])
    said = [found[0][0] if found else "" for found in answers]
    counted = naive_bayes(
        [(labels.text_of(about.label, one.conversation), one.name) for one in learned if one.name in about.names],
        [labels.text_of(about.label, one.conversation) for one in rows],
    )
    most = [Counter(one.name for one in learned).most_common(1)[0][0]] * len(rows)
    return {
        "label": about.label.value,
        "names": list(about.names),
        "rows": len(rows),
        "left_out": len(held_out) - len(rows),
        "candidate": {**_scores(truth, said), "confusion": metrics.confusion(truth, said, about.names)},
        "yardstick": _scores(truth, counted),
        "majority": _scores(truth, most),
        "correct": [int(one == other) for one, other in zip(truth, said, strict=True)],
        "yardstick_correct": [int(one == other) for one, other in zip(truth, counted, strict=True)],
    }


def naive_bayes(learned: Sequence[tuple[str, str]], asked: Sequence[str]) -> list[str]:
    """The most probable label of each text under a multinomial naive Bayes model with add-one counts.

    ``naive_bayes([("red apple", "fruit"), ("red car", "vehicle")], ["apple"])`` gives ``["fruit"]``.
    Manning, Raghavan and Schütze 2008, https://nlp.stanford.edu/IR-book, section 13.2.

    Args:
        learned: texts with their labels, at least one.
        asked: texts.
    """
    counts: dict[str, Counter[str]] = {}
    rows: Counter[str] = Counter()
    for text, name in learned:
        counts.setdefault(name, Counter()).update(words(text))
        rows[name] += 1
    vocabulary = max(1, len(set().union(*counts.values())))
    totals = {name: sum(held.values()) + vocabulary for name, held in counts.items()}

    def score(name: str, said: Counter[str]) -> float:
        held, total = counts[name], totals[name]
        return math.log(rows[name]) + sum(times * math.log((held[word] + 1) / total) for word, times in said.items())

    order = sorted(counts)
    return [max(order, key=lambda name: score(name, said)) for said in (Counter(words(text)) for text in asked)]


def _scores(truth: Sequence[str], said: Sequence[str]) -> dict[str, float]:
    return {"accuracy": metrics.accuracy(truth, said), "macro_f1": metrics.macro_f1(truth, said)}


def _known(train: Path) -> dict[int, Particulars]:
    path = train.with_name(PARTICULARS)
    return read_particulars(path) if path.is_file() else {}
