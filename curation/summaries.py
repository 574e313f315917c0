"""What people see of a candidate: one flat, frozen view for Slack, terminal and JSON alike."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from sqlmodel import Session

from curation import candidates, people, reviews
from curation.store.tables import Assistant, Candidate


@dataclass(frozen=True, slots=True)
class CandidateSummary:
    """One candidate, its newest correction and its newest review, with names instead of ids.

    Attributes:
        turns: ``(role, content)`` before the reply, oldest first.
        seen: the id of the correction's version shown here; a decision names it.
        remarks: sentences that a reviewer should read before deciding.
    """

    id: int
    kind: str
    status: str
    assistant: str | None
    turns: tuple[tuple[str, str], ...]
    reply: str
    correction: str
    seen: int
    authors: tuple[str, ...]
    flagged_by: str
    flagged_at: str
    reason: str | None
    topic: str | None
    language: str | None
    note: str | None
    source: str
    remarks: tuple[str, ...]
    verdict: str | None
    reviewer: str | None
    comment: str | None
    self_approved: bool

    @property
    def question(self) -> str:
        """The turn that the reply answers."""
        return self.turns[-1][1] if self.turns else ""

    def as_json(self) -> dict[str, Any]:
        """Every attribute, as ``--json`` prints it."""
        return asdict(self)


def of_candidate(session: Session, candidate: Candidate) -> CandidateSummary:
    """The summary of one candidate."""
    correction = candidates.versions(session, candidate.key)[-1]
    review = reviews.latest(session, candidate.key)
    assistant = session.get(Assistant, candidate.assistant_id) if candidate.assistant_id is not None else None
    return CandidateSummary(
        id=candidate.key,
        kind=candidate.kind,
        status=candidate.status,
        assistant=assistant.name if assistant is not None else None,
        turns=tuple((turn["role"], turn["content"]) for turn in candidate.turns),
        reply=candidate.reply,
        correction=correction.text,
        seen=correction.key,
        authors=tuple(people.name_of(session, author) for author in candidates.authors(session, candidate.key)),
        flagged_by=people.name_of(session, candidate.flagged_by),
        flagged_at=candidate.flagged_at.isoformat(),
        reason=candidate.reason,
        topic=candidate.topic,
        language=candidate.language,
        note=candidate.note,
        source=candidate.source,
        remarks=tuple(candidates.remarks(candidate, correction.text)),
        verdict=review.verdict if review is not None else None,
        reviewer=people.name_of(session, review.reviewer) if review is not None else None,
        comment=review.comment if review is not None else None,
        self_approved=review.self_approved if review is not None else False,
    )
