"""What is known beside a correction: similar ones, the assistant's usual replies, its author's other work.

Owns the looking up, with statements that touch a bounded number of rows however many there are; two exceptions,
counting by author and searching for a domain, walk along a table and are for a worker only. Judges nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, Text, bindparam, cast, func, or_
from sqlalchemy import select as select_columns
from sqlmodel import Session, col, select

from curation.candidates import CandidateKind, CandidateStatus
from curation.conversation import Conversation, Role
from curation.measures.spread import Lengths
from curation.people import name_of
from curation.privacy.detection import scan
from curation.privacy.personal import Scope
from curation.screening import disguises, likeness
from curation.screening.outliers import Earlier, Known, Subject, Tally
from curation.similarity.duplicates import fingerprint
from curation.store.rows import table_of
from curation.store.tables import Candidate, Correction, Example, PromptBand, ScreenedPrompt, SystemPrompt
from curation.wording import phrase

HISTORY = 200
"""Corrections of an author, and replies of an assistant, that stand for all of theirs."""
COMPARED = 30
HOSTS_LOOKED_UP = 10
_ROWS_READ = 50
_HOUR = timedelta(hours=1)
_STANDING = (CandidateStatus.PENDING.value, CandidateStatus.APPROVED.value)

_IMPORTED = CandidateKind.IMPORTED.value

_CANDIDATES, _CORRECTIONS, _EXAMPLES = table_of(Candidate), table_of(Correction), table_of(Example)
_PROMPTS, _BANDS = table_of(ScreenedPrompt), table_of(PromptBand)

_ALIKE = (
    select_columns(
        _PROMPTS.c.id, _PROMPTS.c.candidate_id, _PROMPTS.c.example_id, _PROMPTS.c.correction_id, _PROMPTS.c.fingerprint
    )
    .join(_BANDS, _BANDS.c.prompt_id == _PROMPTS.c.id)
    .where(
        _BANDS.c.band.in_(bindparam("bands", expanding=True)),
        or_(_PROMPTS.c.candidate_id.is_(None), _PROMPTS.c.candidate_id < bindparam("candidate")),
    )
    .group_by(
        _PROMPTS.c.id, _PROMPTS.c.candidate_id, _PROMPTS.c.example_id, _PROMPTS.c.correction_id, _PROMPTS.c.fingerprint
    )
    .order_by(func.count().desc(), _PROMPTS.c.id.desc())
    .limit(COMPARED)
)
_WRITTEN = (
    select_columns(
        _CORRECTIONS.c.text,
        _CORRECTIONS.c.written_at,
        _PROMPTS.c.fingerprint,
        _CANDIDATES.c.id,
        _CANDIDATES.c.kind,
        _CANDIDATES.c.assistant_id,
        _CANDIDATES.c.turns,
        _CANDIDATES.c.reply,
    )
    .join(_PROMPTS, _PROMPTS.c.correction_id == _CORRECTIONS.c.id)
    .join(_CANDIDATES, _CANDIDATES.c.id == _CORRECTIONS.c.candidate_id)
    .where(_CANDIDATES.c.id != bindparam("candidate"))
    .order_by(_CORRECTIONS.c.id.desc())
    .limit(HISTORY)
)
# An imported row that corrects nothing is in somebody else's words; thousands of them would hide an author's own.
_BY_AUTHOR = _WRITTEN.where(
    _PROMPTS.c.author == bindparam("author"),
    or_(_CANDIDATES.c.kind != _IMPORTED, _CANDIDATES.c.reply != _CORRECTIONS.c.text),
)
_BY_OTHERS = _WRITTEN.where(_PROMPTS.c.author != bindparam("author"))
_REPLIES = (
    select_columns(_CANDIDATES.c.reply)
    .where(_CANDIDATES.c.assistant_id.is_not_distinct_from(bindparam("assistant")))
    .order_by(_CANDIDATES.c.id.desc())
    .limit(HISTORY)
)


def rows(session: Session, statement: Any, **values: Any) -> Sequence[Row[Any]]:
    """The rows of a statement over columns."""
    return session.connection().execute(statement, values).all()


def prompt_of(turns: Sequence[dict[str, Any]]) -> str:
    """The turns without the system's, each behind its role."""
    spoken = Conversation.from_json(turns).with_system(None).messages
    return "\n".join(f"{message.role.value}: {message.text}" for message in spoken)


def _texts(turns: Sequence[dict[str, Any]]) -> list[str]:
    return [message.text for message in Conversation.from_json(turns).messages]


def look_up(session: Session, row: Row[Any], prompt: str, bands: Sequence[int], scope: Scope) -> tuple[Subject, Known]:
    """The correction as ``outliers.judge`` takes it, and what is known beside it.

    An imported row whose correction is not its reply is a correction of whoever imported it. So is any other row of a
    file as far as shares go; a reply out of an archive is its assistant's.
    """
    subject = Subject(
        author=name_of(session, row.author),
        prompt=prompt,
        question=_texts(row.turns)[-1] if row.turns else "",
        reply=row.reply,
        correction=row.text,
        topic=row.topic,
    )
    replies = [len(one.reply) for one in rows(session, _REPLIES, assistant=row.assistant_id)]
    corrects = row.kind != _IMPORTED or row.reply.strip() != row.text.strip()
    brought = corrects or row.assistant_id is None
    own = rows(session, _BY_AUTHOR, author=row.author, candidate=row.id) if brought else []
    return subject, Known(
        earlier=list(_earlier(session, row, prompt, bands)),
        usual=(Lengths.of(replies), len(replies)),
        new_hosts=[host for host in disguises.hosts(row.text)[:HOSTS_LOOKED_UP] if not _host_is_known(session, host)],
        phrases=_phrases(session, row, own) if corrects else {},
        tally=_tally(session, row, own) if brought else None,
        private=[span.kind.value for span in scan(row.text, known=scope.known, regions=scope.regions)],
    )


def _earlier(session: Session, row: Row[Any], prompt: str, bands: Sequence[int]) -> Iterator[Earlier]:
    key = fingerprint(prompt)
    for shared in rows(session, _ALIKE, bands=list(bands), candidate=row.id):
        if shared.example_id is not None:
            messages = session.exec(select(Example.messages).where(Example.id == shared.example_id)).one()
            label, turns = phrase("example {number}", number=shared.example_id), messages[:-1]
            reply = "".join(_texts(messages[-1:]))
        else:
            other = session.get_one(Candidate, shared.candidate_id)
            if other.status not in _STANDING:
                continue
            label, turns = phrase("candidate {number}", number=other.key), other.turns
            reply = session.get_one(Correction, shared.correction_id).text
        same = shared.fingerprint == key or disguises.same_words(prompt_of(turns), prompt)
        near = same or likeness.alike(prompt_of(turns), prompt)
        if near:
            yield Earlier(label, same, near, likeness.alike(reply, row.text))


def _phrases(session: Session, row: Row[Any], own: Sequence[Row[Any]]) -> dict[str, int]:
    others = rows(session, _BY_OTHERS, author=row.author, candidate=row.id)
    asked = [text for one in (row, *own, *others) for text in _texts(one.turns)]
    # What a file says that its assistant replied is its author's word too: it could make any phrase a usual one.
    replies = [one.reply for one in (row, *own, *others) if one.assistant_id is not None]
    usual = [one.text for one in others] + replies + asked
    mine = fingerprint(prompt_of(row.turns))
    # An endorsement repeats the assistant's own words; they are its author's in no way.
    written = [one for one in own if one.kind != CandidateKind.ENDORSEMENT.value and one.fingerprint != mine]
    return likeness.repeated(row.text, ((one.fingerprint, one.text) for one in written), usual)


def _tally(session: Session, row: Row[Any], own: Sequence[Row[Any]]) -> Tally:
    by_author = (
        select_columns(_CANDIDATES.c.flagged_by, _CANDIDATES.c.topic, func.count().label("number"))
        .where(
            or_(_CANDIDATES.c.kind != _IMPORTED, _CANDIDATES.c.assistant_id.is_(None)),
            _CANDIDATES.c.status.in_(_STANDING),
        )
        .group_by(_CANDIDATES.c.flagged_by, _CANDIDATES.c.topic)
    )
    counted = [(one.flagged_by, one.topic, int(one.number)) for one in rows(session, by_author)]
    topical = [one for one in counted if row.topic and one[1] == row.topic]
    # A file arrives all at once: its rows say nothing about how fast anybody writes.
    last_hour = sum(
        one.kind != _IMPORTED and row.written_at - _HOUR < one.written_at <= row.written_at for one in (row, *own)
    )
    return Tally(
        own=sum(count for author, _, count in counted if author == row.author),
        total=sum(count for _, _, count in counted),
        authors=len({author for author, _, _ in counted}),
        topic_own=sum(count for author, _, count in topical if author == row.author),
        topic_total=sum(count for _, _, count in topical),
        topic_authors=len({author for author, _, _ in topical}),
        last_hour=last_hour,
    )


def _host_is_known(session: Session, host: str) -> bool:
    """Whether an approved reply or a system prompt names this domain, or one that it is a part of."""
    wider = ".".join(host.split(".")[-2:])
    # A JSON column keeps other letters than ASCII escaped; one of their escapes would have to be escaped once more.
    needle = wider if wider.isascii() else max(wider.encode("ascii", "replace").decode().split("?"), key=len)
    approved = select_columns(_EXAMPLES.c.messages).where(
        cast(_EXAMPLES.c.messages, Text).icontains(needle, autoescape=True)
    )
    prompts = session.exec(select(SystemPrompt.text).where(col(SystemPrompt.text).icontains(wider, autoescape=True)))
    texts = list(prompts)
    for row in rows(session, approved.order_by(_EXAMPLES.c.id.desc()).limit(_ROWS_READ)):
        texts += _texts([turn for turn in row.messages if turn["role"] == Role.ASSISTANT.value])
    named = {known for text in texts for known in disguises.hosts(text)}
    return any(host == known or host.endswith(f".{known}") for known in named)
