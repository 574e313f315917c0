"""Jobs of a project as the resource manager shows them: found by name, and asked to stop.

Owns the reading of its answer, whatever kind of job it is. azure-ai-ml asks twice for each look, and a token in
between, and keeps 70 MB and more of whoever loads it; a worker looks at many jobs for long, and requests are counted.

https://learn.microsoft.com/rest/api/azureml/jobs
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from training.backends.errors import Missing
from training.backends.foundry.access import remedies
from training.backends.foundry.access.clients import arm
from training.backends.foundry.place import AzurePlace

API = "2024-10-01-preview"
"""The newest version that azure-ai-ml asks for; it knows fine-tuning jobs."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A job as Azure shows it.

    Attributes:
        word: where it stands, in Azure's word.
        link: where the studio shows it; None where it does not say.
        told: everything that is told of it.
    """

    word: str
    link: str | None
    told: Mapping[str, Any]


def find(place: AzurePlace, name: str) -> Standing | None:
    """The job of this name; None where there is none. Raises Refused, Unreached."""
    try:
        told = arm().get(_path(place, name), API).get("properties") or {}
    except Missing:
        return None
    studio = (told.get("services") or {}).get("Studio") or {}
    return Standing(str(told.get("status") or ""), studio.get("endpoint"), told)


def begin_cancel(place: AzurePlace, name: str) -> None:
    """Ask for the job to stop, and do not wait for it. Raises Missing, Refused, Unreached."""
    arm().post(f"{_path(place, name)}/cancel", API)


def _path(place: AzurePlace, name: str) -> str:
    return f"{remedies.workspace_scope(place, place.project)}/jobs/{name}"
