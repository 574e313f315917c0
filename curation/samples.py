"""Samples: once a week a few replies that nobody minded are put before people, who say whether they are good.

Owns that a sample is drawn once for a week and an assistant, at random among the week's counted replies without a flag
or a candidate, and spread over the channels; who may endorse one is the business of ``curation.proposals``. Refuses
words, and replies of direct messages, which nobody else can open. A sample can be drawn again from its seed.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import bindparam, exists, select
from sqlmodel import Session

from curation import audit, notices, weeks
from curation.candidates import CandidateStatus
from curation.notices import NoticeKind
from curation.people import WORKER, name_of
from curation.store.columns import UtcDateTime
from curation.store.rows import Prepared, found, insert_row, insert_rows, table_of
from curation.store.tables import Assistant, Candidate, Reply, ReplyFlag, ReplySample, SampledReply
from curation.weeks import Week

SIZE = 5
"""Replies of an assistant that are put before people each week, unless another number is set."""

LARGEST = 15
"""Most that can be set: each takes three blocks of a message, which holds fifty."""

_REPLIES, _FLAGS, _CANDIDATES = table_of(Reply), table_of(ReplyFlag), table_of(Candidate)
_SAMPLES, _SAMPLED, _ASSISTANTS = table_of(ReplySample), table_of(SampledReply), table_of(Assistant)
_SEED_BITS = 48

_GOOD = (
    select(_REPLIES.c.source)
    .where(_REPLIES.c.assistant_id == bindparam("assistant"))
    .where(_REPLIES.c.hour >= bindparam("begins", type_=UtcDateTime))
    .where(_REPLIES.c.hour < bindparam("ends", type_=UtcDateTime))
    .where(~_REPLIES.c.withdrawn)
    .where(~exists().where(_FLAGS.c.source == _REPLIES.c.source, _FLAGS.c.standing))
    .where(~exists().where(_CANDIDATES.c.source == _REPLIES.c.source))
    .order_by(_REPLIES.c.source)
)
_SHOWING = Prepared(
    select(_SAMPLED.c.sample_id, _SAMPLED.c.place).where(_SAMPLED.c.source == bindparam("reply")).distinct()
)


class Sampled(NamedTuple):
    """One reply of a sample.

    Attributes:
        source: where it stands.
        answer: the kind of the candidate that was made of it (the value of a ``CandidateKind``) and the name of whoever
            made it; None while nobody did.
        withdrawn: whether the reply was taken away since.
    """

    source: str
    answer: tuple[str, str] | None
    withdrawn: bool


@dataclass(frozen=True, slots=True)
class Sample:
    """What one channel is asked about."""

    week: Week
    assistant: str
    replies: tuple[Sampled, ...]


def draw(
    session: Session,
    now: datetime,
    rng: random.Random,
    *,
    size: int,
    review_place: Callable[[str], str | None] = lambda _team: None,
) -> int:
    """Draw the samples of the week that ended last and owe the channels; how many were drawn now.

    Args:
        rng: gives the seed of each sample, which is kept.
        size: replies of each assistant, ``LARGEST`` at most.
        review_place: gives the place that is asked in a workspace; None for the channels of the replies.
    """
    week, drawn = weeks.to_tell(now), 0
    done = found(session, select(_SAMPLES.c.assistant_id).where(_SAMPLES.c.week == week.name))
    ids = {row.assistant_id for row in done}
    for assistant in found(session, select(_ASSISTANTS.c.id, _ASSISTANTS.c.team_id).order_by(_ASSISTANTS.c.id)):
        if assistant.id in ids:
            continue
        good = found(session, _GOOD, assistant=assistant.id, begins=week.begins, ends=week.ends)
        sources = [row.source for row in good if not _is_private(row.source)]
        if not sources:
            continue
        seed = rng.getrandbits(_SEED_BITS)
        chosen = spread(sources, size, random.Random(seed))
        key = insert_row(session, ReplySample, week=week.name, assistant_id=assistant.id, seed=seed, drawn_at=now)
        review_in = review_place(assistant.team_id)
        _ask(session, now, key, [(source, review_in or _place(source)) for source in chosen])
        drawn += 1
    return drawn


def spread(sources: Sequence[str], size: int, rng: random.Random) -> list[str]:
    """At most ``size`` of the replies, at random, of as many channels as there are."""
    by_place: dict[str, list[str]] = defaultdict(list)
    for source in sources:
        by_place[_place(source)].append(source)
    places = list(by_place)
    rng.shuffle(places)
    for place in places:
        rng.shuffle(by_place[place])
    chosen: list[str] = []
    while places and len(chosen) < size:
        chosen += [by_place[place].pop() for place in places[: size - len(chosen)]]
        places = [place for place in places if by_place[place]]
    return chosen


def answered(session: Session, now: datetime, source: str) -> None:
    """Have whatever channel is asked about this reply see that something was made of it."""
    for row in _SHOWING.rows(session, reply=source):
        notices.owe_again(session, now, _subject(row.sample_id, row.place))


def of_subject(session: Session, subject: str) -> Sample:
    """What a notice is about: its subject without the kind, ``3:T1/C1``."""
    sample_id, _, place = subject.partition(":")
    drawn = session.get_one(ReplySample, int(sample_id))
    asked = select(_SAMPLED.c.source).where(_SAMPLED.c.sample_id == drawn.key, _SAMPLED.c.place == place)
    sources = [row.source for row in found(session, asked.order_by(_SAMPLED.c.source))]
    made = select(_CANDIDATES.c.source, _CANDIDATES.c.kind, _CANDIDATES.c.flagged_by).where(
        _CANDIDATES.c.source.in_(sources), _CANDIDATES.c.status != CandidateStatus.REJECTED.value
    )
    made_of = {row.source: (str(row.kind), name_of(session, row.flagged_by)) for row in found(session, made)}
    left = select(_REPLIES.c.source).where(_REPLIES.c.source.in_(sources), _REPLIES.c.withdrawn)
    withdrawn = {row.source for row in found(session, left)}
    return Sample(
        weeks.named(drawn.week),
        session.get_one(Assistant, drawn.assistant_id).name,
        tuple(Sampled(source, made_of.get(source), source in withdrawn) for source in sources),
    )


def _ask(session: Session, now: datetime, sample_id: int, asked: Sequence[tuple[str, str]]) -> None:
    """Keep which replies were drawn and which place is asked about each, and owe the places."""
    rows = [{"sample_id": sample_id, "source": source, "place": place} for source, place in asked]
    insert_rows(session, SampledReply, rows)
    subject = f"sample:{sample_id}"
    audit.record(session, WORKER, now, "replies.sampled", subject=subject, details={"replies": len(rows)})
    for place in sorted({place for _, place in asked}):
        subject = _subject(sample_id, place)
        notices.owe(session, now, NoticeKind.SAMPLE, subject=subject, destination=place, message_key=subject)


def _subject(sample_id: int, place: str) -> str:
    return f"sample:{sample_id}:{place}"


def _place(source: str) -> str:
    return source.rpartition("/")[0]


def _is_private(source: str) -> bool:
    return source.split("/")[-2].startswith("D")
