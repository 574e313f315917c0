"""What is read before a run is started, and what a dataset leaves out that was approved too early."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from builders import NOON, Team
from sqlmodel import col, select

from bot.blocks import training as blocks
from bot.sandbox import limits
from bot.speech import OWN_NAMES, Say
from curation.datasets import dataset, manifest
from curation.datasets.preparing import Options
from curation.findings import Finding, Severity
from curation.store.tables import Example
from training import orders
from training.planning import confirmations, plans
from training.planning.confirmations import Question
from training.planning.plans import Plan
from training.runs import RunStatus


def stocked(team: Team, *, counted: bool = True) -> None:
    team.approve("How long does the filter last?", "Six months.")
    team.approve("Is the jug safe in the dishwasher?", "The lid is not.")
    options = Options(counters=manifest.counters() if counted else ())
    dataset.freeze(team.store, team.olga, NOON, name="v1", options=options)


def planned(team: Team, model: str = "phi-4") -> Plan:
    with team.store.read() as session:
        order = orders.ordered(session, team.olga, dataset_name="v1", model=model)
        return plans.of_order(session, order, model=model)


def test_tokens_are_those_that_the_manifest_counted_for_the_models_family(team: Team) -> None:
    stocked(team)
    with team.store.read() as session:
        tokens = dataset.find(session, "v1").manifest["tokens"]
    assert planned(team).tokens == tokens["cl100k (tiktoken)"]["train"]
    assert planned(team, "phi-4-mini-instruct").tokens == tokens["o200k (tiktoken)"]["train"]
    assert planned(team, "someone/else").tokens is None


def test_what_nobody_counted_or_measured_is_unknown(team: Team) -> None:
    stocked(team, counted=False)
    plan = planned(team)
    assert (plan.tokens, plan.seconds, plan.paid) == (None, None, False)


def test_the_time_is_told_by_the_middle_pace_of_earlier_runs_from_the_same_base(team: Team) -> None:
    stocked(team)
    for pace in (10.0, 20.0, 90.0):
        with team.store.write() as session:
            run = orders.request(session, team.olga, NOON, dataset_name="v1", model="phi-4")
            run.status = RunStatus.COMPLETED.value
            run.progress = {"curve": [[1, 2.0, None, 1.0], [2, 1.0, None, pace]]}
    plan = planned(team)
    assert plan.tokens is not None
    assert plan.seconds == plan.tokens * plan.epochs / 20.0
    assert planned(team, "phi-4-mini-instruct").seconds is None


@pytest.mark.parametrize(
    ("model", "recipe", "needed"),
    [
        ("rehearsal", None, False),
        ("production", "rehearsal-tune", False),
        ("production", None, True),
        ("phi-4", None, True),
        ("phi-4", "phi-lora", True),
    ],
)
def test_everything_but_a_rehearsal_is_asked_about_twice(
    team: Team, model: str, recipe: str | None, needed: bool
) -> None:
    with team.store.read() as session:
        assert confirmations.needed(session, model=model, recipe=recipe) is needed


def test_what_was_approved_before_the_day_is_left_out_and_named(team: Team) -> None:
    team.approve("How long does the filter last?", "Six months.")
    team.approve("Is the jug safe in the dishwasher?", "The lid is not.")
    team.approve("Is it loud?", "No.")
    with team.store.write() as session:
        old = session.exec(select(Example).order_by(col(Example.id))).all()[0]
        old.approved_at = NOON - timedelta(days=9)
    options = Options(since=NOON - timedelta(days=1))
    version, _ = dataset.freeze(team.store, team.olga, NOON, name="late", options=options)
    assert version.manifest["rows"] == 2
    assert version.manifest["left_out"] == {"older": [old.id]}
    assert manifest.absences("late", version.manifest) == [
        "Left out: 1 example was approved before the day that was asked for."
    ]


@pytest.mark.parametrize("language", sorted(OWN_NAMES))
def test_the_question_and_the_forms_are_within_the_limits_in_every_language(team: Team, language: str) -> None:
    stocked(team)
    say, long = Say(language), "x" * 2_000
    finding = Finding("tokens.over_window", Severity.ERROR, long, long)
    plan = replace(planned(team), model=long, base=long, seconds=90_000.0, findings=(finding,) * 30)
    for question in (Question(plan, None, ()), Question(plan, 7, ())):
        limits.check_view(blocks.question_view(say, question), kind="modal")
    names = [f"v{number}" for number in range(150)]
    form = blocks.train_form(say, datasets=names, models=["phi-4"], recipes=["phi-lora"], place="T1/C1", dataset="v3")
    limits.check_view(form, kind="modal")
    limits.check_view(blocks.freeze_form(say, place="T1/C1", share=0.1), kind="modal")


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.2, "1 second"), (100, "100 seconds"), (600, "10 minutes"), (90_000, "25 hours")]
)
def test_a_time_is_told_in_the_unit_that_a_person_would_choose(seconds: float, said: str) -> None:
    assert blocks.duration(Say(), seconds) == said
