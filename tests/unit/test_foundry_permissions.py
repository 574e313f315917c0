"""Effective permissions of Azure as they are listed, and how the names of machines lead to their quota."""

from __future__ import annotations

import base64
import json

import pytest

from training.backends.foundry.access.credentials import principal
from training.backends.foundry.access.permissions import PROJECT_ACTIONS, Allowed
from training.backends.foundry.doctor.project_checks import cores_of, family_of

DEVELOPER = {
    "actions": [
        "Microsoft.MachineLearningServices/workspaces/*/read",
        "Microsoft.MachineLearningServices/workspaces/*/action",
        "Microsoft.MachineLearningServices/workspaces/*/delete",
        "Microsoft.MachineLearningServices/workspaces/*/write",
    ],
    "notActions": ["Microsoft.MachineLearningServices/workspaces/delete"],
    "dataActions": ["Microsoft.CognitiveServices/accounts/OpenAI/*"],
}


@pytest.mark.parametrize(
    "rows",
    [
        [DEVELOPER],
        [{"actions": ["*"]}],
        [{"actions": ["microsoft.machinelearningservices/*"]}, {"actions": ["x/read"]}],
    ],
    ids=["Azure AI Developer", "Owner", "a role of the organisation's own"],
)
def test_every_role_that_allows_what_a_run_takes_will_do(rows: list[dict[str, list[str]]]) -> None:
    assert Allowed.of(rows).missing(PROJECT_ACTIONS) == []


def test_what_one_role_takes_away_another_may_give() -> None:
    """Azure adds roles up; an exception is one of its own role."""
    without_jobs = {"actions": ["*"], "notActions": ["*/workspaces/jobs/*"]}
    assert Allowed.of([without_jobs]).missing(PROJECT_ACTIONS)[0].endswith("/jobs/write")
    assert Allowed.of([without_jobs, DEVELOPER]).missing(PROJECT_ACTIONS) == []


def test_data_is_allowed_apart_from_resources() -> None:
    owner = Allowed.of([{"actions": ["*"], "dataActions": []}])
    assert owner.action("Microsoft.CognitiveServices/accounts/read")
    assert not owner.data_action("Microsoft.CognitiveServices/accounts/OpenAI/fine-tunes/write")
    assert Allowed.of([]).missing(["x/read"], ["y/write"]) == ["x/read", "y/write"]


@pytest.mark.parametrize(
    ("instance", "family", "cores"),
    [
        ("Standard_NC24ads_A100_v4", "ncadsa100v4", 24),
        ("Standard_NC40ads_H100_v5", "ncadsh100v5", 40),
        ("Standard_ND96asr_v4", "ndasrv4", 96),
        ("Standard_NC4as_T4_v3", "ncast4v3", 4),
        ("custom", "custom", 1),
    ],
)
def test_a_machine_names_its_family_and_cores(instance: str, family: str, cores: int) -> None:
    assert (family_of(instance), cores_of(instance)) == (family, cores)


def test_a_token_names_who_it_stands_for_and_one_that_does_not_is_no_error() -> None:
    claims = base64.urlsafe_b64encode(json.dumps({"oid": "7f6c"}).encode()).decode().rstrip("=")
    assert principal(f"head.{claims}.signature") == "7f6c"
    for other in ("", "opaque", "a.b.c", f"a.{base64.urlsafe_b64encode(b'[]').decode()}.c"):
        assert principal(other) is None
