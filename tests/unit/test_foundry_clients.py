"""The way to Azure: clients that send nothing while they are built, retries, long operations, tokens that end."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

import pytest

from curation.errors import Invalid
from training.backends.errors import Missing, Refused, Unreached
from training.backends.foundry.access import arm, clients, remedies
from training.backends.foundry.access.credentials import credential, fetch_token
from training.backends.foundry.place import NOWHERE, AzurePlace
from training.sandbox.azure import AzureSandbox
from training.sandbox.cloud import Pace

BODY = {"location": "eastus2", "kind": "AIServices", "sku": {"name": "S0"}, "properties": {}}


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureSandbox]:
    with AzureSandbox(tmp_path_factory.mktemp("azure"), pace=Pace(retry_after=0.01)) as azure:
        yield azure


@pytest.fixture
def azure(opened: AzureSandbox, monkeypatch: pytest.MonkeyPatch) -> AzureSandbox:
    for name, value in opened.environ().items():
        monkeypatch.setenv(name, value)
    opened.clear_faults()
    opened.forget_requests()
    return opened


@pytest.fixture
def place(azure: AzureSandbox) -> AzurePlace:
    return AzurePlace.read(azure.environ())


def test_building_every_client_sends_nothing_and_speaks_of_nothing(
    azure: AzureSandbox, place: AzurePlace, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="root")
    assert clients.ml_client(place) is clients.ml_client(place)
    assert clients.openai_client(place, retries=0).max_retries == 0
    assert clients.openai_client(place).base_url == "https://errata-ai.openai.azure.com/openai/v1/"
    clients.group_client(place)
    clients.arm()

    assert azure.requests == []
    clients.ml_client(place).workspaces.get(azure.names.project)
    with pytest.raises(Exception, match="nobody"):
        clients.ml_client(place).jobs.get("nobody")
    assert [record.name for record in caplog.records if record.name.startswith(("azure", "msal", "urllib3"))] == []
    for name in ("_arm_deployments.arm_deployment_executor", "_utils._experimental"):  # they have handlers of their own
        assert not logging.getLogger(f"azure.ai.ml.{name}").isEnabledFor(logging.WARNING), name


def test_a_refusal_of_the_resource_manager_names_the_place_in_the_command_that_mends_it(
    azure: AzureSandbox, place: AzurePlace
) -> None:
    azure.fail_next("GET .*/accounts/", 403, code="AuthorizationFailed")
    with pytest.raises(Refused, match=f"--scope {remedies.group_scope(place)}"):
        clients.arm().get(remedies.account_scope(place), arm.COGNITIVE)
    found = AzurePlace.of_path(f"{remedies.account_scope(place)}?api-version=1")
    assert (found.subscription, found.group, found.account) == (place.subscription, place.group, place.account)


def test_a_place_without_names_says_which_variables_are_missing() -> None:
    with pytest.raises(Invalid, match="AZURE_SUBSCRIPTION_ID, ERRATA_AZURE_GROUP and ERRATA_AZURE_PROJECT"):
        clients.ml_client(NOWHERE)
    with pytest.raises(Invalid, match="ERRATA_AZURE_ACCOUNT"):
        clients.openai_client(NOWHERE)
    elsewhere = AzurePlace(openai_url="https://gateway.test/openai/v1")
    assert clients.openai_url(elsewhere) == "https://gateway.test/openai/v1/"


@pytest.mark.usefixtures("azure")
def test_there_is_one_credential_in_a_process() -> None:
    assert credential() is credential()
    assert fetch_token()


@pytest.mark.parametrize("status", [429, 503])
def test_a_provider_that_is_busy_is_asked_again(azure: AzureSandbox, place: AzurePlace, status: int) -> None:
    azure.fail_next("GET .*/resourceGroups/", status, retry_after=0)
    found = clients.arm().get(remedies.group_scope(place), arm.RESOURCE_GROUPS)

    assert found["name"] == azure.names.group
    assert [one.status for one in azure.requests if "resourceGroups" in one.path] == [status, 200]


def test_what_takes_long_is_waited_for_and_what_failed_says_why(azure: AzureSandbox) -> None:
    manager = clients.arm()
    path = azure.names.id_of("Microsoft.CognitiveServices", "accounts", "second")
    answer = manager.put(path, arm.COGNITIVE, BODY)
    assert not answer.done
    assert manager.wait(answer)["properties"]["provisioningState"] == "Succeeded"
    assert manager.wait(manager.delete(path, arm.COGNITIVE)) == {}
    assert manager.delete(path, arm.COGNITIVE).done
    with pytest.raises(Missing):
        manager.get(path, arm.COGNITIVE)

    answer = manager.put(path, arm.COGNITIVE, BODY)
    (operation,) = [one for one in azure.cloud.operations.values() if one.status == "InProgress"]
    operation.status, operation.error = "Failed", {"code": "InsufficientQuota", "message": "No."}
    with pytest.raises(Refused, match=r"quota of this subscription is used up \(InsufficientQuota\)"):
        manager.wait(answer)


def test_what_does_not_end_in_time_is_left_to_go_on(place: AzurePlace) -> None:
    now = [0.0]
    manager = arm.Arm(credential(), sleep=lambda seconds: now.__setitem__(0, now[0] + seconds), clock=lambda: now[0])
    answer = arm.Answer(202, {}, operation=f"{arm.HOST}{remedies.group_scope(place)}?x=1", after_seconds=400.0)
    with pytest.raises(Unreached, match="had not finished after 5 minutes; it goes on there"):
        manager.wait(answer, within_seconds=300)


@pytest.mark.usefixtures("azure")
def test_a_token_goes_nowhere_but_to_azure() -> None:
    with pytest.raises(ValueError, match="begins with a slash"):
        clients.arm().get("https://management.azure.com.evil.test/", arm.SUBSCRIPTIONS)


def test_a_token_that_is_no_longer_taken_is_fetched_anew_the_next_time(azure: AzureSandbox, place: AzurePlace) -> None:
    """A run that is watched for a day outlives its tokens."""
    path = remedies.group_scope(place)
    assert clients.arm().get(path, arm.RESOURCE_GROUPS)
    azure.cloud.expire_tokens()
    with pytest.raises(Unreached, match="no longer takes the token"):
        clients.arm().get(path, arm.RESOURCE_GROUPS)

    assert clients.arm().get(path, arm.RESOURCE_GROUPS)


def test_one_client_serves_many_threads(azure: AzureSandbox, place: AzurePlace) -> None:
    found: list[str] = []
    path = remedies.group_scope(place)
    asking = [
        threading.Thread(target=lambda: found.append(clients.arm().get(path, arm.RESOURCE_GROUPS)["name"]))
        for _ in range(8)
    ]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert found == [azure.names.group] * 8
