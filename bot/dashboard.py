"""What App Home shows to one person, gathered from use cases in one moment.

Owns which parts somebody sees: by their roles, which are looked at each time. Renders nothing (``bot.blocks.home``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlmodel import Session

from curation import authored, digests, flagged, memberships, people, queue
from curation.authored import Authored
from curation.candidates import CandidateStatus
from curation.datasets import dataset
from curation.digests import Figures
from curation.people import Actor
from curation.policies import Permission, Standing, may
from curation.queue import Tally
from curation.store.tables import DatasetVersion
from curation.weeks import Week
from training import bills, runs
from training.backends.foundry.place import NOWHERE, AzurePlace
from training.backends.names import PAID
from training.bills import Bill
from training.planning.prices import SHIPPED, PriceTable
from training.summaries import RunSummary, of_run

SHOWN_AUTHORED = 5
SHOWN_RUNS = 3
SHOWN_OWNERS = 5


@dataclass(frozen=True, slots=True)
class Mine:
    """What the person has put forward: how many stand where, the first few, and how many the live model learned."""

    counted: dict[CandidateStatus, int]
    first: tuple[Authored, ...]
    learned: int


@dataclass(frozen=True, slots=True)
class Health:
    """How the data stands: the newest dataset, and how many examples were approved since."""

    newest: str | None
    frozen_at: datetime | None
    approved_since: int


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything on one person's page; what is None is not theirs to see.

    Attributes:
        name: of the person.
        guest: Slack says that they are no member of the workspace.
        owners: whom to ask for a role.
        live: the id of the run whose model answers, where that is theirs to see.
        bill: what costs money at providers; None where none is set up and nothing stands there.
        trains, freezes: whether they may start what the buttons start.
    """

    name: str
    guest: bool
    owners: tuple[str, ...]
    tally: Tally | None = None
    mine: Mine | None = None
    flags: int | None = None
    week: Figures | None = None
    health: Health | None = None
    listed: tuple[RunSummary, ...] | None = None
    live: str | None = None
    bill: Bill | None = None
    trains: bool = False
    freezes: bool = False


def gather(
    session: Session, actor: Actor, now: datetime, *, azure: AzurePlace = NOWHERE, table: PriceTable = SHIPPED
) -> Seen:
    """The page of this person as it is now.

    Args:
        azure: where in Azure runs may happen, and what may be spent there.
        table: the prices that are known here.
    """
    person, team = actor.person_id, people.team_of(actor.person_id)
    held = people.roles(session, person)
    standing = memberships.standing_of(session, person)
    guest = standing is not None and standing is not Standing.MEMBER
    near = [one for one in people.owners(session) if people.team_of(one) == team]
    owners = tuple(people.name_of(session, one) for one in near[:SHOWN_OWNERS])
    name = people.name_of(session, person)
    if guest or not held:
        return Seen(name, guest, owners)
    reviews, flags = may(held, Permission.REVIEW), may(held, Permission.FLAG)
    live = runs.production(session)
    return Seen(
        name,
        guest,
        owners,
        tally=queue.tally(session, actor, now) if reviews else None,
        mine=_mine(session, person, live.dataset_id if live is not None else None) if flags else None,
        flags=flagged.count(session, team=team) if flags else None,
        week=digests.of_week(session, _this_week(now), team) if reviews else None,
        health=_health(session) if reviews else None,
        listed=tuple(of_run(session, run, table) for run in runs.listed(session)[:SHOWN_RUNS]),
        live=live.id if live is not None else None,
        bill=_bill(session, now, azure, table),
        trains=may(held, Permission.TRAIN),
        freezes=may(held, Permission.FREEZE),
    )


def _bill(session: Session, now: datetime, azure: AzurePlace, table: PriceTable) -> Bill | None:
    bill = bills.of_records(session, now, place=azure, table=table)
    anywhere = any(not azure.missing(backend) for backend in PAID)
    return bill if anywhere or bill.going or bill.deployed else None


def _mine(session: Session, person: str, dataset_id: int | None) -> Mine:
    return Mine(
        authored.counted(session, person),
        tuple(authored.of_person(session, person, limit=SHOWN_AUTHORED, dataset_id=dataset_id)),
        authored.number_learned(session, person, dataset_id) if dataset_id is not None else 0,
    )


def _health(session: Session) -> Health:
    versions: list[DatasetVersion] = dataset.listed(session)
    newest = versions[0] if versions else None
    since = newest.frozen_at if newest is not None else None
    return Health(newest.name if newest is not None else None, since, dataset.approved_since(session, since))


def _this_week(now: datetime) -> Week:
    """The week that has begun and not ended."""
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return Week(today - timedelta(days=today.weekday()))
