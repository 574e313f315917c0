"""Values: what a finding says, known again wherever it is said, without being written down a second time.

Owns the mark of a value and the decisions that hold for a value everywhere. A mark is a keyed hash (RFC 2104). Its key
is the database's own and lies in it: every process has to know a value again, on whichever host it works, and whoever
holds the database holds the words themselves. What leaves in place of a value is made with another key, which does not
lie there (``curation.privacy.pseudonyms``). Refuses to remember for longer than it must: what was decided about a value
that only an erased customer said is forgotten, unless somebody has said that everybody may read it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import delete
from sqlmodel import Session, col, select

from curation.privacy.pseudonyms import canonical
from curation.privacy.spans import Span
from curation.privacy.treatment import Decision
from curation.store.tables import PrivacyFinding, PrivacyKey, PrivacyValue

_LENGTH = 32
_MANY = 500

Ruling = Mapping[str, Any]
"""What was decided, as the columns of a finding: ``decision``, ``replacement``, ``reason``, ``decided_by``, …"""

UNDECIDED: Ruling = dict.fromkeys(("decision", "replacement", "reason", "decided_by", "decided_at"))


def key_of(session: Session) -> bytes:
    """The key of this database's marks; the migration that made their column made it."""
    return bytes.fromhex(session.exec(select(PrivacyKey.secret)).one())


def mark(span: Span, key: bytes) -> str:
    """The mark of a value: the same for ``22 33 44 55`` and ``22334455``, and another for every other number."""
    said = f"{span.kind}:{canonical(span)}".encode("utf-8", "surrogatepass")
    return hmac.new(key, said, hashlib.sha256).hexdigest()[:_LENGTH]


def ruling_of(row: PrivacyFinding | PrivacyValue) -> Ruling:
    """What was decided about a finding, or about a value wherever it stands."""
    return {name: getattr(row, name) for name in UNDECIDED}


def rulings(session: Session) -> dict[tuple[str, str], Ruling]:
    """What was decided about values wherever they stand, by kind and mark."""
    return {(row.kind, row.mark): ruling_of(row) for row in session.exec(select(PrivacyValue))}


def rule(session: Session, kind: str, mark: str, ruling: Ruling) -> None:
    """Decide about a value wherever it stands or will be found, in place of what was decided before."""
    row = session.get(PrivacyValue, (kind, mark)) or PrivacyValue(kind=kind, mark=mark, decision="")
    for name, value in ruling.items():
        setattr(row, name, value)
    session.add(row)
    session.flush()


def forget(session: Session, marks: Collection[str]) -> None:
    """Forget what was decided about those of these values that nobody else said and that were not to be kept."""
    ordered = sorted(marks)
    for start in range(0, len(ordered), _MANY):
        some = ordered[start : start + _MANY]
        said = set(session.exec(select(PrivacyFinding.mark).where(col(PrivacyFinding.mark).in_(some)).distinct()))
        gone = [one for one in some if one not in said]
        session.execute(
            delete(PrivacyValue).where(
                col(PrivacyValue.mark).in_(gone), col(PrivacyValue.decision) != Decision.KEEP.value
            )
        )
