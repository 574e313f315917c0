"""The gate's memory: outcomes of signed requests, kept as long as a replay could still pass the clock.

Owns that a request's outcome is kept in the commit of what the request did: then neither a kill in
between nor the same bytes arriving twice at once can do it again, and the disk is waited for once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

from sqlalchemy import bindparam, delete, event, select, text, update
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session

from bot.gate import REPLAY_SECONDS, Outcome
from curation.errors import Overtaken
from curation.store.columns import UtcDateTime
from curation.store.engine import Store
from curation.store.refusals import OVERTAKEN
from curation.store.rows import table_of
from curation.store.tables import HandledRequest

KEPT = timedelta(seconds=REPLAY_SECONDS)
FORGET_EVERY = timedelta(seconds=30)

# Every request passes here. Statements of the table, made once, cost a quarter of the mapped class's.
_ROWS = table_of(HandledRequest)
_RECALL = select(_ROWS.c.status, _ROWS.c.content_type, _ROWS.c.body).where(_ROWS.c.key == bindparam("sought"))
_REMEMBER = text(  # SQLAlchemy has no word of its own that both databases know for the conflict
    f"INSERT INTO {_ROWS.name} (key, status, content_type, body, handled_at) "  # noqa: S608 (our own table's name)
    "VALUES (:key, :status, :content_type, :body, :handled_at) ON CONFLICT (key) DO NOTHING"
).bindparams(bindparam("handled_at", type_=UtcDateTime))
_CHANGE = update(_ROWS).where(_ROWS.c.key == bindparam("sought"))
_FORGET = delete(_ROWS).where(_ROWS.c.handled_at < bindparam("oldest"))


_ACKNOWLEDGED = Outcome(HTTPStatus.OK, "text/plain;charset=utf-8", b"")


@dataclass
class _Claim:
    """The request at hand: what it will most likely be answered, and whether its work was committed with that."""

    key: str
    now: datetime
    expected: Outcome = _ACKNOWLEDGED
    kept: bool = False


_AT_HAND: ContextVar[_Claim | None] = ContextVar("errata_request", default=None)


def expect(answer: str) -> None:
    """Say, before its work is committed, that the request at hand will be answered with this text."""
    claim = _AT_HAND.get()
    if claim is not None:
        claim.expected = replace(_ACKNOWLEDGED, body=answer.encode())


class StoredReplays:
    """``bot.gate.ReplayMemory`` over the database: a restart does not forget."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._forgot = datetime.min.replace(tzinfo=UTC)

    def recall(self, key: str) -> Outcome | None:
        """The outcome of an earlier request with this key, if it is remembered."""
        with self._store.read() as session:
            row = session.connection().execute(_RECALL, {"sought": key}).first()
        return None if row is None else Outcome(row.status, row.content_type, row.body)

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
        values = {"status": outcome.status, "content_type": outcome.content_type, "body": outcome.body}
        with self._store.write() as session:
            connection = session.connection()
            # Where the work was undone after all, the outcome that was kept with it is gone too.
            if kept is None or not connection.execute(_CHANGE.values(**values), {"sought": key}).rowcount:
                _keep(connection, key, outcome, now)

    def _forget(self, now: datetime) -> None:
        if now - self._forgot > FORGET_EVERY:
            self._forgot = now
            with self._store.write() as session:
                session.connection().execute(_FORGET, {"oldest": now - KEPT})


def _keep(connection: Connection, key: str, outcome: Outcome, now: datetime) -> bool:
    """Whether the outcome is now kept: not where another request of the same key was faster."""
    row = {"key": key, "status": outcome.status, "content_type": outcome.content_type}
    return bool(connection.execute(_REMEMBER, {**row, "body": outcome.body, "handled_at": now}).rowcount)


def _keep_with_the_work(session: Session) -> None:
    """Before a commit: what the request at hand writes and that it was handled become one."""
    claim = _AT_HAND.get()
    if claim is None or claim.kept:
        return
    if not _keep(session.connection(), claim.key, claim.expected, claim.now):
        raise Overtaken(OVERTAKEN)
    claim.kept = True


event.listen(Session, "before_commit", _keep_with_the_work)
