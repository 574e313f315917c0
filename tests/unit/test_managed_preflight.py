"""What fine-tuning as a service refuses before a byte is uploaded, each with the sentence that people read."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from curation.errors import Invalid
from curation.findings import Severity, blocking
from curation.formats.format import AZURE_LIMIT_BYTES
from training.backends.base import Base, Job, JobStatus
from training.backends.foundry.managed import hyperparameters, preflight, statuses
from training.hyperparameters import Mix, Service, TrainingTier
from training.recipe import load_recipe, parse_recipe

TURNS = [{"role": "user", "content": "Price?"}, {"role": "assistant", "content": "9 euros."}]
LORA = load_recipe("phi-lora")


@pytest.fixture
def job(tmp_path: Path) -> Job:
    base = Base("service", name="phi-4-mini-instruct")
    train, validation = written(tmp_path / "train.jsonl", 12), written(tmp_path / "validation.jsonl", 2)
    return Job("run-1a2b3c4d", base, LORA, train, validation, tmp_path / "job")


def written(path: Path, count: int, **more: Any) -> Path:
    path.write_text("".join(json.dumps({"messages": TURNS, **more}) + "\n" for _ in range(count)), encoding="utf-8")
    return path


def found(job: Job, region: str = "eastus2") -> list[str]:
    """The sentences of everything in the way of it in a project of this region."""
    return [str(one.sentence()) for one in blocking(preflight.findings(job, date(2026, 11, 21), lambda: region))]


def test_a_good_job_meets_no_objection(job: Job) -> None:
    assert found(job) == []


def test_a_dataset_under_ten_rows_is_refused(job: Job) -> None:
    written(job.train, 9)
    assert found(job) == [
        (
            "The dataset has 9 rows to train on; the service takes 10 or more. Approve more examples and freeze again. "
            "[foundry.few]"
        )
    ]


def test_a_dataset_without_a_validation_side_is_refused(job: Job) -> None:
    written(job.validation, 0)
    assert found(job) == [
        (
            "The dataset has no validation rows, and Azure tunes nothing without them. Approve more examples and "
            "freeze "
            "again, such as errata dataset freeze NAME --validation 0.1. [foundry.validation]"
        )
    ]


def test_a_file_of_512_mb_is_refused_unread(job: Job) -> None:
    with job.train.open("r+b") as file:
        file.truncate(AZURE_LIMIT_BYTES)
    assert found(job) == [
        "train.jsonl has 512 MB; the service takes less than 512 MB. Freeze a smaller dataset. [foundry.size]"
    ]


def test_rows_that_cannot_be_used_are_refused_and_none_is_left_out_in_silence(job: Job) -> None:
    with job.train.open("a", encoding="utf-8") as file:
        file.write('{"messages": []}\n')
    (sentence,) = found(job)
    assert sentence == (
        "1 finding of severity error is in train.jsonl, on line 13. Look with errata check, correct the rows and "
        "freeze "
        "the dataset again. [foundry.rows]"
    )


def test_a_file_that_is_missing_is_named_without_its_folder(job: Job) -> None:
    job.train.unlink()
    assert found(job) == ["train.jsonl is no file. Freeze the dataset again. [job.file]"]


def test_rows_with_tools_are_refused(job: Job) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "price", "arguments": "{}"}}
    turns = [
        TURNS[0],
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "9"},
    ]
    tools = [{"type": "function", "function": {"name": "price", "parameters": {}}}]
    with job.train.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"messages": [*turns, TURNS[1]], "tools": tools}) + "\n")
    assert found(job) == [
        (
            "1 row of train.jsonl uses tools, on line 13. Leave them out of the dataset, or use --backend openai: "
            "this service learns no tools. [foundry.tools]"
        )
    ]


def test_a_retired_model_is_refused_with_what_stands_in_its_place(job: Job) -> None:
    (sentence,) = found(replace(job, base=Base("service", name="phi-3-mini-4k-instruct")))
    assert "phi-3-mini-4k-instruct can no longer be fine-tuned as a service" in sentence
    assert "phi-4-mini-instruct" in sentence
    assert sentence.endswith("[foundry.retired]")


def test_a_project_in_the_wrong_region_is_refused_with_the_way_out(job: Job) -> None:
    (sentence,) = found(job, "swedencentral")
    assert sentence.startswith("phi-4-mini-instruct is fine-tuned in ")
    assert "only; the project is in swedencentral. Make a project there: set ERRATA_AZURE_REGION=" in sentence
    assert sentence.endswith(", then errata foundry init. [foundry.region]")


def test_a_model_that_was_tuned_in_the_project_is_in_its_region(job: Job) -> None:
    address = "azureml://locations/swedencentral/workspaces/0b/models/run-1/versions/1"
    assert found(replace(job, base=Base("service", name=address)), "swedencentral") == []


@pytest.mark.parametrize("base", [Base("rehearsal"), Base("checkpoint", Path("/models/own"))], ids=["rehearsal", "own"])
def test_only_models_of_the_service_can_be_tuned_there(job: Job, base: Base) -> None:
    assert found(replace(job, base=base)) == [
        (
            "The service tunes models of Azure's own catalogue, and what it has tuned itself. Name one such as "
            "phi-4-mini-instruct, or use --backend local or azureml. [foundry.base]"
        )
    ]


@pytest.mark.parametrize(
    ("recipe", "sentence"),
    [
        (
            load_recipe("phi-preference"),
            (
                "This service does not learn preferences. Use --backend openai, local or azureml, or a recipe whose "
                "objective is replies. [foundry.objective]"
            ),
        ),
        (
            load_recipe("phi-topic"),
            (
                "This service does not learn labels. Use --backend local or azureml, or a recipe whose objective is "
                "replies. [foundry.objective]"
            ),
        ),
        (
            replace(LORA, mix=Mix(endorsement=0)),
            (
                "This service weighs every example alike, and the recipe's [mix] does not. Take [mix] out of the "
                "recipe, or "
                "use --backend local or azureml. [foundry.mix]"
            ),
        ),
        (
            replace(LORA, service=Service(training_type=TrainingTier.GLOBAL)),
            (
                "This service trains in the project's own region only: training_type is standard there. Set "
                "training_type "
                "to standard in [service], or use --backend openai. [foundry.training_type]"
            ),
        ),
        (
            replace(LORA, service=Service(learning_rate_multiplier=2.0)),
            (
                "This service takes learning_rate, and no learning_rate_multiplier. Take learning_rate_multiplier out "
                "of "
                "[service], or use --backend openai. [foundry.learning_rate]"
            ),
        ),
    ],
    ids=["preferences", "labels", "mix", "tier", "multiplier"],
)
def test_what_would_be_learned_otherwise_is_refused(job: Job, recipe: Any, sentence: str) -> None:
    assert found(replace(job, recipe=recipe)) == [sentence]


def test_what_the_service_decides_for_itself_is_named() -> None:
    (note,) = hyperparameters.findings(LORA)
    assert note.severity is Severity.INFO
    assert note.message == (
        "Of the recipe phi-lora the service does not take batch_tokens, warmup_share, weight_decay, [lora] and seed: "
        "it "
        "decides for itself."
    )


def test_hyperparameters_are_strings_under_the_names_that_the_service_knows() -> None:
    recipe = replace(LORA, learning_rate=2e-6, epochs=5, service=Service(batch_size=4))
    assert hyperparameters.of_recipe(recipe) == {
        "learning_rate": "0.000002",
        "num_train_epochs": "5",
        "per_device_train_batch_size": "4",
    }


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (
            {"batch_size_multiplier": "2"},
            (
                "The service knows no hyperparameter batch_size_multiplier; it takes per_device_train_batch_size, "
                "learning_rate and num_train_epochs."
            ),
        ),
        ({"num_train_epochs": 3}, "The hyperparameter num_train_epochs has to be a text, such as '3'."),
        ({"num_train_epochs": "0"}, "The hyperparameter num_train_epochs has to be a whole number from 1 to 1000."),
        ({"num_train_epochs": "2.5"}, "The hyperparameter num_train_epochs has to be a whole number from 1 to 1000."),
        ({"learning_rate": "fast"}, "The hyperparameter learning_rate has to be a number from 1e-07 to 1."),
        ({"learning_rate": "nan"}, "The hyperparameter learning_rate has to be a number from 1e-07 to 1."),
    ],
    ids=["name", "type", "range", "whole", "word", "nan"],
)
def test_wrong_hyperparameters_are_refused_here(table: dict[str, object], sentence: str) -> None:
    with pytest.raises(Invalid) as refused:
        hyperparameters.validated(table)
    assert str(refused.value) == sentence


@pytest.mark.parametrize("written_in", ["epochs = 0", "epochs = 'three'", "epoch = 3"], ids=["range", "type", "name"])
def test_a_recipe_with_a_wrong_setting_is_not_read(written_in: str) -> None:
    name, value = written_in.split(" = ")
    given = {"'three'": "three"}.get(value, int(value) if value.isdigit() else value)
    with pytest.raises(Invalid, match="epoch"):
        parse_recipe({**LORA.as_json(), name: given}, name="mine")


def test_every_word_of_azures_has_a_status_and_one_that_is_new_goes_on() -> None:
    final = {word for word in statuses.STATUSES if statuses.status_of(word).final}
    assert final == {"Completed", "Failed", "Canceled"}
    assert statuses.status_of("notresponding") is statuses.status_of("Hibernating") is JobStatus.RUNNING
    assert statuses.note_of("paused") == "Azure has paused the job; it is waited for."


def test_a_day_before_a_model_retires_it_is_tuned(job: Job) -> None:
    before = replace(job, base=Base("service", name="phi-3-mini-4k-instruct"))
    rules = preflight.findings(before, date(2025, 8, 29), lambda: "eastus2")
    assert "foundry.retired" not in {one.rule for one in rules}
