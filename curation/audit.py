"""Who did what, when: one entry in the same commit as every change of state.

Owns the writing of entries. They hold ids, never anybody's words, so that they can be kept when a
customer's data is erased.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from sqlmodel import Session, col, select

from curation.store.tables import AuditEntry

if TYPE_CHECKING:
    from curation.people import Actor


def record(
    session: Session,
    actor: Actor,
    now: datetime,
    action: str,
    *,
    subject: str,
    details: Mapping[str, str | int | bool] | None = None,
) -> None:
    """Write that ``actor`` did ``action`` (``candidate.approved``) to ``subject`` (``candidate:12``)."""
    session.add(AuditEntry(at=now, actor=actor.person_id, action=action, subject=subject, details=dict(details or {})))


def about(session: Session, subject: str) -> list[AuditEntry]:
    """Every entry about a subject, oldest first."""
    return list(session.exec(select(AuditEntry).where(AuditEntry.subject == subject).order_by(col(AuditEntry.id))))
