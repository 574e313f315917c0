"""The gate's memory: outcomes of signed requests, kept as long as a replay could still pass the clock.

Owns that a request's outcome is kept in the commit of what the request did: then neither a kill in
between nor the same bytes arriving twice at once can do it again, and the disk is waited for once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

from sqlalchemy import bindparam, delete, event, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from bot.gate import REPLAY_SECONDS, Outcome
from curation.errors import Overtaken
from curation.store.engine import Store
from curation.store.refusals import OVERTAKEN
from curation.store.rows import Prepared, Work, columns_of, table_of
from curation.store.tables import HandledRequest

KEPT = timedelta(seconds=REPLAY_SECONDS)
FORGET_EVERY = timedelta(seconds=30)

_ROWS = table_of(HandledRequest)
_RECALL = Prepared(select(*columns_of(HandledRequest, Outcome)).where(_ROWS.c.key == bindparam("sought")), Outcome)
_REMEMBER = Prepared(
    insert(_ROWS).on_conflict_do_nothing(),  # SQLite has PostgreSQL's word for it
    columns=("key", "status", "content_type", "body", "handled_at"),
)
_CHANGE = Prepared(
    update(_ROWS)
    .where(_ROWS.c.key == bindparam("sought"))
    .values(status=bindparam("to_status"), content_type=bindparam("to_type"), body=bindparam("to_body"))
)
_FORGET = Prepared(delete(_ROWS).where(_ROWS.c.handled_at < bindparam("oldest")))


_ACKNOWLEDGED = Outcome(HTTPStatus.OK, "text/plain;charset=utf-8", b"")


@dataclass
class _Claim:
    """The request at hand: what it will most likely be answered, and whether its work was committed with that."""

    key: str
    now: datetime
    expected: Outcome = _ACKNOWLEDGED
    kept: bool = False


_AT_HAND: ContextVar[_Claim | None] = ContextVar("errata_request", default=None)


def expect(answer: str, *, content_type: str = _ACKNOWLEDGED.content_type) -> None:
    """Say, before its work is committed, that the request at hand will be answered with this text."""
    claim = _AT_HAND.get()
    if claim is not None:
        claim.expected = _ACKNOWLEDGED._replace(body=answer.encode(), content_type=content_type)


class StoredReplays:
    """``bot.gate.ReplayMemory`` over the database: a restart does not forget."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._forgot = datetime.min.replace(tzinfo=UTC)

    def recall(self, key: str) -> Outcome | None:
        """The outcome of an earlier request with this key, if it is remembered."""
        with self._store.look_up() as connection:
            return _RECALL.first(connection, sought=key)

    @contextmanager
    def handling(self, key: str, now: datetime) -> Iterator[None]:
        """While the block runs, this thread's first commit keeps the outcome that is expected."""
        token = _AT_HAND.set(_Claim(key, now))
        try:
            yield
        finally:
            _AT_HAND.reset(token)

    def remember(self, key: str, outcome: Outcome, now: datetime) -> None:
        """Keep an outcome, and now and then forget those that no clock would let in again."""
        claim = _AT_HAND.get()
        kept = claim.expected if claim is not None and claim.key == key and claim.kept else None
        _AT_HAND.set(None)  # what is committed from here on is the memory's own
        self._forget(now)
        if kept is not None and (kept.status, kept.body) == (outcome.status, outcome.body):
            return
        changed = {"to_status": outcome.status, "to_type": outcome.content_type, "to_body": outcome.body}
        with self._store.write_rows() as work:
            # Where the work was undone after all, the outcome that was kept with it is gone too.
            if kept is None or not _CHANGE.change(work, sought=key, **changed):
                _keep(work, key, outcome, now)

    def _forget(self, now: datetime) -> None:
        if now - self._forgot > FORGET_EVERY:
            self._forgot = now
            with self._store.write_rows() as work:
                _FORGET.change(work, oldest=now - KEPT)


def _keep(work: Work, key: str, outcome: Outcome, now: datetime) -> bool:
    """Whether the outcome is now kept: not where another request of the same key was faster."""
    return bool(_REMEMBER.change(work, key=key, handled_at=now, **outcome._asdict()))


def _keep_with_the_work(session: Session) -> None:
    """Before a commit: what the request at hand writes and that it was handled become one."""
    claim = _AT_HAND.get()
    if claim is None or claim.kept:
        return
    if not _keep(session, claim.key, claim.expected, claim.now):
        raise Overtaken(OVERTAKEN)
    claim.kept = True


event.listen(Session, "before_commit", _keep_with_the_work)
