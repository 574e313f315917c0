"""What may be claimed of a model that only its provider has: words to compare, no losses and no margins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from evaluated import kept, summary

from training.evaluation import markdown_report, pictures
from training.evaluation.composing import case_rows, golden_set, mean_scores, safety_set
from training.evaluation.evaluations import Verdict
from training.evaluation.gate import decide
from training.evaluation.measured import Report
from training.evaluation.provided import with_provider_fit
from training.evaluation.questions import Golden, SafetyQuestion
from training.evaluation.sanity import counts_of_texts
from training.evaluation.tables import tables

RECORDED = "No live model was asked: this compares with the replies as they were recorded."


def case(number: int, kind: str) -> dict[str, Any]:
    flagged = f"Wrong {number}." if kind == "correction" else None
    about = {"id": str(number), "kind": kind, "side": "train", "messages": [{"role": "user", "content": "Well?"}]}
    return {**about, "expected": f"Right {number}.", "flagged": flagged}


def report(corrections: int, endorsements: int, *, lost: int = 0, **changes: Any) -> dict[str, Any]:
    """All corrections fixed; of the endorsed replies so many lost."""
    asked = [case(number, "correction") for number in range(corrections)]
    asked += [case(100 + number, "endorsement") for number in range(endorsements)]
    before = [one["flagged"] or one["expected"] for one in asked]
    after = ["Something else." if place >= len(asked) - lost else one["expected"] for place, one in enumerate(asked)]
    cases = case_rows(asked, before, after)
    return {
        "run_id": "run-1",
        "compared_with": "recorded",
        "validation": {},
        "cases": cases,
        "pairs": [],
        "replies": {"before": mean_scores(cases, "before"), "candidate": mean_scores(cases, "after")},
        "sets": {},
        "sanity": {"before": counts_of_texts(before), "candidate": counts_of_texts(after)},
        "left_out": {"validation": 0, "cases": 0},
        **changes,
    }


@pytest.mark.parametrize("compared_with", ["live", "recorded"])
def test_flagged_replies_alone_are_never_better_however_many_are_fixed(compared_with: str) -> None:
    decision = decide(Report.from_json(report(200, 0, compared_with=compared_with)))
    assert decision.verdict is Verdict.CANNOT_TELL
    assert "flagged replies alone never show that a model beats production" in decision.sentence
    assert decision.sentence.endswith(RECORDED) is (compared_with == "recorded")


def test_with_enough_good_replies_kept_it_may_be_better_and_says_what_it_is_compared_with() -> None:
    assert decide(Report.from_json(report(40, 5))).verdict is Verdict.CANNOT_TELL
    decision = decide(Report.from_json(report(40, 30)))
    assert decision.verdict is Verdict.BETTER
    assert decision.sentence.endswith(RECORDED)
    assert decide(Report.from_json(report(40, 30, lost=15))).verdict is Verdict.WORSE


def test_a_rule_broken_beside_no_live_model_is_read_by_a_person_and_beside_one_is_harm() -> None:
    question = SafetyQuestion("rude", (), (), ("fool",))
    alone = {"safety": safety_set([question], [], None, ["You fool."])}
    beside = {"safety": safety_set([question], [], ["Hello."], ["You fool."])}
    decision = decide(Report.from_json(report(40, 30, sets=alone)))
    assert decision.verdict is Verdict.CANNOT_TELL
    assert "breaks a rule (said), and no live model was asked the same: read it" in decision.sentence
    assert decide(Report.from_json(report(40, 30, sets=beside, compared_with="live"))).verdict is Verdict.WORSE
    assert ("safety", "rude") in [row[:2] for row in tables(report(40, 30, sets=alone))[0].rows]


def test_golden_cases_that_no_live_model_was_asked_have_to_be_right_by_themselves() -> None:
    golden = Golden("1", (), "Yes.")
    right = {"golden": golden_set([golden], None, None, ["Yes."])}
    wrong = {"golden": golden_set([golden], None, None, ["No."])}
    assert decide(Report.from_json(report(40, 30, sets=right))).verdict is Verdict.BETTER
    decision = decide(Report.from_json(report(40, 30, sets=wrong)))
    assert decision.verdict is Verdict.CANNOT_TELL
    assert "0 of 1 golden cases are right, and no live model was asked the same" in decision.sentence


def test_replies_that_go_in_circles_are_seen_by_their_words_and_no_figure_is_made_up() -> None:
    counted = counts_of_texts(["You can do it " * 12, "", "Yes."])
    assert (counted["replies"], counted["empty"], counted["repetitive"]) == (3, 1, 1)
    assert (counted["stopped"], counted["mean_tokens"]) == (None, None)
    sick = report(40, 30) | {
        "sanity": {"before": counts_of_texts(["Yes."] * 70), "candidate": {**counted, "replies": 3}}
    }
    names = [look.name for look in decide(Report.from_json(sick)).looks]
    assert "repetitive" in names
    assert "stopped" not in names


def test_a_providers_own_validation_loss_is_labelled_as_such_and_compared_with_nothing() -> None:
    curve = [[1, 3.0, None, 0.0, None], [2, 2.0, 1.0, 0.0, None]]
    measured = with_provider_fit(report(4, 4), curve)
    (fits,) = [one for one in tables(measured) if one.headings[0] == "Validation"]
    assert fits.rows == [("tuned", "2.72 (as its provider says)", "")]
    assert Report.from_json(measured).validation["candidate"].source == "provider"
    assert pictures.losses(measured) == []
    assert with_provider_fit(report(4, 4), curve[:1])["validation"] == {}
    assert with_provider_fit(report(4, 4), [])["validation"] == {}
    here = {"validation": {}, "cases": []}  # of a backend that measures by itself
    assert with_provider_fit(here, curve) == here


def test_every_page_reads_such_a_report(tmp_path: Path) -> None:
    stored = kept(with_provider_fit(report(40, 30), [[1, 2.0, 1.0, 0.0, None]]))
    page = markdown_report.page(summary(stored))
    assert "as its provider says" in page
    assert "No live model was asked" in page
    drawn = pictures.evaluation(stored, tmp_path / "evaluation.png", "run-1")
    assert "40 of 40 corrections fixed" in drawn
