"""The project as Azure knows it: where it is, its id, and where its metrics lie. None of it changes while it stands."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from training.backends.foundry.access import arm as resources
from training.backends.foundry.access import remedies
from training.backends.foundry.access.clients import arm, named
from training.backends.foundry.access.credentials import surroundings
from training.backends.foundry.place import AzurePlace


@dataclass(frozen=True, slots=True)
class Project:
    """An Azure ML workspace of the kind project.

    Attributes:
        region: such as ``eastus2``.
        workspace_id: by which models are addressed.
        tracking: its address for MLflow, ``azureml://REGION.api.azureml.ms/mlflow/v1.0/subscriptions/…``.
    """

    region: str
    workspace_id: str
    tracking: str

    def model_address(self, name: str, version: str) -> str:
        """The id of a registered model: ``azureml://locations/eastus2/workspaces/…/models/run-1a2b3c4d/versions/1``."""
        return f"azureml://locations/{self.region}/workspaces/{self.workspace_id}/models/{name}/versions/{version}"


def project_of(place: AzurePlace) -> Project:
    """The place's project; asked for once in a process.

    Raises:
        Invalid: the place does not name one.
        Missing, Refused, Unreached: it is not there; the provider says no, or nothing.
    """
    subscription, group, project = named(place, "subscription", "group", "project")
    return _project(surroundings(), AzurePlace(subscription=subscription, group=group, project=project))


@lru_cache(maxsize=8)
def _project(key: tuple[tuple[str, str], ...], place: AzurePlace) -> Project:  # noqa: ARG001 (what the cache goes by)
    row = arm().get(remedies.workspace_scope(place, place.project), resources.WORKSPACES)
    told = row.get("properties") or {}
    return Project(
        str(row.get("location") or "").replace(" ", "").lower(),
        str(told.get("workspaceId") or ""),
        str(told.get("mlFlowTrackingUri") or ""),
    )
