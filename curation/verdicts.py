"""Verdicts as they were given: the kinds, and what of a candidate's history still counts.

Owns reading them back: the newest, the approvals of a version, those that were given together. One that was undone
stays in the history and counts for nothing. Giving one is ``curation.reviews``'s.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import bindparam, or_
from sqlalchemy import select as select_columns
from sqlmodel import Session

from curation.candidates import Step
from curation.store.rows import Prepared, columns_of, table_of
from curation.store.tables import Review


class Verdict(StrEnum):
    """A reviewer's judgement."""

    APPROVE = "approve"
    EDIT_AND_APPROVE = "edit_and_approve"
    RETURN = "return"
    REJECT = "reject"


STEP: dict[Verdict, Step] = {
    Verdict.APPROVE: Step.APPROVE,
    Verdict.EDIT_AND_APPROVE: Step.APPROVE,
    Verdict.RETURN: Step.RETURN,
    Verdict.REJECT: Step.REJECT,
}
APPROVING = tuple(verdict.value for verdict, step in STEP.items() if step is Step.APPROVE)


class Given(NamedTuple):
    """A verdict that was given.

    Attributes:
        correction_id: the version that was approved.
        batch: the id of the first of those that were given together; None for that one itself.
        undone_at: when its reviewer took it back.
        topic, reason: what the reviewer said that it is about, and is wrong, where the author had not.
    """

    id: int
    candidate_id: int
    reviewer: str
    verdict: str
    comment: str | None
    self_approved: bool
    decided_at: datetime
    correction_id: int | None
    batch: int | None
    undone_at: datetime | None
    topic: str | None = None
    reason: str | None = None

    @property
    def root(self) -> int:
        """The id by which all that were given together are known."""
        return self.batch if self.batch is not None else self.id


_REVIEWS = table_of(Review)
_GIVEN = select_columns(*columns_of(Review, Given))
_STANDING = _GIVEN.where(_REVIEWS.c.candidate_id == bindparam("candidate"), _REVIEWS.c.undone_at.is_(None))
_LATEST = Prepared(_STANDING.order_by(_REVIEWS.c.id.desc()).limit(1), Given)
_OF_CANDIDATE = Prepared(_STANDING.order_by(_REVIEWS.c.id), Given)
_ONE = Prepared(_GIVEN.where(_REVIEWS.c.id == bindparam("review")), Given)
_TOGETHER = Prepared(
    _GIVEN.where(or_(_REVIEWS.c.id == bindparam("root"), _REVIEWS.c.batch == bindparam("root"))).order_by(
        _REVIEWS.c.id
    ),
    Given,
)
_WITHDRAWN = Prepared(
    select_columns(_REVIEWS.c.correction_id).where(
        _REVIEWS.c.candidate_id == bindparam("candidate"),
        _REVIEWS.c.undone_at.is_not(None),
        _REVIEWS.c.verdict == Verdict.EDIT_AND_APPROVE.value,
    )
)


def latest(session: Session, candidate_id: int) -> Given | None:
    """The newest verdict on a candidate that was not undone."""
    return _LATEST.first(session, candidate=candidate_id)


def approvals(session: Session, candidate_id: int) -> list[Given]:
    """The approvals of whatever version of a candidate that were not undone, oldest first."""
    return [one for one in _OF_CANDIDATE.rows(session, candidate=candidate_id) if one.verdict in APPROVING]


def find(session: Session, review_id: int) -> Given | None:
    """One verdict, undone or not."""
    return _ONE.first(session, review=review_id)


def together(session: Session, given: Given) -> list[Given]:
    """All that were given with it, undone or not, in the order in which they were."""
    return _TOGETHER.rows(session, root=given.root)


def withdrawn(session: Session, candidate_id: int) -> set[int]:
    """The versions of its correction that reviewers wrote and took back by undoing."""
    return {row.correction_id for row in _WITHDRAWN.rows(session, candidate=candidate_id)}
