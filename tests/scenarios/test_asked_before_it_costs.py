"""In a terminal, too, somebody is asked before a command begins to cost money; where nobody can be, it takes a yes."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from builders import NOON
from shell import Shell, write_dialogues
from sqlmodel import select

from bot.migrations import upgrade
from curation.datasets import dataset
from curation.store.engine import Store, open_engine
from curation.store.tables import Example
from training.backends.names import BackendName
from training.deployments import DeploymentStatus
from training.planning import limits, prices
from training.recipe import load_recipe
from training.runs import RunStatus
from training.store.tables import Deployment, Run

AZURE = {
    "AZURE_SUBSCRIPTION_ID": "11111111-2222-3333-4444-555555555555",
    "ERRATA_AZURE_GROUP": "errata",
    "ERRATA_AZURE_PROJECT": "errata-project",
    "ERRATA_AZURE_REGION": "eastus2",
    "ERRATA_AZURE_ACCOUNT": "errata-openai",
}
MODEL = "phi-4-mini-instruct"
HOSTING = """
[[price]]
for = "hosting"
model = "phi-4-mini-instruct"
dollars = 0.80
date = 2026-11-01
"""
TRAINING = HOSTING.replace("hosting", "training").replace("0.80", "3")
TRAIN = ("train", "v1", "--backend", "foundry", "--model", MODEL, "--detach")


class Typing(io.StringIO):
    """A terminal at which somebody types this; ``before`` happens while they think."""

    def __init__(self, text: str, before: Callable[[], object] = lambda: None) -> None:
        super().__init__(text)
        self._before = before

    def isatty(self) -> bool:
        return True

    def readline(self, *args: Any) -> str:
        self._before()
        return super().readline(*args)


@pytest.fixture
def cloud(frozen: Shell, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A shell whose environment names a place in Azure, without a terminal; nothing is ever asked there."""
    for name, value in AZURE.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    return frozen


def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def store_of(tmp_path: Path) -> Store:
    engine = open_engine(f"sqlite:///{home(tmp_path) / 'errata.db'}")
    upgrade(engine)
    return Store(engine)


def listed(shell: Shell) -> list[Any]:
    found: list[Any] = json.loads(shell("runs", "--json")[1])
    return found


@pytest.mark.parametrize("words", [TRAIN, (*TRAIN, "--json")])
def test_without_a_terminal_a_paid_run_takes_a_yes_and_nothing_is_written(cloud: Shell, words: tuple[str, ...]) -> None:
    code, out, err = cloud(*words)
    assert (code, out, len(err.strip().splitlines())) == (2, "", 1)
    assert "nobody can be asked without a terminal, or with --json: give --yes once you know what it costs." in err
    assert listed(cloud) == []


def test_json_asks_nobody_at_a_terminal_either(cloud: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Typing("y\n"))
    assert cloud(*TRAIN, "--json")[0] == 2
    assert listed(cloud) == []


def test_at_a_terminal_one_sees_what_slack_shows_and_says_yes_or_no(
    cloud: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "stdin", Typing("n\n"))
    code, _, err = cloud(*TRAIN)
    told = " ".join(err.split())
    assert code == 1
    for part in (
        "Dataset v1 (",
        f"Model {MODEL}",
        "Recipe service: 3 passes over the data,",
        "Where Azure AI Foundry (foundry): the rows go to the region eastus2",
        "Time unknown",
        "Cost unknown here",
        "Training: the price of phi-4-mini-instruct is unknown here.",
        "For its evaluation the tuned model stands at an endpoint of its own",
        "Start this run? [y/N]",
        "Nothing was started.",
    ):
        assert part in told, part
    assert listed(cloud) == []

    (home(tmp_path) / prices.FILE).write_text(TRAINING + HOSTING, encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", Typing("y\n"))
    code, _, err = cloud(*TRAIN)
    assert code == 0
    assert "Cost     about $0.8" in err
    assert "Afterwards each day at an endpoint costs $19.20" in err
    assert [one["status"] for one in listed(cloud)] == ["requested"]


def test_a_yes_beforehand_is_not_asked_and_what_stays_here_is_never(cloud: Shell) -> None:
    code, _, err = cloud(*TRAIN, "--yes")
    assert (code, "Start this run?" in err) == (0, False)
    assert "It goes to Azure AI Foundry, at a cost of: unknown here." in err
    assert cloud("train", "v1", "--model", "rehearsal", "--detach")[0] == 0
    assert [one["backend"] for one in listed(cloud)] == ["local", "foundry"]


def test_what_changes_while_somebody_thinks_is_not_what_they_said_yes_to(
    cloud: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def erased() -> None:
        with store_of(tmp_path).write() as session:
            session.exec(select(Example)).all()[0].erased_at = NOON

    monkeypatch.setattr(sys, "stdin", Typing("y\n", erased))
    code, _, err = cloud(*TRAIN)
    assert code == 1
    assert "What was shown of the run has changed since: give the command once more." in err
    assert listed(cloud) == []


@pytest.mark.parametrize(("backend", "yes"), [("foundry", ()), ("openai", ("--yes",))])
def test_what_the_service_refuses_is_said_before_anybody_is_asked(
    errata: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, backend: str, yes: tuple[str, ...]
) -> None:
    for name, value in AZURE.items():
        monkeypatch.setenv(name, value)
    file = write_dialogues(tmp_path / "few.jsonl", 8)
    assert errata("import", str(file), "--approve-as", "ana", "--reason", "Checked by hand.")[0] == 0
    assert errata("dataset", "freeze", "few", "--validation", "0.3")[0] == 0
    monkeypatch.setattr(sys, "stdin", Typing("y\n"))
    code, _, err = errata("train", "few", "--backend", backend, "--model", MODEL, "--detach", *yes)
    assert code == 1
    assert "rows to train on; the service takes 10 or more. Approve more examples and freeze again." in err
    assert "[y/N]" not in err
    assert listed(errata) == []
    answer = json.loads(errata("estimate", "few", "--backend", backend, "--model", MODEL, "--json")[1])
    assert "foundry.few" in [one["rule"] for one in answer["findings"]]
    here = json.loads(errata("estimate", "few", "--model", MODEL, "--json")[1])
    assert "foundry.few" not in [one["rule"] for one in here["findings"]]


def test_neither_a_retired_model_nor_a_recipe_that_the_service_does_not_take_is_asked_about(cloud: Shell) -> None:
    for words, told in (
        (("--model", "phi-3-mini-4k-instruct"), "phi-3-mini-4k-instruct can no longer be fine-tuned as a service"),
        (("--model", MODEL, "--recipe", "service-preference"), "preferences"),
    ):
        code, _, err = cloud("train", "v1", "--backend", "foundry", *words, "--detach", "--yes")
        assert (code, told in err) == (1, True), err
    assert listed(cloud) == []


def test_a_side_of_512_megabytes_is_measured_where_there_is_time_and_doubted_where_there_is_none(
    cloud: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(limits, "AZURE_LIMIT_BYTES", 9_000)  # the sixty rows have more, those held out have less
    code, _, err = cloud(*TRAIN, "--yes")
    assert code == 1
    assert "train.jsonl has 0 MB; the service takes less than 0 MB. Freeze a smaller dataset." in err
    assert "validation.jsonl" not in err
    with store_of(tmp_path).read() as session:
        found = limits.findings(
            session, dataset.find(session, "v1"), load_recipe("service"), BackendName.FOUNDRY, model=MODEL
        )
    assert [(one.rule, one.severity.value) for one in found] == [("foundry.size", "warning")]


def completed(shell: Shell, tmp_path: Path) -> str:
    run_id = str(json.loads(shell(*TRAIN, "--yes", "--json")[1])["id"])
    with store_of(tmp_path).write() as session:
        session.get_one(Run, run_id).status = RunStatus.COMPLETED.value
    return run_id


def test_a_run_that_is_resumed_may_cost_as_much_once_more(cloud: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = str(json.loads(cloud(*TRAIN, "--yes", "--json")[1])["id"])
    assert cloud("run", "cancel", run_id)[0] == 0
    resume = ("run", "resume", run_id, "--detach")
    assert cloud(*resume)[0] == 2
    assert listed(cloud)[0]["status"] == "cancelled"
    monkeypatch.setattr(sys, "stdin", Typing("n\n"))
    code, _, err = cloud(*resume)
    assert code == 1
    assert f"{run_id} goes to Azure AI Foundry (foundry) once more, with the rows of v1." in err
    assert "The provider may send its whole bill once more: unknown here." in err
    assert listed(cloud)[0]["status"] == "cancelled"
    assert cloud(*resume, "--yes")[0] == 0
    assert listed(cloud)[0]["status"] == "resuming"


@pytest.mark.parametrize("back", [False, True])
def test_an_endpoint_that_is_paid_by_the_hour_is_asked_about(
    cloud: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, back: bool
) -> None:
    run_id = completed(cloud, tmp_path)
    store = store_of(tmp_path)
    if back:
        with store.write() as session:
            retired = Deployment(run_id=run_id, status=DeploymentStatus.RETIRED.value, requested_by="ana")
            retired.requested_at = retired.live_at = retired.retired_at = NOON
            session.add(retired)
    words = ("rollback",) if back else ("deploy", run_id)
    code, _, err = cloud(*words)
    assert (code, len(err.strip().splitlines())) == (2, 1)
    (home(tmp_path) / prices.FILE).write_text(HOSTING, encoding="utf-8")  # after the run was asked for
    monkeypatch.setattr(sys, "stdin", Typing("n\n"))
    code, _, err = cloud(*words)
    assert code == 1
    assert f"{run_id} answers at an endpoint of Azure AI Foundry (foundry)" in err
    assert "Its endpoint costs $0.80 an hour, $19.20 a day, also while nobody asks anything." in err
    with store.read() as session:
        assert [one.status for one in session.exec(select(Deployment))] == (["retired"] if back else [])
    code, _, err = cloud(*words, acting="bob")
    assert "Deploy this model?" not in err
    assert code != 0
