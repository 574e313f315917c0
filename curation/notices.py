"""What Errata owes a channel: rows written in the same commit as what they tell about.

Owns the outbox's lifecycle and its order. Neutral about the channel: a notice names a kind, a
subject and a destination; whoever delivers renders the words from the subject's state at that
moment. So no customer's words lie in the outbox, and a late notice is never an old one.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from sqlmodel import Session, col, select

from curation.store.tables import Notice


class NoticeKind(StrEnum):
    """What a notice tells."""

    CANDIDATE_CARD = "candidate.card"
    RETURNED = "candidate.returned"
    RUN_STATUS = "run.status"
    RUN_CURVE = "run.curve"
    RUN_EVALUATED = "run.evaluated"
    DEPLOYMENT = "deployment"


class NoticeStatus(StrEnum):
    """The lifecycle of a notice."""

    QUEUED = "queued"
    IN_FLIGHT = "in_flight"
    DELIVERED = "delivered"
    SUPERSEDED = "superseded"
    FAILED = "failed"


OPEN = (NoticeStatus.QUEUED.value, NoticeStatus.IN_FLIGHT.value)
MAX_ATTEMPTS = 8


def owe(
    session: Session,
    now: datetime,
    kind: NoticeKind,
    *,
    subject: str,
    destination: str,
    message_key: str | None = None,
) -> Notice:
    """Owe ``destination`` a notice. Notices with one ``message_key`` are edits of one message.

    A queued edit of the same message is superseded: it would only have shown what this one shows.
    """
    if message_key is not None:
        waiting = select(Notice).where(
            Notice.message_key == message_key,
            Notice.destination == destination,
            Notice.kind == kind.value,
            Notice.status == NoticeStatus.QUEUED.value,
        )
        for older in session.exec(waiting):
            older.status = NoticeStatus.SUPERSEDED.value
    notice = Notice(
        kind=kind.value,
        subject=subject,
        destination=destination,
        message_key=message_key,
        status=NoticeStatus.QUEUED.value,
        not_before=now,
        owed_at=now,
    )
    session.add(notice)
    session.flush()
    return notice


def owe_again(session: Session, now: datetime, message_key: str) -> None:
    """Owe every place that shows this message its newest state."""
    shown = select(Notice.kind, Notice.subject, Notice.destination).where(Notice.message_key == message_key).distinct()
    for kind, subject, destination in session.exec(shown).all():
        owe(
            session,
            now,
            NoticeKind(kind),
            subject=subject,
            destination=destination,
            message_key=message_key,
        )


def due(session: Session, now: datetime, *, limit: int = 20) -> list[Notice]:
    """The notices to deliver now, oldest first; per destination none overtakes an older one."""
    open_notices = session.exec(select(Notice).where(col(Notice.status).in_(OPEN)).order_by(col(Notice.id)))
    blocked: set[str] = set()
    ready: list[Notice] = []
    for notice in open_notices:
        if notice.destination in blocked:
            continue
        if notice.not_before > now:
            blocked.add(notice.destination)
            continue
        ready.append(notice)
        if len(ready) == limit:
            break
    return ready


def message_ref(session: Session, notice: Notice) -> str | None:
    """The reference (for Slack: channel and ts) of the message that this notice edits, if it was posted."""
    if notice.message_key is None:
        return None
    posted = select(Notice.message_ref).where(
        Notice.message_key == notice.message_key,
        Notice.destination == notice.destination,
        col(Notice.message_ref).is_not(None),
    )
    return session.exec(posted.order_by(col(Notice.id).desc())).first()


def attempted(session: Session, notice: Notice) -> bool:
    """Whether an earlier attempt at this message may have reached the channel without our knowing.

    An attempt counts for its whole message: an edit that superseded a lost first post would post a second one.
    """
    if notice.attempts:
        return True
    if notice.message_key is None:
        return False
    tried = select(Notice.id).where(
        Notice.message_key == notice.message_key, Notice.destination == notice.destination, Notice.attempts > 0
    )
    return session.exec(tried).first() is not None


def start(notice: Notice) -> None:
    """Mark the notice in flight, before anything is sent."""
    notice.status = NoticeStatus.IN_FLIGHT.value
    notice.attempts += 1


def delivered(notice: Notice, *, reference: str | None) -> None:
    """The channel has it."""
    notice.status = NoticeStatus.DELIVERED.value
    notice.message_ref = reference
    notice.trouble = None


def put_off(
    notice: Notice, now: datetime, *, trouble: str, retry_after: timedelta | None = None, outage: bool = False
) -> None:
    """Try again later, backing off to five minutes; after ``MAX_ATTEMPTS`` the notice has failed.

    A wait that the provider asked for is not counted against the notice, and an ``outage`` never ends it:
    what is owed outlasts a night without network.
    """
    notice.trouble = trouble
    if retry_after is not None:
        notice.attempts -= 1
    elif notice.attempts >= MAX_ATTEMPTS and not outage:
        notice.status = NoticeStatus.FAILED.value
        return
    notice.status = NoticeStatus.QUEUED.value
    notice.not_before = now + (retry_after or timedelta(seconds=min(2 ** min(notice.attempts, 9), 300)))


def give_up(notice: Notice, *, trouble: str) -> None:
    """The destination will never take it (archived channel, missing scope)."""
    notice.status = NoticeStatus.FAILED.value
    notice.trouble = trouble
