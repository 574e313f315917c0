"""The models that an account offers, as Azure's resource manager lists them: nothing of it is kept here as a table.

Owns how a model is found by the name that people give, and what stands in the way of tuning it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from curation.findings import Finding, Severity
from curation.wording import phrase
from training.backends.foundry.access import remedies
from training.backends.foundry.access.moments import moment
from training.backends.foundry.place import AzurePlace
from training.hyperparameters import TrainingTier

TUNED = ".ft-"
"""Between the base model's name and the job's in the name of a model that was tuned there."""


@dataclass(frozen=True, slots=True)
class AccountModel:
    """One model of the account.

    Attributes:
        name: such as ``gpt-4.1-mini``.
        version: such as ``2025-04-14``.
        format: by whom it is made, as a deployment has to say: ``OpenAI``, ``Microsoft`` …
        tunable: whether Azure says that it can be tuned in the account's region.
        retires: when nobody can tune it any more; None where no date is set.
    """

    name: str
    version: str
    format: str
    tunable: bool
    retires: datetime | None = None

    @property
    def open(self) -> bool:
        """Whether it is somebody else's than OpenAI's."""
        return self.format != "OpenAI"

    @property
    def full(self) -> str:
        """``gpt-4.1-mini-2025-04-14``: what a job calls it."""
        return f"{self.name}-{self.version}"

    @classmethod
    def from_arm(cls, row: Mapping[str, Any]) -> Self:
        """One of the ``value`` of ``…/accounts/ACCOUNT/models``."""
        return cls(
            name=str(row.get("name") or ""),
            version=str(row.get("version") or ""),
            format=str(row.get("format") or "OpenAI"),
            tunable=str((row.get("capabilities") or {}).get("fineTune", "")).lower() == "true",
            retires=moment((row.get("deprecation") or {}).get("fineTune")),
        )


def found(models: Sequence[AccountModel], name: str) -> AccountModel | None:
    """The model of a name with or without its version, in any case; of several versions the newest that can be tuned.

    The name of a model that was tuned there finds its base, as it is tuned on and served like it.
    """
    wanted = name.lower().partition(TUNED)[0]
    exact = [one for one in models if TUNED not in one.name and wanted in {one.full.lower(), one.name.lower()}]
    return max(exact, key=lambda one: (one.full.lower() == wanted, one.tunable, one.version), default=None)


def findings(
    models: Sequence[AccountModel], name: str, place: AzurePlace, *, tier: TrainingTier, region: str, now: datetime
) -> list[Finding]:
    """Why the model of this name cannot be tuned in the account with a training type; none where it can.

    Models that are not OpenAI's own are tuned with the type *global* alone, and Azure's list says of none of them that
    it can be tuned (https://github.com/microsoft/GitHub-Copilot-for-Azure, the skill microsoft-foundry).
    """
    listing = phrase("Choose one that is listed by {command}", command=remedies.list_account_models(place))
    model, told = found(models, name), {"model": name, "region": region or "unknown", "account": place.account or ""}
    if model is None:
        message = phrase("The account {account} in {region} offers no model {model}.", **told)
    elif model.retires is not None and model.retires <= now:
        message = phrase("Since {day} {model} can no longer be tuned.", model=name, day=f"{model.retires:%Y-%m-%d}")
    elif not model.open and not model.tunable:
        message = phrase("{model} cannot be tuned in {region}, where the account {account} is.", **told)
    elif model.open and tier is not TrainingTier.GLOBAL:
        message = phrase(
            "{model} is not OpenAI's own, and such models are tuned with the training type global only.", **told
        )
        listing = phrase(
            'Set training_type = "global" under [service] in the recipe: the rows may then leave {region}.', **told
        )
        return [Finding("openai.training_type", Severity.ERROR, message, listing)]
    else:
        return []
    return [Finding("openai.model", Severity.ERROR, message, listing)]
