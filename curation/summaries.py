"""What people see of a candidate: one flat, frozen view for Slack, terminal and JSON alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import bindparam, select
from sqlmodel import Session, SQLModel

from curation import candidates, corrections, people, suggestions, verdicts
from curation.candidates import CandidateStatus
from curation.conversation import Conversation
from curation.corrections import Version
from curation.findings import Finding, Severity
from curation.screening import worklist
from curation.store.rows import Prepared, table_of
from curation.store.tables import Assistant, Candidate, CandidateFinding, Correction, Person, Review
from curation.suggestions import Suggestion
from curation.verdicts import APPROVING, Given
from curation.wording import Phrase, phrase


@dataclass(frozen=True, slots=True)
class CandidateSummary:
    """One candidate, its newest correction and its newest review, with names instead of ids.

    Attributes:
        turns: ``(role, content)`` before the reply, oldest first.
        seen: the id of the correction's version shown here; a decision names it.
        remarks: sentences that a reviewer should read before deciding.
        findings: what screening found about the correction; empty as well while it has not been screened.
        previous: the version before the one shown; None where that is the first.
        suggestions: what models take its topic and its reason to be, and how likely staff would flag the reply.
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
    findings: tuple[Finding, ...] = ()
    previous: str | None = None
    suggestions: tuple[Suggestion, ...] = ()

    @property
    def question(self) -> str:
        """The turn that the reply answers."""
        return self.turns[-1][1] if self.turns else ""

    @property
    def label(self) -> str:
        """The kind, and whether it is an example that is back for review."""
        return f"{self.kind}, re-review" if candidates.RENEWAL in self.source else self.kind

    def as_json(self) -> dict[str, Any]:
        """Every attribute, as ``--json`` prints it."""
        return {**asdict(self), "suggestions": [one._asdict() for one in self.suggestions]}


class _Shown(NamedTuple):
    """What of a candidate's row is shown, with the name of its assistant."""

    id: int
    kind: str
    status: str
    turns: list[dict[str, Any]]
    reply: str
    flagged_by: str
    flagged_at: datetime
    reason: str | None
    topic: str | None
    language: str | None
    note: str | None
    source: str
    assistant: str | None


_OWN = _Shown._fields[:-1]
_CANDIDATES, _ASSISTANTS = table_of(Candidate), table_of(Assistant)
_SHOWN = Prepared(
    select(*(_CANDIDATES.c[name] for name in _OWN), _ASSISTANTS.c.name.label("assistant"))
    .select_from(_CANDIDATES.outerjoin(_ASSISTANTS, _ASSISTANTS.c.id == _CANDIDATES.c.assistant_id))
    .where(_CANDIDATES.c.id == bindparam("candidate")),
    _Shown,
)


def of_candidate(session: Session, candidate: Candidate) -> CandidateSummary:
    """The summary of one candidate."""
    return find(session, candidate.key)


def find(session: Session, candidate_id: int) -> CandidateSummary:
    """The summary of the candidate with this id, without loading it.

    Raises:
        NotFound: no such candidate.
    """
    shown = _SHOWN.first(session, candidate=candidate_id)
    if shown is None:
        raise candidates.unknown(candidate_id)
    return _summary(
        shown,
        corrections.versions(session, candidate_id),
        verdicts.latest(session, candidate_id),
        worklist.findings_of(session, candidate_id),
        suggestions.of_candidate(session, candidate_id),
        lambda person: people.name_of(session, person),
    )


def of_candidates(session: Session, shown: Sequence[Candidate]) -> list[CandidateSummary]:
    """The summaries of a page: six questions to the database however many are on it."""
    keys = [candidate.key for candidate in shown]
    versions: dict[int, list[Version]] = {key: [] for key in keys}
    for correction in _beside(session, Correction, keys):
        versions[correction.candidate_id].append(Version(correction.id, correction.text, correction.author))
    given = {
        review.candidate_id: Given(**review._mapping)
        for review in _beside(session, Review, keys)
        if review.undone_at is None
    }
    found: dict[int, list[Finding]] = {key: [] for key in keys}
    for kept in _beside(session, CandidateFinding, keys):
        found[kept.candidate_id].append(Finding(kept.rule, Severity(kept.severity), kept.message, kept.fix))
    mentioned = {candidate.flagged_by for candidate in shown} | {review.reviewer for review in given.values()}
    mentioned |= {version.author for written in versions.values() for version in written}
    persons = table_of(Person)
    known = select(persons.c.id, persons.c.display_name).where(persons.c.id.in_(sorted(mentioned)))
    names = {person: str(name) for person, name in session.execute(known)}
    suggested = suggestions.of_candidates(session, keys)
    called = {key: str(name) for key, name in session.execute(select(_ASSISTANTS.c.id, _ASSISTANTS.c.name))}
    return [
        _summary(
            _Shown._make([*(getattr(candidate, name) for name in _OWN), called.get(candidate.assistant_id)]),
            versions[candidate.key],
            given.get(candidate.key),
            tuple(found[candidate.key]),
            suggested[candidate.key],
            lambda person: names.get(person) or people.user_id_of(person),
        )
        for candidate in shown
    ]


def _beside(session: Session, model: type[SQLModel], keys: Sequence[int]) -> Sequence[Any]:
    """The rows of a table that belong to these candidates, oldest first."""
    table = table_of(model)
    return session.execute(select(table).where(table.c.candidate_id.in_(keys)).order_by(table.c.id)).all()


def _summary(
    candidate: _Shown,
    versions: Sequence[Version],
    review: Given | None,
    found: tuple[Finding, ...],
    suggested: tuple[Suggestion, ...],
    name_of: Callable[[str], str],
) -> CandidateSummary:
    correction = versions[-1]
    return CandidateSummary(
        id=candidate.id,
        kind=candidate.kind,
        status=candidate.status,
        assistant=candidate.assistant,
        turns=tuple((turn.role.value, turn.text) for turn in Conversation.from_json(candidate.turns).messages),
        reply=candidate.reply,
        correction=correction.text,
        seen=correction.id,
        authors=tuple(name_of(author) for author in corrections.authors(versions)),
        flagged_by=name_of(candidate.flagged_by),
        flagged_at=candidate.flagged_at.isoformat(),
        reason=candidate.reason,
        topic=candidate.topic,
        language=candidate.language,
        note=candidate.note,
        source=candidate.source,
        remarks=(
            *candidates.remarks(
                kind=candidate.kind, source=candidate.source, reply=candidate.reply, correction=correction.text
            ),
            *_of_approvals(candidate, review, correction, name_of),
        ),
        verdict=review.verdict if review is not None else None,
        reviewer=name_of(review.reviewer) if review is not None else None,
        comment=review.comment if review is not None else None,
        self_approved=review.self_approved if review is not None else False,
        findings=found,
        previous=versions[-2].text if versions[1:] else None,
        suggestions=suggested,
    )


def _of_approvals(
    candidate: _Shown, review: Given | None, correction: Version, name_of: Callable[[str], str]
) -> list[Phrase]:
    """Who approved it, where that was the first of two approvals; and whether it was of the version shown."""
    if candidate.status != CandidateStatus.PENDING.value or review is None or review.verdict not in APPROVING:
        return []
    person = name_of(review.reviewer)
    if review.correction_id == correction.id:
        return [phrase("Approved by {person}; a second approval is needed.", person=person)]
    return [phrase("{person} approved an earlier version: that counts no more for this one.", person=person)]
