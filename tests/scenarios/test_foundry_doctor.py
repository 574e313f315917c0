"""``errata doctor --foundry`` and ``errata foundry``, typed by a person, against an Azure-shaped place on loopback.

Each prerequisite is broken alone: exactly its line fails, and what its remedy says lets it pass.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from builders import open_office
from shell import Shell

from bot import cli
from training.backends.foundry.access import credentials
from training.backends.foundry.access.sdks import azure_ml
from training.sandbox.azure import AzureSandbox
from training.sandbox.registry import Catalogue
from training.sandbox.standing import Standing

PRICES = """
[[price]]
for = "training"
model = "phi-4-mini-instruct"
dollars = 3.0
date = 2026-11-01
source = "the contract"
"""
MODEL = "phi-4-mini-instruct"


@dataclass
class Desk:
    """A shell whose environment leads to the sandbox."""

    azure: AzureSandbox
    shell: Shell
    set: Callable[[str, str], None]
    home: Path

    def checks(self, *options: str) -> dict[str, dict[str, str]]:
        """What the doctor says, by id without ``azure.``; the exit code agrees with it."""
        code, out, err = self.shell("doctor", "--foundry", "--json", *options)
        found = {one["id"].removeprefix("azure."): one for one in json.loads(out)["checks"]}
        assert code == (1 if self.failing(found) else 0), err
        return found

    @staticmethod
    def failing(checks: dict[str, dict[str, str]]) -> list[str]:
        return [name for name, one in checks.items() if one["state"] == "failed"]

    @property
    def standing(self) -> Standing:
        return self.azure.cloud.part(Standing)

    def resource(self, identity: str) -> dict[str, Any]:
        return self.azure.cloud.get(identity)

    @property
    def project(self) -> str:
        return self.azure.names.workspace_id(self.azure.names.project)


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureSandbox]:
    with AzureSandbox(tmp_path_factory.mktemp("azure")) as opened:
        yield opened


def _desk(azure: AzureSandbox, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Desk:
    for name, value in azure.environ().items():
        monkeypatch.setenv(name, value)
    azure_ml()
    from azure.ai.ml.constants._common import LROConfigurations  # noqa: PLC0415 (it warns unless loaded by ``azure_ml``)

    monkeypatch.setattr(LROConfigurations, "SLEEP_TIME", 0.05)
    home = Path(os.environ["ERRATA_HOME"])
    home.mkdir(parents=True, exist_ok=True)
    (home / "prices.toml").write_text(PRICES, encoding="utf-8")
    return Desk(azure, shell, monkeypatch.setenv, home)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation that these tests share, with its owner."""
    made = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as alone:
        alone.setenv("ERRATA_HOME", str(made))
        assert cli.run(["people", "grant", "ana", "owner"]) == 0
    return made


@pytest.fixture
def desk(azure: AzureSandbox, home: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setenv("ERRATA_HOME", str(home))
    shell.acting = "ana"
    return _desk(azure, shell, monkeypatch)


def test_where_everything_is_right_every_line_is_fine_and_the_exit_code_is_zero(desk: Desk) -> None:
    checks = desk.checks()

    assert {one["state"] for one in checks.values()} == {"ok"}
    assert all(set(one) == {"id", "state", "evidence", "remedy"} for one in checks.values())
    assert not [one["id"] for one in checks.values() if one["remedy"]]
    code, out, _ = desk.shell("doctor", "--foundry")
    assert code == 0
    assert "azure.project" in out


def test_nothing_that_the_doctor_asks_for_changes_anything(desk: Desk) -> None:
    desk.azure.forget_requests()
    desk.checks()

    assert {asked.method for asked in desk.azure.requests if asked.host == "management.azure.com"} == {"GET"}


@dataclass(frozen=True)
class Broken:
    """One prerequisite that is not met.

    Attributes:
        breaks, repairs: what happens to it, and what its remedy does.
        remedy: the remedy said.
    """

    breaks: Callable[[Desk], object]
    repairs: Callable[[Desk], object]
    remedy: str
    options: tuple[str, ...] = ()


def _init(desk: Desk) -> None:
    code, _, err = desk.shell("foundry", "init", "--yes")
    assert code == 0, err


def _gone(kind: str) -> Callable[[Desk], object]:
    def breaks(desk: Desk) -> None:
        names = desk.azure.names
        identity = {
            "hub": names.workspace_id(names.hub),
            "project": names.workspace_id(names.project),
            "account": names.id_of("Microsoft.CognitiveServices", "accounts", names.account),
        }[kind]
        with desk.azure.cloud.lock:
            assert desk.azure.cloud.delete(identity)

    return breaks


def _set(name: str, value: str) -> Callable[[Desk], object]:
    return lambda desk: desk.set(name, value)


def _located(region: str) -> Callable[[Desk], object]:
    return lambda desk: desk.resource(desk.project).update(location=region)


def _quota(used: int) -> Callable[[Desk], object]:
    family = "Standard NCADSA100v4 Family Cluster Dedicated vCPUs"
    return lambda desk: desk.standing.quota.update({family: (used, 96)})


def _keyless(allowed: bool, *data_actions: str) -> Callable[[Desk], object]:
    def change(desk: Desk) -> None:
        names = desk.azure.names
        storage = desk.resource(names.id_of("Microsoft.Storage", "storageAccounts", names.storage))
        storage["properties"]["allowSharedKeyAccess"] = allowed
        kept = [one for one in desk.standing.data_actions if "/blobs/" not in one]
        desk.standing.data_actions = [*kept, *data_actions]

    return change


GROUP = "/subscriptions/0a000000-0000-4000-8000-000000000001/resourceGroups/rg-errata"
SUBSCRIPTION = "0a000000-0000-4000-8000-000000000001"
BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write"
PREREQUISITES = {
    "credential": Broken(
        _set("AZURE_CLIENT_SECRET", "expired"), _set("AZURE_CLIENT_SECRET", "sandbox-client-secret"), "az login"
    ),
    "subscription": Broken(
        _set("AZURE_SUBSCRIPTION_ID", "0b000000-0000-4000-8000-000000000001"),
        _set("AZURE_SUBSCRIPTION_ID", SUBSCRIPTION),
        "az account list --output table",
    ),
    "providers": Broken(
        lambda desk: desk.standing.providers.update({"Microsoft.Network": "NotRegistered"}),
        lambda desk: desk.standing.providers.update({"Microsoft.Network": "Registered"}),
        f"az provider register --namespace Microsoft.Network --subscription {SUBSCRIPTION}",
    ),
    "group": Broken(
        _set("ERRATA_AZURE_GROUP", "rg-elsewhere"),
        _set("ERRATA_AZURE_GROUP", "rg-errata"),
        f"az group create --name rg-elsewhere --location eastus2 --subscription {SUBSCRIPTION}",
    ),
    "role": Broken(
        lambda desk: desk.standing.actions.remove("Microsoft.MachineLearningServices/workspaces/*/write"),
        lambda desk: desk.standing.actions.append("Microsoft.MachineLearningServices/workspaces/*/write"),
        f'az role assignment create --assignee WHO --role "Azure AI Developer" --scope {GROUP}',
    ),
    "hub": Broken(_gone("hub"), _init, "errata foundry init"),
    "project": Broken(_gone("project"), _init, "errata foundry init"),
    "account": Broken(_gone("account"), _init, "errata foundry init"),
    "region": Broken(
        _located("westus2"), _located("eastus2"), "errata foundry init --region eastus2 --hub HUB --project PROJECT"
    ),
    "quota": Broken(
        _quota(90),
        _quota(0),
        f"az ml compute list-usage --location eastus2 --subscription {SUBSCRIPTION} --output table",
    ),
    "capacity": Broken(
        lambda desk: desk.azure.fail_next(
            "GET .*CognitiveServices/locations/.*/usages", 403, code="AuthorizationFailed", times=9
        ),
        lambda desk: desk.azure.clear_faults(),
        'az role assignment create --assignee WHO --role "Cognitive Services Usages Reader" --scope '
        f"/subscriptions/{SUBSCRIPTION}",
    ),
    "storage": Broken(
        _keyless(False),
        _keyless(False, BLOBS),
        'az role assignment create --assignee WHO --role "Storage Blob Data Contributor" --scope '
        f"{GROUP}/providers/Microsoft.Storage/storageAccounts/erratastorage",
    ),
    "model": Broken(
        lambda desk: desk.azure.cloud.part(Catalogue).entry(MODEL).update(archived=True),
        lambda desk: desk.azure.cloud.part(Catalogue).entry(MODEL).update(archived=False),
        "errata models --search phi-4-mini-instruct",
    ),
    "data": Broken(
        _set("ERRATA_AZURE_GEOGRAPHY", "europe"),
        lambda desk: desk.shell("foundry", "consent", "eastus2"),
        "errata --as PERSON foundry consent eastus2",
    ),
}


@pytest.mark.parametrize("name", PREREQUISITES)
def test_each_prerequisite_broken_alone_fails_exactly_its_line_until_it_is_repaired(desk: Desk, name: str) -> None:
    broken = PREREQUISITES[name]
    broken.breaks(desk)
    try:
        checks = desk.checks()

        assert desk.failing(checks) == [name]
        assert checks[name]["remedy"].replace(_who(checks), "WHO") == broken.remedy
        waiting = [one for one in checks.values() if one["state"] == "skipped"]
        assert all("Not looked at" in one["evidence"] and one["remedy"] for one in waiting)
    finally:
        broken.repairs(desk)
    assert desk.failing(desk.checks()) == []


def _who(checks: dict[str, dict[str, str]]) -> str:
    """The object id that Azure's token names, if it names one."""
    return checks["credential"]["evidence"].removeprefix("Azure gives a token to ").rstrip(".")


def test_what_needs_something_that_failed_is_not_looked_at_and_says_so(desk: Desk) -> None:
    desk.set("ERRATA_AZURE_GROUP", "rg-elsewhere")
    checks = desk.checks()

    assert checks["storage"]["state"] == "skipped"
    assert checks["storage"]["evidence"] == "Not looked at: azure.group comes first."
    assert checks["model"]["state"] == "ok"
    assert checks["safety"]["state"] == "ok"


def test_a_model_that_was_retired_or_is_tuned_elsewhere_is_named_before_money_is_spent(desk: Desk) -> None:
    retired = desk.checks("--model", "Phi-3-mini-4k-instruct")
    assert desk.failing(retired) == ["model"]
    assert "retired that on 2025-08-30" in retired["model"]["evidence"]

    desk.resource(desk.project)["location"] = "westus3"
    try:
        assert "eastus2, not in westus3" in desk.checks("--model", "Phi-3-mini-4k-instruct")["region"]["evidence"]
        assert desk.checks("--model", MODEL)["region"]["state"] == "ok"
    finally:
        desk.resource(desk.project)["location"] = "eastus2"


def test_a_price_that_nobody_knows_is_said_to_be_unknown(desk: Desk) -> None:
    (desk.home / "prices.toml").unlink()
    found = desk.checks()["price"]

    assert found["state"] == "warning"
    assert "not known here" in found["evidence"]
    assert "prices.toml" in found["remedy"]


def test_where_rows_would_go_is_said_with_its_geography(desk: Desk) -> None:
    told = desk.checks()["data"]["evidence"]

    assert told == "The rows of the dataset of a run, and nothing else, would go to eastus2 (us)."


def test_an_owner_alone_consents_that_rows_leave_the_geography(
    azure: AzureSandbox, errata: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = _desk(azure, errata, monkeypatch)
    desk.set("ERRATA_AZURE_GEOGRAPHY", "europe")
    assert desk.shell("people", "grant", "rita", "reviewer")[0] == 0

    code, _, err = desk.shell("foundry", "consent", "East US 2", acting="rita")
    assert (code, "rita may not let data go to another geography" in err) == (1, True)
    assert desk.failing(desk.checks()) == ["data"]

    given = json.loads(desk.shell("foundry", "consent", "East US 2", "--json")[1])
    assert (given["region"], given["geography"]) == ("eastus2", "us")
    again = json.loads(desk.shell("foundry", "consent", "eastus2", "--json")[1])
    assert again["given_at"] == given["given_at"]
    assert desk.failing(desk.checks()) == []
    assert "consent.given" in desk.shell("audit", "search")[1]
    assert desk.shell("foundry", "consent", "no such place!")[0] == 2


def test_init_makes_what_is_missing_and_a_second_time_nothing(
    errata: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with AzureSandbox(tmp_path / "empty", empty=True) as azure:
        desk = _desk(azure, errata, monkeypatch)
        assert desk.failing(desk.checks()) == ["group"]

        first = json.loads(desk.shell("foundry", "init", "--yes", "--json")[1])
        assert [made["kind"] for made in first["made"]][:4] == [
            "resource group",
            "AI Services account",
            "hub",
            "project",
        ]
        assert "ERRATA_AZURE_PROJECT=errata-project" in first["env"]
        assert desk.resource(desk.project)["properties"]["hubResourceId"].endswith("/errata-hub")
        assert desk.failing(desk.checks()) == []

        azure.forget_requests()
        code, out, err = desk.shell("foundry", "init", "--yes")
        assert (code, "nothing was changed" in err) == (0, True)
        assert out.splitlines() == first["env"]
        written = [one for one in azure.requests if one.method != "GET" and one.host == "management.azure.com"]
        assert written == []


def test_init_asks_before_it_makes_anything_and_names_what_it_lacks(desk: Desk) -> None:
    code, _, err = desk.shell("foundry", "init", "--hub", "another", "--region", "swedencentral", "--yes")
    assert code == 1
    assert "errata-ai is in eastus2, not in swedencentral" in err
    desk.set("ERRATA_AZURE_HUB", "")
    code, _, err = desk.shell("foundry", "init")
    assert code == 2
    assert "ERRATA_AZURE_HUB" in err


def test_init_whose_maker_is_refused_says_which_role_is_missing(desk: Desk) -> None:
    desk.azure.fail_next("PUT .*/deployments/", 403, code="AuthorizationFailed", times=9)
    try:
        code, _, err = desk.shell("foundry", "init", "--project", "second", "--yes")
    finally:
        desk.azure.clear_faults()
    assert code == 3
    assert "lacks a role in Azure (AuthorizationFailed): az role assignment create" in err


def test_without_any_credential_every_line_has_its_remedy_within_seconds(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that Azure knows nothing of, in a network that swallows what asks for a managed identity."""
    for name in [name for name in os.environ if name.startswith("AZURE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "ManagedIdentityCredential")
    with socket.create_server(("127.0.0.1", 0)) as swallowing:
        monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", f"http://127.0.0.1:{swallowing.getsockname()[1]}")
        began = time.monotonic()
        code, out, _ = shell("doctor", "--foundry", "--json")
        assert (code, time.monotonic() - began < 5) == (1, True)
    checks = json.loads(out)["checks"]
    assert checks[0]["remedy"] == "az login"
    assert "Errata finds no credential for Azure" in checks[0]["evidence"]
    assert all(one["remedy"] for one in checks if one["state"] != "ok")
    assert [one["id"] for one in checks if one["state"] == "failed"] == ["azure.credential"]


def test_the_doctor_of_azure_answers_in_slack_and_fetches_no_token_before_it_has_said_so(
    desk: Desk, tmp_path: Path
) -> None:
    """A token may take seconds, and Slack gives three; what is missing is told with the command that mends it."""
    desk.standing.providers["Microsoft.Network"] = "NotRegistered"
    names = {name: value for name, value in desk.azure.environ().items() if name.startswith(("ERRATA_", "AZURE_SUB"))}
    try:
        with open_office(tmp_path / "office", **names) as office:
            credentials.renew()
            desk.azure.fail_next("POST login.*token", "slow", seconds=1.5)
            desk.azure.forget_requests()
            olga, began = office.people["olga"], time.monotonic()
            assert "takes a few seconds" in olga.command("/errata", "doctor foundry", office.channel)["text"]
            assert time.monotonic() - began < 1.4
            office.workspace.wait_until(
                lambda: [one for one in olga.ephemerals if "blocks" in one], what="the doctor of Azure"
            )
            told = str(next(one for one in olga.ephemerals if "blocks" in one)["blocks"])
            assert "may not change assistants" in str(
                office.people["ana"].command("/errata", "doctor foundry", office.channel)
            )
    finally:
        desk.standing.providers["Microsoft.Network"] = "Registered"
    assert "Not registered in this subscription: Microsoft.Network." in told
    assert "az provider register --namespace Microsoft.Network" in told
    assert any("token" in one.path for one in desk.azure.requests)


def test_a_silent_network_and_half_of_the_screening_are_named_for_what_they_are(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ERRATA_AZURE_SAFETY_URL", "https://errata-safety.cognitiveservices.azure.com")
    monkeypatch.delenv("ERRATA_AZURE_SAFETY_KEY", raising=False)
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    checks = desk.checks()
    assert (checks["credential"]["state"], checks["credential"]["remedy"]) == ("failed", "errata doctor --foundry")
    assert "Check the network and the proxy" in checks["credential"]["evidence"]
    assert (checks["safety"]["state"], checks["safety"]["remedy"]) == ("warning", "ERRATA_AZURE_SAFETY_KEY")


def test_without_microsofts_libraries_the_first_line_says_how_they_are_installed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "azure.identity", None)
    monkeypatch.setenv("AZURE_ANOTHER_DAY", "1")  # a credential is built once for each environment
    seen = desk.checks()["credential"]
    assert (seen["state"], seen["remedy"]) == ("failed", "pip install 'errata[azure]'")
