"""Corrections: the versions of the better reply that a candidate proposes; the newest counts, the older ones stay.

Owns their reading and writing, and under which turns and prompt one is inspected before it is written. Who may write
one, and when, is decided in ``curation.proposals`` and ``curation.reviews``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import bindparam
from sqlalchemy import select as select_columns
from sqlmodel import Session

from curation import assistants
from curation.candidates import Standing
from curation.conversation import Conversation, Role
from curation.store.rows import Prepared, columns_of, insert_row, table_of
from curation.store.tables import Correction

if TYPE_CHECKING:  # its scan of telephone numbers takes a twentieth of a second to load
    from curation.checking.inspection import Inspection


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


def asked(
    session: Session,
    turns: Sequence[Mapping[str, Any]],
    *,
    assistant_id: int | None,
    source: str,
    toolbox: Mapping[str, Any] | None = None,
) -> Conversation:
    """The turns before a reply as a dataset will have them: under the prompt that the assistant has there now.

    Args:
        source: where the reply stands; a channel may have a prompt of its own.
    """
    conversation = Conversation.from_json(turns, toolbox)
    if assistant_id is None or any(turn.role is Role.SYSTEM for turn in conversation.messages):
        return conversation
    prompt = assistants.prompt_text(session, assistant_id, source.rsplit("/", 1)[0])
    return conversation if prompt is None else conversation.with_system(prompt)


def inspect(session: Session, inspection: Inspection | None, about: Standing, text: str) -> None:
    """Look at a new version of a candidate's correction before it is written; without an inspection, do nothing.

    Raises:
        OverWindow: with it the conversation surely does not fit the model that will be tuned.
    """
    if inspection is not None:
        turns = asked(session, about.turns, assistant_id=about.assistant_id, source=about.source, toolbox=about.toolbox)
        inspection.look(turns, text.strip(), about.language)


def write(session: Session, now: datetime, candidate_id: int, *, text: str, author: str) -> Version:
    """Add a version."""
    text = text.strip()
    key = insert_row(session, Correction, candidate_id=candidate_id, text=text, author=author, written_at=now)
    return Version(key, text, author)
