"""No token is fetched, and nothing of Azure's is loaded, while Slack waits for an answer."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def acked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What ``acking`` saw, in a process of its own: this one may have loaded anything for other tests."""
    command = [sys.executable, "-W", "error", str(TESTS / "acking.py"), str(tmp_path_factory.mktemp("acked"))]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)  # noqa: S603 (our own code)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_nothing_is_asked_of_azure_before_an_ack_and_no_token_is_fetched(acked: dict[str, Any]) -> None:
    assert acked["before"] == []


def test_a_process_that_only_acknowledges_loads_nothing_of_azure(acked: dict[str, Any]) -> None:
    assert acked["loaded"] == []


def test_every_way_from_slack_to_azure_was_gone_and_led_somewhere(acked: dict[str, Any]) -> None:
    """Otherwise the two above would say nothing."""
    confirmed = [f"train_confirm {backend}" for backend in ("foundry", "openai", "azureml")]
    assert set(confirmed) <= set(acked["done"])
    assert set(acked["statuses"]) == {200}
    assert acked["runs"].count("requested") == len(confirmed)
    assert {"cancelling", "resuming"} <= set(acked["runs"])
    assert acked["deployments"] == ["requested", "retiring"]
    assert acked["after"] > 10, "the doctor did look at Azure once it was acknowledged"
