"""The models that an account offers, as Azure's resource manager lists them: nothing of it is kept here as a table.

Owns how a model is found by the name that people give, and what stands in the way of tuning it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from curation.findings import Finding, Severity
from curation.wording import phrase
from training.backends.foundry.access import remedies
from training.backends.foundry.place import AzurePlace

TUNED = ".ft-"
"""Between the base model's name and the job's in the name of a model that was tuned there."""


@dataclass(frozen=True, slots=True)
class AccountModel:
    """One model of the account.

    Attributes:
        name: such as ``gpt-4.1-mini``.
        version: such as ``2025-04-14``.
        format: by whom it is made, as a deployment has to say: ``OpenAI``, ``Microsoft`` …
        tunable: whether it can be tuned in the account's region.
        retires: when nobody can tune it any more; None where no date is set.
    """

    name: str
    version: str
    format: str
    tunable: bool
    retires: datetime | None = None

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
            retires=_moment((row.get("deprecation") or {}).get("fineTune")),
        )


def found(models: Sequence[AccountModel], name: str) -> AccountModel | None:
    """The model of a name with or without its version, in any case; of several versions the newest that can be tuned.

    The name of a model that was tuned there finds its base, as it is tuned on and served like it.
    """
    wanted = name.lower().partition(TUNED)[0]
    exact = [one for one in models if TUNED not in one.name and wanted in {one.full.lower(), one.name.lower()}]
    return max(exact, key=lambda one: (one.full.lower() == wanted, one.tunable, one.version), default=None)


def findings(
    models: Sequence[AccountModel], name: str, place: AzurePlace, *, region: str, now: datetime
) -> list[Finding]:
    """Why the model of this name cannot be tuned in the account; none where it can."""
    listing = phrase("Choose one that is listed by {command}", command=remedies.list_account_models(place))
    model, told = found(models, name), {"model": name, "region": region or "unknown", "account": place.account or ""}
    if model is None:
        message = phrase("The account {account} in {region} offers no model {model}.", **told)
    elif model.retires is not None and model.retires <= now:
        message = phrase("Since {day} {model} can no longer be tuned.", model=name, day=f"{model.retires:%Y-%m-%d}")
    elif not model.tunable:
        message = phrase("{model} cannot be tuned in {region}, where the account {account} is.", **told)
    else:
        return []
    return [Finding("openai.model", Severity.ERROR, message, listing)]


def _moment(value: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
