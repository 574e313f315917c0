"""Captures: a thread as it stood when somebody pressed the shortcut. A candidate is made from it.

Owns keeping the reply at once, completing it once the thread has been read, and which other replies of the thread
somebody may turn out to have meant. What becomes of it is decided in ``curation.proposals``.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import bindparam
from sqlalchemy import select as select_columns
from sqlmodel import Session

from curation.conversation import Conversation
from curation.errors import Conflict, NotFound
from curation.people import Actor, require
from curation.policies import Permission
from curation.store.rows import Prepared, columns_of, table_of
from curation.store.tables import Capture
from curation.wording import Phrase

READING_TIME = timedelta(minutes=1)
"""A thread that nobody has read by then will not be: the process that was at it is gone."""


class Choice(NamedTuple):
    """One of the replies of a captured thread.

    Attributes:
        before: how many of the thread's turns came before it.
        staff_reply: what a colleague answered below it.
        context: what the assistant had retrieved for it.
    """

    source: str
    reply: str
    before: int
    staff_reply: str | None = None
    context: list[str] | None = None


class Kept(NamedTuple):
    """A capture, read to make a candidate from it."""

    id: int
    assistant_id: int
    source: str
    thread: str
    captured_by: str
    captured_at: datetime
    reply: str
    staff_reply: str | None
    turns: list[dict[str, Any]] | None
    context: list[str] | None
    trouble: str | None

    @property
    def place(self) -> str:
        """The destination key of the channel that it was made in."""
        return self.source.rsplit("/", 1)[0]

    def unread(self, now: datetime) -> bool:
        """Whether the thread could not be read, or will not be any more."""
        return self.turns is None and (self.trouble is not None or now - self.captured_at > READING_TIME)


_CAPTURES = table_of(Capture)
_CHOICES = Prepared(select_columns(_CAPTURES.c.choices).where(_CAPTURES.c.id == bindparam("capture")))
_KEPT = Prepared(select_columns(*columns_of(Capture, Kept)).where(_CAPTURES.c.id == bindparam("capture")), Kept)


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
    thread: Conversation | None = None,
    choices: Sequence[Choice] = (),
) -> None:
    """Complete a capture with the turns that came before the reply.

    Args:
        context: what the assistant had retrieved for it; None where it does not say.
        speakers: the person ids of those who speak as the user: whose it is, should they want it erased.
        thread: the turns before the last of ``choices``; those before each of them are its beginning.
        choices: every reply of the thread, this one among them, in their order.
    """
    row = _row(session, capture_id)
    row.turns = conversation.as_json()
    row.speakers = sorted(speakers) or None
    row.context = context
    row.reply = reply
    row.staff_reply = staff_reply
    row.trouble = None
    row.choices = None
    if thread is not None and len(choices) > 1:
        row.choices = {"turns": thread.as_json(), "replies": [list(one) for one in choices]}


def not_filled(session: Session, capture_id: int, *, trouble: Phrase) -> None:
    """Remember why the thread could not be read; the modal then asks for the question."""
    _row(session, capture_id).trouble = trouble.packed()


def find(session: Session, capture_id: int) -> Kept:
    """The capture behind a form, or NotFound with the way to a new one."""
    kept = _KEPT.first(session, capture=capture_id)
    if kept is None:
        raise _unknown()
    return kept


def choices(session: Session, capture_id: int) -> list[Choice]:
    """The replies of the thread, in their order; none where there is only the one that was pressed."""
    held = _CHOICES.first(session, capture=capture_id)
    return [Choice(*one) for one in held.choices["replies"]] if held is not None and held.choices else []


def of_reply(session: Session, kept: Kept, source: str) -> Kept:
    """The capture as if this reply of its thread had been pressed.

    Raises:
        Conflict: the thread, as it was read, has no such reply.
    """
    if source == kept.source:
        return kept
    held = _CHOICES.first(session, capture=kept.id)
    whole = held.choices if held is not None and held.choices else {"turns": [], "replies": []}
    for one in (Choice(*fields) for fields in whole["replies"]):
        if one.source == source:
            turns = whole["turns"][: one.before]
            return kept._replace(
                source=source, reply=one.reply, staff_reply=one.staff_reply, turns=turns, context=one.context
            )
    raise Conflict("This reply is not in the thread as it was read: press the shortcut on the reply itself.")


def _row(session: Session, capture_id: int) -> Capture:
    row = session.get(Capture, capture_id)
    if row is None:
        raise _unknown()
    return row


def _unknown() -> NotFound:
    return NotFound("This form is no longer known; press the shortcut on the reply again.")
