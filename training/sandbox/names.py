"""What things are called in the sandbox: made-up ids, and the environment that leads real SDKs to them."""

from __future__ import annotations

from dataclasses import dataclass

SAFETY_KEY = "sandbox-safety-key"


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one subscription's resources; none of them exists anywhere else."""

    subscription: str = "0a000000-0000-4000-8000-000000000001"
    tenant: str = "0a000000-0000-4000-8000-000000000002"
    client: str = "0a000000-0000-4000-8000-000000000003"
    secret: str = "sandbox-client-secret"  # noqa: S105 (it opens nothing)
    principal: str = "0a000000-0000-4000-8000-000000000004"
    group: str = "rg-errata"
    hub: str = "errata-hub"
    project: str = "errata-project"
    account: str = "errata-ai"
    storage: str = "erratastorage"
    safety: str = "errata-safety"
    region: str = "eastus2"
    geography: str = "us"
    instance: str = "Standard_NC24ads_A100_v4"

    @property
    def group_id(self) -> str:
        """The resource group's ARM id."""
        return f"/subscriptions/{self.subscription}/resourceGroups/{self.group}"

    def id_of(self, provider: str, kind: str, name: str) -> str:
        """An ARM id in the group, such as ``id_of("Microsoft.Storage", "storageAccounts", "x")``."""
        return f"{self.group_id}/providers/{provider}/{kind}/{name}"

    def workspace_id(self, name: str) -> str:
        """A hub's or project's ARM id."""
        return self.id_of("Microsoft.MachineLearningServices", "workspaces", name)

    def environ(self) -> dict[str, str]:
        """The variables that name the place and who signs in."""
        return {
            "AZURE_TENANT_ID": self.tenant,
            "AZURE_CLIENT_ID": self.client,
            "AZURE_CLIENT_SECRET": self.secret,
            "AZURE_SUBSCRIPTION_ID": self.subscription,
            "ERRATA_AZURE_GROUP": self.group,
            "ERRATA_AZURE_HUB": self.hub,
            "ERRATA_AZURE_PROJECT": self.project,
            "ERRATA_AZURE_REGION": self.region,
            "ERRATA_AZURE_GEOGRAPHY": self.geography,
            "ERRATA_AZURE_ACCOUNT": self.account,
            "ERRATA_AZURE_INSTANCE": self.instance,
            "ERRATA_AZURE_SAFETY_URL": f"https://{self.safety}.cognitiveservices.azure.com",
            "ERRATA_AZURE_SAFETY_KEY": SAFETY_KEY,
        }
