"""When Slack took the app or its token away: kept, so that every process can say why it is of no use any more.

Owns one row a workspace. A process that began after that moment was given a token of a later installation,
so it asks only for what came after its own beginning.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import bindparam, select
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session

from curation.store.columns import UtcDateTime
from curation.store.rows import Prepared, table_of
from curation.store.tables import Revocation

_ROWS = table_of(Revocation)
_GIVEN = insert(_ROWS)  # PostgreSQL's words for a conflict are SQLite's as well
_KEEP = Prepared(
    _GIVEN.on_conflict_do_update(
        index_elements=[_ROWS.c.team_id],
        set_={"event": _GIVEN.excluded.event, "revoked_at": _GIVEN.excluded.revoked_at},
        where=_ROWS.c.revoked_at < _GIVEN.excluded.revoked_at,
    )
)
_SINCE = Prepared(select(_ROWS.c.team_id).where(_ROWS.c.revoked_at > bindparam("since", type_=UtcDateTime)))


def keep(session: Session, *, team_id: str, event: str, at: datetime) -> None:
    """Keep when a workspace took the app away; an older event than the one that is kept changes nothing."""
    _KEEP.change(session, team_id=team_id, event=event, revoked_at=at)


def any_since(session: Session, moment: datetime) -> bool:
    """Whether a workspace has taken the app away after this moment."""
    return _SINCE.first(session, since=moment) is not None
