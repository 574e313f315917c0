"""The doctor where Azure lets it see little, or keeps silent, and where it has to look elsewhere: it goes on."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from shell import Shell

from training.backends.foundry.access import credentials
from training.backends.foundry.doctor import diagnosis
from training.sandbox.azure import AzureSandbox
from training.sandbox.trouble import Kind

SUBSCRIPTION = "/subscriptions/0a000000-0000-4000-8000-000000000001"
GROUP = f"{SUBSCRIPTION}/resourceGroups/rg-errata"


@dataclass
class Asked:
    azure: AzureSandbox
    shell: Shell
    home: Path

    def __call__(self, *options: str) -> dict[str, dict[str, str]]:
        code, out, err = self.shell("doctor", "--foundry", "--json", *options)
        found = {one["id"].removeprefix("azure."): one for one in json.loads(out)["checks"]}
        assert code == (1 if failing(found) else 0), err
        return found

    def forbid(self, match: str) -> None:
        self.azure.fail_next(match, 403, code="AuthorizationFailed", times=-1)


def failing(checks: dict[str, dict[str, str]]) -> list[str]:
    return [name for name, one in checks.items() if one["state"] == "failed"]


def skipped(checks: dict[str, dict[str, str]]) -> list[str]:
    return [name for name, one in checks.items() if one["state"] == "skipped"]


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureSandbox]:
    with AzureSandbox(tmp_path_factory.mktemp("azure")) as opened:
        yield opened


@pytest.fixture
def doctor(azure: AzureSandbox, errata: Shell, monkeypatch: pytest.MonkeyPatch) -> Iterator[Asked]:
    for name, value in azure.environ().items():
        monkeypatch.setenv(name, value)
    yield Asked(azure, errata, Path(os.environ["ERRATA_HOME"]))
    azure.clear_faults()


def test_whoever_has_a_role_in_the_group_only_is_warned_and_everything_else_is_looked_at(doctor: Asked) -> None:
    """Azure AI Developer on the group, which a run takes, lets nobody read the group or the storage."""
    for match in (
        r"GET management\.azure\.com/subscriptions/[^/]+$",
        r"GET .*/providers/Microsoft\.Network$",
        r"GET .*/resourceGroups/[^/]+$",
        r"GET .*MachineLearningServices/locations/.*/usages$",
        r"GET .*/storageAccounts/[^/]+$",
    ):
        doctor.forbid(match)
    checks = doctor()

    assert failing(checks) == []
    assert skipped(checks) == []
    unseen = {name: one["remedy"] for name, one in checks.items() if "may not look at this" in one["evidence"]}
    reader = 'az role assignment create --assignee WHO --role "Reader" --scope '
    assert unseen == {
        "subscription": reader + SUBSCRIPTION,
        "providers": reader + SUBSCRIPTION,
        "group": reader + GROUP,
        "quota": reader + SUBSCRIPTION,
        "storage": reader + GROUP,
    }


@pytest.mark.parametrize(
    ("name", "match", "role"),
    [
        ("project", r"GET .*/workspaces/errata-project$", "Azure AI Developer"),
        ("account", r"GET .*/accounts/errata-ai$", "Cognitive Services OpenAI Contributor"),
        ("role", r"GET .*/permissions$", "Azure AI Developer"),
    ],
)
def test_what_a_run_has_to_read_fails_and_asks_for_a_role_and_not_for_another_resource(
    doctor: Asked, name: str, match: str, role: str
) -> None:
    doctor.forbid(match)
    checks = doctor()

    assert failing(checks) == [name]
    assert checks[name]["remedy"].startswith("az role assignment create --assignee ")
    assert f'--role "{role}"' in checks[name]["remedy"]


@pytest.mark.parametrize("how", [429, 500, "close"])
def test_one_request_that_goes_wrong_takes_no_other_line_down(
    doctor: Asked, how: int | Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)  # azure-core's pauses between two tries
    doctor.azure.fail_next(r"GET .*/accounts/errata-ai$", how, times=5)
    checks = doctor()

    assert (failing(checks), checks["account"]["remedy"]) == (["account"], "errata doctor --foundry")
    assert skipped(checks) == ["capacity"]


def test_a_group_that_is_not_answered_for_at_the_moment_keeps_nothing_else_back(
    doctor: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    doctor.azure.fail_next(r"GET .*/resourceGroups/[^/]+$", 503, times=5)
    checks = doctor()
    assert (failing(checks), skipped(checks)) == (["group"], [])

    doctor.azure.fail_next(r"GET management\.azure\.com/", 503, times=-1)
    checks = doctor()
    assert failing(checks) == ["subscription", "providers", "group"]
    assert "storage" in skipped(checks)


def test_a_request_that_is_never_answered_is_waited_for_a_while_and_the_others_are_told(
    doctor: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    doctor()  # the libraries are loaded
    monkeypatch.setattr(diagnosis, "PATIENCE_SECONDS", 0.8)
    doctor.azure.fail_next(r"GET .*/workspaces/errata-hub$", "slow", seconds=1.2)
    checks = doctor()

    assert failing(checks) == ["hub"]
    assert checks["hub"]["evidence"].startswith("Azure does not answer.")
    assert checks["hub"]["remedy"] == "errata doctor --foundry"


def test_a_credential_whose_proof_is_never_answered_is_not_said_to_be_missing(
    doctor: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A firewall that swallows: *sign in* would send somebody the wrong way."""
    monkeypatch.setattr(credentials, "PATIENCE_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as swallowing:
        for name in ("HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{swallowing.getsockname()[1]}")
        seen = doctor()["credential"]

    assert (seen["state"], seen["remedy"]) == ("failed", "errata doctor --foundry")
    assert "Check the network and the proxy" in seen["evidence"]
    assert os.environ["AZURE_CLIENT_SECRET"] not in str(seen)


@pytest.mark.parametrize(
    ("model", "state", "told"),
    [
        ("gpt-4.1-mini", "ok", "gpt-4.1-mini can be tuned in eastus2."),
        ("gpt-35-turbo", "failed", "Since 2025-06-30 gpt-35-turbo can no longer be tuned."),
        ("gpt-5-mini", "failed", "gpt-5-mini cannot be tuned in eastus2, where the account errata-ai is."),
        ("nobody-knows-it", "warning", "The registry lists no model nobody-knows-it."),
    ],
)
def test_of_a_model_that_is_in_no_registry_the_account_is_asked(
    doctor: Asked, model: str, state: str, told: str
) -> None:
    checks = doctor("--model", model)

    assert (checks["model"]["state"], checks["model"]["evidence"]) == (state, told)
    assert checks["region"]["state"] == ("ok" if state == "ok" else "warning")
    assert failing(checks) == (["model"] if state == "failed" else [])


def test_cores_that_all_machines_of_the_region_share_are_counted_as_well(doctor: Asked) -> None:
    """A family of machines may have cores left that the region has not."""
    quota = doctor.azure.standing.quota
    whole = {name: amount for name, amount in quota.items() if name.startswith("Total")}
    quota.update(dict.fromkeys(whole, (90, 100)))
    try:
        checks = doctor()
    finally:
        quota.update(whole)

    assert failing(checks) == ["quota"]
    assert checks["quota"]["evidence"].startswith("10 cores are left for Standard_NC24ads_A100_v4 in eastus2")


def test_prices_of_ones_own_that_cannot_be_read_fail_their_line_alone(doctor: Asked) -> None:
    doctor.home.mkdir(parents=True, exist_ok=True)
    (doctor.home / "prices.toml").write_text("[[price]", encoding="utf-8")
    checks = doctor()

    assert failing(checks) == ["price"]
    assert "prices.toml cannot be read" in checks["price"]["evidence"]
    assert checks["price"]["remedy"] == "prices.toml"
