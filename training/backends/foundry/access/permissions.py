"""What somebody may do in Azure, by the effective permissions that the resource manager lists.

Owns how its patterns are read, and which actions Errata needs. Pure. Effective permissions serve every role, built in
or of an organisation's own: names of roles are not asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_WORKSPACES = "Microsoft.MachineLearningServices/workspaces"
PROJECT_ACTIONS = (
    f"{_WORKSPACES}/jobs/write",
    f"{_WORKSPACES}/jobs/cancel/action",
    f"{_WORKSPACES}/data/versions/write",
    f"{_WORKSPACES}/models/versions/write",
    f"{_WORKSPACES}/datastores/listsecrets/action",
    f"{_WORKSPACES}/serverlessEndpoints/write",
    f"{_WORKSPACES}/serverlessEndpoints/listKeys/action",
    f"{_WORKSPACES}/serverlessEndpoints/delete",
)
"""What a run in a project takes, from the upload to taking the model down; Azure AI Developer has them."""

ACCOUNT_ACTIONS = (
    "Microsoft.CognitiveServices/accounts/read",
    "Microsoft.CognitiveServices/accounts/deployments/write",
    "Microsoft.CognitiveServices/accounts/deployments/delete",
)
ACCOUNT_DATA_ACTIONS = (
    "Microsoft.CognitiveServices/accounts/OpenAI/files/import/action",
    "Microsoft.CognitiveServices/accounts/OpenAI/fine-tunes/write",
)
"""What tuning and deploying in an account takes."""

BLOB_WRITE = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write"


@dataclass(frozen=True, slots=True)
class Allowed:
    """What the rows of ``…/permissions`` allow, each a mapping with actions, dataActions and the exceptions."""

    rows: tuple[Mapping[str, Sequence[str]], ...]

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]]) -> Allowed:
        """Of the rows as they were answered."""
        return cls(tuple(rows))

    def action(self, name: str) -> bool:
        """Whether an action is allowed: ``Microsoft.X/y/*`` allows ``Microsoft.X/y/z/write``."""
        return any(_among(name, row.get("actions")) and not _among(name, row.get("notActions")) for row in self.rows)

    def data_action(self, name: str) -> bool:
        """The same of data."""
        return any(
            _among(name, row.get("dataActions")) and not _among(name, row.get("notDataActions")) for row in self.rows
        )

    def missing(self, actions: Iterable[str], data_actions: Iterable[str] = ()) -> list[str]:
        """Those that are not allowed."""
        return [name for name in actions if not self.action(name)] + [
            name for name in data_actions if not self.data_action(name)
        ]


def _among(name: str, patterns: Sequence[str] | None) -> bool:
    return any(re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), name, re.IGNORECASE) for pattern in patterns or ())
