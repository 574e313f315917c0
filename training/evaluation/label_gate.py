"""The gate of a head that labels: better, worse, or cannot tell, beside the plain rivals on the same rows.

Owns that decision. Pure. It rests on accuracy, which has an interval; macro-F1 stands beside it.
"""

from __future__ import annotations

from curation.wording import Phrase, called, phrase, plural
from training.evaluation.evaluations import Verdict
from training.evaluation.intervals import wilson_interval
from training.evaluation.looks import LEVEL, Decision, Look, Sign, more_needed
from training.evaluation.measured import Labelled, Labels
from training.hyperparameters import Label


def decide_labels(labels: Labels) -> Decision:
    """Better than the best of the plain rivals, beyond chance, on the rows of the validation side.

    Beside the yardstick the rows on which the two differ are asked, as McNemar's test does; the most frequent label
    has only its share.
    """
    rivals = [one for one in (labels.yardstick, labels.majority) if one is not None]
    told = _told(labels)
    if not rivals or not labels.rows:
        sentence = phrase("Cannot tell: {told}; nothing to compare with.", told=told)
        return Decision(Verdict.CANNOT_TELL, sentence, (told,), (Look("labels", Sign.OPEN, told, labels.rows),))
    rival = max(rivals, key=lambda one: one.accuracy)
    told = phrase(
        "{told}; a plain classifier is right for {rival:.0%}, macro-F1 {macro:.2f}"
        if rival is labels.yardstick
        else "{told}; always the most frequent label is right for {rival:.0%}, macro-F1 {macro:.2f}",
        told=told,
        rival=rival.accuracy,
        macro=rival.macro_f1,
    )
    look = _compared(labels, rival, told)
    if look.sign is Sign.GAIN:
        return Decision(Verdict.BETTER, phrase("Better: {told}.", told=told), (told,), (look,))
    if look.sign is Sign.HARM:
        return Decision(Verdict.WORSE, phrase("Worse: {told}.", told=told), (told,), (look,))
    more = (
        phrase("more of the same would not tell")
        if look.needed is None
        else plural(
            "about {count:,} more conversation would tell", "about {count:,} more conversations would tell", look.needed
        )
    )
    sentence = phrase("Cannot tell: {told}; {more}.", told=told, more=more)
    return Decision(Verdict.CANNOT_TELL, sentence, (told,), (look,))


def _compared(labels: Labels, rival: Labelled, told: Phrase) -> Look:
    """Paired where the rows are known, else the rival's share against the interval of the head's."""
    share, target, seen = labels.candidate.accuracy, rival.accuracy, labels.rows
    low, high = wilson_interval(_right(labels), labels.rows)
    per_row = 1.0
    if rival is labels.yardstick and labels.only_candidate is not None and labels.only_yardstick is not None:
        seen, target = labels.only_candidate + labels.only_yardstick, 0.5
        share = labels.only_candidate / seen if seen else 0.5
        low, high = wilson_interval(labels.only_candidate, seen)
        per_row = labels.rows / seen if seen else 1.0
    figures = {"estimate": share, "low": low, "high": high, "target": target}
    if low > target:
        return Look("labels", Sign.GAIN, told, labels.rows, None, figures)
    if high < target:
        return Look("labels", Sign.HARM, told, labels.rows, None, figures)
    needed = more_needed(share, seen, target=target, per=per_row)
    return Look("labels", Sign.OPEN, told, labels.rows, needed, figures)


def _told(labels: Labels) -> Phrase:
    low, high = wilson_interval(_right(labels), labels.rows)
    return phrase(
        "{label} is right for {right:,} of {rows:,} conversations ({level:g} % interval {low:.0%} to {high:.0%}), "
        "macro-F1 {macro:.2f}",
        label=called(Label(labels.label)),
        right=_right(labels),
        rows=labels.rows,
        level=100 * LEVEL,
        low=low,
        high=high,
        macro=labels.candidate.macro_f1,
    )


def _right(labels: Labels) -> int:
    return round(labels.candidate.accuracy * labels.rows)
