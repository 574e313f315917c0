"""The one message about its queue that a channel is owed: edited in place, and begun anew where it would be overlooked.

Owns which message that is. What it says is rendered from the queue's state when it is sent (``curation.queue``).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import String, bindparam, cast, exists, literal, update
from sqlalchemy import select as select_columns
from sqlmodel import Session

from curation import notices
from curation.candidates import CandidateStatus
from curation.notices import NoticeKind, NoticeStatus
from curation.store.rows import Prepared, insert_row, table_of
from curation.store.tables import Candidate, Notice, QueueMessage

LASTS = timedelta(hours=12)
"""After which a message lies too far above for what comes new; the next one begins."""
_KIND = "queue"

_MESSAGES, _NOTICES, _CANDIDATES = table_of(QueueMessage), table_of(Notice), table_of(Candidate)
_KEY = literal(f"{_KIND}:") + _MESSAGES.c.place + ":" + cast(_MESSAGES.c.number, String)
_OWED = exists().where(_NOTICES.c.message_key == _KEY, _NOTICES.c.status == NoticeStatus.QUEUED.value)
_STATE = select_columns(_MESSAGES.c.number, _MESSAGES.c.begun_at, _OWED.label("owed"))
_STATE = _STATE.where(_MESSAGES.c.place == bindparam("place"))
_WAITS = exists().where(
    _CANDIDATES.c.status == CandidateStatus.PENDING.value,
    _CANDIDATES.c.place == bindparam("place"),
    _CANDIDATES.c.id != bindparam("new"),
)
_CURRENT = Prepared(_STATE)
_CURRENT_AND_WHETHER_ANYTHING_WAITED = Prepared(_STATE.add_columns(_WAITS.label("waited")))
_ANEW = Prepared(
    update(_MESSAGES)
    .where(_MESSAGES.c.place == bindparam("channel"))
    .values(number=bindparam("following"), begun_at=bindparam("present"))
)


def owe_queue(session: Session, now: datetime, place: str | None, *, new: int | None = None) -> None:
    """Owe a place the newest state of its queue; nothing where nobody reviews in a channel.

    Where that is queued already, nothing is added. Two statements at most, but where a message begins.

    Args:
        place: the destination key of a channel.
        new: the candidate that has just come to wait there: the message begins anew where nothing else waited, or
            where it is older than ``LASTS``. The one above is brought up to date once more.
    """
    if place is None:
        return
    if new is None:
        current = _CURRENT.first(session, place=place)
    else:
        current = _CURRENT_AND_WHETHER_ANYTHING_WAITED.first(session, place=place, new=new)
    if current is None:
        insert_row(session, QueueMessage, place=place, number=1, begun_at=now)
        _owe(session, now, place, 1)
    elif current.owed:
        return  # it is rendered when it is sent, and so shows this as well
    elif new is not None and (not current.waited or now - current.begun_at > LASTS):
        _ANEW.change(session, channel=place, following=current.number + 1, present=now)
        notices.owe_again(session, now, message_key(place, current.number))
        _owe(session, now, place, current.number + 1)
    else:
        _owe(session, now, place, current.number)


def message_key(place: str, number: int) -> str:
    """By which the messages of a place are found again: ``queue:T1/C1:3``."""
    return f"{_KIND}:{place}:{number}"


def is_current(session: Session, key: str) -> bool:
    """Whether this message is the newest about its queue: an older one says that it goes on below."""
    place, _, number = key.removeprefix(f"{_KIND}:").rpartition(":")
    current = _CURRENT.first(session, place=place)
    return current is not None and str(current.number) == number


def _owe(session: Session, now: datetime, place: str, number: int) -> None:
    key = message_key(place, number)
    notices.add(session, now, NoticeKind.QUEUE, subject=f"{_KIND}:{place}", destination=place, message_key=key)
