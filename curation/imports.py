"""Imported rows that nobody has judged yet: each becomes a candidate for the queue.

Owns that an import can be repeated. Rows that an owner attests become examples at once; that is
``curation.examples.attest``'s business.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import insert
from sqlmodel import Session, col, select

from curation import audit
from curation.candidates import CandidateKind, CandidateStatus
from curation.errors import Invalid
from curation.jsonl import Row
from curation.language import detect
from curation.people import Actor, require
from curation.policies import Permission
from curation.store.tables import Candidate, Correction, Example


def propose_rows(session: Session, actor: Actor, now: datetime, rows: Iterable[Row], *, origin: str) -> tuple[int, int]:
    """Put each row into the queue: its last turn as the reply, with the actor as the correction's author.

    Importing the same conversation of the same origin again adds nothing, whatever was decided about it.

    Returns:
        How many were added, and how many were there already.

    Raises:
        NotAllowed: the actor may not flag.
        Invalid: a row's last reply is not to be learned from, so there is nothing to decide about.
    """
    require(session, actor, Permission.FLAG)
    begun = select(Candidate.source).where(col(Candidate.source).startswith(f"{origin}/", autoescape=True))
    known = set(session.exec(begun))
    fresh: dict[str, tuple[dict[str, object], str]] = {}
    seen = 0
    for row in rows:
        seen += 1
        source = f"{origin}/{row.conversation.digest}"
        if source not in known and source not in fresh:
            fresh[source] = (_candidate(row, actor, now, origin, source), row.conversation.messages[-1].content)
    if fresh:
        records = [record for record, _ in fresh.values()]
        statement = insert(Candidate).returning(col(Candidate.id), sort_by_parameter_order=True)
        keys = session.scalars(statement, records).all()
        session.execute(
            insert(Correction),
            [
                {"candidate_id": key, "text": reply.strip(), "author": actor.person_id, "written_at": now}
                for key, (_, reply) in zip(keys, fresh.values(), strict=True)
            ],
        )
    audit.record(session, actor, now, "candidates.imported", subject=origin, details={"added": len(fresh)})
    return len(fresh), seen - len(fresh)


def new_among(session: Session, digests: Iterable[tuple[str, str]], *, origin: str) -> int:
    """How many of these conversations are neither a candidate of this origin nor an example yet.

    Args:
        digests: of each conversation as it stands and without its system turn, which an exported row has and
            its example has not.
    """
    begun = select(Candidate.source).where(col(Candidate.source).startswith(f"{origin}/", autoescape=True))
    known = {source.removeprefix(f"{origin}/") for source in session.exec(begun)}
    known |= set(session.exec(select(Example.digest)))
    return sum(known.isdisjoint(pair) for pair in digests)


def _candidate(row: Row, actor: Actor, now: datetime, origin: str, source: str) -> dict[str, object]:
    *turns, reply = row.conversation.messages
    if reply.weight == 0:
        raise Invalid(
            f"line {row.line}: the last reply has the weight 0, and it is what a reviewer decides about. "
            "End the dialogue earlier, or attest the file with --approve-as."
        )
    return {
        "kind": CandidateKind.IMPORTED.value,
        "status": CandidateStatus.PENDING.value,
        "source": source,
        "thread": f"{origin}/{row.metadata.get('thread') or row.conversation.digest}",
        "turns": [turn.as_json() for turn in turns],
        "reply": reply.content,
        "topic": _text(row.metadata.get("topic")),
        "language": _text(row.metadata.get("language")) or detect(row.conversation.first_user_text()),
        "flagged_by": actor.person_id,
        "flagged_at": now,
        "version": 1,
    }


def _text(value: object) -> str | None:
    return value.strip() or None if isinstance(value, str) else None
