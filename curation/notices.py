"""What Errata owes a channel: rows written in the same commit as what they tell about.

Owns the outbox's lifecycle and its order. Neutral about the channel: a notice names a kind, a
subject and a destination; whoever delivers renders the words from the subject's state at that
moment. So no customer's words lie in the outbox, and a late notice is never an old one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import bindparam, or_, update
from sqlalchemy import select as select_columns
from sqlmodel import Session, col, select

from curation.store.rows import Prepared, Work, insert_row, table_of
from curation.store.tables import Notice


class NoticeKind(StrEnum):
    """What a notice tells."""

    QUEUE = "queue"
    AUTHOR = "candidate.author"
    THREAD_POST = "candidate.thread"
    NOT_POSTED = "candidate.not_posted"
    DATASET_FROZEN = "dataset.frozen"
    RUN_STATUS = "run.status"
    RUN_CURVE = "run.curve"
    RUN_EVALUATED = "run.evaluated"
    RUN_SCORES = "run.scores"
    DEPLOYMENT = "deployment"
    AUTHOR_LIVE = "deployment.author"
    IDLE = "deployment.idle"
    SAMPLE = "replies.sample"
    DIGEST = "digest"
    DIGEST_RATES = "digest.rates"


class NoticeStatus(StrEnum):
    """The lifecycle of a notice. One in flight was sent, and nobody knows yet whether it arrived."""

    QUEUED = "queued"
    IN_FLIGHT = "in_flight"
    DELIVERED = "delivered"
    UNCERTAIN = "uncertain"
    FAILED = "failed"


OPEN = (NoticeStatus.QUEUED.value, NoticeStatus.IN_FLIGHT.value)
_OF_UNKNOWN_FATE = (NoticeStatus.IN_FLIGHT.value, NoticeStatus.UNCERTAIN.value)

_NOTICES = table_of(Notice)
# By the message alone, of which there are few rows: left the choice, SQLite looks through everything queued.
_OF_MESSAGE = Prepared(
    select_columns(*(_NOTICES.c[name] for name in ("kind", "subject", "destination", "status")))
    .where(_NOTICES.c.message_key == bindparam("message"))
    .order_by(_NOTICES.c.id)
)

_OPEN_ONE = Prepared(select_columns(_NOTICES.c.id).where(or_(*(_NOTICES.c.status == one for one in OPEN))).limit(1))
_THE_MESSAGE = (
    _NOTICES.c.message_key == bindparam("message"),
    _NOTICES.c.destination == bindparam("destination"),
)
_REFERENCE = Prepared(
    select_columns(_NOTICES.c.message_ref)
    .where(*_THE_MESSAGE, _NOTICES.c.message_ref.is_not(None))
    .order_by(_NOTICES.c.id.desc())
    .limit(1)
)
_UNKNOWN = Prepared(
    select_columns(_NOTICES.c.id)
    .where(*_THE_MESSAGE, or_(*(_NOTICES.c.status == one for one in _OF_UNKNOWN_FATE)))
    .limit(1)
)
_FIRST_OWED = Prepared(select_columns(_NOTICES.c.owed_at).where(*_THE_MESSAGE).order_by(_NOTICES.c.owed_at).limit(1))

CARD = "candidate.card"
"""The kind of the cards that stood for one candidate each, in channels where they were posted before queues had a
message. None is posted any more; where one must be edited, it says that it is replaced."""
MAX_ATTEMPTS = 8

EDIT_INTERVAL = timedelta(seconds=3)
"""The least time between two sendings of one message, and before an attempt without an answer is looked for."""
_LONGEST_BACKOFF = timedelta(minutes=5)
_LONGEST_WAIT = timedelta(hours=1)


def owe(
    session: Session,
    now: datetime,
    kind: NoticeKind,
    *,
    subject: str,
    destination: str,
    message_key: str | None = None,
) -> None:
    """Owe ``destination`` a notice. Notices with one ``message_key`` are edits of one message.

    Where one is queued for the same message, nothing is added: it is rendered when it is sent, and so shows
    this as well. It keeps its place, so that a channel hears of things in the order in which they began.
    """
    if message_key is not None and (kind.value, destination) in _queued(_OF_MESSAGE.rows(session, message=message_key)):
        return
    _queue(session, now, kind.value, subject, destination, message_key)


def add(session: Session, now: datetime, kind: NoticeKind, *, subject: str, destination: str, message_key: str) -> None:
    """Owe a notice without looking whether it is queued already: for whoever has looked."""
    _queue(session, now, kind.value, subject, destination, message_key)


def owe_again(session: Session, now: datetime, message_key: str) -> None:
    """Owe every place that shows this message its newest state."""
    shown = _OF_MESSAGE.rows(session, message=message_key)
    queued = _queued(shown)
    for kind, subject, destination in dict.fromkeys((row.kind, row.subject, row.destination) for row in shown):
        if (kind, destination) not in queued:
            _queue(session, now, kind, subject, destination, message_key)


def any_owed(work: Work) -> bool:
    """Whether anything is owed at all, now or later: whoever delivers asks several times a second."""
    return _OPEN_ONE.first(work) is not None


def due(session: Session, now: datetime, *, limit: int = 20) -> list[Notice]:
    """The notices to deliver now, oldest first; per destination none overtakes an older one.

    An edit waits until ``EDIT_INTERVAL`` after its message was last sent, and those behind it with it.
    """
    sent = select(Notice.message_key, Notice.destination).where(
        col(Notice.message_key).is_not(None),
        col(Notice.delivered_at) > now - EDIT_INTERVAL,
        col(Notice.delivered_at) <= now,  # after the clock was set back, an old sending must not hold up an edit
    )
    resting = set(session.exec(sent).all())
    open_notices = session.exec(select(Notice).where(col(Notice.status).in_(OPEN)).order_by(col(Notice.id)))
    blocked: set[str] = set()
    ready: list[Notice] = []
    for notice in open_notices:
        if notice.destination in blocked:
            continue
        message = (notice.message_key, notice.destination)
        if _waits(notice, now) or message in resting:
            blocked.add(notice.destination)
            continue
        ready.append(notice)
        if notice.message_key is not None:
            resting.add(message)
        if len(ready) == limit:
            break
    return ready


def _waits(notice: Notice, now: datetime) -> bool:
    # A new notice waits for nothing, and nothing waits for hours: such a row tells that the clock was set back.
    return notice.not_before != notice.owed_at and now < notice.not_before <= now + _LONGEST_WAIT


def message_ref(session: Session, notice: Notice) -> str | None:
    """The reference (for Slack: channel and ts) of the message that this notice edits, if it was posted."""
    if notice.message_key is None:
        return None
    posted = _REFERENCE.first(session, **_message_of(notice))
    return None if posted is None else str(posted.message_ref)


def forget(session: Session, notice: Notice) -> None:
    """The message that this notice edits is no more: the next one is posted as a new one."""
    session.connection().execute(
        update(_NOTICES)
        .where(_NOTICES.c.message_key == notice.message_key, _NOTICES.c.destination == notice.destination)
        .values(message_ref=None)
    )
    session.expire_all()


def doubtful(session: Session, notice: Notice) -> bool:
    """Whether an earlier attempt at this message may have reached the channel without our knowing."""
    if notice.status == NoticeStatus.IN_FLIGHT:
        return True
    if notice.message_key is None:
        return False
    return _UNKNOWN.first(session, **_message_of(notice)) is not None


def first_owed_at(session: Session, notice: Notice) -> datetime:
    """Since when this message may stand in the channel: it was not owed before."""
    if notice.message_key is None:
        return notice.owed_at
    first: Any = _FIRST_OWED.first(session, **_message_of(notice))
    return notice.owed_at if first is None else first.owed_at


def uncertain(session: Session, *, since: datetime) -> list[Notice]:
    """The notices owed since then of which nobody can say whether they arrived, oldest first."""
    left = select(Notice).where(Notice.status == NoticeStatus.UNCERTAIN.value, Notice.owed_at >= since)
    return list(session.exec(left.order_by(col(Notice.id))))


def start(notice: Notice, now: datetime) -> None:
    """Mark the notice in flight, before anything is sent.

    Whoever finds it in flight after a crash waits for ``EDIT_INTERVAL``: the call may still be on its way.
    """
    notice.status = NoticeStatus.IN_FLIGHT.value
    notice.attempts += 1
    notice.not_before = now + EDIT_INTERVAL


def arrived(notice: Notice, *, reference: str) -> None:
    """Its message was found in the channel; what is left to do is to edit it."""
    notice.message_ref = reference


def delivered(notice: Notice, now: datetime, *, reference: str | None) -> None:
    """The channel has it."""
    notice.status = NoticeStatus.DELIVERED.value
    notice.message_ref = reference
    notice.delivered_at = now
    notice.trouble = None


def put_off(
    notice: Notice,
    now: datetime,
    *,
    trouble: str,
    arrived: bool | None = False,
    retry_after: timedelta | None = None,
    outage: bool = False,
) -> None:
    """Try again later, backing off to five minutes; after ``MAX_ATTEMPTS`` the notice has failed.

    A wait that the provider asked for is not counted against the notice, and an ``outage`` never ends it:
    what is owed outlasts a night without network.

    Args:
        notice: one in flight.
        now: the present.
        trouble: what happened, in a word.
        arrived: False where it certainly did not; None where nobody knows: it then stays in flight, to be
            looked for before it is sent again, and ends as uncertain.
        retry_after: how long the provider asked to wait.
        outage: whether the provider itself is away.
    """
    notice.trouble = trouble
    if retry_after is not None:
        notice.attempts -= 1
    elif notice.attempts >= MAX_ATTEMPTS and not outage:
        notice.status = (NoticeStatus.UNCERTAIN if arrived is None else NoticeStatus.FAILED).value
        return
    notice.status = (NoticeStatus.IN_FLIGHT if arrived is None else NoticeStatus.QUEUED).value
    backoff = min(max(timedelta(seconds=2 ** min(notice.attempts, 9)), EDIT_INTERVAL), _LONGEST_BACKOFF)
    notice.not_before = now + min(retry_after or backoff, _LONGEST_WAIT)


def leave_uncertain(notice: Notice, *, trouble: str) -> None:
    """Nobody can say whether it arrived, and nobody can look: saying it twice is worse than asking a person."""
    notice.status = NoticeStatus.UNCERTAIN.value
    notice.trouble = trouble


def give_up(notice: Notice, *, trouble: str) -> None:
    """The destination will never take it (archived channel, missing scope)."""
    notice.status = NoticeStatus.FAILED.value
    notice.trouble = trouble


def _message_of(notice: Notice) -> dict[str, str | None]:
    return {"message": notice.message_key, "destination": notice.destination}


def _queued(shown: Sequence[Any]) -> set[tuple[str, str]]:
    """The kinds and destinations of what will be rendered with the message's newest state anyway."""
    return {(row.kind, row.destination) for row in shown if row.status == NoticeStatus.QUEUED.value}


def _queue(session: Session, now: datetime, kind: str, subject: str, destination: str, message_key: str | None) -> None:
    insert_row(
        session,
        Notice,
        kind=kind,
        subject=subject,
        destination=destination,
        message_key=message_key,
        status=NoticeStatus.QUEUED.value,
        not_before=now,
        owed_at=now,
    )
