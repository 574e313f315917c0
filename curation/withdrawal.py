"""Withdrawal: an example whose approval is undone goes, as if it had never been.

Owns whether it still can: nothing may know of it yet. Refuses an example that is in a dataset or in a file that left,
that was given a date or came back for review, or that was erased.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import bindparam, delete
from sqlalchemy import select as select_columns
from sqlmodel import Session

from curation.errors import Conflict
from curation.privacy.releases import GAPS
from curation.privacy.removal import detach
from curation.store.rows import Prepared, table_of
from curation.store.tables import DatasetRow, DatasetVersion, Example, Expiry, Export

_EXAMPLES, _ROWS, _VERSIONS = table_of(Example), table_of(DatasetRow), table_of(DatasetVersion)
_EXPIRIES, _EXPORTS = table_of(Expiry), table_of(Export)
_OF_CANDIDATE = Prepared(select_columns(_EXAMPLES.c.id).where(_EXAMPLES.c.candidate_id == bindparam("candidate")))
_FROZEN = Prepared(
    select_columns(_VERSIONS.c.name)
    .join(_ROWS, _ROWS.c.dataset_id == _VERSIONS.c.id)
    .where(_ROWS.c.example_id == bindparam("example"))
    .limit(1)
)
_DATED = Prepared(select_columns(_EXPIRIES.c.id).where(_EXPIRIES.c.example_id == bindparam("example")).limit(1))
# Of a file of everything approved nobody can say which examples it holds but by when it was written.
_LEFT = Prepared(
    select_columns(_EXPORTS.c.path)
    .where(
        _EXPORTS.c.dataset_id.is_(None),
        _EXPORTS.c.target != GAPS,  # which holds candidates
        _EXPORTS.c.written_at >= bindparam("since", type_=_EXPORTS.c.written_at.type),
    )
    .order_by(_EXPORTS.c.id)
    .limit(1)
)


def require_possible(session: Session, candidate_id: int, *, since: datetime) -> None:
    """Refuse what can no longer be as if it had never been.

    Args:
        since: when the candidate was approved.

    Raises:
        Conflict: the example is in use, or gone; the sentence says where.
    """
    example = _OF_CANDIDATE.first(session, candidate=candidate_id)
    if example is None:
        raise Conflict(
            "The example of candidate {candidate} was erased: nothing is left to undo.", candidate=candidate_id
        )
    if (frozen := _FROZEN.first(session, example=example.id)) is not None:
        raise Conflict(
            "Example {example} is in the dataset {dataset} already, and datasets never change. Let it expire instead: "
            "errata examples expire {example}",
            example=example.id,
            dataset=frozen.name,
        )
    if _DATED.first(session, example=example.id) is not None:
        raise Conflict(
            "Example {example} was given a date, or came back for review, since it was approved: "
            "that cannot be undone any more.",
            example=example.id,
        )
    if (left := _LEFT.first(session, since=since)) is not None:
        raise Conflict(
            "Example {example} has left with the file {path} already: that cannot be undone any more. "
            "Let it expire instead: errata examples expire {example}",
            example=example.id,
            path=left.path,
        )


def withdraw(session: Session, candidate_id: int) -> None:
    """Delete the example that was made of a candidate, with what was found in it."""
    example = _OF_CANDIDATE.first(session, candidate=candidate_id)
    if example is not None:
        detach(session, _EXAMPLES, [example.id])
        session.connection().execute(delete(_EXAMPLES).where(_EXAMPLES.c.id == example.id))
        session.expire_all()
