"""Orders: what a run will be made of, and asking for one.

Owns what may be requested, on which dataset, model, recipe and place, and under which conditions. From the request on
a run has its own way (``training.runs``).
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from curation import audit
from curation.datasets import dataset
from curation.errors import Conflict, Invalid
from curation.people import Actor, require
from curation.policies import Permission
from curation.privacy import releases
from curation.privacy.treatment import DEFAULT_TERMS, Terms
from curation.store.tables import DatasetVersion
from training import catalogue, consents, spending
from training.backends.foundry.place import NOWHERE, AzurePlace
from training.backends.names import PAID, SERVICES, BackendName
from training.hyperparameters import Recipe, TrainingTier
from training.planning import prices, settling, subjects
from training.planning.prices import PriceTable
from training.planning.shapes import SPLIT_TARGETS
from training.recipe import load_recipe
from training.runs import RunStatus, owe_status, production
from training.store.tables import Run

PRODUCTION = "production"
"""As a model's name: the model that is live now."""

REHEARSAL = "rehearsal"
"""As a model's name: a tiny random model, built on the spot to prove the pipeline."""

ANYWHERE = "global"
"""As a region: any of the provider's."""

MOST_PLACES = 10
"""Channels that hear of a run because it learned from them; those that gave it most come first."""

_LISTED, _SHOWN_OF_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,254}"), 80


@dataclass(frozen=True, slots=True)
class Order:
    """What a run will be made of: ``base`` is a path or hub id, ``base_run`` the id of the live model's run."""

    version: DatasetVersion
    base: str | None
    base_run: str | None
    recipe: Recipe


def request(
    session: Session,
    actor: Actor,
    now: datetime,
    *,
    dataset_name: str,
    model: str,
    recipe: str | None = None,
    backend: BackendName = BackendName.LOCAL,
    place: AzurePlace = NOWHERE,
    table: PriceTable = prices.SHIPPED,
    production_model: str | None = None,
    asked_in: Sequence[str] = (),
    privacy: Terms = DEFAULT_TERMS,
) -> Run:
    """Commit a run as *requested*; a worker picks it up.

    Args:
        model: a catalogue name, ``production`` (the live model), or a path or hub id of a checkpoint.
        production_model: the checkpoint that ``production`` means while no run of Errata's is live.
        recipe: a shipped recipe's name or a path; None takes the model's own default.
        place: which backends there are beside this machine, and what may be spent there.
        table: what they ask for.
        asked_in: destinations of notices, beside the channels that contributed corrections.
        privacy: under which terms examples leave the store; a model may repeat what it was trained on.

    Raises:
        NotAllowed, NotFound, Invalid: may not train; no such dataset, model or recipe.
        Conflict: a dataset frozen while nobody looked for personal data, self-approved rows or findings of severity
            error in a paid run, no live model to start from, or a cost above a cap.
    """
    from training.planning import plans  # noqa: PLC0415 (a plan is made of what is ordered here)

    order = ordered(
        session,
        actor,
        dataset_name=dataset_name,
        model=model,
        recipe=recipe,
        backend=backend,
        place=place,
        production_model=production_model,
        privacy=privacy,
    )
    if backend in PAID and (stopping := plans.in_the_way(session, order, model)):
        raise Conflict("{findings:sentences}", findings=[finding.sentence() for finding in stopping])
    cost = plans.cost_of(session, order, model=model, backend=backend, place=place, table=table)
    spending.require_room(session, now, cost, place=place, table=table)
    version = order.version
    run = Run(
        id=f"run-{secrets.token_hex(4)}",
        dataset_id=version.key,
        backend=backend.value,
        model=model,
        base=order.base,
        base_run_id=order.base_run,
        recipe_name=order.recipe.name,
        recipe=order.recipe.as_json(),
        status=RunStatus.REQUESTED.value,
        progress={},
        cost=settling.opened(cost, machines=place.nodes if backend is BackendName.AZUREML else 1),
        destinations=list(dict.fromkeys([*asked_in, *dataset.contributing_places(session, version)[:MOST_PLACES]])),
        requested_by=actor.person_id,
        requested_at=now,
    )
    session.add(run)
    session.flush()
    audit.record(session, actor, now, "run.requested", subject=f"run:{run.id}", details={"dataset": version.key})
    owe_status(session, now, run)
    return run


def ordered(
    session: Session,
    actor: Actor,
    *,
    dataset_name: str,
    model: str,
    recipe: str | None = None,
    backend: BackendName = BackendName.LOCAL,
    place: AzurePlace = NOWHERE,
    production_model: str | None = None,
    privacy: Terms = DEFAULT_TERMS,
) -> Order:
    """What a request of these names comes to; nothing is written.

    Raises:
        NotAllowed, NotFound, Invalid, Conflict: as ``request``, whose arguments these are.
    """
    require(session, actor, Permission.TRAIN)
    version = dataset.find(session, dataset_name)
    releases.require_treated(session, version, privacy, look=False)
    if backend in PAID and (alone := int(version.manifest.get("self_approved", 0))):
        raise Conflict(
            "{dataset} holds {rows} self-approved rows; a paid run takes none. Have a second person review them, "
            "then freeze again.",
            dataset=version.name,
            rows=alone,
        )
    if missing := place.missing(backend):
        raise Invalid(
            "The backend {backend} is not set up here; it takes {missing:and}, and errata doctor --foundry looks.",
            backend=backend.value,
            missing=missing,
        )
    chosen = load_recipe(recipe or default_recipe(session, model, backend))
    if backend in PAID:  # of the settings here; of the project itself once the worker prepares the run
        consents.require_consent(session, place, region_of(place, backend, chosen))
    if version.manifest["sides"]["validation"] == 0:
        raise Conflict(
            "{dataset} has no validation rows; approve more examples and freeze again.", dataset=version.name
        )
    base, base_run = base_of(session, model, production_model, backend=backend)
    return Order(version, base, base_run, chosen)


def region_of(place: AzurePlace, backend: BackendName, recipe: Recipe) -> str | None:
    """Where the rows of a run at a provider's go, by the settings; ``global`` for any region, None where none is named.

    Only the openai path has training types that choose a region by themselves (``Backend.destination``).
    """
    anywhere = recipe.service is not None and recipe.service.training_type is not TrainingTier.STANDARD
    return ANYWHERE if backend is BackendName.OPENAI and anywhere else place.region


def base_of(
    session: Session, model: str, production_model: str | None, *, backend: BackendName = BackendName.LOCAL
) -> tuple[str | None, str | None]:
    """What a run starts from: a path or hub id, or the id of the run whose model is live; neither for a rehearsal.

    Of a service it is the name by which its provider lists it.

    Raises:
        Invalid: a rehearsal, or a checkpoint of one's own, at a service that tunes its own models only.
        NotFound, Conflict: no such model; ``production`` where no model is live.
    """
    if model == PRODUCTION:
        live = production(session)
        if live is not None:
            return None, live.id
        if production_model is None:
            raise Conflict(
                "No model is live yet: name the one in production with ERRATA_PRODUCTION_MODEL, or deploy a run first."
            )
        return production_model, None
    if backend in SERVICES:
        if model == REHEARSAL or "/" in model:
            raise Invalid(
                "{backend} tunes models of its own catalogue only, such as phi-4-mini-instruct; use --backend local "
                "for {model}.",
                backend=backend.value,
                model=model,
            )
        if not _LISTED.fullmatch(model):
            raise Invalid(
                "{model} is no name of a model at a provider: errata models --search phi lists names.",
                model=model[:_SHOWN_OF_MODEL],
            )
        return model, None
    if "/" in model:
        return model, None
    return catalogue.find(model).hub_id, None


def default_recipe(session: Session, model: str, backend: BackendName = BackendName.LOCAL) -> str:
    """The shipped recipe for a model: by what it is, and adapters for a Phi where that is not known."""
    if backend in SERVICES:
        return "service"
    live = production(session) if model == PRODUCTION else None
    if live is not None and live.model in {REHEARSAL, PRODUCTION} and live.recipe_name.startswith(REHEARSAL):
        return "rehearsal-tune"
    if "/" in model and subjects.named(model).lora_targets == SPLIT_TARGETS:
        return "chat-lora"
    return REHEARSAL if model == REHEARSAL else "phi-lora"
