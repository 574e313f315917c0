"""What a dataset is prepared from, in a few figures: whether that still holds is asked where everybody else waits.

Owns which later changes would make a prepared dataset wrong: an erasure, another side, another prompt, another date,
another decision about personal data. Refuses to count what was approved meanwhile among them: a dataset is of the
moment in which it was begun, and a team that approves an example every few seconds would never get one.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from sqlmodel import Session, col, func, select

from curation.datasets import sides
from curation.store.tables import Example, Expiry, PrivacyFinding, SystemPrompt


class Basis(NamedTuple):
    """The figures; equal ones mean that nothing has changed that matters.

    Attributes:
        newest: the id of the newest example that takes part.
        approved: when that one was approved: an id that an undone approval gave free is taken again.
        examples: of those up to it, how many are not erased.
        sides: groups that have a side.
        prompts: versions of prompts, which are only ever added.
        expiries: what was said about these examples' dates, which is only ever added to.
        findings: of their personal data, by decision: how many, the sum of their ids, and the newest decision.
    """

    newest: int
    approved: datetime | None
    examples: int
    sides: int
    prompts: int
    expiries: int
    findings: tuple[tuple[Any, ...], ...]


def newest_example(session: Session) -> int:
    """The id of the newest example; 0 where there is none."""
    return session.exec(select(func.max(Example.id))).one() or 0


def basis_of(session: Session, newest: int) -> Basis:
    """The figures as they are now, of the examples up to this one."""
    decided = select(
        PrivacyFinding.decision,
        func.count(),
        func.sum(PrivacyFinding.id),
        func.max(PrivacyFinding.decided_at),
    ).where(col(PrivacyFinding.example_id) <= newest)
    by_decision = session.exec(decided.group_by(col(PrivacyFinding.decision)))
    return Basis(
        newest,
        session.exec(select(Example.approved_at).where(Example.id == newest)).first(),
        _count(session, Example, col(Example.id) <= newest, col(Example.erased_at).is_(None)),
        sides.count(session),
        _count(session, SystemPrompt),
        _count(session, Expiry, col(Expiry.example_id) <= newest),
        tuple(sorted((tuple(row) for row in by_decision), key=lambda row: str(row[0]))),
    )


def _count(session: Session, table: Any, *conditions: Any) -> int:
    return session.exec(select(func.count()).select_from(table).where(*conditions)).one()
