"""Who did what, when: one entry in the same commit as every change of state, each sealed onto the one before.

Owns the writing of entries and the chain they form. Entries hold ids, never anybody's words, so that they
can be kept when a customer's data is erased. A chain shows that a row was changed, removed, moved or put
in between; whoever can write the whole table could write a new chain, and only a head kept outside the
database (an anchor) shows that.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy import event
from sqlalchemy import select as select_columns
from sqlalchemy.orm import Session as AnySession
from sqlmodel import Session, col, select

from curation.store.rows import Prepared, insert_row, table_of
from curation.store.tables import AuditEntry

if TYPE_CHECKING:
    from curation.people import Actor

GENESIS = "0" * 64
"""What the first entry names as the hash before it."""

_UNSEALED = "errata_unsealed_entries"
_WALK = 1_000

_ENTRIES = table_of(AuditEntry)
_NEWEST = Prepared(select_columns(_ENTRIES.c.id, _ENTRIES.c.hash).order_by(_ENTRIES.c.id.desc()).limit(1))


@dataclass(frozen=True, slots=True)
class Head:
    """The newest entry of the chain."""

    entry: int
    hash: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What a walk along the chain found.

    Attributes:
        entries: how many hold, counted from the first.
        head: the last of them; None where there are none.
        broken: the id of the first that does not hold, and ``why``, a sentence; None where all do.
    """

    entries: int
    head: Head | None
    broken: int | None = None
    why: str = ""


def record(
    session: Session,
    actor: Actor,
    now: datetime,
    action: str,
    *,
    subject: str,
    details: Mapping[str, str | int | bool] | None = None,
) -> None:
    """Write that ``actor`` did ``action`` (``candidate.approved``) to ``subject`` (``candidate:12``).

    The entry joins the chain when the session commits, after everything else that it writes.
    """
    entry = _Unsealed(now, actor.person_id, action, subject, dict(details or {}))
    session.info.setdefault(_UNSEALED, []).append(entry)


def about(session: Session, subject: str) -> list[AuditEntry]:
    """Every committed entry about a subject, oldest first."""
    return search(session, subject=subject)


def search(
    session: Session,
    *,
    actor: str | None = None,
    subject: str | None = None,
    action: str | None = None,
    since: datetime | None = None,
) -> list[AuditEntry]:
    """The committed entries that match everything given, oldest first.

    Args:
        subject: ``candidate:12``, or a kind alone (``candidate``).
        action: ``run.requested``, or what it begins with up to a dot (``run``).
    """
    found = select(AuditEntry).order_by(col(AuditEntry.id))
    if actor is not None:
        found = found.where(AuditEntry.actor == actor)
    if subject is not None:
        found = found.where(
            (col(AuditEntry.subject) == subject) | col(AuditEntry.subject).startswith(f"{subject}:", autoescape=True)
        )
    if action is not None:
        found = found.where(
            (col(AuditEntry.action) == action) | col(AuditEntry.action).startswith(f"{action}.", autoescape=True)
        )
    if since is not None:
        found = found.where(col(AuditEntry.at) >= since)
    return list(session.exec(found))


def verify(session: Session) -> Verified:
    """Walk the chain from its first entry and stop at the first that does not hold."""
    head: Head | None = None
    count = 0
    for entry in session.exec(select(AuditEntry).order_by(col(AuditEntry.id)).execution_options(yield_per=_WALK)):
        before = head.hash if head is not None else GENESIS
        if entry.previous != before:
            after = f"entry {head.entry}" if head is not None else "the beginning"
            why = f"it does not follow {after}: an entry before it was removed, put in, moved or changed"
            return Verified(count, head, entry.key, why)
        if entry.hash != seal(entry):
            return Verified(count, head, entry.key, "its contents are not those that were sealed")
        head = Head(entry.key, entry.hash)
        count += 1
    return Verified(count, head)


def hash_of(session: Session, entry: int) -> str | None:
    """The seal of one entry; None where there is no such entry."""
    return session.exec(select(AuditEntry.hash).where(AuditEntry.id == entry)).first()


class Sealable(Protocol):
    """An entry with its place in the chain; the attributes are those of ``AuditEntry``."""

    id: int | None
    at: datetime
    actor: str
    action: str
    subject: str
    details: dict[str, Any]
    previous: str


def seal(entry: Sealable) -> str:
    """SHA-256 over the canonical JSON of ``[previous, id, at, actor, action, subject, details]``, in hexadecimal."""
    moment = entry.at.astimezone(UTC).isoformat(timespec="microseconds")
    linked: list[Any] = [entry.previous, entry.id, moment, entry.actor, entry.action, entry.subject, entry.details]
    canonical = json.dumps(linked, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


@dataclass(slots=True)
class _Unsealed:
    """An entry without its place in the chain. As an ``AuditEntry`` it would take longer to make than to write."""

    at: datetime
    actor: str
    action: str
    subject: str
    details: dict[str, Any]
    id: int | None = None
    previous: str = GENESIS


def _seal_before_commit(session: AnySession) -> None:
    """Put the session's entries at the end of the chain."""
    entries: list[_Unsealed] = session.info.pop(_UNSEALED, [])
    if not entries:
        return
    session.flush()
    # Nobody else can be here: a unit of work that writes has the database to itself (``curation.store.engine``), and
    # sees what was committed before it began. Were that to change, the unique ``previous`` refuses a chain that forks.
    newest = _NEWEST.first(session)
    last, previous = (newest.id, newest.hash) if newest is not None else (0, GENESIS)
    for entry in entries:
        entry.id = last = last + 1
        entry.previous = previous
        previous = seal(entry)
        insert_row(
            session,
            AuditEntry,
            id=entry.id,
            at=entry.at,
            actor=entry.actor,
            action=entry.action,
            subject=entry.subject,
            details=entry.details,
            previous=entry.previous,
            hash=previous,
        )


def _forget(session: AnySession) -> None:
    session.info.pop(_UNSEALED, None)


# On SQLAlchemy's class: whatever session a use case is given, its entries are sealed with it.
event.listen(AnySession, "before_commit", _seal_before_commit)
event.listen(AnySession, "after_rollback", _forget)
