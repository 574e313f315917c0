"""Which backends a run may name, apart from the port so that the command line can list them without loading it."""

from __future__ import annotations

from enum import StrEnum


class BackendName(StrEnum):
    """Where a run may happen."""

    LOCAL = "local"
    FOUNDRY = "foundry"
    OPENAI = "openai"
    AZUREML = "azureml"


TITLES = {
    BackendName.FOUNDRY: "Azure AI Foundry",
    BackendName.OPENAI: "Azure OpenAI",
    BackendName.AZUREML: "Azure Machine Learning",
}
"""What the providers call themselves, in every language; this machine has no such name."""

SERVICES = frozenset({BackendName.FOUNDRY, BackendName.OPENAI})
"""Those that tune models of their own and keep the weights."""

PAID = SERVICES | {BackendName.AZUREML}
"""Those that somebody sends a bill for."""
