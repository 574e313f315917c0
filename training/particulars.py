"""Particulars: what is known of each row of a dataset beside its words, for a training that asks for more than replies.

Owns the file between the worker, which reads the database, and the training process, which does not. The rows' own
files stay as they are: their bytes are what a dataset's digest is of.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from curation.formats.exports import json_line, write_atomically

if TYPE_CHECKING:  # the training process reads what was written, and does without the database's libraries
    from sqlmodel import Session

    from curation.datasets.dataset import Item


@dataclass(frozen=True, slots=True)
class Particulars:
    """One row.

    Attributes:
        example: its number, which the row has under ``metadata``.
        side: ``train``, ``validation`` or ``quarantine``.
        kind: ``correction``, ``endorsement`` or ``imported``.
        topic: of the conversation, where somebody has named one.
        language: likewise.
        reason: why the reply was flagged, where it was.
        rejected: the flagged reply, where it was corrected.
    """

    example: int
    side: str
    kind: str
    topic: str | None
    language: str | None
    reason: str | None
    rejected: str | None


def reasons_of(session: Session, rows: Sequence[Item]) -> Mapping[int, str]:
    """Why the replies behind these rows were flagged, by the examples' numbers; those that were not are left out."""
    from sqlmodel import col, select  # noqa: PLC0415 (see above)

    from curation.store.tables import Candidate  # noqa: PLC0415 (likewise)

    candidates = {item.example.candidate_id: item.example.key for item in rows if item.example.candidate_id is not None}
    flagged = select(Candidate.id, Candidate.reason).where(col(Candidate.reason).is_not(None))
    return {
        candidates[key]: reason
        for key, reason in session.exec(flagged)
        if key is not None and reason is not None and key in candidates
    }


def write_particulars(rows: Sequence[Item], reasons: Mapping[int, str], path: Path) -> None:
    """Write a line for each row, in the order of the rows."""
    write_atomically(path, _lines(rows, reasons))


def read_particulars(path: Path) -> dict[int, Particulars]:
    """What ``write_particulars`` wrote, by the examples' numbers."""
    with path.open(encoding="utf-8") as file:
        rows = [Particulars(**json.loads(line)) for line in file]
    return {row.example: row for row in rows}


def _lines(rows: Sequence[Item], reasons: Mapping[int, str]) -> Iterator[bytes]:
    for item in rows:
        example = item.example
        row = Particulars(
            example=example.key,
            side=item.side.value,
            kind=example.kind,
            topic=item.labels["topic"],
            language=item.labels["language"],
            reason=reasons.get(example.key),
            rejected=item.rejected,
        )
        yield json_line(asdict(row))
