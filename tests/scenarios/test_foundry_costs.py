"""``errata foundry costs``: what the provider still hosts beside Errata's records, and a provider that is silent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from shell import Shell

from training.sandbox.azure import AzureSandbox

HOSTED = "https://forgotten.eastus2.models.ai.azure.com"


@pytest.fixture
def azure(tmp_path: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Iterator[AzureSandbox]:
    assert shell.acting is None  # the shell has cleared the environment
    with AzureSandbox(tmp_path / "azure") as sandbox:
        for name, value in sandbox.environ().items():
            monkeypatch.setenv(name, value)
        yield sandbox


def forget(azure: AzureSandbox, name: str) -> None:
    """Somebody's endpoint that nobody took down."""
    names = azure.names
    group = f"/subscriptions/{names.subscription}/resourceGroups/{names.group}"
    project = f"{group}/providers/Microsoft.MachineLearningServices/workspaces/{names.project}"
    model = f"azureml://locations/eastus2/workspaces/{names.project}/models/old/versions/1"
    properties = {
        "authMode": "Key",
        "modelSettings": {"modelId": model},
        "provisioningState": "Succeeded",
        "endpointState": "Online",
        "inferenceEndpoint": {"uri": HOSTED, "headers": {}},
    }
    azure.cloud.put(f"{project}/serverlessEndpoints/{name}", {"location": "eastus2", "properties": properties})


def test_an_endpoint_that_is_none_of_erratas_is_listed_with_the_command_that_takes_it_down(
    azure: AzureSandbox, shell: Shell
) -> None:
    forget(azure, "forgotten")
    code, out, err = shell("foundry", "costs", "--json")
    assert (code, err) == (0, "")
    told = json.loads(out)
    (one,) = told["hosted"]
    assert (one["name"], one["kind"], one["run"], one["hourly"]) == ("forgotten", "endpoint", None, None)
    assert "az ml serverless-endpoint delete" in one["undeploy"]
    assert "forgotten" in one["undeploy"]
    assert told["caps"] == {"run": None, "month": None}
    out = shell("foundry", "costs")[1]
    assert "none of Errata's" in out
    assert "Models at endpoints: none." in out


def test_a_provider_that_says_no_does_not_hide_what_errata_knows(azure: AzureSandbox, shell: Shell) -> None:
    azure.fail_next("GET .*/serverlessEndpoints", 403)
    code, out, err = shell("foundry", "costs")
    assert code == 3
    assert err.startswith("foundry: ")
    assert "Caps: none for a run, none for a month." in out


def test_nobody_is_said_to_list_nothing_where_nobody_was_asked_or_nobody_answered(
    azure: AzureSandbox, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = "What the provider lists"
    assert f"{listed}: none." in shell("foundry", "costs")[1]
    for _ in range(2):
        azure.fail_next("GET .*(serverlessEndpoints|deployments)", 403)
    code, out, _ = shell("foundry", "costs")
    assert (code, listed in out) == (3, False)
    monkeypatch.delenv("AZURE_SUBSCRIPTION_ID")
    code, out, err = shell("foundry", "costs")
    assert (code, listed in out) == (0, False)
    assert "No provider is set up here, so none was asked" in err
