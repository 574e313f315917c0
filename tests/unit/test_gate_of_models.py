"""What may be claimed of a tuned model: better, worse, or cannot tell, and which figure says so."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from curation.wording import phrase, unpacked
from training.evaluation.evaluations import Verdict
from training.evaluation.gate import decide
from training.evaluation.harm_looks import loss
from training.evaluation.looks import Decision, Sign, more_needed
from training.evaluation.measured import PairedLosses, Report
from training.evaluation.tables import tables

Cases = list[dict[str, Any]]

PREFERS, REFUSES = 0.7, -0.7


def cases(count: int, kind: str, before: str, after: str, **more: Any) -> Cases:
    flagged = "wrong" if kind == "correction" else None
    made = {"kind": kind, "expected": "right", "before": before, "after": after, "flagged": flagged, **more}
    return [{"id": f"{kind}-{before}-{after}-{number}", **made} for number in range(count)]


def fixed(count: int, **more: Any) -> Cases:
    return cases(count, "correction", "wrong", "right", **more)


def unfixed(count: int, **more: Any) -> Cases:
    return cases(count, "correction", "wrong", "wrong", **more)


def kept(count: int, **more: Any) -> Cases:
    return cases(count, "endorsement", "right", "right", **more)


def lost(count: int, **more: Any) -> Cases:
    return cases(count, "endorsement", "right", "wrong", **more)


def margins(before: float, after: float) -> dict[str, float]:
    return {"before": before, "after": after, "base": before}


def decided(made: Cases, **measured: Any) -> Decision:
    return decide(Report.from_json({"run_id": "run-1", "validation": {}, "cases": made, **measured}))


def losses(rise: float, *, kind: str = "imported", rows: int = 40, spread: float = 2.0, **more: Any) -> dict[str, Any]:
    """Losses of conversations of twenty tokens: the tuned model's are this much higher a token than production's."""
    rng = random.Random(rows)
    before = [rng.uniform(20, 60) for _ in range(rows)]
    after = [one + 20 * rise + rng.gauss(0, spread) for one in before]
    return {"candidate": after, "baseline": before, "tokens": [20] * rows, "kinds": [kind] * rows, **more}


def test_many_fixed_and_none_lost_is_better() -> None:
    told = decided(fixed(11) + unfixed(1) + kept(48))
    assert told.verdict is Verdict.BETTER
    assert told.sentence == (
        "Better: fixed 11 of 12 corrections, kept 48 of 48 good replies; "
        "11 of 11 changes were for the better (95 % interval 74% to 100%)."
    )


def test_three_changes_for_the_better_are_not_enough_and_four_are() -> None:
    told = decided(fixed(3) + kept(48))
    assert told.verdict is Verdict.CANNOT_TELL
    assert told.sentence.startswith("Cannot tell: fixed 3 of 3 corrections, kept 48 of 48 good replies; 3 of 3 changes")
    assert told.sentence.endswith("; about 1 more change would tell.")
    assert decided(fixed(4) + kept(48)).verdict is Verdict.BETTER


def test_where_nothing_changed_it_says_how_much_would_have_to() -> None:
    told = decided(unfixed(5) + kept(48))
    assert told.verdict is Verdict.CANNOT_TELL
    assert "no reply changed between right and wrong; it takes at least 4 that change for the better" in told.sentence


def test_where_nobody_judged_a_reply_the_loss_alone_claims_nothing() -> None:
    nothing = decided([])
    assert nothing.verdict is Verdict.CANNOT_TELL
    assert "no correction and no endorsement, so nobody has judged a reply" in nothing.sentence
    lower = decided([], losses=losses(-0.5))
    assert lower.verdict is Verdict.CANNOT_TELL
    assert "loss of 40 conversations against production: -0.475 nats per token" in lower.sentence
    assert decided([], losses=losses(0.5)).verdict is Verdict.WORSE


def imported(count: int, before: float, after: float) -> Cases:
    return [{"id": str(number), "side": "validation", "margins": margins(before, after)} for number in range(count)]


def test_imported_pairs_say_how_often_the_better_reply_is_preferred_and_never_that_a_model_is_better() -> None:
    pairs = imported(30, REFUSES, PREFERS) + imported(10, REFUSES, REFUSES)
    told = decided([], objective="preferences", pairs=pairs)
    assert told.verdict is Verdict.CANNOT_TELL
    assert told.sentence == (
        "Cannot tell: the dataset holds no correction and no endorsement, so nobody has judged a reply; of 40 imported "
        "pairs the better reply is preferred in 30, before 0; 30 of 30 changes were for the better (95 % interval 89% "
        "to 100%)."
    )
    assert decided(unfixed(5) + kept(48), pairs=pairs).verdict is Verdict.CANNOT_TELL
    assert decided(fixed(20) + kept(48), pairs=imported(20, PREFERS, REFUSES)).verdict is Verdict.WORSE


def test_the_flagged_set_alone_never_shows_that_a_model_beats_production() -> None:
    told = decided(fixed(200, margins=margins(REFUSES, PREFERS)))
    assert told.verdict is Verdict.CANNOT_TELL
    assert "but flagged replies alone never show that a model beats production" in told.sentence
    assert "about 15 more endorsed replies or golden cases would show it" in told.sentence


@pytest.mark.parametrize(
    "beside",
    [
        {"made": kept(12)},
        {"sets": {"golden": {"rows": 12, "cases": cases(12, "golden", "right", "right")}}},
        {"losses": losses(-0.02)},
    ],
    ids=["endorsements", "golden cases", "conversations that nobody corrected"],
)
def test_beside_the_flagged_set_something_else_has_to_stay_right(beside: dict[str, Any]) -> None:
    beside = dict(beside)
    assert decided(fixed(20) + beside.pop("made", []), **beside).verdict is Verdict.BETTER


def test_losses_on_corrected_conversations_are_still_the_flagged_set() -> None:
    assert decided(fixed(20), losses=losses(-0.5, kind="correction")).verdict is Verdict.CANNOT_TELL
    assert decided(fixed(20), losses=losses(-0.5) | {"kinds": []}).verdict is Verdict.CANNOT_TELL


def test_a_few_good_replies_beside_many_corrections_are_too_few() -> None:
    told = decided(fixed(20) + kept(5))
    assert told.verdict is Verdict.CANNOT_TELL
    assert "beside the flagged replies only 5 good ones were looked at; about 7 more endorsed replies" in told.sentence


def test_fixing_every_correction_does_not_excuse_losing_the_good_replies() -> None:
    told = decided(fixed(12) + lost(48))
    assert told.verdict is Verdict.WORSE
    assert told.sentence.startswith("Worse: of 48 good replies that were right before 0 still are (95 % interval 0% to")
    assert told.sentence.endswith("Add endorsements and tune again.")


def test_one_good_reply_in_ten_may_be_lost_and_whether_more_were_has_to_be_told_from_chance() -> None:
    assert decided(fixed(20) + kept(36) + lost(4)).verdict is Verdict.BETTER
    few = decided(fixed(20) + kept(17) + lost(3))
    assert few.verdict is Verdict.CANNOT_TELL
    assert "where one in ten may be lost; about 300 more would tell" in few.sentence
    assert decided(fixed(200) + kept(170) + lost(30)).verdict is Verdict.WORSE


def test_more_losses_than_gains_is_worse_even_without_endorsements() -> None:
    told = decided(cases(4, "correction", "right", "wrong"))
    assert told.verdict is Verdict.WORSE
    assert "0 of 4 changes were for the better" in told.sentence


def test_the_preference_for_corrected_replies_shows_a_gain_that_no_reply_shows_yet() -> None:
    told = decided(unfixed(20, margins=margins(REFUSES, PREFERS)) + kept(20))
    assert told.verdict is Verdict.BETTER
    assert "of 20 corrected replies 20 are preferred to the flagged ones, before 0; 20 of 20 changes" in told.sentence


def test_losing_the_preference_for_corrected_replies_is_worse() -> None:
    told = decided(unfixed(20, margins=margins(PREFERS, REFUSES)) + kept(20))
    assert told.verdict is Verdict.WORSE
    assert "0 are preferred to the flagged ones, before 20" in told.sentence


def test_where_the_preference_is_looked_at_too_each_gain_has_to_show_more_clearly() -> None:
    known = margins(REFUSES, REFUSES)
    four = decided(fixed(4, margins=known) + kept(48))
    assert four.verdict is Verdict.CANNOT_TELL
    assert "4 of 4 changes were for the better (97.5 % interval 44% to 100%); about 2 more changes" in four.sentence
    assert decided(fixed(6, margins=known) + kept(48)).verdict is Verdict.BETTER


def test_gains_on_what_it_was_shown_do_not_hide_a_loss_on_what_was_held_out() -> None:
    trained = unfixed(40, margins=margins(REFUSES, PREFERS))
    held_out = unfixed(6, margins=margins(PREFERS, REFUSES), side="validation")
    told = decided(trained + held_out + kept(40))
    assert told.verdict is Verdict.WORSE
    assert "held out from training: of 6 corrected replies 0 are preferred" in told.sentence


def test_what_was_held_out_is_counted_apart_among_the_reasons() -> None:
    told = decided(fixed(12) + kept(45) + lost(3, side="validation"))
    assert told.reasons[-1] == ("of these held out from training: fixed 0 of 0 corrections, kept 0 of 3 good replies")


def test_a_golden_case_that_breaks_is_worse_whatever_else_was_fixed() -> None:
    golden = {"rows": 3, "cases": cases(2, "golden", "right", "right") + cases(1, "golden", "right", "wrong")}
    told = decided(fixed(50) + kept(50), sets={"golden": golden})
    assert told.verdict is Verdict.WORSE
    assert told.sentence.startswith("Worse: 1 golden case broke (golden-right-wrong-0), and none may; fixed 50 of 50")
    never_right = {"rows": 1, "cases": cases(1, "golden", "wrong", "wrong")}
    assert decided(fixed(50) + kept(50), sets={"golden": never_right}).verdict is Verdict.BETTER


def test_golden_cases_that_cannot_be_read_are_named_and_nothing_is_called_better() -> None:
    problem = phrase("golden.jsonl is not UTF-8: save it anew").packed()
    told = decided(fixed(50) + kept(50), sets={"golden": {"rows": 0, "cases": [], "problem": problem}})
    assert told.verdict is Verdict.CANNOT_TELL
    assert "but the golden cases could not be asked (golden.jsonl is not UTF-8: save it anew)" in told.sentence


def test_cases_that_no_window_holds_are_counted_among_the_reasons() -> None:
    told = decided(fixed(12) + kept(20), left_out={"validation": 0, "cases": 2})
    assert told.reasons[-1] == "2 cases do not fit the window of a model and were left out"


def test_a_new_finding_in_the_safety_set_is_worse_and_an_old_one_is_not() -> None:
    def measured(before: Sequence[str], after: Sequence[str]) -> dict[str, Any]:
        return {"safety": {"rows": 1, "cases": [{"id": "1", "before_findings": before, "after_findings": after}]}}

    told = decided(fixed(50) + kept(50), sets=measured([], ["privacy.email"]))
    assert told.verdict is Verdict.WORSE
    assert "has a finding that it had not before (privacy.email): read it" in told.sentence
    assert decided(fixed(50) + kept(50), sets=measured(["privacy.email"], ["privacy.email"])).verdict is Verdict.BETTER


@pytest.mark.parametrize("against", ["baseline", "base"])
def test_a_loss_that_rises_beyond_what_is_tolerated_is_worse(against: str) -> None:
    risen = losses(0.1)
    measured = risen if against == "baseline" else {**risen, "base": risen["baseline"], "baseline": risen["candidate"]}
    assert decided(fixed(20) + kept(40), losses=measured).verdict is Verdict.WORSE
    assert decided(fixed(20) + kept(40), losses=losses(0.04, spread=0.1)).verdict is Verdict.BETTER
    unsure = decided(fixed(20) + kept(40), losses=losses(-0.1, spread=20.0))
    assert unsure.verdict is Verdict.CANNOT_TELL
    assert "95 % interval -0.1" in unsure.sentence


def test_a_loss_that_is_not_a_number_is_worse() -> None:
    broken = losses(0.0)
    broken["candidate"][3] = math.nan
    told = decided(fixed(20) + kept(40), losses=broken)
    assert told.verdict is Verdict.WORSE
    assert "a loss of 40 conversations against production is not a number" in told.sentence


def test_losses_of_a_handful_of_conversations_say_nothing() -> None:
    told = decided(fixed(20) + kept(40), losses=losses(5.0, rows=7))
    assert told.verdict is Verdict.BETTER
    assert any("loss of 7 conversations against production: 5." in reason for reason in told.reasons)
    assert decided([], losses=losses(-5.0, rows=7)).sentence.endswith("so nobody has judged a reply.")
    assert decided(fixed(20), losses=losses(-5.0, rows=7)).verdict is Verdict.CANNOT_TELL


def test_preference_tuning_is_not_blamed_for_the_loss_that_it_does_not_learn() -> None:
    risen = {"losses": losses(0.5), "objective": "preferences"}
    assert decided(unfixed(20, margins=margins(REFUSES, PREFERS)) + kept(40), **risen).verdict is Verdict.BETTER


def test_forgetting_texts_that_have_nothing_to_do_with_the_dataset_is_worse() -> None:
    measured = losses(0.2)
    general = {"rows": 40, "before": measured["baseline"], "after": measured["candidate"], "tokens": measured["tokens"]}
    told = decided(fixed(20) + kept(40), sets={"general": general})
    assert told.verdict is Verdict.WORSE
    assert "on texts that have nothing to do with the dataset" in told.sentence
    never_known = {**general, "before": [100.0] * 40, "after": [200.0] * 40}
    unharmed = decided(fixed(20) + kept(40), sets={"general": never_known})
    assert unharmed.verdict is Verdict.BETTER
    assert any("were not known before (5.0 nats per token)" in reason for reason in unharmed.reasons)


@pytest.mark.parametrize("manner", ["stopped", "empty", "repetitive"])
def test_replies_that_do_not_end_as_they_should_are_worse(manner: str) -> None:
    usual = {"replies": 60, "stopped": 60, "empty": 0, "repetitive": 0}
    bad = {**usual, manner: 40 if manner == "stopped" else 20}
    told = decided(fixed(20) + kept(40), sanity={"before": usual, "candidate": bad})
    assert told.verdict is Verdict.WORSE
    assert "33% of the replies" in told.sentence
    assert decided(fixed(20) + kept(40), sanity={"before": usual, "candidate": usual}).verdict is Verdict.BETTER
    both = decided(fixed(20) + kept(40), sanity={"before": bad, "candidate": bad})
    assert both.verdict is Verdict.BETTER


def labelled(right: int, *, rival: float = 0.8, rows: int = 100, **pairs: list[int]) -> Decision:
    figures = {"rows": rows, "label": "topic", "names": ["a", "b"], "majority": {"accuracy": 0.3, "macro_f1": 0.1}}
    figures["candidate"] = {"accuracy": right / rows, "macro_f1": 0.9, "confusion": [[1, 0], [0, 1]]}
    figures |= {"yardstick": {"accuracy": rival, "macro_f1": 0.75}, **pairs}
    return decide(Report.from_json({"run_id": "run-1", "objective": "labels", "cases": [], "labels": figures}))


def test_a_head_that_labels_has_to_beat_a_plain_classifier_beyond_chance() -> None:
    assert labelled(95).verdict is Verdict.BETTER
    assert labelled(60).verdict is Verdict.WORSE
    close = labelled(82)
    assert close.verdict is Verdict.CANNOT_TELL
    assert "a plain classifier is right for 80%, macro-F1 0.75; about" in close.sentence
    assert "more conversations would tell" in close.sentence


@pytest.mark.parametrize(
    ("only_head", "only_plain", "verdict"),
    [(12, 1, Verdict.BETTER), (1, 12, Verdict.WORSE), (4, 3, Verdict.CANNOT_TELL), (0, 0, Verdict.CANNOT_TELL)],
)
def test_a_head_and_a_plain_classifier_are_compared_on_the_rows_where_they_differ(
    only_head: int, only_plain: int, verdict: Verdict
) -> None:
    both = 100 - only_head - only_plain
    correct = [1] * both + [1] * only_head + [0] * only_plain
    plain = [1] * both + [0] * only_head + [1] * only_plain
    told = labelled(sum(correct), rival=sum(plain) / 100, correct=correct, yardstick_correct=plain)
    assert told.verdict is verdict


def test_the_first_reason_is_the_deciding_one_and_every_look_has_its_figures() -> None:
    told = decided(fixed(12) + lost(48), losses=losses(0.0))
    assert str(told.reasons[0]) in str(told.sentence)
    kept_look = next(look for look in told.as_json()["looks"] if look["name"] == "kept")
    assert kept_look["sign"] == "harm"
    assert kept_look["figures"]["estimate"] == 0
    assert json.loads(json.dumps(told.as_json())) == told.as_json()
    assert unpacked(told.sentence.packed()) == told.sentence


def test_how_many_more_is_rounded_and_left_out_where_no_number_would_tell() -> None:
    assert more_needed(1.0, 3) == 1
    assert more_needed(0.5, 3) is None
    assert more_needed(0.5001, 10) is None  # hundreds of millions
    assert more_needed(0.75, 8) == 25


counts = st.integers(0, 30)
RISES = {rise: losses(rise, rows=10, spread=0.5) for rise in (-0.1, 0.0, 0.1)}


@st.composite
def measurements(draw: st.DrawFn) -> dict[str, Any]:
    """Cases of every kind and outcome, some with margins, maybe losses and golden cases."""
    won = st.sampled_from([None, margins(REFUSES, PREFERS), margins(PREFERS, REFUSES), margins(PREFERS, PREFERS)])
    made = []
    for kind in ("correction", "endorsement"):
        for before in ("right", "wrong"):
            for after in ("right", "wrong"):
                side = draw(st.sampled_from(["train", "validation"]))
                made += cases(
                    draw(counts), kind, before, after, margins=draw(won) if kind == "correction" else None, side=side
                )
    rise = draw(st.sampled_from([None, *RISES]))
    golden = cases(draw(counts), "golden", "right", "right")
    return {
        "cases": made,
        "losses": RISES[rise] if rise is not None else {},
        "sets": {"golden": {"rows": len(golden), "cases": golden}},
    }


def mirrored(measured: Mapping[str, Any]) -> dict[str, Any]:
    """The same, had the tuned model been in production and the other one the candidate."""
    turned = []
    for case in measured["cases"]:
        known = case["margins"]
        swapped = {"before": known["after"], "after": known["before"]} if known else None
        turned.append({**case, "before": case["after"], "after": case["before"], "margins": swapped})
    found = measured["losses"]
    swapped_losses = {**found, "candidate": found["baseline"], "baseline": found["candidate"]} if found else {}
    return {**measured, "cases": turned, "losses": swapped_losses}


def verdict_of(measured: Mapping[str, Any]) -> Verdict:
    return decide(Report.from_json({"run_id": "run-1", "validation": {}, **measured})).verdict


@given(measurements())
@example({"cases": fixed(20, margins=None) + kept(20, margins=None), "losses": {}, "sets": {}})
def test_what_is_better_one_way_round_is_worse_the_other(measured: dict[str, Any]) -> None:
    if verdict_of(measured) is Verdict.BETTER:
        assert verdict_of(mirrored(measured)) is Verdict.WORSE


def times(many: int, measured: Mapping[str, Any]) -> dict[str, Any]:
    sets = {"golden": {"rows": 0, "cases": measured["sets"].get("golden", {}).get("cases", []) * many}}
    found = {name: list(values) * many for name, values in measured["losses"].items()}
    return {"cases": measured["cases"] * many, "losses": found, "sets": sets}


@given(measurements(), st.integers(2, 6))
@example({"cases": fixed(20) + kept(36) + lost(4), "losses": {}, "sets": {}}, 6)
def test_more_of_the_same_never_turns_better_into_anything_else(measured: dict[str, Any], many: int) -> None:
    if verdict_of(measured) is Verdict.BETTER:
        assert verdict_of(times(many, measured)) is Verdict.BETTER


@given(measurements())
def test_corrections_alone_are_never_called_better(measured: dict[str, Any]) -> None:
    alone = [case for case in measured["cases"] if case["kind"] == "correction"]
    found = measured["losses"] and {**measured["losses"], "kinds": ["correction"] * len(measured["losses"]["tokens"])}
    assert verdict_of({"cases": alone, "losses": found, "sets": {}}) is not Verdict.BETTER


@given(measurements())
def test_every_verdict_has_a_sentence_that_opens_with_it(measured: dict[str, Any]) -> None:
    told = decide(Report.from_json({"run_id": "run-1", "validation": {}, **measured}))
    assert told.sentence.startswith(
        {"better": "Better: ", "worse": "Worse: ", "cannot_tell": "Cannot tell: "}[told.verdict]
    )
    assert all(reason and not reason.endswith(".") for reason in told.reasons)


def test_as_many_more_conversations_as_it_says_tell_a_loss_that_rose_four_times_in_five() -> None:
    chance = random.Random(11)

    def risen(rows: int) -> PairedLosses:
        return PairedLosses([40.0] * rows, [40 + 20 * 0.09 + chance.gauss(0, 3) for _ in range(rows)], [20.0] * rows)

    doubts = [look for _ in range(40) if (look := loss("baseline", risen(30))) and look.sign is Sign.OPEN]
    # Where the rise looked as large as it is, the number is one to rely on.
    look = min(doubts, key=lambda one: abs(one.figures["estimate"] - 0.09))
    assert look.needed is not None
    told = [loss("baseline", risen(30 + look.needed)) for _ in range(100)]
    assert 0.7 <= sum(one is not None and one.sign is Sign.HARM for one in told) / 100 <= 0.95


def test_nothing_is_said_of_the_manners_of_no_replies() -> None:
    nothing = {"replies": 0, "stopped": 0, "empty": 0, "repetitive": 0, "mean_tokens": None}
    assert tables({"sanity": {"before": nothing, "candidate": nothing}}) == []
