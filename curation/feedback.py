"""Feedback: what the author of a correction or an endorsement hears back, in one message of their own.

Owns who is told and that it is one message, edited in place through everything that becomes of the candidate; what it
says is rendered from the candidate's state when it is sent. Refuses to tell whoever decided it about themselves, people
who exist on the command line only, and, unless there is something to rework, whoever imported a file of thousands.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from sqlalchemy import bindparam
from sqlalchemy import select as select_columns
from sqlmodel import Session

from curation import corrections, notices
from curation.candidates import CandidateStatus
from curation.datasets.split import Side
from curation.notices import NoticeKind
from curation.people import LOCAL_TEAM, WORKER
from curation.store.rows import Prepared, found, table_of
from curation.store.tables import Candidate, DatasetRow, Example

_CANDIDATES, _EXAMPLES, _ROWS = table_of(Candidate), table_of(Example), table_of(DatasetRow)
_STATE = Prepared(
    select_columns(_CANDIDATES.c.status, _CANDIDATES.c.capture_id).where(_CANDIDATES.c.id == bindparam("candidate"))
)
# What was captured has an assistant; whoever imported a file has helped with none of its rows by themselves.
_TRAINED_ON = (
    select_columns(_EXAMPLES.c.authors)
    .join(_ROWS, _ROWS.c.example_id == _EXAMPLES.c.id)
    .where(_ROWS.c.dataset_id == bindparam("dataset"), _ROWS.c.side == Side.TRAIN.value)
    .where(_EXAMPLES.c.assistant_id.is_not(None), _EXAMPLES.c.erased_at.is_(None))
)


def tell(session: Session, now: datetime, candidate_id: int, *, by: str) -> None:
    """Owe every author of a candidate, but for the person ``by`` whom it was decided, its newest state."""
    candidate = _STATE.first(session, candidate=candidate_id)
    if candidate is None or (candidate.capture_id is None and candidate.status != CandidateStatus.RETURNED.value):
        return
    for author in corrections.authors(corrections.versions(session, candidate_id)):
        if author != by and reachable(author):
            notices.owe(
                session,
                now,
                NoticeKind.AUTHOR,
                subject=f"candidate:{candidate_id}",
                destination=f"person:{author}",
                message_key=message_key(candidate_id),
            )


def changed(session: Session, now: datetime, candidate_id: int) -> None:
    """Owe those who were told of a candidate before its newest state."""
    notices.owe_again(session, now, message_key(candidate_id))


def message_key(candidate_id: int) -> str:
    """By which the messages about one candidate to its authors are found again."""
    return f"author:{candidate_id}"


def reachable(person: str) -> bool:
    """Whether somebody can be written to: not the worker, and nobody of the command line."""
    return person != WORKER.person_id and person.split("/", 1)[0] != LOCAL_TEAM


def trained_on(session: Session, dataset_id: int) -> dict[str, int]:
    """How many of the examples that a dataset trains on each person has a part in, by person id."""
    return Counter(author for row in found(session, _TRAINED_ON, dataset=dataset_id) for author in row.authors)
