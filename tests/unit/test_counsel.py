"""Whether to tune: the source first, then what is missing, then Tune."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from curation.findings import Finding, Severity
from training.hyperparameters import Objective
from training.planning.counsel import Cure, Grounds, counsel

SOUND = Grounds(train=80, validation=10, corrections=30, pairs=30, facts=4, changing=1, left_out=2)


def test_a_sound_dataset_is_tuned_on() -> None:
    said = counsel(SOUND)
    assert said.cure is Cure.TUNE
    assert said.reason.startswith("90 examples, 10 of them held out and 30 of them corrections")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"changing": 20, "facts": 22}, "22 of 32 corrections are of facts that change"),
        ({"corrections": 4, "changing": 0, "facts": 0, "left_out": 9}, "9 of 13 corrections are of facts that change"),
        ({"facts": 20, "changing": 2}, "22 of 32 corrections are of facts; make sure"),
    ],
)
def test_facts_belong_in_the_source_whatever_else_is_true(changes: dict[str, Any], words: str) -> None:
    said = counsel(replace(SOUND, **changes))
    assert said.cure is Cure.FIX_THE_SOURCE
    assert words in said.reason
    few = counsel(replace(SOUND, train=2, validation=1, **changes))
    assert few.cure is Cure.FIX_THE_SOURCE


def test_a_classifier_needs_no_source() -> None:
    assert counsel(replace(SOUND, facts=30, changing=30), Objective.LABELS).cure is Cure.TUNE


@pytest.mark.parametrize(
    ("changes", "objective", "words"),
    [
        ({"train": 5, "validation": 1, "corrections": 1}, Objective.REPLIES, "6 examples are fewer than the 10"),
        ({"train": 30, "corrections": 10}, Objective.REPLIES, "40 examples are few; with 50 or more"),
        ({"validation": 3}, Objective.REPLIES, "3 rows are held out; with fewer than 4"),
        ({"corrections": 60}, Objective.REPLIES, "30 of 90 examples are good replies; with less than 50%"),
        ({"pairs": 9}, Objective.PREFERENCES, "9 corrections have the reply that was flagged"),
    ],
)
def test_what_is_missing_is_said(changes: dict[str, Any], objective: Objective, words: str) -> None:
    said = counsel(replace(SOUND, **changes), objective)
    assert said.cure is Cure.NOT_YET
    assert words in said.reason


def test_an_error_stands_in_the_way_and_a_warning_does_not() -> None:
    warning = Finding("balance.endorsements", Severity.WARNING, "Few.", "Approve more.")
    assert counsel(replace(SOUND, findings=(warning,))).cure is Cure.TUNE
    error = Finding("local.memory", Severity.ERROR, "Training needs about 40.0 GB.", "Take the recipe phi-mini-24gb.")
    said = counsel(replace(SOUND, findings=(warning, error)))
    assert (said.cure, said.reason) == (Cure.NOT_YET, f"{error.message} {error.fix}")
