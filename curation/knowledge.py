"""Knowledge gaps: corrections of facts that change, which belong in the source that the assistant reads.

Owns which corrections those are and the list of them. A price learned by heart is wrong on the day it
changes, so such corrections are left out of datasets unless somebody asks for them; the list is for
whoever keeps the assistant's sources. It leaves the house, so that it passes the gate of personal data as examples do.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlmodel import Session, col, select

from curation import audit
from curation.candidates import CandidateStatus, Reason
from curation.conversation import Role
from curation.expiry import first_source
from curation.findings import Finding
from curation.people import Actor, require
from curation.policies import Permission
from curation.privacy import personal, releases
from curation.privacy.treatment import DEFAULT_TERMS, Terms
from curation.store.tables import Candidate, Example


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


def gaps(
    session: Session,
    actor: Actor,
    now: datetime,
    link_of: Callable[[str], str | None],
    privacy: Terms = DEFAULT_TERMS,
) -> tuple[list[Gap], list[Finding]]:
    """The corrections of changing facts that were not rejected, oldest first, and what was done to their words.

    Args:
        link_of: the address of a source, for people.
        privacy: under which terms customers' words leave.

    Raises:
        NotAllowed: the actor may not export: the list holds customers' words.
    """
    require(session, actor, Permission.EXPORT)
    flagged = session.exec(
        select(Candidate)
        .where(Candidate.reason == Reason.CHANGING_FACT.value, Candidate.status != CandidateStatus.REJECTED.value)
        .order_by(col(Candidate.id))
    ).all()
    released = releases.treat_candidates(session, actor, now, flagged, privacy)
    staying = set(released.left_out)
    found = []
    for one in flagged:
        if one.key not in staying:
            words = released.treated.get(one.key) or personal.words_of_candidate(session, one).as_json()
            found.append(_gap(one, words, link_of))
    return found, released.findings


def record_written(session: Session, actor: Actor, now: datetime, path: Path, *, rows: int) -> None:
    """Write down that a list of gaps left; call it once the file lies at ``path``."""
    releases.record_export(session, actor, now, path, target=releases.GAPS, version=None, rows=rows)
    audit.record(session, actor, now, "gaps.exported", subject="candidates", details={"rows": rows})


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


def _gap(one: Candidate, words: Mapping[str, Any], link_of: Callable[[str], str | None]) -> Gap:
    """The gap that a candidate shows, in these words of it."""
    *asked, correction = words["messages"]
    return Gap(
        candidate=one.key,
        question=next((turn["content"] for turn in reversed(asked) if turn["role"] == Role.USER.value), ""),
        wrong=words["rejected"],
        correction=correction["content"],
        source=first_source(one.source),
        link=link_of(first_source(one.source)),
        topic=words["topic"],
        language=words["language"],
        status=one.status,
        when=one.flagged_at.isoformat(),
    )


def _flat(text: str) -> str:
    """On one line, and with nothing in it that Markdown would read as its own."""
    return "".join(
        f"\\{character}" if character in "\\`*_[]<>#|" else character for character in " ".join(text.split())
    )


def _as_text(value: object) -> object:
    # A customer may begin a question with "=": a spreadsheet would run it. Source: OWASP, CSV injection.
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
