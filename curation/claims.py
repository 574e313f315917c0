"""Claims: who is looking at what, and what a reviewer is shown next.

Owns that two reviewers are not shown the same candidate, and the order in which the queue is worked off. A claim keeps
others away for a while; deciding needs none, and one that ran out while nobody took the candidate is simply renewed,
so that nothing is lost over lunch. What may be decided by whom is said in ``curation.reviews``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, bindparam, delete, exists, func, insert, literal, or_, true, update
from sqlalchemy import select as select_columns
from sqlmodel import Session

from curation import candidates
from curation.candidates import CandidateStatus
from curation.errors import Conflict
from curation.people import LOCAL_TEAM, Actor, name_of, reads_of, require, require_at_home, team_of
from curation.policies import Permission
from curation.store.columns import UtcDateTime
from curation.store.rows import Prepared, found, table_of
from curation.store.tables import Candidate, Claim, Correction, Example, Expiry, Review
from curation.urgency import Urgency
from curation.verdicts import APPROVING
from curation.wording import called

CLAIM = timedelta(minutes=20)
"""For how long a candidate that somebody looks at is shown to nobody else."""
WINDOW = 200
"""Candidates of one urgency, the oldest that may be shown, among which the gaps of the dataset choose."""
ENOUGH = 200
"""Approved examples of a topic in a language from which on it is no gap."""

_CANDIDATES, _CLAIMS, _CORRECTIONS = table_of(Candidate), table_of(Claim), table_of(Correction)
_EXAMPLES, _EXPIRIES, _REVIEWS = table_of(Example), table_of(Expiry), table_of(Review)


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
    for key in passed:
        release(session, actor, key)
    wanted = _wanted(actor, now, place, passed, reads)
    held = select_columns(_CANDIDATES.c.id).join(_CLAIMS, _CLAIMS.c.candidate_id == _CANDIDATES.c.id)
    held = held.where(_CLAIMS.c.person_id == actor.person_id, *wanted).order_by(_CLAIMS.c.since, _CANDIDATES.c.id)
    for row in found(session, held.limit(1)):
        _renew(session, actor, now, row.id)
        return int(row.id)
    for key in _in_order(session, wanted):
        if _claim(session, actor, now, key):
            return key
    return None


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


def eligible(actor: Actor, now: datetime) -> list[ColumnElement[bool]]:
    """What makes a waiting candidate one that this reviewer may decide about now."""
    key, person = _CANDIDATES.c.id, actor.person_id
    others = and_(_CLAIMS.c.candidate_id == key, _CLAIMS.c.person_id != person, _CLAIMS.c.until > now)
    # Told of what a subquery is: a candidate two levels up would be another one, of all there are.
    newest = select_columns(func.max(_CORRECTIONS.c.id)).where(_CORRECTIONS.c.candidate_id == _REVIEWS.c.candidate_id)
    approved = and_(
        _REVIEWS.c.candidate_id == key,
        _REVIEWS.c.reviewer == person,
        _REVIEWS.c.undone_at.is_(None),
        _REVIEWS.c.verdict.in_(APPROVING),
        _REVIEWS.c.correction_id == newest.correlate(_REVIEWS).scalar_subquery(),
    )
    waits = _CANDIDATES.c.status == CandidateStatus.PENDING.value
    conditions = [waits, at_home(person), ~exists().where(others).correlate(_CANDIDATES)]
    return conditions if actor.solo else [*conditions, ~wrote(person), ~exists().where(approved)]


def at_home(person: str) -> ColumnElement[bool]:
    """Whether a candidate is of this person's own workspace, or of none, such as an imported row."""
    team, source = team_of(person), _CANDIDATES.c.source
    if team == LOCAL_TEAM:
        return true()
    return or_(source.like(f"{team}/%"), source.not_like("T%/%"))


def wrote(person: str) -> ColumnElement[bool]:
    """Whether a candidate's correction is by this person, in part at least; what they took back by undoing is not."""
    key = _CANDIDATES.c.id
    undone = and_(
        _REVIEWS.c.candidate_id == _CORRECTIONS.c.candidate_id,
        _REVIEWS.c.correction_id == _CORRECTIONS.c.id,
        _REVIEWS.c.undone_at.is_not(None),
    )
    stands = ~exists().where(undone).correlate(_CORRECTIONS)
    version = and_(_CORRECTIONS.c.candidate_id == key, _CORRECTIONS.c.author == person, stands)
    return or_(flagged(person), exists().where(version).correlate(_CANDIDATES))


def flagged(person: str) -> ColumnElement[bool]:
    """The same of whoever put the reply forward, which the index of the queue holds.

    Somebody who sent an expired example back to review is called so as well, and wrote nothing.
    """
    sent_back = exists().where(_EXPIRIES.c.candidate_id == _CANDIDATES.c.id).correlate(_CANDIDATES)
    return and_(_CANDIDATES.c.flagged_by == person, ~sent_back)


def readable(languages: frozenset[str] | None) -> ColumnElement[bool] | None:
    """Whether a candidate is in one of these languages, or in none that is known; None where any will do."""
    if languages is None:
        return None
    return or_(_CANDIDATES.c.language.is_(None), _CANDIDATES.c.language.in_(sorted(languages)))


def _wanted(
    actor: Actor, now: datetime, place: str | None, passed: Collection[int], languages: frozenset[str] | None
) -> list[ColumnElement[bool]]:
    wanted = eligible(actor, now)
    if place is not None:
        wanted.append(_CANDIDATES.c.place == place)
    if passed:
        wanted.append(_CANDIDATES.c.id.not_in(sorted(passed)))
    read = readable(languages)
    return wanted if read is None else [*wanted, read]


def _in_order(session: Session, wanted: Sequence[ColumnElement[bool]]) -> Iterator[int]:
    """The window of the most urgent ones, then that of the next."""
    columns = (_CANDIDATES.c.id, _CANDIDATES.c.topic, _CANDIDATES.c.language)
    for urgency in sorted(Urgency, reverse=True):
        window = select_columns(*columns).where(_CANDIDATES.c.urgency == int(urgency), *wanted)
        rows = found(session, window.order_by(_CANDIDATES.c.id).limit(WINDOW))
        gaps = _gaps(session, {(row.topic, row.language) for row in rows}) if len(rows) > 1 else {}
        yield from sorted((row.id for row in rows), key=_by_gap(rows, gaps))


def _by_gap(rows: Sequence[Any], gaps: Mapping[tuple[str | None, str | None], int]) -> Any:
    known = {row.id: gaps.get((row.topic, row.language), 0) for row in rows}
    return lambda key: (known[key], key)


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
