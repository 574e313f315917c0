"""Claims: who is looking at what, and what a reviewer is shown next.

Owns that two reviewers are not shown the same candidate, and the order in which the queue is worked off. A claim keeps
others away for a while; deciding needs none, and one that ran out while nobody took the candidate is simply renewed,
so that nothing is lost over lunch. Which candidates come into question is ``curation.eligibility``'s.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import bindparam, delete, exists, func, insert, literal, update
from sqlalchemy import select as select_columns
from sqlmodel import Session

from curation import candidates
from curation.candidates import CandidateStatus
from curation.eligibility import Shape, eligible, readable, shape_of, values_of
from curation.errors import Conflict
from curation.people import Actor, name_of, reads_of, require, require_at_home
from curation.policies import Permission
from curation.store.columns import UtcDateTime
from curation.store.rows import Prepared, table_of
from curation.store.tables import Candidate, Claim, Example
from curation.urgency import Urgency
from curation.wording import called

CLAIM = timedelta(minutes=20)
"""For how long a candidate that somebody looks at is shown to nobody else."""
WINDOW = 200
"""Candidates of one urgency, the oldest that may be shown, among which the gaps of the dataset choose."""
ENOUGH = 200
"""Approved examples of a topic in a language from which on it is no gap."""

_CANDIDATES, _CLAIMS, _EXAMPLES = table_of(Candidate), table_of(Claim), table_of(Example)


class _Held(NamedTuple):
    """A claim that was made."""

    candidate_id: int
    person_id: str
    since: datetime
    until: datetime


_OF_CANDIDATE = Prepared(
    select_columns(_CLAIMS.c.candidate_id, _CLAIMS.c.person_id, _CLAIMS.c.since, _CLAIMS.c.until).where(
        _CLAIMS.c.candidate_id == bindparam("candidate")
    ),
    _Held,
)
_OF_PERSON = Prepared(
    select_columns(_CLAIMS.c.candidate_id)
    .where(_CLAIMS.c.person_id == bindparam("person"))
    .order_by(_CLAIMS.c.since, _CLAIMS.c.candidate_id)
)
_END = Prepared(delete(_CLAIMS).where(_CLAIMS.c.candidate_id == bindparam("candidate")))
_RELEASE = Prepared(
    delete(_CLAIMS).where(_CLAIMS.c.candidate_id == bindparam("candidate"), _CLAIMS.c.person_id == bindparam("person"))
)
_RENEW = Prepared(
    update(_CLAIMS)
    .where(_CLAIMS.c.candidate_id == bindparam("candidate"), _CLAIMS.c.person_id == bindparam("person"))
    .values(until=bindparam("ends"))
)
_TAKE_OVER = Prepared(
    update(_CLAIMS)
    .where(_CLAIMS.c.candidate_id == bindparam("candidate"), _CLAIMS.c.until <= bindparam("present"))
    .values(person_id=bindparam("person"), since=bindparam("present"), until=bindparam("ends"))
)
_NEW = Prepared(
    insert(_CLAIMS).from_select(
        ["candidate_id", "person_id", "since", "until"],
        select_columns(
            bindparam("candidate", type_=_CLAIMS.c.candidate_id.type),
            bindparam("person", type_=_CLAIMS.c.person_id.type),
            bindparam("present", type_=UtcDateTime()),
            bindparam("ends", type_=UtcDateTime()),
        ).where(~exists().where(_CLAIMS.c.candidate_id == bindparam("candidate", type_=_CLAIMS.c.candidate_id.type))),
    )
)


def take_next(
    session: Session,
    actor: Actor,
    now: datetime,
    *,
    place: str | None = None,
    passed: Collection[int] = (),
    languages: frozenset[str] | None = None,
) -> int | None:
    """Claim the next candidate that the reviewer may decide about; its id, or None where nothing is left.

    What they hold already comes first. Then: the most urgent (``curation.urgency``); among the ``WINDOW`` oldest of
    these, whose topic and language have the fewest approved examples, where ``ENOUGH`` are enough; then the oldest.

    Args:
        place: only what is reviewed there; None: everything.
        passed: candidates to leave out; what the reviewer holds of them is given back.
        languages: only these, and what has no known language; None: those that the person reads.

    Raises:
        NotAllowed: the actor may not review.
    """
    require(session, actor, Permission.REVIEW)
    reads = languages if languages is not None else reads_of(session, actor.person_id)
    shape, values = shape_of(actor, place, reads), values_of(actor, now, place, reads)
    for held in _OF_PERSON.rows(session, person=actor.person_id):
        if held.candidate_id in passed:
            release(session, actor, held.candidate_id)
        elif _still(shape).rows(session, **values, candidate=held.candidate_id):
            _renew(session, actor, now, held.candidate_id)
            return int(held.candidate_id)
    for key in in_order(session, shape, values, passed):
        if _claim(session, actor, now, key):
            return key
    return None


def in_order(session: Session, shape: Shape, values: Mapping[str, Any], passed: Collection[int] = ()) -> Iterator[int]:
    """What may be shown, in the order of ``take_next``: a window of the most urgent ones, then one of the next.

    Args:
        shape, values: what is asked, as ``curation.eligibility`` says it.
    """
    windows, left_out = _windows(shape), frozenset(passed)
    for urgency in sorted(Urgency, reverse=True):
        found = windows.rows(session, **values, urgency=int(urgency), most=WINDOW + len(left_out))
        rows = [row for row in found if row.id not in left_out][:WINDOW]
        gaps = _gaps(session, {(row.topic, row.language) for row in rows}) if len(rows) > 1 else {}
        yield from (key for _, key in sorted((gaps.get((row.topic, row.language), 0), row.id) for row in rows))


def hold(session: Session, actor: Actor, now: datetime, candidate_id: int) -> None:
    """Claim this candidate, or renew the claim.

    Raises:
        NotAllowed, NotFound: the actor may not review; no such candidate.
        Conflict: it is decided, or somebody else looks at it; the sentence says who and since when.
    """
    require(session, actor, Permission.REVIEW)
    candidate = candidates.standing(session, candidate_id)
    require_at_home(session, actor, candidate.source)
    if candidate.status != CandidateStatus.PENDING.value:
        raise Conflict(
            "Candidate {candidate} is {status}: nobody has to decide about it now.",
            candidate=candidate_id,
            status=called(CandidateStatus(candidate.status)),
        )
    if not _claim(session, actor, now, candidate_id):
        held = _OF_CANDIDATE.first(session, candidate=candidate_id)
        assert held is not None  # noqa: S101 (nobody else writes until this unit of work ends)
        raise Conflict(
            "{person} has been looking at candidate {candidate} since {time} UTC; take another, or come back later.",
            person=name_of(session, held.person_id),
            candidate=candidate_id,
            time=f"{held.since:%H:%M}",
        )


def release(session: Session, actor: Actor, candidate_id: int) -> None:
    """Give a candidate back; nothing happens where the actor does not hold it."""
    _RELEASE.change(session, candidate=candidate_id, person=actor.person_id)


def end(session: Session, candidate_id: int) -> None:
    """Forget who looked at a candidate: it was decided."""
    _END.change(session, candidate=candidate_id)


@cache
def _still(shape: Shape) -> Prepared[Any]:
    """One candidate, if it may be shown. Asked together with who holds what, SQLite would look through the queue."""
    one = select_columns(_CANDIDATES.c.id).where(_CANDIDATES.c.id == bindparam("candidate"))
    return Prepared(one.where(*eligible(shape), readable(shape)))


@cache
def _windows(shape: Shape) -> Prepared[Any]:
    """The oldest of one urgency."""
    window = select_columns(_CANDIDATES.c.id, _CANDIDATES.c.topic, _CANDIDATES.c.language)
    window = window.where(_CANDIDATES.c.urgency == bindparam("urgency"), *eligible(shape), readable(shape))
    return Prepared(window.order_by(_CANDIDATES.c.id).limit(bindparam("most")))


def _gaps(session: Session, groups: Collection[tuple[str | None, str | None]]) -> dict[tuple[Any, Any], int]:
    """How many approved examples there are of each topic and language, counted up to ``ENOUGH``."""
    if len(groups) < 2:  # noqa: PLR2004 (one group alone needs no comparing)
        return {}
    known: dict[tuple[Any, Any], int] = {}
    for topic, language in groups:
        counting = _OF_GROUP[topic is None, language is None]
        known[topic, language] = counting.rows(session, topic=topic, language=language)[0][0]
    return known


def _counting(*, no_topic: bool, no_language: bool) -> Prepared[Any]:
    """PostgreSQL looks IS NOT DISTINCT FROM up in no index, so there is a statement for each case."""
    topic, language = _EXAMPLES.c.topic, _EXAMPLES.c.language
    some = select_columns(literal(1)).select_from(_EXAMPLES)
    some = some.where(topic.is_(None) if no_topic else topic == bindparam("topic"))
    some = some.where(language.is_(None) if no_language else language == bindparam("language"))
    return Prepared(select_columns(func.count().label("examples")).select_from(some.limit(ENOUGH).subquery()))


_OF_GROUP = {
    (no_topic, no_language): _counting(no_topic=no_topic, no_language=no_language)
    for no_topic in (False, True)
    for no_language in (False, True)
}


def _claim(session: Session, actor: Actor, now: datetime, key: int) -> bool:
    """Whether it is the actor's from now on: nobody had it, or whoever had it was away for too long."""
    if _renew(session, actor, now, key):
        return True
    values = {"candidate": key, "person": actor.person_id, "present": now, "ends": now + CLAIM}
    return _TAKE_OVER.change(session, **values) > 0 or _NEW.change(session, **values) > 0


def _renew(session: Session, actor: Actor, now: datetime, key: int) -> bool:
    return _RENEW.change(session, candidate=key, person=actor.person_id, ends=now + CLAIM) > 0
