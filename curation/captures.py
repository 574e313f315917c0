"""Captures: a thread as it stood when somebody pressed the shortcut. A candidate is made from it.

Owns keeping the reply at once and completing it once the thread has been read. What becomes of it
is decided in ``curation.proposals``.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import bindparam
from sqlalchemy import select as select_columns
from sqlmodel import Session

from curation.conversation import Conversation
from curation.errors import NotFound
from curation.people import Actor, require
from curation.policies import Permission
from curation.store.rows import Prepared, columns_of, table_of
from curation.store.tables import Capture


class Kept(NamedTuple):
    """A capture, read to make a candidate from it."""

    id: int
    assistant_id: int
    source: str
    thread: str
    captured_by: str
    reply: str
    turns: list[dict[str, Any]] | None
    context: list[str] | None
    trouble: str | None

    @property
    def place(self) -> str:
        """The destination key of the channel that it was made in."""
        return self.source.rsplit("/", 1)[0]


_KEPT = Prepared(select_columns(*columns_of(Capture, Kept)).where(table_of(Capture).c.id == bindparam("capture")), Kept)


def keep(
    session: Session, actor: Actor, now: datetime, *, assistant_id: int, source: str, thread: str, reply: str
) -> Capture:
    """Keep the reply somebody points at, before its thread has been read.

    Raises:
        NotAllowed: the actor may not flag.
    """
    require(session, actor, Permission.FLAG)
    row = Capture(
        assistant_id=assistant_id,
        source=source,
        thread=thread,
        captured_by=actor.person_id,
        captured_at=now,
        reply=reply,
    )
    session.add(row)
    session.flush()
    return row


def fill(
    session: Session,
    capture_id: int,
    conversation: Conversation,
    *,
    reply: str,
    staff_reply: str | None,
    speakers: Collection[str] = (),
    context: list[str] | None = None,
) -> None:
    """Complete a capture with the turns that came before the reply.

    Args:
        context: what the assistant had retrieved for it; None where it does not say.
        speakers: the person ids of those who speak as the user: whose it is, should they want it erased.
    """
    row = _row(session, capture_id)
    row.turns = conversation.as_json()
    row.speakers = sorted(speakers) or None
    row.context = context
    row.reply = reply
    row.staff_reply = staff_reply
    row.trouble = None


def not_filled(session: Session, capture_id: int, *, trouble: str) -> None:
    """Remember why the thread could not be read; the modal then asks for the question."""
    _row(session, capture_id).trouble = trouble


def find(session: Session, capture_id: int) -> Kept:
    """The capture behind a form, or NotFound with the way to a new one."""
    kept = _KEPT.first(session, capture=capture_id)
    if kept is None:
        raise _unknown()
    return kept


def _row(session: Session, capture_id: int) -> Capture:
    row = session.get(Capture, capture_id)
    if row is None:
        raise _unknown()
    return row


def _unknown() -> NotFound:
    return NotFound("This form is no longer known; press the shortcut on the reply again.")
