"""Which model version answered when, by what the deployments remember.

Owns the answer for any moment, past ones included: an event that arrives late belongs to the model that
was live when it happened. Switching is ``training.deployments``'s.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import bindparam, or_, select
from sqlmodel import Session

from curation.store.columns import UtcDateTime
from curation.store.rows import Prepared, table_of
from training.store.tables import Deployment

_DEPLOYMENTS = table_of(Deployment)
_MOMENT = bindparam("moment", type_=UtcDateTime)
_LIVE = Prepared(
    select(_DEPLOYMENTS.c.run_id)
    .where(_DEPLOYMENTS.c.live_at <= _MOMENT)
    .where(or_(_DEPLOYMENTS.c.retired_at.is_(None), _DEPLOYMENTS.c.retired_at > _MOMENT))
    # While one takes over from another both answer; the newer one is asked.
    .order_by(_DEPLOYMENTS.c.live_at.desc(), _DEPLOYMENTS.c.id.desc())
    .limit(1)
)


def live_at(session: Session, moment: datetime) -> str | None:
    """The id of the run whose model was live at this moment; None where none of Errata's was."""
    row = _LIVE.first(session, moment=moment)
    return None if row is None else str(row.run_id)
