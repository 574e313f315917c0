"""The account in Azure's resource manager: where it is, what it offers, and the deployments of tuned models in it.

Owns the requests and the words for a deployment's state. Starting and ending one takes minutes and is never waited for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from training.backends.errors import Missing
from training.backends.foundry.access import arm
from training.backends.foundry.access.clients import arm as resource_manager
from training.backends.foundry.access.clients import named
from training.backends.foundry.access.moments import moment
from training.backends.foundry.account.methods import SKUS
from training.backends.foundry.account.models import TUNED, AccountModel, found
from training.backends.foundry.place import AzurePlace
from training.hyperparameters import Service, TrainingTier

CONTENT_FILTER = "Microsoft.DefaultV2"
"""The content filter that every deployment gets: Microsoft's own, for prompts and replies."""

_RUN = re.compile(r"run-[0-9a-f]{8}(?=-|$)")
_FAILED = frozenset({"failed", "canceled", "cancelled", "disabled"})


@dataclass(frozen=True, slots=True)
class Standing:
    """A deployment as the resource manager shows it.

    Attributes:
        name: what requests have to name as their model.
        model: of the account, such as ``gpt-4.1-mini-2025-04-14.ft-0123-run-1a2b3c4d``.
        sku: its tier there, such as ``Standard``.
        state: ``succeeded``, ``creating``, ``deleting`` …; that it has succeeded does not mean that it answers.
        since: when it was made; None where that is not said.
    """

    name: str
    model: str
    sku: str
    state: str
    since: datetime | None = None

    @property
    def failed(self) -> bool:
        """Whether it will never answer."""
        return self.state in _FAILED

    @property
    def free(self) -> bool:
        """Whether only what is asked costs something."""
        return self.sku.lower() == SKUS[TrainingTier.DEVELOPER].lower()

    @property
    def run_id(self) -> str | None:
        """The run whose model it serves, by its name; None for one that Errata has not made."""
        named_after = _RUN.match(self.name)
        return named_after[0] if named_after is not None else None

    @property
    def ours(self) -> bool:
        """Whether it was put up by Errata: it is named after a run, and so is the tuned model that it serves."""
        return self.tuned and self.run_id is not None and self.run_id in self.model

    @property
    def tuned(self) -> bool:
        """Whether a tuned model is served, which costs by the hour."""
        return TUNED in self.model


@dataclass(frozen=True, slots=True)
class Account:
    """The account of the backend ``openai``."""

    place: AzurePlace

    @property
    def path(self) -> str:
        """Its id in the resource manager."""
        subscription, group, account = named(self.place, "subscription", "group", "account")
        return (
            f"/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.CognitiveServices"
            f"/accounts/{account}"
        )

    def region(self) -> str:
        """Where it is, such as ``eastus2``; raises as ``Arm.get``, like everything below."""
        return str(resource_manager().get(self.path, arm.COGNITIVE).get("location") or "")

    def models(self) -> list[AccountModel]:
        """What it offers, tuned models included."""
        rows = resource_manager().listed(f"{self.path}/models", arm.COGNITIVE)
        return [AccountModel.from_arm(row) for row in rows]

    def deployments(self) -> list[Standing]:
        """Every deployment, whoever made it."""
        return [_standing(row) for row in resource_manager().listed(f"{self.path}/deployments", arm.COGNITIVE)]

    def deployment(self, name: str) -> Standing | None:
        """The deployment of this name; None where there is none."""
        try:
            return _standing(resource_manager().get(f"{self.path}/deployments/{name}", arm.COGNITIVE))
        except Missing:
            return None

    def deploy(self, name: str, model: str, service: Service) -> None:
        """Begin to serve a tuned model; the same again changes nothing."""
        base = found(self.models(), model)
        body = {
            "sku": {"name": SKUS[service.training_type], "capacity": service.capacity},
            "properties": {
                "model": {"format": base.format if base is not None else "OpenAI", "name": model, "version": "1"},
                "raiPolicyName": CONTENT_FILTER,
            },
        }
        resource_manager().put(f"{self.path}/deployments/{name}", arm.COGNITIVE, body)

    def undeploy(self, name: str) -> None:
        """Begin to take a deployment away; nothing happens where it is gone."""
        resource_manager().delete(f"{self.path}/deployments/{name}", arm.COGNITIVE)


def _standing(row: Mapping[str, Any]) -> Standing:
    properties = row.get("properties") or {}
    return Standing(
        name=str(row.get("name") or ""),
        model=str((properties.get("model") or {}).get("name") or ""),
        sku=str((row.get("sku") or {}).get("name") or ""),
        state=str(properties.get("provisioningState") or "").lower(),
        since=moment((row.get("systemData") or {}).get("createdAt")),
    )
