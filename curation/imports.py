"""Imported rows that nobody has judged yet: each becomes a candidate for the queue.

Owns that an import can be repeated. Rows that an owner attests become examples at once; that is
``curation.examples.attest``'s business.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import TypeVar

from sqlalchemy import insert
from sqlmodel import Session, col, select

from curation import audit, rolling
from curation.candidates import CandidateKind, CandidateStatus
from curation.conversation import Conversation
from curation.datasets.fitness import context_in
from curation.errors import Invalid
from curation.formats.jsonl import Row
from curation.labels import labels_of
from curation.language import detect
from curation.people import Actor, require
from curation.policies import Permission
from curation.store.tables import Candidate, Capture, Correction, Example

_BATCH = 500
_FILE = "import:"  # what ``curation.examples.origin_of`` begins with
_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply of a watched assistant in an archive of threads, as a capture of it would have been.

    Attributes:
        source: where the reply stands, in the words that a live capture of it uses.
        thread: where its thread stands.
        conversation: the turns before it.
        speakers: the person ids of those who speak as the user.
        staff_reply: what staff wrote below it; None where they wrote nothing.
    """

    source: str
    thread: str
    conversation: Conversation = field(repr=False)
    reply: str = field(repr=False)
    speakers: tuple[str, ...] = ()
    staff_reply: str | None = field(default=None, repr=False)


def propose_rows(
    session: Session, actor: Actor, now: datetime, rows: Iterable[Row], *, origin: str, place: str | None = None
) -> tuple[int, int]:
    """Put each row into the queue: its last turn as the reply, with the actor as the correction's author.

    Of a preference pair the rejected reply is what was said, and the preferred one corrects it. Importing the same
    conversation of the same origin again adds nothing, whatever was decided about it. Rows are read as they are
    written, some at a time.

    Args:
        place: the destination key of the channel in which they are reviewed; None: in a terminal only.

    Returns:
        How many were added, and how many were there already.

    Raises:
        NotAllowed: the actor may not flag.
        Invalid: a row's last reply is not to be learned from, so there is nothing to decide about.
    """
    require(session, actor, Permission.FLAG)
    added = seen = 0
    for some in _batches(rows):
        seen += len(some)
        by_source = {f"{origin}/{row.conversation.digest}": row for row in reversed(some)}
        known = _known(session, by_source)
        fresh = {source: row for source, row in reversed(by_source.items()) if source not in known}
        records = [_candidate(row, actor, now, origin, source) | {"place": place} for source, row in fresh.items()]
        texts = [row.conversation.messages[-1].content for row in fresh.values()]
        _write(session, actor, now, records, texts, place)
        added += len(fresh)
    audit.record(session, actor, now, "candidates.imported", subject=origin, details={"added": added})
    return added, seen - added


def propose_replies(
    session: Session,
    actor: Actor,
    now: datetime,
    replies: Iterable[Reply],
    *,
    assistant_id: int,
    origin: str,
    place: str | None = None,
) -> tuple[int, int]:
    """Put replies of an archive into the queue, to be judged: each is captured, with itself as its correction.

    A reply that anybody has captured before, there or here, is known and adds nothing.

    Args:
        place: the destination key of the channel in which they are reviewed; None: in a terminal only.

    Returns:
        How many were added, and how many were there already.

    Raises:
        NotAllowed: the actor may not flag.
    """
    require(session, actor, Permission.FLAG)
    added = seen = 0
    for some in _batches(replies):
        seen += len(some)
        by_source = {reply.source: reply for reply in some}
        known = _known(session, by_source)
        fresh = [reply for source, reply in by_source.items() if source not in known]
        if not fresh:
            continue
        captured = [_capture(reply, actor, now, assistant_id) for reply in fresh]
        statement = insert(Capture).returning(col(Capture.id), sort_by_parameter_order=True)
        keys = session.scalars(statement, captured).all()
        records = [
            _captured(reply, key, actor, now, assistant_id) | {"place": place}
            for key, reply in zip(keys, fresh, strict=True)
        ]
        _write(session, actor, now, records, [reply.reply for reply in fresh], place)
        added += len(fresh)
    audit.record(session, actor, now, "candidates.imported", subject=origin, details={"added": added})
    return added, seen - added


def known_among(session: Session, sources: Iterable[str]) -> int:
    """How many of these sources have a candidate."""
    return sum(len(_known(session, some)) for some in _batches(sources))


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


def copies(session: Session, *, origin: str) -> dict[str, int]:
    """Other files under whose origin conversations of this one were imported too, and how many: a renamed copy.

    ``{"import:tickets.jsonl": 40}``, the most first.
    """
    mine = {digest for file, digest in _imported(session) if file == origin}
    others = {(file, digest) for file, digest in _imported(session) if file != origin and digest in mine}
    return dict(Counter(file for file, _ in others).most_common())


def _imported(session: Session) -> Iterator[tuple[str, str]]:
    """Origin and digest of every row of a file that became a candidate, or was attested."""
    for source in session.exec(select(Candidate.source).where(col(Candidate.source).startswith(_FILE))):
        file, _, digest = source.rpartition("/")
        yield file, digest
    attested = select(Example.source, Example.digest).where(
        col(Example.source).startswith(_FILE), col(Example.attested).is_not(None)
    )
    yield from session.exec(attested)


def _batches(items: Iterable[_Item]) -> Iterator[list[_Item]]:
    rest = iter(items)
    while some := list(islice(rest, _BATCH)):
        yield some


def _known(session: Session, sources: Iterable[str]) -> set[str]:
    standing = select(Candidate.source).where(col(Candidate.source).in_(list(sources)))
    return set(session.exec(standing))


def _write(
    session: Session,
    actor: Actor,
    now: datetime,
    records: list[dict[str, object]],
    corrections: list[str],
    place: str | None,
) -> None:
    if not records:
        return
    rolling.owe_queue(session, now, place, new=0)  # before they wait: whether anything did until now
    statement = insert(Candidate).returning(col(Candidate.id), sort_by_parameter_order=True)
    keys = session.scalars(statement, records).all()
    session.execute(
        insert(Correction),
        [
            {"candidate_id": key, "text": text.strip(), "author": actor.person_id, "written_at": now}
            for key, text in zip(keys, corrections, strict=True)
        ],
    )


def _capture(reply: Reply, actor: Actor, now: datetime, assistant_id: int) -> dict[str, object]:
    return {
        "assistant_id": assistant_id,
        "source": reply.source,
        "thread": reply.thread,
        "captured_by": actor.person_id,
        "captured_at": now,
        "reply": reply.reply,
        "staff_reply": reply.staff_reply,
        "turns": reply.conversation.as_json(),
        "speakers": list(reply.speakers) or None,
    }


def _captured(
    reply: Reply, capture_id: int | None, actor: Actor, now: datetime, assistant_id: int
) -> dict[str, object]:
    return {
        "kind": CandidateKind.IMPORTED.value,
        "status": CandidateStatus.PENDING.value,
        "source": reply.source,
        "thread": reply.thread,
        "capture_id": capture_id,
        "assistant_id": assistant_id,
        "turns": reply.conversation.as_json(),
        "reply": reply.reply,
        "language": detect(reply.conversation.first_user_text()),
        "note": f"Staff wrote below it: {reply.staff_reply}" if reply.staff_reply else None,
        "flagged_by": actor.person_id,
        "flagged_at": now,
        "version": 1,
    }


def _candidate(row: Row, actor: Actor, now: datetime, origin: str, source: str) -> dict[str, object]:
    *turns, reply = row.conversation.messages
    if reply.weight == 0:
        raise Invalid(
            "line {line}: the last reply has the weight 0, and it is what a reviewer decides about. End the dialogue "
            "earlier, or attest the file with --approve-as.",
            line=row.line,
        )
    if reply.tool_calls:
        raise Invalid(
            "line {line}: the last turn calls tools, and a reviewer decides about words. End the dialogue with the "
            "reply that follows, or attest the file with --approve-as.",
            line=row.line,
        )
    said = labels_of(row.metadata)
    return {
        "kind": CandidateKind.IMPORTED.value,
        "status": CandidateStatus.PENDING.value,
        "source": source,
        "thread": f"{origin}/{said['thread'] or row.conversation.digest}",
        "customer": said["customer"],
        "turns": [turn.as_json() for turn in turns],
        # Of a preference pair the rejected reply is what was said, and the preferred one corrects it.
        "reply": reply.content if row.rejected is None else row.rejected,
        "topic": said["topic"],
        "language": said["language"] or detect(row.conversation.first_user_text()),
        "context": context_in(row.metadata),
        "toolbox": row.conversation.toolbox() or None,
        "flagged_by": actor.person_id,
        "flagged_at": now,
        "version": 1,
    }
