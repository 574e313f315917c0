"""Thread posts: what a colleague also says in the thread of the wrong reply, at once and under their name.

Owns that there is one for each candidate at most, by which key it is found again, and what it says: the newest words of
whoever proposed the correction. What a reviewer decides or edits adds nothing to the thread. Its destination key is the
thread's own, ``T1/C1/1700000000.000100``: the channel's, with the ts of the thread behind it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from sqlmodel import Session, col, select

from curation import candidates, corrections, notices
from curation.notices import NoticeKind
from curation.people import name_of
from curation.store.tables import Candidate, Notice


@dataclass(frozen=True, slots=True)
class ThreadPost:
    """Who corrects, and what the reply should have been."""

    author: str
    text: str = field(repr=False)


def owe(session: Session, now: datetime, candidate_id: int, *, thread: str) -> None:
    """Owe the thread the correction; told twice, it is posted once."""
    notices.owe(
        session,
        now,
        NoticeKind.THREAD_POST,
        subject=f"candidate:{candidate_id}",
        destination=thread,
        message_key=message_key(candidate_id),
    )


def changed(session: Session, now: datetime, candidate_id: int) -> None:
    """Owe the thread the newest words, if the correction was posted there."""
    notices.owe_again(session, now, message_key(candidate_id))


def shown(session: Session, candidate_id: int) -> ThreadPost:
    """What the message says now."""
    candidate = candidates.find(session, candidate_id)
    versions = corrections.versions(session, candidate_id)
    own = [version.text for version in versions if version.author == candidate.flagged_by]
    return ThreadPost(name_of(session, candidate.flagged_by), own[-1])


def not_posted(session: Session, now: datetime, subject: str) -> None:
    """Owe its author word that the thread does not take it, if there is still a correction to speak of."""
    candidate = session.get(Candidate, int(subject.split(":")[1]))
    if candidate is not None:
        notices.owe(session, now, NoticeKind.NOT_POSTED, subject=subject, destination=f"person:{candidate.flagged_by}")


def trouble(session: Session, candidate_id: int) -> str | None:
    """Why the thread did not take it, in the provider's word."""
    posts = select(Notice.trouble).where(Notice.message_key == message_key(candidate_id))
    return session.exec(posts.order_by(col(Notice.id).desc())).first()


def message_key(candidate_id: int) -> str:
    """By which the message is found again."""
    return f"thread:{candidate_id}"
