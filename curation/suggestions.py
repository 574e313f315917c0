"""Suggestions: what a model that learned from earlier decisions takes a waiting candidate to be.

Owns the rows, and that they decide nothing: a reviewer sees them, and says what is true. Who makes them is training's;
here only a run's id is known. One that is of an older model is replaced by the next one's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import and_, bindparam, delete, or_, select
from sqlmodel import Session

from curation import rolling
from curation.candidates import CandidateStatus
from curation.store.rows import Prepared, found, insert_rows, table_of
from curation.store.tables import Candidate
from curation.store.tables import Suggestion as Row
from curation.wording import Phrase, phrase


class Kind(StrEnum):
    """What is suggested."""

    TOPIC = "topic"
    REASON = "reason"
    FLAGGED = "flagged"
    """How likely staff would flag the reply."""


class Suggestion(NamedTuple):
    """One suggestion.

    Attributes:
        label: what it is of, a ``Kind``.
        value: what is suggested, such as a topic.
        probability: the model's own estimate, 0 to 1.
    """

    label: str
    value: str
    probability: float

    @property
    def sentence(self) -> Phrase:
        """In one line, for a terminal."""
        if self.label == Kind.FLAGGED:
            return phrase("Staff would flag this reply: {share:.0%}", share=self.probability)
        if self.label == Kind.TOPIC:
            return phrase("Suggested topic: {value} ({share:.0%})", value=self.value, share=self.probability)
        return phrase("Suggested reason: {value} ({share:.0%})", value=self.value, share=self.probability)


class Unlabelled(NamedTuple):
    """A candidate that waits without a suggestion: its id, the turns before the reply, and the reply."""

    id: int
    turns: list[dict[str, Any]]
    reply: str


_CANDIDATES, _SUGGESTIONS = table_of(Candidate), table_of(Row)
_SHOWN = (_SUGGESTIONS.c.label, _SUGGESTIONS.c.value, _SUGGESTIONS.c.probability)
_READ = select(*_SHOWN).where(_SUGGESTIONS.c.value.is_not(None)).order_by(_SUGGESTIONS.c.id)
_OF_ONE = Prepared(_READ.where(_SUGGESTIONS.c.candidate_id == bindparam("candidate")), Suggestion)
_UNLABELLED = (
    select(_CANDIDATES.c.id, _CANDIDATES.c.turns, _CANDIDATES.c.reply)
    .select_from(
        _CANDIDATES.outerjoin(
            _SUGGESTIONS,
            and_(_SUGGESTIONS.c.candidate_id == _CANDIDATES.c.id, _SUGGESTIONS.c.label == bindparam("label")),
        )
    )
    .where(
        _CANDIDATES.c.status == CandidateStatus.PENDING.value,
        or_(_SUGGESTIONS.c.id.is_(None), _SUGGESTIONS.c.run_id != bindparam("run")),
    )
    .order_by(_CANDIDATES.c.id)
    .limit(bindparam("most"))
)


def of_candidate(session: Session, candidate_id: int) -> tuple[Suggestion, ...]:
    """What is suggested about a candidate."""
    return tuple(_OF_ONE.rows(session, candidate=candidate_id))


def of_candidates(session: Session, keys: Collection[int]) -> dict[int, tuple[Suggestion, ...]]:
    """The same of several, by their ids."""
    wanted = _READ.add_columns(_SUGGESTIONS.c.candidate_id).where(_SUGGESTIONS.c.candidate_id.in_(sorted(keys)))
    held: dict[int, list[Suggestion]] = {key: [] for key in keys}
    for *suggested, key in found(session, wanted):
        held[key].append(Suggestion(*suggested))
    return {key: tuple(suggested) for key, suggested in held.items()}


def unlabelled(session: Session, kind: Kind, run_id: str, *, most: int) -> list[Unlabelled]:
    """Candidates that wait and that this run's model has not been asked about, oldest first; at most so many."""
    rows = found(session, _UNLABELLED, label=kind.value, run=run_id, most=most)
    return [Unlabelled(*row) for row in rows]


def note(
    session: Session, now: datetime, kind: Kind, run_id: str, suggested: Mapping[int, tuple[str, float] | None]
) -> int:
    """Keep what a run's model suggests, in place of what was suggested before; how many were kept.

    What was decided or erased in the meantime is passed over. The channels in which the others wait hear of it.

    Args:
        suggested: a value and its probability for each candidate; None for one that the model could not read.
    """
    waiting = _still_waiting(session, suggested)
    kept = {key: one or (None, 0.0) for key, one in suggested.items() if key in waiting}
    older = delete(_SUGGESTIONS).where(_SUGGESTIONS.c.label == kind.value, _SUGGESTIONS.c.candidate_id.in_(list(kept)))
    session.connection().execute(older)
    insert_rows(
        session,
        Row,
        (
            {
                "candidate_id": key,
                "label": kind.value,
                "value": value,
                "probability": probability,
                "run_id": run_id,
                "made_at": now,
            }
            for key, (value, probability) in kept.items()
        ),
    )
    for place in sorted({place for place in waiting.values() if place is not None}):
        rolling.owe_queue(session, now, place)
    return len(kept)


def _still_waiting(session: Session, keys: Iterable[int]) -> dict[int, str | None]:
    """Those of the candidates that wait, with the channel in which they do."""
    standing = select(_CANDIDATES.c.id, _CANDIDATES.c.place).where(
        _CANDIDATES.c.id.in_(list(keys)), _CANDIDATES.c.status == CandidateStatus.PENDING.value
    )
    return {row.id: row.place for row in found(session, standing)}
