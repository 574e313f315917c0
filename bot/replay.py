"""The gate's memory: outcomes of signed requests, kept as long as a replay could still pass the clock."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlmodel import col, delete

from bot.gate import REPLAY_SECONDS, Outcome
from curation.store.engine import Store
from curation.store.tables import HandledRequest

KEPT = timedelta(seconds=REPLAY_SECONDS)


class StoredReplays:
    """``bot.gate.ReplayMemory`` over the database: a restart does not forget."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def recall(self, key: str) -> Outcome | None:
        """The outcome of an earlier request with this key, if it is remembered."""
        with self._store.read() as session:
            row = session.get(HandledRequest, key)
        return None if row is None else Outcome(row.status, row.content_type, row.body)

    def remember(self, key: str, outcome: Outcome, now: datetime) -> None:
        """Keep an outcome, and forget those that no clock would let in again."""
        with self._store.write() as session:
            session.exec(delete(HandledRequest).where(col(HandledRequest.handled_at) < now - KEPT))
            if session.get(HandledRequest, key) is None:
                session.add(
                    HandledRequest(
                        key=key,
                        status=outcome.status,
                        content_type=outcome.content_type,
                        body=outcome.body,
                        handled_at=now,
                    )
                )
