"""Fixed, kept, and what may be claimed from them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.conversation import Conversation
from curation.datasets.frozen import Item
from curation.datasets.split import Side
from curation.store.tables import Example
from training.backends.base import CurvePoint
from training.evaluation.cases import MOST_PAIRS, write_cases
from training.evaluation.evaluations import Case, Verdict, score
from training.evaluation.intervals import difference_of_shares, wilson_interval
from training.evaluation.measured import Report
from training.plots import loss_curve


def correction(before: str, after: str, expected: str = "right") -> Case:
    return Case("c", "correction", expected, before, after, flagged="wrong")


def endorsement(before: str, after: str, expected: str = "right") -> Case:
    return Case("e", "endorsement", expected, before, after)


FIXED = correction("wrong", "right")
UNFIXED = correction("wrong", "wrong")
KEPT = endorsement("right", "right")
LOST = endorsement("right", "wrong")


def test_a_correction_wrong_before_and_right_after_is_fixed() -> None:
    scores = score([FIXED, UNFIXED])
    assert (scores.fixed, scores.corrections) == (1, 2)


def test_a_correction_equal_to_what_the_model_already_said_is_never_fixed() -> None:
    scores = score([correction("right", "right")])
    assert (scores.fixed, scores.corrections, scores.already_right) == (0, 1, 1)


def test_a_correction_that_was_right_and_is_wrong_now_counts_as_lost() -> None:
    scores = score([correction("right", "wrong")])
    assert (scores.fixed, scores.lost, scores.lost_endorsements) == (0, 1, 0)


def test_an_endorsement_is_kept_only_if_it_was_there_before() -> None:
    scores = score([KEPT, LOST, endorsement("wrong", "right"), endorsement("wrong", "wrong")])
    assert (scores.kept, scores.endorsements, scores.gained, scores.lost) == (1, 4, 1, 1)


def test_how_wide_white_space_is_does_not_make_a_reply_wrong_but_where_it_stands_does() -> None:
    assert score([correction("wrong", " right\n")]).fixed == 1
    assert score([correction("wrong", "all  right", "all right")]).fixed == 1
    assert score([correction("wrong", "ri ght")]).fixed == 0


def test_a_name_that_was_redacted_before_training_is_no_mistake_of_the_model_that_still_says_it() -> None:
    wanted = "Moin, [NAME]! Schreib an [EMAIL]."
    assert endorsement("Moin, Till! Schreib a@b.example.", wanted, wanted).outcome == "gained"
    assert endorsement("Moin, Till! Schreib an a@b.example.", wanted, wanted).outcome == "kept"
    assert endorsement(wanted, "Moin, ! Schreib an a@b.example.", wanted).outcome == "lost"


def test_what_was_redacted_stands_for_one_stretch_of_one_line_and_for_no_more() -> None:
    assert endorsement("Hi A (B) [C]. Yes.", "Hi [NAME]. Yes.", "Hi [NAME]. Yes.").outcome == "kept"
    assert endorsement("Hi Ana.\nNo. Yes.", "Hi [NAME]. Yes.", "Hi [NAME]. Yes.").outcome == "gained"
    assert endorsement("Hi " + "x" * 81, "Hi [NAME]", "Hi [NAME]").outcome == "gained"
    assert endorsement("Hi [OTHER]", "Hi you", "Hi [OTHER]").outcome == "lost"


@pytest.mark.parametrize(
    # Newcombe 1998, table I: the Wilson interval of 81/263, 15/148 and 0/20.
    ("successes", "trials", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)],
)
def test_the_wilson_interval_agrees_with_the_published_table(
    successes: int, trials: int, low: float, high: float
) -> None:
    assert wilson_interval(successes, trials) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(0, 500), st.integers(1, 500))
def test_the_wilson_interval_holds_the_share_and_stays_inside_0_and_1(successes: int, extra: int) -> None:
    low, high = wilson_interval(successes, successes + extra)
    assert 0 <= low <= successes / (successes + extra) <= high <= 1


def test_the_interval_of_a_difference_of_shares_agrees_with_the_published_table() -> None:
    # Newcombe 1998, table II, example (a), method 10.
    assert difference_of_shares((56, 70), (48, 80)) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


def test_nothing_tried_says_nothing() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize("word", ["no_improvement", "untested"])
def test_verdicts_of_an_older_errata_are_read_as_cannot_tell(word: str) -> None:
    assert Verdict(word) is Verdict.CANNOT_TELL
    with pytest.raises(ValueError, match="excellent"):
        Verdict("excellent")


def test_a_report_is_read_from_its_json() -> None:
    figures = {"perplexity": 2.0, "token_accuracy": 0.8, "supervised_tokens": 10, "comparable": True}
    row = {
        "run_id": "run-1",
        "validation": {"candidate": figures, "base": {**figures, "perplexity": 90.0}},
        "unigram_perplexity": 40.0,
        "cases": [
            {
                "id": "1",
                "kind": "correction",
                "messages": [],
                "expected": "b",
                "flagged": "a",
                "before": "a",
                "after": "b",
            },
            {"id": "2", "kind": "endorsement", "messages": [], "expected": "b", "before": "b", "after": "b"},
        ],
    }
    report = Report.from_json(row)
    assert report.validation["base"].perplexity == 90.0
    assert [case.flagged for case in report.cases] == ["a", None]
    assert score(report.cases).as_json()["fixed"] == 1


def test_a_loss_curve_is_a_png_with_words_that_stand_in_for_it(tmp_path: Path) -> None:
    points = [CurvePoint(1, 6.5, None, 900.0), CurvePoint(5, 3.0, 3.5, 900.0), CurvePoint(9, 1.25, 2.0, 900.0)]
    words = loss_curve(points, tmp_path / "curve.png", "Run 7")
    assert words == (
        "Run 7: training loss from 6.50 at step 1 to 1.25 at step 9, "
        "validation loss from 3.50 to 2.00 (nats per supervised token)."
    )
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_a_curve_without_validation_says_nothing_about_it(tmp_path: Path) -> None:
    words = loss_curve([CurvePoint(1, 6.5, None, 900.0)], tmp_path / "curve.png", "Run 7")
    assert "validation" not in words


def row(key: int, kind: str, side: Side, rejected: str | None) -> Item:
    words = Conversation.from_json([{"role": "user", "content": f"Question {key}"}]).answered("Yes.")
    example = Example(id=key, kind=kind, digest="", source="", thread="", approved_by="")
    return Item(example, side, None, words, rejected, None, {"topic": None, "language": None}, None)


def test_imported_pairs_stand_behind_the_cases_those_held_out_first_and_not_all_of_them(tmp_path: Path) -> None:
    rows = [row(key, "imported", Side.TRAIN, "No.") for key in range(1, MOST_PAIRS + 1)]
    rows += [
        row(1001, "imported", Side.VALIDATION, "No."),
        row(1002, "imported", Side.VALIDATION, None),
        row(1003, "imported", Side.QUARANTINE, "No."),
        row(1004, "correction", Side.TRAIN, "No."),
    ]
    path = tmp_path / "cases.jsonl"
    assert write_cases(rows, {}, path) == MOST_PAIRS + 1
    first, second, third, *_ = (json.loads(line) for line in path.read_text().splitlines())
    assert [first["id"], second["id"], third["id"]] == ["1004", "1001", "1"]
    assert (second["kind"], second["side"], second["flagged"]) == ("imported", "validation", "No.")
