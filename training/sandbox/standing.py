"""What the signed-in principal finds in the subscription, to be broken piece by piece."""

from __future__ import annotations

from dataclasses import dataclass, field

AZURE_AI_DEVELOPER = "64702f94-c441-49e6-a78b-ef80e0188fee"


@dataclass(slots=True)
class Standing:
    """What the signed-in principal finds; change it and it finds something else.

    Attributes:
        providers: registration state by resource provider.
        actions: what its roles in the resource group allow, as ARM lists them; ``*`` is everything.
        data_actions: the same for data.
        roles: ids of the role definitions assigned to it.
        quota: dedicated vCPUs by machine family as (in use, limit).
        account_quota: model capacity by name as (in use, limit).
    """

    providers: dict[str, str] = field(
        default_factory=lambda: dict.fromkeys(
            (
                "Microsoft.MachineLearningServices",
                "Microsoft.CognitiveServices",
                "Microsoft.Network",
                "Microsoft.Storage",
                "Microsoft.KeyVault",
                "Microsoft.Authorization",
            ),
            "Registered",
        )
    )
    actions: list[str] = field(
        default_factory=lambda: [
            "Microsoft.MachineLearningServices/workspaces/*/read",
            "Microsoft.MachineLearningServices/workspaces/*/action",
            "Microsoft.MachineLearningServices/workspaces/*/delete",
            "Microsoft.MachineLearningServices/workspaces/*/write",
            "Microsoft.MachineLearningServices/locations/*/read",
            "Microsoft.CognitiveServices/*",
            "Microsoft.Authorization/*/read",
            "Microsoft.Insights/alertRules/*",
            "Microsoft.Resources/deployments/*",
            "Microsoft.Resources/subscriptions/resourceGroups/read",
        ]
    )
    data_actions: list[str] = field(
        default_factory=lambda: [
            "Microsoft.CognitiveServices/accounts/OpenAI/*",
            "Microsoft.CognitiveServices/accounts/ContentSafety/*",
            "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write",
        ]
    )
    roles: list[str] = field(default_factory=lambda: [AZURE_AI_DEVELOPER])
    quota: dict[str, tuple[int, int]] = field(
        default_factory=lambda: {
            "Total Cluster Dedicated Regional vCPUs": (0, 100),
            "Standard NCADSA100v4 Family Cluster Dedicated vCPUs": (0, 96),
            "Standard NCADSH100v5 Family Cluster Dedicated vCPUs": (0, 80),
        }
    )
    account_quota: dict[str, tuple[int, int]] = field(
        default_factory=lambda: {
            "OpenAI.Standard.gpt-4.1-mini": (0, 250),
            "OpenAI.Standard.gpt-4.1-mini-finetune": (0, 250),
            "OpenAI.FineTuned.Jobs": (0, 3),
        }
    )
