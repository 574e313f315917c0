"""A recipe becomes a method of the openai API; what it gives back becomes curves, states and reasons of ours."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from curation.findings import Severity
from training.backends.base import Artefact, Base, CurvePoint, EvaluationRequest, Job, JobStatus
from training.backends.foundry.account import files as openai_files
from training.backends.foundry.account import methods as openai_methods
from training.backends.foundry.account import models as account_models
from training.backends.foundry.account import results as openai_results
from training.backends.foundry.account.models import AccountModel
from training.backends.foundry.account.state import State
from training.backends.foundry.account.statuses import reason_of, status_of
from training.backends.foundry.place import AzurePlace
from training.hyperparameters import Preference, Recipe, Service, TrainingTier
from training.recipe import load_recipe

SERVICE = load_recipe("service")
PREFERENCE = load_recipe("service-preference")
PLACE = AzurePlace(subscription="s", group="rg", account="contoso")
NOW = datetime(2026, 11, 21, tzinfo=UTC)


def test_a_recipe_says_its_epochs_and_leaves_the_rest_to_the_provider() -> None:
    assert openai_methods.method_of(SERVICE) == {
        "type": "supervised",
        "supervised": {"hyperparameters": {"n_epochs": 3}},
    }


def test_what_a_recipe_says_of_a_service_is_sent_along() -> None:
    recipe = replace(SERVICE, service=Service(batch_size=8, learning_rate_multiplier=0.5))
    assert openai_methods.method_of(recipe)["supervised"]["hyperparameters"] == {
        "n_epochs": 3,
        "batch_size": 8,
        "learning_rate_multiplier": 0.5,
    }


def test_preferences_are_a_method_of_their_own_with_its_beta() -> None:
    assert openai_methods.method_of(PREFERENCE) == {
        "type": "dpo",
        "dpo": {"hyperparameters": {"n_epochs": 1, "beta": 0.1}},
    }


@pytest.mark.parametrize(
    ("tier", "training_type", "sku"),
    [
        ("standard", "Standard", "Standard"),
        ("global", "GlobalStandard", "GlobalStandard"),
        ("developer", "Developer", "DeveloperTier"),
    ],
)
def test_each_tier_has_its_name_for_training_and_for_serving(tier: str, training_type: str, sku: str) -> None:
    recipe = replace(SERVICE, service=Service(training_type=TrainingTier(tier)))
    assert openai_methods.training_type_of(recipe) == training_type
    assert openai_methods.SKUS[TrainingTier(tier)] == sku


def test_a_recipe_without_a_word_about_services_keeps_the_data_in_their_region() -> None:
    assert openai_methods.training_type_of(load_recipe("phi-lora")) == "Standard"


@pytest.mark.parametrize(
    ("recipe", "sentence"),
    [
        (replace(SERVICE, epochs=51), "The recipe has 51 epochs; the provider takes 50."),
        (replace(PREFERENCE, preference=Preference(beta=3.0)), "preference.beta is 3.0; the provider takes at most 2."),
        (load_recipe("phi-topic"), "The backend openai teaches replies and preferences, not labels."),
    ],
    ids=["too many epochs", "too strict a beta", "labels"],
)
def test_a_recipe_that_the_provider_would_refuse_is_refused_here(recipe: Recipe, sentence: str) -> None:
    (finding,) = openai_methods.findings(recipe)
    assert (finding.severity, finding.message) == (Severity.ERROR, sentence)


def test_a_shipped_recipe_of_a_service_has_nothing_against_it() -> None:
    assert openai_methods.findings(SERVICE) == openai_methods.findings(PREFERENCE) == []


RESULTS = (
    "step,train_loss,train_mean_token_accuracy,valid_loss,valid_mean_token_accuracy\n1,0.9,0.5,,\n2,0.7,0.6,0.8,0.6\n"
)


@pytest.mark.parametrize(
    "content",
    [RESULTS.encode(), b"\xef\xbb\xbf" + RESULTS.encode(), base64.b64encode(RESULTS.encode())],
    ids=["plain", "with a mark", "in base64"],
)
def test_results_become_a_curve_however_the_provider_sends_them(content: bytes) -> None:
    assert openai_results.curve_of(content) == (CurvePoint(1, 0.9, None, 0.0), CurvePoint(2, 0.7, 0.8, 0.0))


def test_the_loss_of_the_whole_side_goes_before_that_of_a_batch() -> None:
    (point,) = openai_results.curve_of(b"step,train_loss,valid_loss,full_valid_loss\n3,0.5,0.9,0.6\n")
    assert point.validation_loss == 0.6


def test_what_cannot_be_read_of_a_curve_is_passed_over() -> None:
    rows = b"step,train_loss,valid_loss\nx,1,1\n1,nan,1\n2,0.5,-1\n0,1,1\n3\n"
    assert openai_results.curve_of(rows) == (CurvePoint(2, 0.5, None, 0.0),)
    odd = f"step,train_loss\n1,0.9\n2,{'9' * 200_000}\n\n3,0.7,,,\n".encode()
    assert [point.step for point in openai_results.curve_of(odd)] == [1, 3]
    assert openai_results.curve_of(b"step,loss\n1,0.9\n") == ()
    assert openai_results.curve_of(b"") == openai_results.curve_of(b"not a table") == ()


def test_events_give_a_curve_in_order_though_the_newest_comes_first() -> None:
    events: list[dict[str, Any]] = [{"step": 2, "train_loss": 0.5}, {"step": 1, "train_loss": 0.9}, {"total_steps": 4}]
    assert [point.step for point in openai_results.curve_of_metrics(events)] == [1, 2]


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("validating_files", "queued"),
        ("pending", "queued"),
        ("Running", "running"),
        ("cancelling", "running"),
        ("succeeded", "completed"),
        ("failed", "failed"),
        ("canceled", "cancelled"),
        ("brand-new", "running"),
    ],
)
def test_every_word_of_the_provider_s_has_a_place(word: str, status: str) -> None:
    assert status_of(word) is JobStatus(status)


def test_a_failure_is_told_by_its_code_and_never_in_the_provider_s_words() -> None:
    assert reason_of("invalid_training_file").startswith("The provider refuses the training file")
    assert "oddCode" in reason_of("oddCode")
    assert "customer" not in reason_of("the customer Kari Nordmann said {…}")
    assert reason_of(None) == reason_of("") == reason_of("a b")


OFFERED = [
    AccountModel("gpt-4.1-mini", "2025-04-14", "OpenAI", tunable=True),
    AccountModel("gpt-oss-20b", "11", "Microsoft", tunable=False),
    AccountModel("gpt-5-mini", "2025-08-07", "OpenAI", tunable=False),
    AccountModel("gpt-35-turbo", "0125", "OpenAI", tunable=True, retires=datetime(2025, 6, 30, tzinfo=UTC)),
    AccountModel("gpt-4.1-mini-2025-04-14.ft-0f-run-1", "1", "OpenAI", tunable=False),
]


@pytest.mark.parametrize("name", ["gpt-4.1-mini", "GPT-4.1-mini-2025-04-14", "gpt-4.1-mini-2025-04-14.ft-0f-run-1"])
def test_a_model_is_found_by_its_name_its_version_and_what_was_tuned_from_it(name: str) -> None:
    found = account_models.found(OFFERED, name)
    assert found is not None
    assert (found.full, found.format) == ("gpt-4.1-mini-2025-04-14", "OpenAI")
    assert account_models.findings(OFFERED, name, PLACE, tier=TrainingTier.STANDARD, region="eastus2", now=NOW) == []


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("gpt-9", "The account contoso in eastus2 offers no model gpt-9."),
        ("gpt-5-mini", "gpt-5-mini cannot be tuned in eastus2, where the account contoso is."),
        ("gpt-35-turbo", "Since 2025-06-30 gpt-35-turbo can no longer be tuned."),
    ],
)
def test_a_model_that_cannot_be_tuned_there_is_refused_with_the_command_that_lists_those_that_can(
    name: str, sentence: str
) -> None:
    (finding,) = account_models.findings(OFFERED, name, PLACE, tier=TrainingTier.STANDARD, region="eastus2", now=NOW)
    assert finding.message == sentence
    assert "az cognitiveservices account list-models --name contoso --resource-group rg" in finding.fix


def test_a_model_that_is_not_openai_s_own_is_tuned_with_the_type_global_whatever_azure_s_list_says() -> None:
    told = {"place": PLACE, "region": "eastus2", "now": NOW}
    (finding,) = account_models.findings(OFFERED, "gpt-oss-20b", tier=TrainingTier.STANDARD, **told)
    assert 'Set training_type = "global"' in finding.fix
    assert account_models.findings(OFFERED, "gpt-oss-20b", tier=TrainingTier.GLOBAL, **told) == []


def test_of_several_versions_the_newest_that_can_be_tuned_is_meant() -> None:
    older = AccountModel("gpt-4.1-mini", "2025-01-01", "OpenAI", tunable=True)
    newest = AccountModel("gpt-4.1-mini", "2026-01-01", "OpenAI", tunable=False)
    assert account_models.found([newest, older, OFFERED[0]], "gpt-4.1-mini") == OFFERED[0]


def test_an_account_s_answer_is_read_with_its_dates() -> None:
    row = {"name": "m", "version": "1", "format": "Meta", "capabilities": {"fineTune": "true"}}
    made = AccountModel.from_arm({**row, "deprecation": {"fineTune": "2027-04-14T00:00:00Z"}})
    assert made == AccountModel("m", "1", "Meta", tunable=True, retires=datetime(2027, 4, 14, tzinfo=UTC))
    assert AccountModel.from_arm(row).retires is None


def chat(number: int, **more: Any) -> dict[str, Any]:
    turns = [{"role": "user", "content": f"Hi {number}"}, {"role": "assistant", "content": "Hello", **more}]
    return {"messages": turns, "metadata": {"example": number, "kind": "correction"}}


def make_job(root: Path, recipe: Recipe, rows: int = 12) -> Job:
    for name, count in (("train", rows), ("validation", 2)):
        text = "".join(json.dumps(chat(number)) + "\n" for number in range(count))
        (root / f"{name}.jsonl").write_text(text, encoding="utf-8")
    about = {"side": "train", "kind": "correction", "topic": None, "language": None, "reason": "tone"}
    known = [{"example": number, **about, "rejected": "Go away" if number != 3 else None} for number in range(rows)]
    (root / "particulars.jsonl").write_text("".join(json.dumps(row) + "\n" for row in known), encoding="utf-8")
    base, folder = Base("service", name="gpt-4.1-mini"), root / "job"
    return Job(
        "run-1", base, recipe, root / "train.jsonl", root / "validation.jsonl", folder, root / "particulars.jsonl"
    )


def test_the_files_of_a_job_begin_with_a_mark_and_hold_nothing_but_the_turns(tmp_path: Path) -> None:
    job = make_job(tmp_path, SERVICE)
    with openai_files.writing(job) as sides:
        written = sides["train"]
        content = written.path.read_bytes()
    assert list(job.directory.iterdir()) == []
    assert content.startswith(b"\xef\xbb\xbf")
    assert json.loads(content[3:].splitlines()[0]) == {"messages": chat(0)["messages"]}
    assert (written.rows, written.size, written.left_out) == (12, len(content), 0)


def test_preferences_are_pairs_and_a_row_without_a_rejected_reply_is_left_out_and_told(tmp_path: Path) -> None:
    with openai_files.writing(make_job(tmp_path, PREFERENCE)) as written:
        first = json.loads(written["train"].path.read_bytes()[3:].splitlines()[0])
    assert first == {
        "input": {"messages": [{"role": "user", "content": "Hi 0"}]},
        "preferred_output": [{"role": "assistant", "content": "Hello"}],
        "non_preferred_output": [{"role": "assistant", "content": "Go away"}],
    }
    assert (written["train"].rows, written["train"].left_out) == (11, 1)
    (note,) = openai_files.notes(written)
    assert note == "1 row of the training side was left out: there is no rejected reply to compare with."


def found(written: dict[str, openai_files.Written]) -> list[str]:
    return [finding.message for finding in openai_files.findings(written, pairs=True)]


def test_pairs_that_the_provider_would_refuse_are_refused_before_they_are_sent(tmp_path: Path) -> None:
    good = openai_files.Written(tmp_path, rows=10, size=1_000, tools=0, left_out=0)
    assert found({"train": good, "validation": replace(good, rows=1)}) == []
    assert found({"train": replace(good, rows=9), "validation": replace(good, rows=0)}) == [
        "The training side has 9 pairs of replies; 10 are the least.",
        "The validation side has no pair of replies.",
    ]
    large = {"train": replace(good, size=512_000_000), "validation": good}
    assert found(large) == ["The training side has 512,000,000 bytes; the provider takes fewer than 512,000,000."]
    (refusal,) = openai_files.tools_in({"train": replace(good, tools=2), "validation": good})
    assert refusal.message == "2 rows use tools, which this model cannot be tuned on."
    assert openai_files.tools_in({"train": good, "validation": good}) == []


def test_the_second_attempt_has_names_of_its_own(tmp_path: Path) -> None:
    first = State("run-1").with_files({"train": "file-a", "validation": "file-b"}).started("job-1").stopped()
    second = first.next_attempt()
    assert openai_files.name_of(second.name, "train") == "run-1-2-train.jsonl"
    assert (second.job, second.cancelled, second.files) == (None, False, {})
    second.write(tmp_path)
    assert State.read(tmp_path) == second
    assert State.read(tmp_path / "elsewhere") is None


def test_how_a_provider_is_to_serve_a_candidate_survives_the_way_to_its_evaluation(tmp_path: Path) -> None:
    service = Service(training_type=TrainingTier.GLOBAL, capacity=50)
    made = Artefact(None, None, None, registered="m", service=service)
    request = EvaluationRequest(
        "run-1", tmp_path, None, None, None, tmp_path, tmp_path, tmp_path, registered="m", service=made.service
    )
    assert EvaluationRequest.from_json(json.loads(json.dumps(request.as_json()))) == request
