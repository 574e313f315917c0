"""A tuned model carries a page that says what it is, without anybody's words on it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders import NOON, Team
from huggingface_hub import ModelCard

from curation.errors import Conflict
from training import orders, runs
from training.backends.base import Base, CurvePoint
from training.backends.local.backend import LocalBackend
from training.backends.names import BackendName
from training.cards import facts_of, write_cards
from training.model_card import Facts, Part, card, metadata
from training.recipe import load_recipe
from training.runs import RunStep
from training.store.tables import Evaluation, Run
from training.summaries import RunSummary
from training.workplace import Workplace

QUESTION, WRONG, RIGHT = "How long does the filter last, Kari?", "For ever, Kari.", "Six months, Kari."
FIT = {"perplexity": 9.0, "token_accuracy": 0.5, "supervised_tokens": 100, "comparable": True}
REPORT: dict[str, Any] = {
    "sentence": "Better: fixed 4 of 5 corrections.",
    "scores": {"fixed": 4, "corrections": 5, "kept": 2, "endorsements": 3},
    "held_out": {"fixed": 1, "corrections": 2, "kept": 0, "endorsements": 1},
    "validation": {"candidate": {**FIT, "perplexity": 2.0}, "base": FIT},
    "unigram_perplexity": 40.0,
    "decision": {"reasons": ["4 of 5 changes were for the better"]},
    "cases": [
        {
            "id": "1",
            "kind": "correction",
            "side": "train",
            "messages": [{"role": "user", "content": QUESTION}],
            "expected": RIGHT,
            "flagged": WRONG,
            "before": WRONG,
            "after": RIGHT,
        }
    ],
}
PHI = "microsoft/Phi-3.5-mini-instruct"


def summary(**changes: Any) -> RunSummary:
    empty = dict.fromkeys(RunSummary.__dataclass_fields__)
    made = {
        "id": "run-1",
        "status": "completed",
        "dataset": "v1",
        "backend": "local",
        "model": "phi-3.5-mini-instruct",
        "recipe": "phi-lora",
        "step": 20,
        "steps": 30,
        "notes": (),
        "curve": (CurvePoint(1, 2.5, None, 900.0, 10**9), CurvePoint(20, 0.5, 0.75, 1234.0, 2 * 10**9)),
        "verdict": "better",
        "report": REPORT,
    }
    return RunSummary(**{**empty, **made, **changes})


def facts(**changes: Any) -> Facts:
    manifest = {"rows": 12, "sides": {"train": 10, "validation": 2}, "kinds": {"correction": 9, "endorsement": 3}}
    trained = {"training": {"conversations": 10, "tokens": 3210, "supervised_tokens": 654}}
    made = Facts(
        summary(), load_recipe("phi-lora"), PHI, PHI, PHI, "MIT", "abc123", manifest | {"approvers": 2}, trained
    )
    return replace(made, **changes)


def loaded(page: str, folder: Path) -> Any:
    """The page as Hugging Face's own tools read it."""
    file = folder / "README.md"
    file.write_text(page, encoding="utf-8")
    return ModelCard.load(file)


@pytest.mark.parametrize(("part", "library"), [(Part.MODEL, "transformers"), (Part.ADAPTER, "peft")])
def test_hugging_face_reads_the_head(tmp_path: Path, part: Part, library: str) -> None:
    head = loaded(card(facts(), part), tmp_path).data
    assert (head.license, head.base_model, head.library_name) == ("mit", PHI, library)
    assert (head.pipeline_tag, head.tags) == ("text-generation", ["errata", "replies", "lora"])
    assert head.to_dict() == metadata(facts(), part)


def test_what_is_not_known_is_left_out_of_the_head_and_said_in_the_text(tmp_path: Path) -> None:
    unknown = facts(hub_id=None, origin=None, licence=None, base="the checkpoint mine", trained={}, manifest={})
    page = loaded(card(replace(unknown, run=summary(report=None, curve=())), Part.ADAPTER), tmp_path)
    assert "license" not in page.data.to_dict()
    assert "base_model" not in page.data.to_dict()
    assert "look the base's licence up" in page.text
    assert "It was not." in page.text
    assert 'from_pretrained("BASE")' in page.text


def test_the_page_tells_of_data_training_and_evaluation_in_figures() -> None:
    page = card(facts(), Part.MODEL)
    for told in (
        "| digest | abc123 |",
        "| kinds | correction 9, endorsement 3 |",
        "| approvers | 2 |",
        "| training side | 10 conversations of 3,210 tokens, 654 of them learned |",
        "| loss | 2.5000 at first, 0.5000 at last, nats per learned token |",
        "| validation loss | 0.7500 |",
        "| tokens per second | 1,234 |",
        "| most memory held | 2.00 GB |",
        "| lora.rank | 16 |",
        "**Better: fixed 4 of 5 corrections.**",
        "- 4 of 5 changes were for the better",
        "| all | 4 of 5 | 2 of 3 |",
        "vllm serve ./model --served-model-name run-1",
    ):
        assert told in page


def test_a_card_of_what_only_a_service_has_shows_nobody_how_to_load_it() -> None:
    kept = facts(run=summary(backend="foundry", steps=0))
    page = card(kept, Part.MODEL)
    assert "Its weights stay with the service that tuned it (foundry)" in page
    assert "errata deploy run-1" in page
    assert "from_pretrained" not in page
    assert "library_name" not in metadata(kept, Part.MODEL)
    assert "| steps | 20 |" in page


def test_nobody_is_quoted() -> None:
    page = card(facts(), Part.MODEL)
    for words in (QUESTION, WRONG, RIGHT, "Kari"):
        assert words in json.dumps(REPORT)
        assert words not in page


def test_a_name_that_is_yaml_or_markdown_stays_a_name(tmp_path: Path) -> None:
    ugly = 'v1: "x"\n---\n# [link](https://example.com) | a'
    page = loaded(card(replace(facts(), run=summary(dataset=ugly), licence='o"d: d\n'), Part.MODEL), tmp_path)
    assert page.data.license == 'o"d: d\n'
    assert "[link](https://example.com)" not in page.text
    assert "\n# \\[link" not in page.text


def test_an_adapter_with_whole_modules_is_not_offered_to_vllm() -> None:
    assert "--lora-modules run-1=./adapter" in card(facts(), Part.ADAPTER)
    whole = card(facts(recipe=load_recipe("rehearsal"), hub_id=None, origin=None), Part.ADAPTER)
    assert "--lora-modules" not in whole
    assert "A rehearsal." in whole


@pytest.fixture
def place(team: Team, tmp_path: Path) -> Workplace:
    team.approve(QUESTION, RIGHT)
    team.approve("Is the jug safe in the dishwasher?", "The lid is not.")
    team.approve("Where do you ship from?", None)
    team.freeze("v1")
    return Workplace(team.store, {BackendName.LOCAL: LocalBackend()}, tmp_path / "home", lambda: NOON)


def finished(place: Workplace, team: Team, *, model: str = "rehearsal") -> str:
    """A run as a training and an evaluation have left it, with peft's stub of a card."""
    with place.store.write() as session:
        run = orders.request(session, team.olga, NOON, dataset_name="v1", model=model)
        for step in (RunStep.START, RunStep.TRAINED, RunStep.EVALUATED):
            runs.advance(session, NOON, run, step)
        session.add(Evaluation(run_id=run.id, verdict="better", report=REPORT, evaluated_at=NOON))
        run_id, job = run.id, place.home / "runs" / run.id / "job"
    for name in ("model", "adapter"):
        (job / name).mkdir(parents=True)
    (job / "adapter" / "README.md").write_text("peft's own stub", encoding="utf-8")
    result = {"status": "completed", "adapter": True, "base_model": "x", "training": {"tokens": 77}}
    (job / "result.json").write_text(json.dumps(result), encoding="utf-8")
    return run_id


def test_an_evaluated_run_has_a_card_beside_its_model_and_in_place_of_pefts_stub(place: Workplace, team: Team) -> None:
    run_id = finished(place, team)
    write_cards(place, run_id)
    job = place.home / "runs" / run_id / "job"
    pages: dict[str, Any] = {name: ModelCard.load(job / name / "README.md") for name in ("model", "adapter")}
    libraries = {name: page.data.library_name for name, page in pages.items()}
    assert libraries == {"model": "transformers", "adapter": "peft"}
    for page in pages.values():
        assert "77 tokens" in page.text
        assert "correction 2, endorsement 1" in page.text
        assert "Kari" not in page.text
        assert str(place.home) not in page.text


def test_a_card_that_cannot_be_written_is_told_to_the_log_alone(
    place: Workplace, team: Team, caplog: pytest.LogCaptureFixture
) -> None:
    run_id = finished(place, team)
    (place.home / "runs" / run_id / "job" / "model" / "README.md").mkdir()
    write_cards(place, run_id)
    assert f"a model card could not be written: run={run_id}" in caplog.text


def test_the_base_of_production_is_the_run_before_and_the_licence_that_of_where_it_all_began(
    place: Workplace, team: Team
) -> None:
    first = finished(place, team, model=PHI)
    second = finished(place, team)
    with place.store.write() as session:
        runs.find(session, second).base_run_id = first
    with place.store.read() as session:
        one, two = (facts_of(session, runs.find(session, run_id), {}) for run_id in (first, second))
    assert (one.base, one.hub_id, one.origin, one.licence) == (PHI, PHI, PHI, "MIT")
    assert (two.base, two.hub_id, two.origin, two.licence) == (f"the model of {first}", None, PHI, "MIT")


def test_a_checkpoints_card_names_its_folder_and_not_the_path_to_it(place: Workplace, team: Team) -> None:
    run_id = finished(place, team, model="/home/somebody/models/mine")
    with place.store.read() as session:
        found = facts_of(session, runs.find(session, run_id), {})
    assert place.job(found_run(place, run_id)).base == Base("checkpoint", Path("/home/somebody/models/mine"))
    assert (found.base, found.hub_id) == ("the checkpoint mine", None)
    assert "somebody" not in card(found, Part.MODEL)


def found_run(place: Workplace, run_id: str) -> Run:
    with place.store.read() as session:
        return runs.find(session, run_id)


def test_a_run_without_a_model_has_no_card(place: Workplace, team: Team) -> None:
    with place.store.write() as session:
        run = orders.request(session, team.olga, NOON, dataset_name="v1", model="rehearsal")
        with pytest.raises(Conflict, match="is requested; it has no model to describe"):
            facts_of(session, run, {})
