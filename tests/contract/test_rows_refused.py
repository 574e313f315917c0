"""What must not reach Azure never does: too few rows, too many bytes, rows with errors, settings that nobody takes.

One suite for the three services, through the port and the command line; the sandbox hears of nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from shell import Shell, dialogue

from bot.app import now
from curation.errors import Conflict, Invalid
from curation.findings import blocking
from curation.formats.format import AZURE_LIMIT_BYTES
from curation.people import Actor, person_id
from curation.store.engine import Store, open_engine
from training import orders
from training.backends import opening
from training.backends.base import Base, Job
from training.backends.foundry.place import AzurePlace
from training.backends.names import BackendName
from training.hyperparameters import Preference
from training.recipe import load_recipe, parse_recipe
from training.sandbox.azure import AzureSandbox

SERVICES = (BackendName.FOUNDRY, BackendName.OPENAI, BackendName.AZUREML)
BASES = {
    BackendName.FOUNDRY: Base("service", name="phi-4-mini-instruct"),
    BackendName.OPENAI: Base("service", name="gpt-4.1-mini"),
    BackendName.AZUREML: Base("rehearsal"),
}
FEW = (
    "The dataset has 9 rows to train on; the service takes 10 or more. Approve more examples and freeze again. "
    "[foundry.few]"
)
LARGE = "train.jsonl has 512 MB; the service takes less than 512 MB. Freeze a smaller dataset. [foundry.size]"
UNUSABLE = (
    "1 finding of severity error is in train.jsonl, on line 13. Look with errata check, correct the rows and freeze "
    "the dataset again. [foundry.rows]"
)
NO_VALIDATION = (
    "The dataset has no validation rows, and Azure tunes nothing without them. Approve more examples and freeze again, "
    "such as errata dataset freeze NAME --validation 0.1. [foundry.validation]"
)


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureSandbox]:
    with (
        AzureSandbox(tmp_path_factory.mktemp("azure"), trains=False) as azure,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in azure.environ().items():
            patch.setenv(name, value)
        yield azure


@pytest.fixture
def job(tmp_path: Path) -> Job:
    train, validation = written(tmp_path / "train.jsonl", 12), written(tmp_path / "validation.jsonl", 2)
    return Job("run-1a2b3c4d", Base("rehearsal"), load_recipe("rehearsal"), train, validation, tmp_path / "job")


def written(path: Path, rows: int) -> Path:
    path.write_text("".join(json.dumps(dialogue(number)) + "\n" for number in range(rows)), encoding="utf-8")
    return path


def few(job: Job) -> None:
    written(job.train, 9)


def large(job: Job) -> None:
    with job.train.open("r+b") as file:
        file.truncate(AZURE_LIMIT_BYTES - 1)  # with a byte order mark it would be too much


def unusable(job: Job) -> None:
    with job.train.open("a", encoding="utf-8") as file:
        file.write('{"messages": []}\n')


def without_validation(job: Job) -> None:
    written(job.validation, 0)


@pytest.mark.parametrize("service", SERVICES, ids=str)
@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [(few, FEW), (large, LARGE), (unusable, UNUSABLE), (without_validation, NO_VALIDATION)],
    ids=["few", "large", "unusable", "no validation"],
)
def test_rows_that_no_service_takes_are_refused_before_anything_is_sent(
    azure: AzureSandbox, job: Job, service: BackendName, spoil: Callable[[Job], None], sentence: str
) -> None:
    backend = opening.backends(AzurePlace.read(azure.environ()))[service]
    azure.forget_requests()
    spoil(job)
    found = blocking(backend.preflight(replace(job, base=BASES[service])))
    assert [str(one.sentence()) for one in found] == [sentence]
    assert azure.requests == []


def test_a_row_that_became_unusable_after_the_look_is_not_left_out_of_the_upload(azure: AzureSandbox, job: Job) -> None:
    backend = opening.backends(AzurePlace.read(azure.environ()))[BackendName.OPENAI]
    azure.forget_requests()
    unusable(job)
    with pytest.raises(Invalid, match=r"^train.jsonl: .*line 13"):
        backend.submit(replace(job, base=BASES[BackendName.OPENAI]))
    assert azure.requests == []


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"n_epochs": 3}, "n_epochs is not a key of a recipe; did you mean epochs?"),
        ({"epochs": "3"}, "epochs is '3'; give a whole number between 1 and 1,000 (passes over the training side)."),
        (
            {"service": {"batch_size": 257}},
            "service.batch_size is 257; give a whole number between 1 and 256 (examples in one optimiser step).",
        ),
        (
            {"service": {"training_type": "Banana"}},
            "service.training_type is 'Banana'; give one of standard, global, developer.",
        ),
    ],
    ids=["name", "type", "range", "choice"],
)
def test_a_setting_of_a_wrong_name_type_or_range_is_refused_by_the_recipe_of_every_service(
    table: dict[str, object], sentence: str
) -> None:
    plain = load_recipe("service").as_json()
    with pytest.raises(Invalid) as refused:
        parse_recipe({**plain, **table}, name="mine")
    assert str(refused.value) == sentence


def test_what_one_service_alone_does_not_take_is_refused_there_before_anything_is_sent(
    azure: AzureSandbox, job: Job
) -> None:
    backends, plain = opening.backends(AzurePlace.read(azure.environ())), load_recipe("service")
    liking = replace(load_recipe("service-preference"), preference=Preference(beta=3.0))
    azure.forget_requests()
    refused = {
        BackendName.FOUNDRY: replace(plain, service=replace(plain.service, learning_rate_multiplier=2.0)),  # type: ignore[type-var]  # it has one
        BackendName.OPENAI: replace(plain, epochs=51),
    }
    rules = {
        service: [one.rule for one in blocking(backends[service].preflight(replace(job, recipe=recipe, base=base)))]
        for service, recipe, base in ((name, recipe, BASES[name]) for name, recipe in refused.items())
    }
    assert rules == {BackendName.FOUNDRY: ["foundry.learning_rate"], BackendName.OPENAI: ["openai.epochs"]}
    preflight = backends[BackendName.OPENAI].preflight(replace(job, recipe=liking, base=BASES[BackendName.OPENAI]))
    assert "openai.beta" in {one.rule for one in preflight}
    assert azure.requests == []


def test_a_dataset_with_a_row_that_is_rated_as_gravely_harmful_is_not_sent_to_be_trained_on(
    shell: Shell, azure: AzureSandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (azure.environ() | {"ERRATA_AZURE_GEOGRAPHY": ""}).items():
        monkeypatch.setenv(name, value)
    rows = [dialogue(number) for number in range(12)]
    rows[7]["messages"][-1]["content"] += " They are subhuman."
    file = tmp_path / "dialogues.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    shell.owned_by("olga")
    assert shell("import", str(file), "--approve-as", "olga", "--reason", "Read.")[0] == 0
    assert shell("dataset", "freeze", "v1")[0] == 0
    azure.forget_requests()
    code, _, err = shell("train", "v1", "--backend", "foundry", "--model", "phi-4-mini-instruct", "--detach", "--yes")
    assert code == 1
    assert "1 example is rated as harmful, from 6 of 7 on: 8" in " ".join(err.split())
    assert "[screen.very_harmful]" in err
    store = Store(open_engine(f"sqlite:///{tmp_path}/home/errata.db"))
    wish: dict[str, Any] = {"dataset_name": "v1", "model": "phi-4-mini-instruct", "backend": BackendName.FOUNDRY}
    with pytest.raises(Conflict, match="rated as harmful"), store.write() as session:  # whoever asks for it
        orders.request(
            session, Actor(person_id("local", "olga")), now(), place=AzurePlace.read(azure.environ()), **wish
        )
    store.close()
    assert azure.requests == []
