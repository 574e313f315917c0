"""What the doctor knows when it begins, and what one check leaves for the next.

Owns these shapes. Asks nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from curation.prerequisites import State
from curation.wording import Phrase
from training.backends.foundry.access.permissions import Allowed
from training.backends.foundry.place import AzurePlace
from training.offers import EMPTY, Copy
from training.planning.prices import PriceTable


@dataclass(frozen=True, slots=True)
class Seen:
    """How one check came out; ``remedy`` is empty where it is fine, ``answered`` False where nobody said anything."""

    state: State
    evidence: Phrase
    remedy: str = ""
    answered: bool = True


@dataclass(slots=True)
class Scene:
    """One examination.

    Attributes:
        model: the base model that is to be tuned, by its name or hub id.
        today: by which a model is retired or not.
        consented: the regions that an owner has consented to.
        known: what was read of the registry before.
        signed_in: whether a token was seen.
        who: the object id of whoever Errata runs as, where the token says it.
        allowed: what they may do in the resource group, once it was looked at.
        project: the project as the resource manager has it, once it was found.
        account: the same of the account.
        in_account: the account's region, where a model that is in no registry can be tuned there.
    """

    place: AzurePlace
    model: str
    today: date
    prices: Callable[[], PriceTable]
    consented: Collection[str] = ()
    known: Copy = EMPTY
    signed_in: bool = False
    who: str | None = None
    allowed: Allowed | None = None
    project: dict[str, Any] = field(default_factory=dict)
    account: dict[str, Any] = field(default_factory=dict)
    in_account: str | None = None

    @property
    def region(self) -> str | None:
        """The project's region, as Azure's ids have it; the one of the settings while the project is not known."""
        return _plain(self.project.get("location")) or self.place.region

    @property
    def regions(self) -> tuple[str, ...]:
        """Every region that rows may go to: the project's and the account's."""
        found = (self.region, _plain(self.account.get("location")))
        return tuple(dict.fromkeys(one for one in found if one))


def _plain(region: Any) -> str | None:
    return "".join(str(region).split()).lower() if region else None
