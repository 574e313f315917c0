"""The doctor's look at Azure: every prerequisite of a run there, in the order in which one would mend them.

Owns the table of checks, what each needs, how long it is waited for, and what is said of one that could not be looked
at. Asks only, changes nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime

from curation.errors import ErrataError, Unavailable
from curation.prerequisites import Check, State
from curation.wording import phrase
from training.backends.errors import Forbidden, Refused, Unreached
from training.backends.foundry.access import remedies
from training.backends.foundry.access.refusals import no_answer_in_time
from training.backends.foundry.doctor import access_checks, offer_checks, project_checks
from training.backends.foundry.doctor.scene import Scene, Seen
from training.backends.foundry.place import AzurePlace
from training.offers import EMPTY, Copy
from training.planning.prices import FILE, SHIPPED, PriceTable
from training.planning.regions import INSTEAD

PATIENCE_SECONDS = 30.0
"""How long one look is waited for: the libraries' own patience is five minutes, which is for a worker."""


@dataclass(frozen=True, slots=True)
class Line:
    """One check.

    Attributes:
        id: without its ``azure.``.
        look: does it.
        remedy: what to do where it could not be looked at, or somebody refused.
        needs: the checks that have to be fine before.
        scope: where the role *Reader* lets it be looked at, if a run itself has no need to read this: *Azure AI
            Developer* on the group, with which a run works, allows none of it.
        grant: the role that it takes where a run needs to read it.
    """

    id: str
    look: Callable[[Scene], Seen]
    remedy: Callable[[Scene], str]
    needs: tuple[str, ...] = ()
    scope: Callable[[AzurePlace], str] | None = None
    grant: Callable[[Scene], str] | None = None


LINES: tuple[Line, ...] = (
    Line("credential", access_checks.credential, lambda _: remedies.LOGIN),
    Line(
        "subscription",
        access_checks.subscription,
        lambda _: remedies.LIST_SUBSCRIPTIONS,
        ("credential",),
        scope=remedies.subscription_scope,
    ),
    Line(
        "providers",
        access_checks.providers,
        lambda s: remedies.register(s.place, "Microsoft.Network"),
        ("subscription",),
        scope=remedies.subscription_scope,
    ),
    Line(
        "group",
        access_checks.group,
        lambda s: remedies.create_group(s.place),
        ("subscription",),
        scope=remedies.group_scope,
    ),
    Line("role", access_checks.role, lambda s: remedies.grant_developer(s.place, s.who), ("group",)),
    Line("hub", project_checks.hub, lambda s: remedies.create_hub(s.place), ("group",), scope=remedies.group_scope),
    Line(
        "project",
        project_checks.project,
        lambda s: remedies.create_project(s.place),
        ("group",),
        grant=lambda s: remedies.grant_developer(s.place, s.who),
    ),
    Line(
        "account",
        project_checks.account,
        lambda s: remedies.show_account(s.place),
        ("group",),
        grant=lambda s: remedies.grant(remedies.OPENAI_ROLE, remedies.group_scope(s.place), s.who),
    ),
    Line("model", offer_checks.model, lambda s: remedies.search_models(s.model)),
    Line("region", project_checks.region, lambda s: remedies.search_models(s.model), ("project",)),
    Line(
        "quota",
        project_checks.quota,
        lambda s: remedies.list_machine_usage(s.place, s.region),
        ("project",),
        scope=remedies.subscription_scope,
    ),
    Line("capacity", access_checks.usages, lambda s: remedies.grant_usages(s.place, s.who), ("account",)),
    Line(
        "storage",
        access_checks.storage,
        lambda s: remedies.grant_blobs(s.place, who=s.who),
        ("project",),
        scope=remedies.group_scope,
    ),
    Line("price", offer_checks.price, lambda _: FILE),
    Line("data", offer_checks.data, lambda s: remedies.consent(s.region or "REGION")),
    Line("safety", offer_checks.safety, lambda _: "ERRATA_AZURE_SAFETY_URL"),
)


def diagnose(
    place: AzurePlace,
    *,
    model: str | None = None,
    clock: Callable[[], datetime],
    prices: Callable[[], PriceTable] = lambda: SHIPPED,
    consented: Collection[str] = (),
    known: Copy = EMPTY,
) -> Iterator[Check]:
    """Every check of ``LINES``, as it is made.

    Args:
        model: the base model that is to be tuned; None: what is tuned as a service unless somebody says otherwise.
        prices: gives the table; one that cannot be read fails its own line.
        consented: the regions that an owner has consented to.
        known: what was read of the registry before.
    """
    scene = Scene(place, model or INSTEAD, clock().date(), prices, consented, known)
    first: dict[str, str] = {}  # what comes before a check that cannot be relied on: itself, or what it waits for
    patient = True  # once: where all of Azure is silent, each further look would be waited for in vain
    for line in LINES:
        unmet = next((first[name] for name in line.needs if name in first), None)
        seen = _look(line, scene) if unmet is None else _not_looked_at(line, scene, unmet)
        if not seen.answered and line.scope is not None and patient:
            patient = False  # what comes after it needs that it is there, and nothing that it has seen
        elif seen.state in {State.FAILED, State.SKIPPED}:
            first[line.id] = unmet or line.id
        yield Check(f"azure.{line.id}", seen.state, seen.evidence, seen.remedy)


def _look(line: Line, scene: Scene) -> Seen:
    try:
        return _within(PATIENCE_SECONDS, lambda: line.look(scene))
    except Forbidden:
        evidence = phrase("Whoever Errata runs as may not look at this: they lack a role in Azure.")
        if line.scope is None:
            return Seen(State.FAILED, evidence, (line.grant or line.remedy)(scene))
        return Seen(State.WARNING, evidence, remedies.grant(remedies.READER, line.scope(scene.place), scene.who))
    except ErrataError as error:  # the provider's refusals: each is one sentence already
        remedy = _remedy(error) or line.remedy(scene)
        return Seen(State.FAILED, error.sentence, remedy, answered=not isinstance(error, Unreached))


def _within(seconds: float, look: Callable[[], Seen]) -> Seen:
    """What the look has seen, unless it takes longer: then it is left to itself."""
    seen: list[Seen] = []
    failed: list[Exception] = []

    def begin() -> None:
        try:
            seen.append(look())
        except Exception as error:  # noqa: BLE001 (handed over to whoever waits)
            failed.append(error)

    looking = threading.Thread(target=begin, name="doctor", daemon=True)
    looking.start()
    looking.join(seconds)
    if failed:
        raise failed[0]
    if not seen:
        raise no_answer_in_time()
    return seen[0]


def _remedy(error: ErrataError) -> str | None:
    """What to do where nothing is to be mended at the provider; None where it has said no."""
    if isinstance(error, Refused) or not isinstance(error, Unavailable):
        return None
    return remedies.DOCTOR if isinstance(error, Unreached) else remedies.INSTALL


def _not_looked_at(line: Line, scene: Scene, unmet: str) -> Seen:
    evidence = phrase("Not looked at: {what} comes first.", what=f"azure.{unmet}")
    return Seen(State.SKIPPED, evidence, line.remedy(scene))
