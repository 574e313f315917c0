"""The gate: what may be claimed of a tuned model against the one before: better, worse, or cannot tell.

Owns how the answers of the looks (``evaluation.looks``) come to one verdict and one sentence. Pure. It informs: whether
a model is deployed is a person's decision.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from curation.datasets.split import Side
from curation.wording import Phrase, phrase, plural
from training.evaluation.evaluations import Case, Scores, Verdict, score
from training.evaluation.harm_looks import MANNERS, forgetting, loss, manners, safety
from training.evaluation.intervals import wilson_interval
from training.evaluation.judged_looks import HELD_OUT, IMPORTED, changes, golden, kept, wins
from training.evaluation.label_gate import decide_labels
from training.evaluation.looks import LEAST_KEPT, LEVEL, SURELY_KEPT, TOLERATED_RISE, Decision, Look, Sign, more_needed
from training.evaluation.measured import RECORDED, PairedLosses, Report

_PREFERENCES = "preferences"


def decide(report: Report) -> Decision:
    """What these measurements permit to say.

    *Worse* where one look shows harm beyond chance and beyond what is tolerated: a new finding in the safety set, a
    golden case that broke, fewer than nine in ten good replies kept, more changes for the worse than for the better
    (of replies, or of the preference for corrected replies, also among those held out from training), a loss that
    rose, replies that do not stop.

    *Better* where replies that people judged changed for the better beyond chance, or the preference for corrected
    ones did, and no look points to harm, and something beside the flagged replies was looked at: enough good replies
    or golden cases that stayed right, or held-out conversations that nobody corrected, whose loss did not rise. The
    flagged set alone never shows that a model beats production: it was chosen for being wrong, so it can only gain.

    *Cannot tell* otherwise, with what is missing and about how much of it.

    Every interval is one of 95 %. Where two kinds of gain are looked for, each has to show at 97.5 %, so that looking
    twice does not find twice as much (Bonferroni). Harm is not corrected for the number of looks: a false alarm costs
    a second look, and a harm that is overlooked costs customers.
    """
    if report.labels is not None:
        return decide_labels(report.labels)
    looks = tuple(_looks(report))
    counts = score(report.cases)
    counted = _counted(counts)
    harm = next((look for look in looks if look.sign is Sign.HARM), None)
    if harm is not None:
        return _decided(Verdict.WORSE, _worse(harm, counted), harm, looks, report)
    gain = next((look for look in looks if look.sign is Sign.GAIN), None)
    doubt = next((look for look in looks if look.sign is Sign.OPEN), None)
    if counted is None:
        telling = (look for name in (IMPORTED, "loss_") for look in looks if look.name.startswith(name))
        deciding = next((look for look in telling if look.figures), None)
        nobody = phrase("the dataset holds no correction and no endorsement, so nobody has judged a reply")
        sentence = (
            phrase("Cannot tell: {nobody}.", nobody=nobody)
            if deciding is None
            else phrase("Cannot tell: {nobody}; {told}.", nobody=nobody, told=deciding.told)
        )
        return _decided(Verdict.CANNOT_TELL, sentence, deciding, looks, report)
    if gain is None:
        deciding = next(look for look in looks if look.name == "changes")
        sentence = phrase("Cannot tell: {counted}; {told}.", counted=counted, told=deciding.told)
        return _decided(Verdict.CANNOT_TELL, sentence, deciding, looks, report)
    if doubt is not None:
        sentence = phrase(
            "Cannot tell: {counted}; {gain}, but {doubt}.", counted=counted, gain=gain.told, doubt=doubt.told
        )
        return _decided(Verdict.CANNOT_TELL, sentence, doubt, looks, report)
    return _decided(
        Verdict.BETTER, phrase("Better: {counted}; {told}.", counted=counted, told=gain.told), gain, looks, report
    )


def _looks(report: Report) -> Iterator[Look]:
    """Every look that there is something for, the gravest first."""
    cases = report.cases
    held_out = [case for case in cases if case.side == Side.VALIDATION.value]
    paired = wins(cases) is not None
    level = 1 - (1 - LEVEL) / (2 if paired else 1)
    alone = report.compared_with == RECORDED
    asked = [safety(report.safety), golden(report.golden, report.golden_problem, alone=alone), kept(cases)]
    asked += [changes(cases, level), wins(cases, level)] if cases else []
    if 0 < len(held_out) < len(cases):
        asked.append(_harm_only(wins(held_out, name=HELD_OUT)))
    # Nobody here has judged an imported pair: it may show harm, and adds no gain.
    asked.append(_harm_only(wins(report.pairs, name=IMPORTED)))
    # Preference tuning widens a margin, often by making both replies less probable: there the margins decide.
    if report.objective != _PREFERENCES:
        asked += _losses(report.against)
    asked += [forgetting(report.general)] if report.general is not None else []
    yield from (look for look in asked if look is not None)
    if {"before", "candidate"} <= report.manners.keys():
        yield from manners(report.manners["before"], report.manners["candidate"])
    if cases:
        yield _beside_the_flagged(report)


def _losses(against: Mapping[str, PairedLosses]) -> Iterator[Look | None]:
    """Against production, and against the base where that is another model."""
    production, base = against.get("baseline"), against.get("base")
    if production is not None:
        yield loss("baseline", production)
    if base is not None and (production is None or list(base.before) != list(production.before)):
        yield loss("base", base)


def _harm_only(look: Look | None) -> Look | None:
    """A look at a part of what another one looks at: it may show harm, and adds no gain of its own."""
    if look is None or look.sign is not Sign.GAIN:
        return look
    return Look(look.name, Sign.CLEAR, look.told, look.rows, None, look.figures)


def _beside_the_flagged(report: Report) -> Look:
    """Was enough looked at that nobody flagged, and did it stay right?"""
    counts = score(report.cases)
    golden_right = [case for case in report.golden if case.right_before]
    good = counts.kept + counts.lost_endorsements + len(golden_right)
    right = counts.kept + sum(case.right_after for case in golden_right)
    low, _ = wilson_interval(right, good)
    told = phrase("{right:,} of {good:,} replies that nobody flagged stayed right", right=right, good=good)
    if right < LEAST_KEPT * good:
        return Look("beside", Sign.OPEN, told, good)
    if good and low >= SURELY_KEPT:
        return Look("beside", Sign.CLEAR, told, good)
    against = report.against.get("baseline") or report.against.get("base")
    others = loss("others", against.but_corrections()) if against is not None else None
    if others is not None and others.sign is Sign.CLEAR and others.figures.get("high", math.inf) <= TOLERATED_RISE:
        return Look("beside", Sign.CLEAR, others.told, others.rows, None, others.figures)
    # Of as many as this, all right, the lower end of the interval is SURELY_KEPT.
    enough = more_needed(1.0, good, target=SURELY_KEPT)
    wanted = plural(
        "about {count:,} more endorsed reply or golden case would show it",
        "about {count:,} more endorsed replies or golden cases would show it",
        enough or 1,
    )
    thin = (
        phrase("beside the flagged replies only {good:,} good ones were looked at; {wanted}", good=good, wanted=wanted)
        if good
        else phrase("flagged replies alone never show that a model beats production; {wanted}", wanted=wanted)
    )
    return Look("beside", Sign.OPEN, thin, good, enough)


def _counted(counts: Scores) -> Phrase | None:
    """What was fixed and kept; None where nobody judged a reply."""
    if not counts.corrections and not counts.endorsements:
        return None
    return phrase(
        "fixed {fixed} of {corrections} corrections, kept {kept} of {endorsements} good replies",
        fixed=counts.fixed,
        corrections=counts.corrections,
        kept=counts.kept,
        endorsements=counts.endorsements,
    )


def _worse(harm: Look, counted: Phrase | None) -> Phrase:
    if counted is None:
        return phrase("Worse: {told}. Keep the model in production.", told=harm.told)
    if harm.name == "kept":
        return phrase("Worse: {told}; {counted}. Add endorsements and tune again.", told=harm.told, counted=counted)
    return phrase("Worse: {told}; {counted}. Keep the model in production.", told=harm.told, counted=counted)


def _decided(verdict: Verdict, sentence: Phrase, first: Look | None, looks: Sequence[Look], report: Report) -> Decision:
    # Where enough was looked at beside the flagged replies, the other reasons say so already; and good manners go
    # without saying.
    said = [look for look in looks if look.name not in {"beside", *MANNERS} or look.sign is not Sign.CLEAR]
    reasons = [look.told for look in sorted(said, key=lambda look: look is not first)]
    held_out = [case for case in report.cases if case.side == Side.VALIDATION.value]
    if 0 < len(held_out) < len(report.cases):
        reasons.append(_of_held_out(held_out))
    if report.left_out and report.compared_with is not None:
        reasons.append(
            plural(
                "{count:,} case got no reply and was left out",
                "{count:,} cases got no reply and were left out",
                report.left_out,
            )
        )
    elif report.left_out:
        reasons.append(
            plural(
                "{count:,} case does not fit the window of a model and was left out",
                "{count:,} cases do not fit the window of a model and were left out",
                report.left_out,
            )
        )
    if report.compared_with == RECORDED:
        sentence = phrase(
            "{sentence} No live model was asked: this compares with the replies as they were recorded.",
            sentence=sentence,
        )
    return Decision(verdict, sentence, tuple(reasons), tuple(looks))


def _of_held_out(cases: Sequence[Case]) -> Phrase:
    counted = _counted(score(cases))
    return phrase("of these held out from training: {counted}", counted=counted or "–")
