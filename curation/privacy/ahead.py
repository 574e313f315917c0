"""Looking ahead: personal data is looked for before anything leaves, and keeps no other writer waiting.

Owns that a scan of many examples is cut into short transactions: what is found is worked out while nobody waits, and
only writing it down takes the lock. Each portion stands by itself: whoever is stopped half way loses one at most.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import ColumnElement, true
from sqlmodel import Session, col, or_, select

from curation.privacy import personal
from curation.privacy.treatment import REGIONS
from curation.store.engine import Store
from curation.store.tables import Example

AT_ONCE = 250
"""Examples whose findings are written in one transaction: some milliseconds."""


def look_ahead(
    store: Store,
    *,
    regions: tuple[str, ...] = REGIONS,
    again: bool = True,
    every: bool = False,
    told: Callable[[int, int], None] = lambda _done, _total: None,
) -> int:
    """Scan every example that no scan of today's has seen; how many findings are new.

    Args:
        regions: where callers are who write their number without a country code.
        again: scan those as well that an earlier scan has seen, which knew other names.
        every: scan those as well that a scan of today's has seen.
        told: is told how many have been looked at, and of how many.

    Raises:
        StoreUnavailable, Overtaken: what was looked at until then stays so.
    """
    with store.read() as session:
        scope = personal.scope_of(session, regions)
        due = _due(session, true() if every else _unseen(scope.stamp if again else None))
    new = 0
    for start in range(0, len(due), AT_ONCE):
        told(start, len(due))
        theirs = (col(Example.id).in_(due[start : start + AT_ONCE]), col(Example.erased_at).is_(None))
        with store.read() as session:
            examples = session.exec(select(Example).where(*theirs)).all()
            found = personal.scan(session, scope, examples)
        with store.write() as session:
            left = set(session.exec(select(Example.id).where(*theirs)))
            staying = [one for one in examples if one.key in left]  # a customer may have been erased in between
            new += personal.keep(session, scope, staying, {one.key: found[one.key] for one in staying})
    return new


def _unseen(stamp: str | None) -> ColumnElement[bool]:
    """That no scan has seen an example, or none with this stamp."""
    unseen: ColumnElement[bool] = col(Example.scanned).is_(None)
    return unseen if stamp is None else or_(unseen, col(Example.scanned) != stamp)


def _due(session: Session, unseen: ColumnElement[bool]) -> list[int | None]:
    """The examples of which this holds, oldest first."""
    due = select(Example.id).where(unseen, col(Example.erased_at).is_(None))
    return list(session.exec(due.order_by(col(Example.id))))
