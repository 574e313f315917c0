"""Urgency: what of the queue cannot wait for its turn.

Owns the few steps, kept with each candidate in an indexed column, and what raises one: the reason that was given, or
what screening warns of. The order of the queue is ``curation.claims``'s.
"""

from __future__ import annotations

from enum import IntEnum

from sqlalchemy import bindparam, update
from sqlmodel import Session

from curation.candidates import Reason
from curation.findings import Severity
from curation.store.rows import Prepared, renew, table_of
from curation.store.tables import Candidate


class Urgency(IntEnum):
    """From what can wait to what may hurt somebody."""

    USUAL = 0
    RISKY = 1
    """A wrong fact, or against a policy."""
    WARNED = 2
    """Screening found an error or a warning."""
    UNSAFE = 3


_BY_REASON = {
    Reason.UNSAFE.value: Urgency.UNSAFE,
    Reason.WRONG_FACT.value: Urgency.RISKY,
    Reason.POLICY.value: Urgency.RISKY,
}
_ALARMING = frozenset({Severity.ERROR.value, Severity.WARNING.value})

_CANDIDATES = table_of(Candidate)
_SET = Prepared(
    update(_CANDIDATES)
    .where(_CANDIDATES.c.id == bindparam("candidate"), _CANDIDATES.c.urgency != bindparam("urgency"))
    .values(urgency=bindparam("urgency"))
)


def of(reason: str | None, severities: frozenset[str] = frozenset()) -> Urgency:
    """How urgent a candidate is, by the reason for it and the severities of what screening found.

    ``("wrong_fact", {"warning"})`` → ``WARNED``
    """
    by_reason = _BY_REASON.get(reason or "", Urgency.USUAL)
    return max(by_reason, Urgency.WARNED) if severities & _ALARMING else by_reason


def keep(session: Session, candidate_id: int, urgency: Urgency) -> bool:
    """Keep it with the candidate; whether it was another before."""
    changed = _SET.change(session, candidate=candidate_id, urgency=int(urgency)) > 0
    if changed:
        renew(session, Candidate, candidate_id)
    return changed
