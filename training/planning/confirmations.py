"""Asking a second time before a run is started: what was shown is a row, and the second press is compared with it.

Owns that a confirmation is one person's, lives a quarter of an hour and starts one run; and that whatever has changed
since it was shown is said, and asked about again. What stands in a plan is ``training.planning.plans``'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import Session

from curation import audit, people
from curation.errors import Conflict, NotAllowed, NotFound
from curation.people import Actor
from curation.policies import Permission
from curation.privacy.treatment import DEFAULT_TERMS, Terms
from curation.store.tables import DatasetVersion
from curation.wording import Phrase, phrase, plural
from training import orders, runs, spending
from training.backends.foundry.place import NOWHERE, AzurePlace
from training.backends.names import PAID, BackendName
from training.planning import plans, prices
from training.planning.parts import money
from training.planning.plans import Plan
from training.planning.prices import PriceTable
from training.store.tables import Confirmation, Run

LIFETIME = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Question:
    """What somebody is asked: a plan, and what the second press has to name.

    Attributes:
        id: of the confirmation; None where findings stand in the way and there is nothing to confirm.
        changes: what is no longer as it was shown the first time.
    """

    plan: Plan
    id: int | None
    changes: tuple[Phrase, ...] = ()


def needed(session: Session, *, model: str, recipe: str | None, backend: BackendName = BackendName.LOCAL) -> bool:
    """Whether a run like this is asked about twice: every one but a rehearsal on this machine, over in minutes."""
    if backend in PAID:
        return True
    return model != orders.REHEARSAL and not (recipe or orders.default_recipe(session, model)).startswith(
        orders.REHEARSAL
    )


def ask(
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
    asked_in: str,
    privacy: Terms = DEFAULT_TERMS,
) -> Question:
    """Keep what the person is shown, for the second press; nothing is started.

    Args:
        asked_in: the destination that hears of the run.

    Raises:
        NotAllowed, NotFound, Invalid, Conflict: as ``training.runs.request``, a cost above a cap among them.
    """
    order = orders.ordered(
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
    plan = plans.of_order(session, order, model=model, backend=backend, place=place, table=table, today=now.date())
    spending.require_room(session, now, plan.cost, place=place, table=table)
    if plan.in_the_way:
        return Question(plan, None)
    asked = Confirmation(
        dataset_id=order.version.key,
        model=model,
        recipe=recipe,
        backend=backend.value,
        place=asked_in,
        shown=plan.as_json(),
        asked_by=actor.person_id,
        asked_at=now,
        expires_at=now + LIFETIME,
    )
    return Question(plan, _kept(session, actor, now, asked))


def confirm(
    session: Session,
    actor: Actor,
    now: datetime,
    *,
    confirmation_id: int,
    place: AzurePlace = NOWHERE,
    table: PriceTable = prices.SHIPPED,
    production_model: str | None = None,
    privacy: Terms = DEFAULT_TERMS,
) -> Run | Question:
    """Start the run that was asked about; once, and only as it was shown. A second press gives the same run.

    What has changed is asked about anew: then the answer is another question.

    Raises:
        NotAllowed: the person may not train (any more), or somebody else was asked.
        NotFound: nothing of this number was asked.
        Conflict: it was too long ago, or the run is not possible any more, or would cost more than a cap allows.
    """
    people.require(session, actor, Permission.TRAIN)
    asked = session.get(Confirmation, confirmation_id)
    if asked is None:
        raise NotFound("This question is not known here: ask for the run again with /errata train.")
    if asked.asked_by != actor.person_id:
        raise NotAllowed(
            "{name} was asked about this run: ask for one of your own with /errata train.",
            name=people.name_of(session, asked.asked_by),
        )
    if asked.run_id is not None:
        return runs.find(session, asked.run_id)
    if not asked.asked_at - LIFETIME < now < asked.expires_at:  # before it was asked: a clock that was set back
        raise Conflict("This was asked more than 15 minutes ago: ask for the run again with /errata train.")
    name = session.get_one(DatasetVersion, asked.dataset_id).name
    backend = BackendName(asked.backend)
    order = orders.ordered(
        session,
        actor,
        dataset_name=name,
        model=asked.model,
        recipe=asked.recipe,
        backend=backend,
        place=place,
        production_model=production_model,
        privacy=privacy,
    )
    plan = plans.of_order(
        session, order, model=asked.model, backend=backend, place=place, table=table, today=now.date()
    )
    spending.require_room(session, now, plan.cost, place=place, table=table)
    if plan.in_the_way or plan.as_json() != asked.shown:
        return _again(session, actor, now, asked, plan)
    run = orders.request(
        session,
        actor,
        now,
        dataset_name=name,
        model=asked.model,
        recipe=asked.recipe,
        backend=backend,
        place=place,
        table=table,
        production_model=production_model,
        asked_in=[asked.place],
        privacy=privacy,
    )
    asked.run_id = run.id
    session.add(asked)
    session.flush()
    return run


def _again(session: Session, actor: Actor, now: datetime, asked: Confirmation, plan: Plan) -> Question:
    """The same confirmation with what would be started now; its quarter of an hour begins anew."""
    changes = tuple(_changes(asked.shown, plan.as_json()))
    if plan.in_the_way:
        return Question(plan, None, changes)
    asked.shown, asked.asked_at, asked.expires_at = plan.as_json(), now, now + LIFETIME
    return Question(plan, _kept(session, actor, now, asked), changes)


def _kept(session: Session, actor: Actor, now: datetime, asked: Confirmation) -> int:
    """The id of a confirmation, stored as it was asked for."""
    session.add(asked)
    session.flush()
    details = {"dataset": asked.dataset_id}
    audit.record(session, actor, now, "run.confirmation", subject=f"confirmation:{asked.key}", details=details)
    return asked.key


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Phrase]:
    """What differs, a sentence each."""
    told = []
    if (before["train"], before["validation"]) != (after["train"], after["validation"]):
        told.append(
            phrase(
                "It had {before:,} rows to train on, and has {after:,} now.",
                before=before["train"],
                after=after["train"],
            )
        )
    if before["base"] != after["base"]:
        told.append(phrase("It would start from another model: the one that is live has changed."))
    if before.get("region") != after["region"]:
        told.append(phrase("The rows would go elsewhere: the region of the settings has changed."))
    if before.get("dollars") != after["dollars"]:
        told.append(_cost_changed(before.get("dollars"), after["dollars"]))
    if before["findings"] != after["findings"]:
        new = [one for one in after["findings"] if one not in before["findings"]]
        gone = len(before["findings"]) - (len(after["findings"]) - len(new))
        if new:
            told.append(plural("{count} finding is new.", "{count} findings are new.", len(new)))
        if gone > 0:
            told.append(plural("{count} finding is gone.", "{count} findings are gone.", gone))
    return told or [phrase("Its figures have changed.")]


def _cost_changed(before: float | None, after: float | None) -> Phrase:
    if after is None:
        return phrase("What it costs is unknown now.")
    if before is None:
        return phrase("What it costs was unknown, and is about {after} now.", after=money(after))
    return phrase("It would have cost about {before}, and costs {after} now.", before=money(before), after=money(after))
