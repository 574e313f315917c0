"""Flagged replies that nobody has corrected yet: the queue of those who correct.

Owns which replies are in it, in which order, and that somebody may say that one was not wrong. A reply is in it while
a flag stands on it that is newer than its last dismissal, it was not taken away, and no candidate that is open or
approved stands on it. Refuses words: a reply is read where it was said.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import and_, exists, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session

from curation import audit
from curation.candidates import CandidateStatus
from curation.people import Actor, require, require_at_home
from curation.policies import Permission
from curation.store.rows import Prepared, found, table_of
from curation.store.tables import Candidate, FlagDismissal, Reply, ReplyFlag

_REPLIES, _FLAGS, _DISMISSALS = table_of(Reply), table_of(ReplyFlag), table_of(FlagDismissal)
_CANDIDATES = table_of(Candidate)

_DISMISSED = insert(_DISMISSALS)
_DISMISS = Prepared(
    _DISMISSED.on_conflict_do_update(
        index_elements=[_DISMISSALS.c.source],
        set_={"dismissed_by": _DISMISSED.excluded.dismissed_by, "dismissed_at": _DISMISSED.excluded.dismissed_at},
    )
)
_STANDS_ON = exists().where(
    _CANDIDATES.c.source == _REPLIES.c.source, _CANDIDATES.c.status != CandidateStatus.REJECTED.value
)
_OPEN = and_(
    _FLAGS.c.standing,
    or_(_DISMISSALS.c.source.is_(None), _FLAGS.c.touched_at > _DISMISSALS.c.dismissed_at),
    ~_REPLIES.c.withdrawn,
    ~_STANDS_ON,
)
_JOINED = _FLAGS.join(_REPLIES, _REPLIES.c.source == _FLAGS.c.source).outerjoin(
    _DISMISSALS, _DISMISSALS.c.source == _FLAGS.c.source
)
_NUMBER, _FIRST, _LAST = func.count(), func.min(_FLAGS.c.touched_at), func.max(_FLAGS.c.touched_at)


class Position(NamedTuple):
    """Behind which reply a page goes on: its flags, when the first of them was set, where it stands."""

    flags: int
    first_at: datetime
    source: str


class Flagged(NamedTuple):
    """A reply that somebody minds.

    Attributes:
        source: where it stands, ``T1/C1/1700000000.000100``.
        flags: how many people minded it, at least 1.
        first_at: when the first of them did.
        by: their person ids, in the order in which they did.
    """

    source: str
    assistant_id: int
    model_version: str | None
    flags: int
    first_at: datetime
    last_at: datetime
    by: tuple[str, ...]

    @property
    def position(self) -> Position:
        """Where the next page begins, were this the last of its page."""
        return Position(self.flags, self.first_at, self.source)


def waiting(
    session: Session,
    *,
    assistant_id: int | None = None,
    team: str | None = None,
    limit: int,
    after: Position | None = None,
) -> list[Flagged]:
    """A page of the flagged replies: those that most people minded first, then those that wait longest.

    Args:
        team: the id of the workspace that they stand in; None: any.
    """
    page = _listed(assistant_id, team).order_by(_NUMBER.desc(), _FIRST, _FLAGS.c.source).limit(limit)
    if after is not None:
        number, first = _NUMBER, _FIRST
        later = or_(first > after.first_at, and_(first == after.first_at, _FLAGS.c.source > after.source))
        page = page.having(or_(number < after.flags, and_(number == after.flags, later)))
    return _with_people(session, found(session, page))


def count(session: Session, *, assistant_id: int | None = None, team: str | None = None) -> int:
    """How many flagged replies wait for somebody."""
    counted = select(func.count(_FLAGS.c.source.distinct())).select_from(_JOINED).where(*_chosen(assistant_id, team))
    return int(session.connection().execute(counted).scalar_one())


def find(session: Session, source: str) -> Flagged | None:
    """The flagged reply at this place; None where none waits there any more."""
    rows = found(session, _listed(None, None).where(_FLAGS.c.source == source))
    return next(iter(_with_people(session, rows)), None)


def dismiss(session: Session, actor: Actor, now: datetime, *, source: str) -> bool:
    """Say that a flagged reply was not wrong; whether that changed anything. A new flag brings it back.

    Its flags stay counted: that somebody minded a reply is a figure of its model version.

    Raises:
        NotAllowed: the actor may not flag, or not there.
    """
    require(session, actor, Permission.FLAG)
    require_at_home(session, actor, source)
    reply = find(session, source)
    if reply is None:
        return False
    # Flags bear the chat provider's time: its clock may be ahead, and what was looked at is dismissed all the same.
    _DISMISS.change(session, source=source, dismissed_by=actor.person_id, dismissed_at=max(now, reply.last_at))
    audit.record(session, actor, now, "reply.not_wrong", subject=f"reply:{source}")
    return True


def gone(session: Session, sources: Sequence[str]) -> None:
    """Note that these replies are no longer where they were said, as somebody found who looked."""
    statement = update(_REPLIES).where(_REPLIES.c.source.in_(sources)).values(withdrawn=True)
    session.connection().execute(statement)


def _listed(assistant_id: int | None, team: str | None) -> Any:
    return (
        select(
            _FLAGS.c.source,
            _REPLIES.c.assistant_id,
            _REPLIES.c.model_version,
            _NUMBER.label("flags"),
            _FIRST.label("first_at"),
            _LAST.label("last_at"),
        )
        .select_from(_JOINED)
        .where(*_chosen(assistant_id, team))
        .group_by(_FLAGS.c.source, _REPLIES.c.assistant_id, _REPLIES.c.model_version)
    )


def _chosen(assistant_id: int | None, team: str | None) -> list[Any]:
    of_assistant = [_REPLIES.c.assistant_id == assistant_id] if assistant_id is not None else []
    of_team = [_FLAGS.c.source.startswith(f"{team}/", autoescape=True)] if team is not None else []
    return [_OPEN, *of_assistant, *of_team]


def _with_people(session: Session, rows: Sequence[Any]) -> list[Flagged]:
    by: dict[str, list[str]] = defaultdict(list)
    flags = (
        select(_FLAGS.c.source, _FLAGS.c.person_id)
        .select_from(_JOINED)
        .where(_OPEN, _FLAGS.c.source.in_([row.source for row in rows]))
        .order_by(_FLAGS.c.touched_at, _FLAGS.c.person_id)
    )
    for flag in found(session, flags):
        by[flag.source].append(flag.person_id)
    return [
        Flagged(
            row.source,
            row.assistant_id,
            row.model_version,
            row.flags,
            row.first_at,
            row.last_at,
            tuple(by[row.source]),
        )
        for row in rows
    ]
