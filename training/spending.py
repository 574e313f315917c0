"""Spending: what paid runs cost in a month, and whether one more stays under the caps of an installation.

Owns the two caps, of a run and of a calendar month in UTC, and that they fail closed: where a cap is set and a cost is
unknown, nothing is started. Prices and their arithmetic are ``training.planning.costs``'s; endpoints, which belong to
no cap, are ``training.bills``'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import Session, col, or_, select

from curation.errors import Conflict
from training.backends.foundry.place import AzurePlace
from training.backends.names import BackendName
from training.planning.costs import Cost, total
from training.planning.parts import money
from training.planning.prices import PriceTable
from training.store.tables import Run


@dataclass(frozen=True, slots=True)
class Month:
    """What paid runs of a calendar month come to so far.

    Attributes:
        begins: its first moment, in UTC.
        spent: US dollars of those that have ended in it, by what was measured; None where one is unknown.
        promised: of those that go on, as they were estimated; None where one is unknown.
        unknown: the runs of which nobody knows what they cost, by id.
    """

    begins: datetime
    spent: float | None
    promised: float | None
    unknown: tuple[str, ...] = ()

    @property
    def dollars(self) -> float | None:
        """Spent and promised; None where a run is unknown."""
        return total((self.spent, self.promised))

    def as_json(self) -> dict[str, Any]:
        """Every attribute, and the sum."""
        return {
            "begins": self.begins.isoformat(),
            "spent": self.spent,
            "promised": self.promised,
            "dollars": self.dollars,
            "unknown": list(self.unknown),
        }


def cost_of(run: Run, table: PriceTable) -> Cost | None:
    """What a run has cost once it is over, and what it will cost before; None where nobody sends a bill, or said.

    A price that was unknown when the run was asked for is looked up again.
    """
    if run.cost is None or run.ended_at is None or "actual" not in run.cost:
        return estimate_of(run, table)
    return Cost.from_json(run.cost["actual"]).priced(table)


def estimate_of(run: Run, table: PriceTable) -> Cost | None:
    """What a run was estimated to cost, by today's prices where there were none; None where nobody sends a bill."""
    return Cost.from_json(run.cost["estimated"]).priced(table) if run.cost is not None else None


def unfinished(session: Session) -> list[Run]:
    """The runs that go on and that somebody sends a bill for, oldest first."""
    return [run for run in _paid(session, None) if run.ended_at is None]


def month_to_date(session: Session, now: datetime, table: PriceTable) -> Month:
    """What paid runs have cost since the month began, with what those will cost that go on."""
    begins = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    found = {run.id: (run.ended_at is not None, cost_of(run, table)) for run in _paid(session, begins)}
    sums = {run_id: (ended, cost.dollars if cost is not None else None) for run_id, (ended, cost) in found.items()}
    return Month(
        begins=begins,
        spent=total(dollars for ended, dollars in sums.values() if ended),
        promised=total(dollars for ended, dollars in sums.values() if not ended),
        unknown=tuple(run_id for run_id, (_, dollars) in sums.items() if dollars is None),
    )


def require_room(session: Session, now: datetime, cost: Cost | None, *, place: AzurePlace, table: PriceTable) -> None:
    """See that a run of this cost stays under the caps; one that nobody sends a bill for always does.

    Raises:
        Conflict: it does not, or nobody can tell; the sentence says by how much, and what to do.
    """
    if cost is None or (place.spend_run is None and place.spend_month is None):
        return
    if cost.dollars is None:
        raise Conflict(
            "A spend cap is set, and what this run costs is unknown. {reasons:sentences} Look prices up at {page} and "
            "write them into prices.toml in Errata's home folder, or take ERRATA_SPEND_RUN and ERRATA_SPEND_MONTH "
            "away.",
            reasons=[part.sentence() for part in cost.parts if part.dollars is None],
            page=cost.page or "",
        )
    if place.spend_run is not None and cost.dollars > place.spend_run:
        raise Conflict(
            "This run would cost about {dollars}, and ERRATA_SPEND_RUN allows {cap}. Take fewer examples, fewer epochs "
            "or a cheaper model, or raise the cap.",
            dollars=money(cost.dollars),
            cap=money(place.spend_run),
        )
    if place.spend_month is not None:
        _require_room_in_month(month_to_date(session, now, table), cost.dollars, place.spend_month)


def _require_room_in_month(month: Month, dollars: float, cap: float) -> None:
    if month.dollars is None:
        raise Conflict(
            "ERRATA_SPEND_MONTH is set, and what {runs:and} cost this month is unknown. Write the missing price into "
            "prices.toml in Errata's home folder, or take the cap away; errata foundry costs shows what is known.",
            runs=month.unknown,
        )
    if month.dollars + dollars > cap:
        raise Conflict(
            "This run would cost about {dollars}. Of the {cap} that ERRATA_SPEND_MONTH allows, {spent} are spent or "
            "promised this month. Wait for the next month, or raise the cap.",
            dollars=money(dollars),
            cap=money(cap),
            spent=money(month.dollars),
        )


def _paid(session: Session, since: datetime | None) -> list[Run]:
    """Runs that somebody sends a bill for, oldest first: those that go on, and those that ended since then."""
    standing = col(Run.ended_at).is_(None)
    among = standing if since is None else or_(standing, col(Run.ended_at) >= since)
    found = select(Run).where(Run.backend != BackendName.LOCAL.value, among)
    return list(session.exec(found.order_by(col(Run.requested_at), col(Run.id))))
