"""Captures: a thread as it stood when somebody pressed the shortcut. A candidate is made from it.

Owns keeping the reply at once and completing it once the thread has been read. What becomes of it
is decided in ``curation.candidates``.
"""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from curation.conversation import Conversation
from curation.errors import NotFound
from curation.people import Actor, require
from curation.policies import Permission
from curation.store.tables import Capture


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


def fill(session: Session, capture_id: int, conversation: Conversation, *, reply: str, staff_reply: str | None) -> None:
    """Complete a capture with the turns that came before the reply."""
    row = find(session, capture_id)
    row.turns = conversation.as_json()
    row.reply = reply
    row.staff_reply = staff_reply
    row.trouble = None


def not_filled(session: Session, capture_id: int, *, trouble: str) -> None:
    """Remember why the thread could not be read; the modal then asks for the question."""
    find(session, capture_id).trouble = trouble


def place_of(capture: Capture) -> str:
    """The destination key of the channel that a capture was made in."""
    return capture.source.rsplit("/", 1)[0]


def find(session: Session, capture_id: int) -> Capture:
    """The capture behind a form, or NotFound with the way to a new one."""
    row = session.get(Capture, capture_id)
    if row is None:
        raise NotFound("This form is no longer known; press the shortcut on the reply again.")
    return row
