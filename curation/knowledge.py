"""Knowledge gaps: corrections of facts that change, which belong in the source that the assistant reads.

Owns which corrections those are and the list of them. A price learned by heart is wrong on the day it
changes, so such corrections are left out of datasets unless somebody asks for them; the list is for
whoever keeps the assistant's sources.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlmodel import Session, col, select

from curation.candidates import CandidateStatus, Reason
from curation.conversation import Conversation
from curation.expiry import first_source
from curation.people import Actor, require
from curation.policies import Permission
from curation.store.tables import Candidate, Correction, Example


@dataclass(frozen=True, slots=True)
class Gap:
    """One thing that the assistant's sources should say.

    Attributes:
        question: what the customer asked last.
        wrong: the reply that was flagged.
        correction: what is right, at ``when``.
        link: where the conversation is; None where that has no address.
        status: of the candidate: pending, returned or approved.
        when: the moment it was flagged, ISO 8601.
    """

    candidate: int
    question: str
    wrong: str
    correction: str
    source: str
    link: str | None
    topic: str | None
    language: str | None
    status: str
    when: str

    def as_json(self) -> dict[str, Any]:
        """Every attribute, as ``--json`` prints it."""
        return asdict(self)


def gaps(session: Session, actor: Actor, link_of: Callable[[str], str | None]) -> list[Gap]:
    """The corrections of changing facts that were not rejected, oldest first.

    Args:
        link_of: the address of a source, for people.

    Raises:
        NotAllowed: the actor may not export: the list holds customers' words.
    """
    require(session, actor, Permission.EXPORT)
    flagged = session.exec(
        select(Candidate)
        .where(Candidate.reason == Reason.CHANGING_FACT.value, Candidate.status != CandidateStatus.REJECTED.value)
        .order_by(col(Candidate.id))
    ).all()
    written = select(Correction).where(col(Correction.candidate_id).in_([one.key for one in flagged]))
    texts = {version.candidate_id: version.text for version in session.exec(written.order_by(col(Correction.id)))}
    return [
        Gap(
            candidate=one.key,
            question=_last_question(one),
            wrong=one.reply,
            correction=texts[one.key],
            source=first_source(one.source),
            link=link_of(first_source(one.source)),
            topic=one.topic,
            language=one.language,
            status=one.status,
            when=one.flagged_at.isoformat(),
        )
        for one in flagged
    ]


def changing(session: Session) -> set[int]:
    """The examples whose correction is of a fact that changes."""
    made = (
        select(Example.id)
        .join(Candidate, col(Candidate.id) == col(Example.candidate_id))
        .where(Candidate.reason == Reason.CHANGING_FACT.value)
    )
    return {key for key in session.exec(made) if key is not None}


def as_markdown(found: Sequence[Gap]) -> str:
    """A page with a heading for each topic and an entry for each gap."""
    lines = ["# Knowledge gaps", "", "What the assistant's sources should say: each fact was corrected by hand."]
    for topic in sorted({gap.topic or "" for gap in found}):
        lines += ["", f"## {topic or 'No topic'}"]
        for gap in (one for one in found if (one.topic or "") == topic):
            where = f"[{gap.source}](<{gap.link}>)" if gap.link else gap.source
            lines += ["", f"### {_flat(gap.question)}", ""]
            lines += [f"- Wrong: {_flat(gap.wrong)}", f"- Right: {_flat(gap.correction)}"]
            lines += [f"- {gap.when[:10]}, {gap.language or 'unknown language'}, {gap.status}: {where}"]
    return "\n".join(lines) + "\n"


def as_csv(found: Sequence[Gap]) -> str:
    """One row a gap under a row of headings; cells that a spreadsheet would compute are kept as text."""
    out = io.StringIO()
    columns = ["question", "wrong", "correction", "link", "source", "topic", "language", "status", "when"]
    writer = csv.DictWriter(out, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for gap in found:
        writer.writerow({name: _as_text(value) for name, value in gap.as_json().items()})
    return out.getvalue()


def _last_question(candidate: Candidate) -> str:
    turns = Conversation.from_json(candidate.turns).messages
    return next((turn.content for turn in reversed(turns) if turn.role.value == "user"), "")


def _flat(text: str) -> str:
    """On one line, and with nothing in it that Markdown would read as its own."""
    return "".join(
        f"\\{character}" if character in "\\`*_[]<>#|" else character for character in " ".join(text.split())
    )


def _as_text(value: object) -> object:
    # A customer may begin a question with "=": a spreadsheet would run it. Source: OWASP, CSV injection.
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
