"""What the terminal says of a run: nothing empty, nothing twice, and a next step that the verdict permits."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from builders import NOON, new_team

from bot.entry import Entry
from curation import examples
from curation.conversation import Conversation, Message, Role
from curation.datasets import dataset
from curation.formats.jsonl import Row
from training.backends.base import CurvePoint
from training.commands.reports import headline, next_step, show_deployment, show_evaluation, show_run, show_runs
from training.evaluation.cases import probe_question
from training.summaries import RunSummary

FIT = {"perplexity": 9.0, "token_accuracy": 0.5, "supervised_tokens": 100, "comparable": True}
CASE = {
    "id": "1",
    "kind": "correction",
    "side": "validation",
    "messages": [{"role": "user", "content": "Price?"}],
    "expected": "9 euros.",
    "flagged": "Free.",
    "before": "Free.",
    "after": "9 euros.",
}
SCORES = {"fixed": 4, "corrections": 5, "kept": 2, "endorsements": 3}


def report(**changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "sentence": "Better: fixed 4 of 5 corrections, kept 2 of 3 good replies.",
        "scores": SCORES,
        "held_out": {"fixed": 1, "corrections": 2, "kept": 0, "endorsements": 1},
        "validation": {"candidate": {**FIT, "perplexity": 2.0}, "base": FIT},
        "unigram_perplexity": 40.0,
        "cases": [CASE],
    }
    return {**made, **changes}


def run(**changes: Any) -> RunSummary:
    made: dict[str, Any] = {
        "id": "run-1",
        "status": "completed",
        "reason": None,
        "dataset": "v1",
        "backend": "local",
        "model": "rehearsal",
        "recipe": "rehearsal",
        "requested_by": "Olga",
        "requested_at": NOON.isoformat(),
        "started_at": None,
        "ended_at": None,
        "step": 2,
        "steps": 2,
        "eta_seconds": None,
        "notes": (),
        "curve": (CurvePoint(1, 2.0, None, 10.0),),
        "verdict": "better",
        "report": report(),
        "deployment": None,
        "endpoint": None,
        "test_question": None,
        "test_reply": None,
        "deployment_reason": None,
    }
    return RunSummary(**{**made, **changes})


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The evaluation of a run with these changes, as printed."""

    def show(**changes: Any) -> str:
        show_evaluation(Entry({}, debug=False), run(**changes))
        return capsys.readouterr().out

    return show


def words(line: str) -> str:
    return " ".join(line.split())


def test_an_evaluation_shows_what_was_held_out_beside_the_whole(shown: Callable[..., str]) -> None:
    lines = [words(line) for line in shown().splitlines()]
    assert "all 4 of 5 2 of 3" in lines
    assert "held out 1 of 2 0 of 1" in lines
    assert "1 correction validation fixed Price? 9 euros. Free. 9 euros." in lines


def test_without_cases_there_is_a_sentence_in_place_of_an_empty_table(shown: Callable[..., str]) -> None:
    out = shown(verdict="cannot_tell", report=report(cases=[]))
    assert "No cases: imported rows" in out
    assert "held out" not in out
    assert "Wanted" not in out


def test_production_has_a_row_only_where_it_is_known_and_shares_it_with_the_base_it_is(
    shown: Callable[..., str],
) -> None:
    assert "production" not in shown()
    validation = report()["validation"]
    out = shown(report=report(validation={**validation, "baseline": FIT}))
    assert [words(line) for line in out.splitlines() if "production" in line] == ["production, the base 9.00 50.0%"]
    assert not any(line.startswith("base") for line in out.splitlines())
    other = shown(report=report(validation={**validation, "baseline": {**FIT, "perplexity": 8.0}}))
    assert [line.split()[0] for line in other.splitlines() if "50.0%" in line] == ["tuned", "production", "base"]


@pytest.mark.parametrize(("verdict", "deploys"), [("better", True), ("cannot_tell", False), ("worse", False)])
def test_deploying_is_the_next_step_only_of_what_proved_better(
    shown: Callable[..., str], verdict: str, *, deploys: bool
) -> None:
    last = shown(verdict=verdict).splitlines()[-1]
    assert (last == "Next: errata deploy run-1") is deploys
    assert ("freeze" in last) is not deploys
    assert "evaluate" not in last
    assert ("errata deploy run-1" in last) is (verdict != "worse")
    assert ("errata deploy" in next_step(run(verdict=verdict))) is deploys


def test_a_run_says_how_fast_it_trained_and_how_much_memory_it_took(capsys: pytest.CaptureFixture[str]) -> None:
    curve = (CurvePoint(1, 2.0, 2.5, 900.0, 3_200_000_000), CurvePoint(2, 1.0, None, 1234.4, 2_000_000_000))
    show_run(Entry({}, debug=False), run(curve=curve))
    told = {words(line) for line in capsys.readouterr().out.splitlines()}
    assert {"effort 1,234 tokens/s, 3.2 GB", "loss 2.000 at first, 1.000 at step 2, validation 2.500"} <= told
    for unknown in ((), (CurvePoint(1, 2.0, None, 0.0),)):
        show_run(Entry({}, debug=False), run(curve=unknown))
        assert "effort" not in capsys.readouterr().out


@pytest.mark.parametrize(("status", "command"), [("failed", "run logs"), ("cancelled", "run resume")])
def test_a_run_that_stopped_says_how_it_goes_on(status: str, command: str) -> None:
    said = next_step(run(status=status))
    assert said.startswith(f"errata {command} run-1")
    assert "errata run resume run-1" in said


def test_a_reason_stands_once_behind_the_status() -> None:
    assert headline(run()) == "run-1: completed"
    assert headline(run(status="failed", reason="The disk is full.")) == "run-1 failed: The disk is full."


def test_the_example_of_a_deployment_carries_the_whole_conversation(capsys: pytest.CaptureFixture[str]) -> None:
    question = Conversation((Message(Role.SYSTEM, "It's you."), Message(Role.USER, "Price?", name="ana")))
    live = run(deployment="live", endpoint="http://127.0.0.1:1/v1", test_question="Price?", test_reply="9")
    show_deployment(Entry({}, debug=False), live, question)
    out = capsys.readouterr().out
    assert '"messages": [{"role": "system", "content": "It' in out
    assert '{"role": "user", "content": "Price?"}]' in out


@pytest.mark.parametrize(
    ("backend", "endpoint", "command"),
    [
        ("local", "http://127.0.0.1:1/v1", ""),
        (
            "foundry",
            "https://run-1-b9.eastus2.models.ai.azure.com?api-version=2024-05-01-preview",
            "get-credentials --name run-1-b9 --workspace-name errata --resource-group support",
        ),
        ("openai", "https://errata-ai.openai.azure.com/openai/v1", "az account get-access-token"),
    ],
)
def test_the_example_of_a_deployment_fetches_the_key_that_its_endpoint_asks_for(
    capsys: pytest.CaptureFixture[str], backend: str, endpoint: str, command: str
) -> None:
    live = run(backend=backend, deployment="live", endpoint=endpoint, test_question="Price?", test_reply="9")
    entry = Entry({"ERRATA_AZURE_GROUP": "support", "ERRATA_AZURE_PROJECT": "errata"}, debug=False)
    show_deployment(entry, live, Conversation((Message(Role.USER, "Price?"),)))
    out = capsys.readouterr().out
    assert command in out
    assert ('-H "authorization: Bearer $(az ' in out) is bool(command)


def test_an_endpoint_is_asked_an_opening_question_where_no_reply_was_corrected(tmp_path: Path) -> None:
    team = new_team(tmp_path)
    turns = [
        (Role.SYSTEM, "Be brief."),
        (Role.ASSISTANT, "Hello!"),
        (Role.USER, "Is it open?"),
        (Role.ASSISTANT, "Yes."),
    ]
    turns += [(Role.USER, "Thanks, that is all."), (Role.ASSISTANT, "Bye.")]
    imported = Conversation(tuple(Message(role, text) for role, text in turns))
    with team.store.write() as session:
        row = Row(1, imported, {})
        examples.attest(
            session, team.olga, datetime(2026, 11, 20, tzinfo=UTC), [row], origin="import:a", reason="Read."
        )
    version = team.freeze()
    with team.store.read() as session:
        asked = probe_question(dataset.items(session, version))
    assert [turn.content for turn in asked.messages] == ["Be brief.", "Hello!", "Is it open?"]
    team.approve("How long does a filter last?", "Six months.")
    later = team.freeze()
    with team.store.read() as session:
        corrected = probe_question(dataset.items(session, later))
    assert corrected.messages[0].role is Role.SYSTEM
    assert corrected.messages[-1].content == "How long does a filter last?"
    team.store.close()


def test_a_run_at_a_provider_says_how_far_it_is_known_to_be_and_what_its_endpoint_costs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    elsewhere = {"backend": "foundry", "hosted": True, "filtered": True, "recipe": "service", "dataset": "two words"}
    link = "https://ml.azure.com/runs/run-1"
    show_run(Entry({}, debug=False), run(status="cancelled", step=4, steps=0, link=link, **elsewhere))
    out = capsys.readouterr().out
    told = {words(line) for line in out.splitlines()}
    assert {"steps 4", f"portal {link}"} <= told
    assert "hosting" not in out
    assert "errata train 'two words' --model rehearsal --recipe service --backend foundry" in " ".join(out.split())
    show_runs(Entry({}, debug=False), [run(status="training", steps=0)])
    assert "%" not in capsys.readouterr().out
    for hourly, costs in ((0.8, "$0.80 an hour"), (None, "by the hour, at a price that is unknown here")):
        show_run(Entry({}, debug=False), run(deployment="live", endpoint="https://x", hourly=hourly, **elsewhere))
        told = {words(line) for line in capsys.readouterr().out.splitlines()}
        assert {f"hosting {costs}", "filter on, Azure withholds harmful questions and replies"} <= told
