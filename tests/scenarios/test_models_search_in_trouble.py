"""``errata models --search`` where the registry, the disk or the copy on it is not as it should be: still an answer."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from shell import Shell

from training import offers
from training.sandbox.azure import AzureSandbox


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureSandbox]:
    with AzureSandbox(tmp_path_factory.mktemp("azure")) as azure:
        yield azure


@pytest.fixture
def azure(sandbox: AzureSandbox, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Iterator[AzureSandbox]:
    assert shell.acting is None  # the shell has cleared the environment
    for name, value in sandbox.environ().items():
        monkeypatch.setenv(name, value)
    yield sandbox
    sandbox.clear_faults()


def home() -> Path:
    return Path(os.environ["ERRATA_HOME"])


def names(shell: Shell) -> set[str]:
    code, out, err = shell("models", "--search", "phi-4", "--json")
    assert code == 0, err
    return {one["name"] for one in json.loads(out)["registry"]}


def test_a_model_that_goes_while_the_registry_is_read_takes_no_other_with_it(azure: AzureSandbox, shell: Shell) -> None:
    azure.fail_next("GET .*models/Phi-4-mini-reasoning/versions/", 404, code="UserError", times=-1)

    assert names(shell) == {"Phi-4", "Phi-4-mini-instruct"}


@pytest.mark.usefixtures("azure")
def test_what_was_read_is_shown_where_no_copy_of_it_can_be_kept(shell: Shell) -> None:
    home().mkdir(parents=True, exist_ok=True)
    (home() / "azure").touch()  # a file, where the folder should be

    assert "Phi-4-mini-instruct" in names(shell)
    assert "catalogue.json cannot be written" in shell("models", "--search", "phi-4")[2]


@pytest.mark.parametrize(
    "moment", ["2026-11-21T10:00:00", "yesterday", 20261121], ids=["no zone", "no moment", "a number"]
)
def test_a_copy_that_does_not_say_when_it_was_read_is_read_anew(
    azure: AzureSandbox, shell: Shell, moment: object
) -> None:
    azure.forget_requests()
    kept = offers.file_of(home())
    kept.parent.mkdir(parents=True)
    kept.write_text(json.dumps({"searched": {"phi-4": moment}, "offers": []}), encoding="utf-8")

    assert "Phi-4-mini-instruct" in names(shell)
    assert [one for one in azure.requests if one.path.endswith("/registries/azureml/models")]
