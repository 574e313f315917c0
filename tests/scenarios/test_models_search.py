"""``errata models --search``: what the registry lists, what Errata can do with it, and a dated copy of it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from builders import Office
from shell import Shell

from bot.app import now
from training import offers
from training.offers import Copy, read_offer
from training.sandbox.azure import AzureSandbox

LISTS, MODELS = "GET .*/registries/azureml/models$", "/registries/azureml/models"


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureSandbox]:
    with AzureSandbox(tmp_path_factory.mktemp("azure")) as azure:
        yield azure


@pytest.fixture(autouse=True)
def azure(sandbox: AzureSandbox, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> AzureSandbox:
    assert shell.acting is None  # the shell has cleared the environment
    for name, value in sandbox.environ().items():
        monkeypatch.setenv(name, value)
    sandbox.forget_requests()
    return sandbox


def searched(shell: Shell, *arguments: str) -> dict[str, Any]:
    code, out, err = shell("models", "--search", *arguments, "--json")
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


def asked(azure: AzureSandbox) -> int:
    return sum(MODELS in one.path for one in azure.requests)


def test_the_registry_says_of_each_model_what_can_be_done_with_it(shell: Shell) -> None:
    found = searched(shell, "PHI 3")
    by_name = {one["name"]: one for one in found["registry"]}
    assert {one["name"] for one in found["here"]} >= {"phi-3-mini-4k-instruct", "phi-3-medium-4k-instruct"}
    mini, small = by_name["Phi-3-mini-4k-instruct"], by_name["Phi-3-small-8k-instruct"]
    assert (mini["context"], mini["tuned"], mini["licence"]) == (4096, ["chat-completion"], "mit")
    assert (mini["tune_regions"], mini["retires_at"], mini["deprecated_at"]) == (
        ["eastus2"],
        "2025-08-30",
        "2025-06-30",
    )
    assert (mini["ways"], mini["archived"]) == (["own GPU"], False)
    assert (small["ways"], small["archived"]) == ([], True)
    code, out, _ = shell("models", "--search", "phi-4")
    (line,) = [line for line in out.splitlines() if line.startswith("Phi-4-mini-instruct ")]
    assert code == 0
    assert "managed and own GPU" in line
    assert "eastus2, eastus, northcentralus" in line
    assert "Phi-4-mini-reasoning" in out
    assert "not offered" in out


def test_what_was_read_is_used_for_a_day_and_read_anew_when_somebody_insists(azure: AzureSandbox, shell: Shell) -> None:
    first = searched(shell, "phi-4")
    requests = asked(azure)
    assert requests > 0
    assert searched(shell, "phi-4-mini") == {
        **first,
        "here": [one for one in first["here"] if "mini" in one["name"]],
        "registry": [one for one in first["registry"] if "mini" in one["name"]],
    }
    assert asked(azure) == requests
    searched(shell, "phi-4", "--refresh")
    assert asked(azure) == 2 * requests
    path = offers.file_of(Path(os.environ["ERRATA_HOME"]))
    kept = json.loads(path.read_text(encoding="utf-8"))
    kept["searched"]["phi-4"] = (now() - timedelta(hours=25)).isoformat()
    path.write_text(json.dumps(kept), encoding="utf-8")
    searched(shell, "phi-4")
    assert asked(azure) == 3 * requests


def test_without_a_network_the_copy_is_shown_with_its_day(azure: AzureSandbox, shell: Shell) -> None:
    searched(shell, "phi-4")
    path = offers.file_of(Path(os.environ["ERRATA_HOME"]))
    kept = json.loads(path.read_text(encoding="utf-8"))
    kept["searched"]["phi-4"] = "2026-01-02T03:04:05+00:00"
    path.write_text(json.dumps(kept), encoding="utf-8")
    azure.fail_next(LISTS, 403)
    code, out, err = shell("models", "--search", "phi-4")
    assert code == 0
    assert "Phi-4-mini-instruct" in out
    assert err.startswith("As of 2026-01-02 03:04: ")
    assert json.loads(path.read_text(encoding="utf-8")) == kept
    azure.fail_next(LISTS, 403)
    code, out, err = shell("models", "--search", "bert")
    assert code == 3
    assert "Azure" in err


def test_words_that_nothing_matches_and_a_refresh_of_nothing_are_refused(azure: AzureSandbox, shell: Shell) -> None:
    code, _, err = shell("models", "--search", "parrot")
    assert code == 2
    assert "No model has parrot in its name, here or in Azure's registry." in err
    assert shell("models", "--refresh")[0] == 2
    assert shell("models", "--search", " ")[0] == 2
    before = asked(azure)
    assert "phi-4-mini-instruct" in shell("models")[1]
    assert asked(azure) == before


def test_slack_shows_what_is_known_and_asks_nobody(office: Office) -> None:
    home = office.settings.home
    offer = read_offer(
        "Phi-4-mini-instruct", "1", {"maas-finetuning": "true"}, {"finetuning-tasks": "chat-completion"}, archived=False
    )
    old = read_offer("Phi-3-small-8k-instruct", "6", {}, {}, archived=True)
    offers.save(home, Copy({"phi": datetime(2026, 1, 2, 3, tzinfo=UTC)}, {offer.name: offer, old.name: old}))
    answer = office.olga.command("/errata", "models phi-4", office.channel)
    said = answer["text"]
    assert "`phi-4-mini-instruct`" in said
    assert "`Phi-4-mini-instruct`: as a service, and here" in said
    assert "2026-01-02" in said
    assert "phi-3" not in said.lower()
    none = office.olga.command("/errata", "models parrot", office.channel)["text"]
    assert "errata models --search parrot" in none
