"""Removing candidates and captures for good, with everything that hangs on them.

Owns that nothing is left behind which points at a row that is gone. Who may, and which rows, is decided by whoever
calls: ``curation.privacy.erasure`` and ``curation.privacy.retention``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime

from sqlalchemy import Column, Table, delete, select, update
from sqlmodel import Session, SQLModel

from curation import feedback, rolling, thread_posts
from curation.notices import NoticeStatus, owe_again
from curation.store.rows import table_of
from curation.store.tables import Candidate, Capture, Notice, Review

_MANY = 500
"""Keys in one statement; SQLite takes 32,766."""


def remove_candidates(session: Session, now: datetime, keys: Collection[int]) -> None:
    """Delete candidates with their corrections, reviews and findings; their examples and captures stay.

    A message about one of them is owed an edit: rendered without its candidate, it says that nothing is kept. So is the
    message about the queue, in which fewer wait now.
    """
    reviews, notices, candidates = table_of(Review), table_of(Notice), table_of(Candidate)
    for some in _portions(keys):
        of_reviews = session.connection().execute(select(reviews.c.id).where(reviews.c.candidate_id.in_(some)))
        subjects = [f"candidate:{key}" for key in some]
        waiting = notices.c.subject.in_(subjects) & (notices.c.status == NoticeStatus.QUEUED.value)
        given = notices.c.subject.in_([f"review:{row.id}" for row in of_reviews])
        session.connection().execute(delete(notices).where(waiting | given))
        for key in some:
            owe_again(session, now, f"candidate:{key}")
            owe_again(session, now, feedback.message_key(key))
            owe_again(session, now, thread_posts.message_key(key))
        places = session.connection().execute(select(candidates.c.place).where(candidates.c.id.in_(some)).distinct())
        for place in places.scalars().all():
            rolling.owe_queue(session, now, place)
        detach(session, candidates, some)
        session.connection().execute(delete(candidates).where(candidates.c.id.in_(some)))


def remove_captures(session: Session, keys: Collection[int]) -> None:
    """Delete captures; candidates that were made of them stay, and no longer know of them."""
    for some in _portions(keys):
        detach(session, table_of(Capture), some)
        session.connection().execute(delete(table_of(Capture)).where(table_of(Capture).c.id.in_(some)))


def detach(session: Session, target: Table, keys: Collection[int], *, but: Collection[Table] = ()) -> None:
    """Undo what points at these rows, in whatever table: a reference that may be empty is emptied, other rows go.

    Args:
        target: whose rows are meant.
        keys: of them.
        but: tables whose references stay.
    """
    for table, column in _references(target):
        if table in but:
            continue
        pointing = column.in_(list(keys))
        # What the database itself would delete along with the row is only about it: a finding, a screening.
        about = any(key.ondelete == "CASCADE" for key in column.foreign_keys)
        if column.nullable and not about:
            session.connection().execute(update(table).where(pointing).values({column.name: None}))
        else:
            session.connection().execute(delete(table).where(pointing))


def _references(target: Table) -> Iterator[tuple[Table, Column[int]]]:
    for table in SQLModel.metadata.sorted_tables:
        for column in table.columns:
            if any(key.column.table is target for key in column.foreign_keys):
                yield table, column


def _portions(keys: Collection[int]) -> Iterator[list[int]]:
    ordered = sorted(keys)
    for start in range(0, len(ordered), _MANY):
        yield ordered[start : start + _MANY]
