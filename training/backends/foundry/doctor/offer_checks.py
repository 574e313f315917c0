"""The doctor's look at what is asked for: the model, its price, where rows go, and what screens them.

Each takes the scene and says what it saw. All but the model's are answered from what is here.
"""

from __future__ import annotations

from datetime import UTC, datetime, time

from curation.prerequisites import State
from curation.wording import phrase
from training.backends.foundry.access import remedies
from training.backends.foundry.account import models as account_models
from training.backends.foundry.account.deployments import Account
from training.backends.foundry.doctor.scene import Scene, Seen
from training.backends.foundry.place import geography_of
from training.backends.foundry.registry import search
from training.backends.foundry.safety_screen import region_of
from training.backends.names import BackendName
from training.consents import CONTENT_SAFETY, needed, region_of_screening
from training.hyperparameters import TrainingTier
from training.offers import FRESH, Offer, folded
from training.planning.prices import Kind
from training.planning.regions import INSTEAD, retired


def model(scene: Scene) -> Seen:
    """Whether the model is still tuned as a service: by the table of its family, and by the registry's own word."""
    gone, remedy = retired(scene.model, on=scene.today), remedies.search_models(INSTEAD)
    if gone is not None:
        return Seen(State.FAILED, gone, remedy)
    if not scene.signed_in:
        return Seen(State.SKIPPED, phrase("Not looked at: {what} comes first.", what="azure.credential"), remedy)
    offer = _offer(scene)
    if offer is None and (seen := _of_account(scene)) is not None:
        return seen
    if offer is None:
        return Seen(State.WARNING, phrase("The registry lists no model {model}.", model=scene.model), remedy)
    caution = offer.caution(scene.today)
    if caution is None:
        return Seen(State.OK, phrase("The registry says of {model} neither archived nor retired.", model=offer.name))
    ended = offer.archived or (offer.retires_at is not None and offer.retires_at <= scene.today)
    told = phrase("The registry says of {model}: {caution}.", model=offer.name, caution=caution)
    return Seen(State.FAILED if ended else State.WARNING, told, remedy)


def _of_account(scene: Scene) -> Seen | None:
    """What the account says of a model that it offers, such as OpenAI's, which no registry lists; None of any other."""
    if not scene.account:
        return None
    account = Account(scene.place)
    models, region = account.models(), account.region()
    if account_models.found(models, scene.model) is None:
        return None
    now = datetime.combine(scene.today, time(), UTC)
    tier = TrainingTier.GLOBAL  # with which each can be tuned that can be tuned at all
    stopping = account_models.findings(models, scene.model, scene.place, tier=tier, region=region, now=now)
    if stopping:
        return Seen(State.FAILED, phrase(stopping[0].message), remedies.list_account_models(scene.place))
    scene.in_account = region
    return Seen(State.OK, phrase("{model} can be tuned in {region}.", model=scene.model, region=region))


def _offer(scene: Scene) -> Offer | None:
    """What the registry says of the model; what was read of it within the day is not asked for again."""
    name = scene.model.rpartition("/")[2]
    read_at = scene.known.read_at(name)
    fresh = read_at is not None and scene.today - read_at.date() < FRESH
    found = scene.known.found(name) if fresh else search(name)
    return next((one for one in found if folded(one.name) == folded(name)), None)


def price(scene: Scene) -> Seen:
    """Whether a price is known; it is none of our making up."""
    table = scene.prices()
    found = table.find(Kind.TRAINING, scene.model)
    if found is None:
        asked = BackendName.FOUNDRY if scene.in_account is None else BackendName.OPENAI
        page = table.pages.get(asked, "")
        return Seen(
            State.WARNING,
            phrase("What tuning {model} costs is not known here.", model=scene.model),
            phrase("Read it at {page} and put it into prices.toml in the home folder.", page=page),
        )
    return Seen(
        State.OK,
        phrase(
            "Tuning {model} costs ${dollars:,.2f} for a million tokens, as read on {day}.",
            model=scene.model,
            dollars=found.dollars,
            day=found.day.isoformat(),
        ),
    )


def data(scene: Scene) -> Seen:
    """Which data would go where, and whether an owner has to consent first."""
    regions = scene.regions
    if not regions:
        evidence = phrase("Where the rows of a dataset would go is not known: no region is named.")
        return Seen(State.WARNING, evidence, remedies.INIT)
    places = [f"{region} ({known})" if (known := geography_of(region)) else region for region in regions]
    evidence = phrase("The rows of the dataset of a run, and nothing else, would go to {places:and}.", places=places)
    if scene.place.geography is None:
        return Seen(State.WARNING, evidence, phrase("Name the geography that data may go to: {line}", line=_GEOGRAPHY))
    outside = [one for one in regions if needed(scene.place, one) and one not in scene.consented]
    if not outside:
        return Seen(State.OK, evidence)
    return Seen(
        State.FAILED,
        phrase(
            "The rows of a run would go to {places:and}, outside {geography}, and no owner has consented.",
            places=places,
            geography=scene.place.geography,
        ),
        remedies.consent(outside[0]),
    )


def safety(scene: Scene) -> Seen:
    """Whether examples are screened; off without a key, which is no fault."""
    given = {"ERRATA_AZURE_SAFETY_URL": scene.place.safety_url, "ERRATA_AZURE_SAFETY_KEY": scene.place.safety_key}
    missing = [name for name, value in given.items() if value is None]
    if len(missing) == 1:
        return Seen(State.WARNING, phrase("{name} is not set.", name=missing[0]), missing[0])
    if missing:
        return Seen(State.OK, phrase("The screening by Content Safety is off: it has no resource and key."))
    region = region_of(scene.place) if scene.signed_in else region_of_screening(scene.place)
    if needed(scene.place, region) and not {region, CONTENT_SAFETY} & {*scene.consented}:
        evidence = phrase("Content Safety screens nothing, as no owner has consented to where it is.")
        return Seen(State.WARNING, evidence, remedies.consent(region))
    return Seen(State.OK, phrase("Content Safety at {url} screens examples.", url=scene.place.safety_url))


_GEOGRAPHY = "ERRATA_AZURE_GEOGRAPHY=europe"
