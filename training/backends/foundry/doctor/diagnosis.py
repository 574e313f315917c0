"""The doctor's look at Azure: every prerequisite of a run there, in the order in which one would mend them.

Owns the table of checks, what each needs, and what is said of one whose need is not met. Asks only, changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime

from curation.errors import ErrataError, Unavailable
from curation.prerequisites import Check, State
from curation.wording import phrase
from training.backends.errors import Refused, Unreached
from training.backends.foundry.access import remedies
from training.backends.foundry.doctor import access_checks, offer_checks, project_checks
from training.backends.foundry.doctor.scene import Scene, Seen
from training.backends.foundry.place import AzurePlace
from training.offers import EMPTY, Copy
from training.planning.prices import SHIPPED, PriceTable
from training.planning.regions import INSTEAD


@dataclass(frozen=True, slots=True)
class Line:
    """One check.

    Attributes:
        id: without its ``azure.``.
        look: does it.
        remedy: what to do where it could not be looked at, or somebody refused.
        needs: the checks that have to be fine before.
    """

    id: str
    look: Callable[[Scene], Seen]
    remedy: Callable[[Scene], str]
    needs: tuple[str, ...] = ()


LINES: tuple[Line, ...] = (
    Line("credential", access_checks.credential, lambda _: remedies.LOGIN),
    Line("subscription", access_checks.subscription, lambda _: remedies.LIST_SUBSCRIPTIONS, ("credential",)),
    Line(
        "providers",
        access_checks.providers,
        lambda s: remedies.register(s.place, "Microsoft.Network"),
        ("subscription",),
    ),
    Line("group", access_checks.group, lambda s: remedies.create_group(s.place), ("subscription",)),
    Line("role", access_checks.role, lambda s: remedies.grant_developer(s.place, s.who), ("group",)),
    Line("hub", project_checks.hub, lambda s: remedies.create_hub(s.place), ("group",)),
    Line("project", project_checks.project, lambda s: remedies.create_project(s.place), ("group",)),
    Line("account", project_checks.account, lambda s: remedies.show_account(s.place), ("group",)),
    Line("model", offer_checks.model, lambda s: remedies.search_models(s.model)),
    Line("region", project_checks.region, lambda s: remedies.search_models(s.model), ("project",)),
    Line("quota", project_checks.quota, lambda s: remedies.list_machine_usage(s.place, s.region), ("project",)),
    Line("capacity", access_checks.usages, lambda s: remedies.grant_usages(s.place, s.who), ("account",)),
    Line("storage", access_checks.storage, lambda s: remedies.grant_blobs(s.place, who=s.who), ("project",)),
    Line("price", offer_checks.price, lambda s: remedies.search_models(s.model)),
    Line("data", offer_checks.data, lambda s: remedies.consent(s.region or "REGION")),
    Line("safety", offer_checks.safety, lambda _: "ERRATA_AZURE_SAFETY_URL"),
)


def diagnose(
    place: AzurePlace,
    *,
    model: str | None = None,
    clock: Callable[[], datetime],
    prices: PriceTable = SHIPPED,
    consented: Collection[str] = (),
    known: Copy = EMPTY,
) -> Iterator[Check]:
    """Every check of ``LINES``, as it is made.

    Args:
        model: the base model that is to be tuned; None: what is tuned as a service unless somebody says otherwise.
        consented: the regions that an owner has consented to.
        known: what was read of the registry before.
    """
    scene = Scene(place, model or INSTEAD, clock().date(), prices, consented, known)
    first: dict[str, str] = {}  # what comes before a check that cannot be relied on: itself, or what it waits for
    for line in LINES:
        unmet = next((first[name] for name in line.needs if name in first), None)
        seen = _look(line, scene) if unmet is None else _not_looked_at(line, scene, unmet)
        if seen.state in {State.FAILED, State.SKIPPED}:
            first[line.id] = unmet or line.id
        yield Check(f"azure.{line.id}", seen.state, seen.evidence, seen.remedy)


def _look(line: Line, scene: Scene) -> Seen:
    try:
        return line.look(scene)
    except ErrataError as error:  # the provider's refusals: each is one sentence already
        return Seen(State.FAILED, error.sentence, _remedy(error) or line.remedy(scene))


def _remedy(error: ErrataError) -> str | None:
    """What to do where nothing is to be mended at the provider; None where it has said no."""
    if isinstance(error, Refused) or not isinstance(error, Unavailable):
        return None
    return remedies.DOCTOR if isinstance(error, Unreached) else remedies.INSTALL


def _not_looked_at(line: Line, scene: Scene, unmet: str) -> Seen:
    evidence = phrase("Not looked at: {what} comes first.", what=f"azure.{unmet}")
    return Seen(State.SKIPPED, evidence, line.remedy(scene))
