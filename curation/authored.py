"""What somebody has put forward and where it stands: waiting, back with them, approved, or trained on by now.

Owns the look at one author's corrections, the newest first. Counting everybody's is ``curation.queue``'s.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import bindparam, func
from sqlalchemy import select as select_columns
from sqlmodel import Session

from curation.candidates import CandidateStatus
from curation.datasets.split import Side
from curation.store.rows import found, table_of
from curation.store.tables import Candidate, Correction, DatasetRow, Example

_CANDIDATES, _CORRECTIONS = table_of(Candidate), table_of(Correction)
_EXAMPLES, _ROWS = table_of(Example), table_of(DatasetRow)
_WROTE = select_columns(_CORRECTIONS.c.candidate_id).where(_CORRECTIONS.c.author == bindparam("person")).distinct()
_NEWEST = (
    select_columns(_CANDIDATES.c.id, _CANDIDATES.c.status, _CANDIDATES.c.reply)
    .where(_CANDIDATES.c.id.in_(_WROTE))
    # What came back waits for its author, so it stands before everything else.
    .order_by((_CANDIDATES.c.status == CandidateStatus.RETURNED.value).desc(), _CANDIDATES.c.id.desc())
    .limit(bindparam("most"))
)
_COUNTED = (
    select_columns(_CANDIDATES.c.status, func.count().label("number"))
    .where(_CANDIDATES.c.id.in_(_WROTE))
    .group_by(_CANDIDATES.c.status)
)
_TRAINED_ON = (
    select_columns(_EXAMPLES.c.candidate_id)
    .join(_ROWS, _ROWS.c.example_id == _EXAMPLES.c.id)
    .where(_ROWS.c.dataset_id == bindparam("dataset"), _ROWS.c.side == Side.TRAIN.value)
    .where(_EXAMPLES.c.candidate_id.in_(_WROTE))
)


@dataclass(frozen=True, slots=True)
class Authored:
    """One candidate that the person wrote a version of; ``learned``: the dataset that was asked about trains on it."""

    candidate_id: int
    status: CandidateStatus
    reply: str
    learned: bool


def of_person(session: Session, person: str, *, limit: int, dataset_id: int | None = None) -> list[Authored]:
    """What came back first, then the newest.

    Args:
        dataset_id: of the model that is live; None where none is.
    """
    learned = _learned(session, person, dataset_id)
    return [
        Authored(row.id, CandidateStatus(row.status), row.reply, row.id in learned)
        for row in found(session, _NEWEST, person=person, most=limit)
    ]


def counted(session: Session, person: str) -> dict[CandidateStatus, int]:
    """How many of them stand where."""
    return {CandidateStatus(row.status): row.number for row in found(session, _COUNTED, person=person)}


def number_learned(session: Session, person: str, dataset_id: int) -> int:
    """On how many of them a dataset trains."""
    return len(_learned(session, person, dataset_id))


def _learned(session: Session, person: str, dataset_id: int | None) -> frozenset[int]:
    if dataset_id is None:
        return frozenset()
    return frozenset(row.candidate_id for row in found(session, _TRAINED_ON, person=person, dataset=dataset_id))
