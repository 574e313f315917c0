"""Corrections: the versions of the better reply that a candidate proposes; the newest counts, the older ones stay.

Owns their reading and writing. Who may write one, and when, is decided in ``curation.candidates`` and
``curation.reviews``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import bindparam
from sqlalchemy import select as select_columns
from sqlmodel import Session

from curation.store.rows import Prepared, columns_of, insert_row, table_of
from curation.store.tables import Correction


class Version(NamedTuple):
    """One version of a correction."""

    id: int
    text: str
    author: str


_CORRECTIONS = table_of(Correction)
_VERSIONS = Prepared(
    select_columns(*columns_of(Correction, Version))
    .where(_CORRECTIONS.c.candidate_id == bindparam("candidate"))
    .order_by(_CORRECTIONS.c.id),
    Version,
)


def versions(session: Session, candidate_id: int) -> list[Version]:
    """Every version of a candidate's correction, oldest first."""
    return _VERSIONS.rows(session, candidate=candidate_id)


def current_text(session: Session, candidate_id: int) -> str:
    """The newest version."""
    return versions(session, candidate_id)[-1].text


def authors(versions: Sequence[Version]) -> list[str]:
    """Everybody who wrote one of these versions, in the order of their first."""
    return list(dict.fromkeys(version.author for version in versions))


def write(session: Session, now: datetime, candidate_id: int, *, text: str, author: str) -> Version:
    """Add a version."""
    text = text.strip()
    key = insert_row(session, Correction, candidate_id=candidate_id, text=text, author=author, written_at=now)
    return Version(key, text, author)
