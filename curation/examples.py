"""Examples: approved items, with where they came from. Never changed once written.

Owns how an example is made: from an approved candidate, or from an import that an owner attests.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import insert
from sqlmodel import Session, col, select

from curation import audit
from curation.candidates import CandidateKind, Standing
from curation.conversation import Conversation, Role
from curation.corrections import Version, authors
from curation.datasets.fitness import context_in
from curation.errors import Invalid, NotFound
from curation.formats.jsonl import Row
from curation.labels import labels_of
from curation.language import detect
from curation.people import Actor, require
from curation.policies import Permission
from curation.store.rows import insert_row
from curation.store.tables import Example


def from_candidate(
    session: Session,
    actor: Actor,
    now: datetime,
    candidate: Standing,
    versions: Sequence[Version],
    *,
    self_approved: bool,
) -> None:
    """Write the example of an approved candidate: its turns, answered with the newest of the correction's versions.

    Where it differs from the reply that was captured, that one is kept as ``rejected``: one correction
    gives an SFT example and a preference pair, and an endorsement that a reviewer edited is a correction.
    A reply without words, such as a picture alone, is nothing that another could be preferred to.
    The system prompt is not in the turns; freezing adds the version in force.
    """
    reply = versions[-1].text
    conversation = Conversation.from_json(candidate.turns, candidate.toolbox).answered(reply)
    corrected = reply.strip() != candidate.reply.strip()
    insert_row(
        session,
        Example,
        kind=CandidateKind.CORRECTION.value if corrected else candidate.kind,
        candidate_id=candidate.id,
        assistant_id=candidate.assistant_id,
        messages=conversation.as_json(),
        rejected=candidate.reply if corrected and candidate.reply.strip() else None,
        digest=conversation.digest,
        source=candidate.source,
        thread=candidate.thread,
        customer=candidate.customer,
        topic=candidate.topic,
        language=candidate.language,
        context=candidate.context,
        toolbox=candidate.toolbox,
        authors=authors(versions),
        approved_by=actor.person_id,
        approved_at=now,
        self_approved=self_approved,
    )


def attest(
    session: Session, actor: Actor, now: datetime, rows: Iterable[Row], *, origin: str, reason: str
) -> tuple[int, int]:
    """Take rows as approved examples on an owner's word; they are shown as imported, not reviewed.

    Importing the same conversation of the same origin again adds nothing.

    Returns:
        How many were added, and how many were there already.

    Raises:
        NotAllowed: the actor is not an owner.
        Invalid: no reason was given.
    """
    require(session, actor, Permission.ATTEST)
    if not reason.strip():
        raise Invalid("An attested import needs a reason that the audit can show: give --reason TEXT.")
    fresh: dict[str, dict[str, Any]] = {}
    known = _digests_of(session, origin)
    seen = 0
    for row in rows:
        seen += 1
        digest = row.conversation.digest
        if digest not in known and digest not in fresh:
            fresh[digest] = attested(actor, now, row, origin=origin, reason=reason)
    if fresh:
        session.execute(insert(Example), list(fresh.values()))
    audit.record(session, actor, now, "examples.attested", subject=f"import:{origin}", details={"added": len(fresh)})
    return len(fresh), seen - len(fresh)


def attested(actor: Actor, now: datetime, row: Row, *, origin: str, reason: str) -> dict[str, Any]:
    """The example that a row of a file is, as the columns of its table."""
    digest, said = row.conversation.digest, labels_of(row.metadata)
    return {
        "kind": CandidateKind.IMPORTED.value,
        "messages": row.conversation.as_json(),
        "rejected": row.rejected,
        "digest": digest,
        "source": origin,
        "thread": f"{origin}/{said['thread'] or digest}",
        "customer": said["customer"],
        "topic": said["topic"],
        "language": said["language"] or detect(row.conversation.first_user_text()),
        "context": context_in(row.metadata),
        "toolbox": row.conversation.toolbox() or None,
        "authors": [],
        "approved_by": actor.person_id,
        "approved_at": now,
        "self_approved": False,
        "attested": reason.strip(),
    }


def known_again(session: Session, rows: Sequence[Row]) -> tuple[dict[int, int], list[Row]]:
    """The examples that rows of a file are, ``{example: line}``, and the rows that are none.

    A row that was exported carries its assistant's prompt, which its example has not: either form is known again.
    """
    known = _ids_by_digest(session)
    lines: dict[int, int] = {}
    fresh = []
    for row in rows:
        ids = [known[digest] for digest in _digests_of_row(row) if digest in known]
        for key in ids:
            lines.setdefault(key, row.line)
        if not ids:
            fresh.append(row)
    return lines, fresh


def origin_of(path: Path) -> str:
    """The origin that rows of this file are kept under: ``import:support.jsonl``."""
    return f"import:{path.name}"


def find(session: Session, example_id: int) -> Example:
    """The example, or NotFound."""
    example = session.get(Example, example_id)
    if example is None:
        raise NotFound("There is no example {example}; dataset show lists the ids of a version.", example=example_id)
    return example


def approved(session: Session) -> list[Example]:
    """Every example, oldest first; those of erased customers are none any more."""
    kept = select(Example).where(col(Example.erased_at).is_(None))
    return list(session.exec(kept.order_by(col(Example.id))))


def conversation_of(example: Example, prompt: str | None) -> Conversation:
    """The example's turns; a captured one under ``prompt``, an imported one under its own system turn."""
    conversation = Conversation.from_json(example.messages, example.toolbox)
    has_own = any(message.role is Role.SYSTEM for message in conversation.messages)
    return conversation if has_own or prompt is None else conversation.with_system(prompt)


def _ids_by_digest(session: Session) -> dict[str, int]:
    return {digest: key for digest, key in session.exec(select(Example.digest, Example.id)) if key is not None}


def _digests_of_row(row: Row) -> tuple[str, str]:
    return row.conversation.digest, row.conversation.with_system(None).digest


def _digests_of(session: Session, origin: str) -> set[str]:
    return set(session.exec(select(Example.digest).where(Example.source == origin)))
