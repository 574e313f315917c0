"""Digests: what a channel that asked for it hears every week, in figures.

Owns who may order one, that a channel is owed one message a week, and curation's part of what it says. What was
trained is ``training.summaries``'s part; how it is put into words is the business of whoever delivers it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session

from curation import audit, flagged, notices, replies, weeks
from curation.candidates import CandidateKind, CandidateStatus
from curation.measures import stats
from curation.measures.advice import Advice
from curation.notices import NoticeKind
from curation.people import Actor, name_of, require
from curation.policies import Permission
from curation.replies import VersionFigures
from curation.reviews import STEP, Verdict
from curation.store.rows import Prepared, found, table_of
from curation.store.tables import Assistant, Candidate, DigestOrder, ReplyFlag, Review, WeeklyDigest
from curation.weeks import Week

ADVICE = 3
"""Most pieces of advice in a digest: more would not be read."""

HISTORY = 8
"""Weeks of the picture, the newest included."""

_ORDERS, _DIGESTS = table_of(DigestOrder), table_of(WeeklyDigest)
_CANDIDATES, _REVIEWS, _FLAGS, _ASSISTANTS = (
    table_of(Candidate),
    table_of(Review),
    table_of(ReplyFlag),
    table_of(Assistant),
)
_ORDER = Prepared(insert(_ORDERS).on_conflict_do_nothing(index_elements=[_ORDERS.c.place]))
_OWED = Prepared(insert(_DIGESTS).on_conflict_do_nothing(index_elements=[_DIGESTS.c.week, _DIGESTS.c.place]))
_APPROVALS = [verdict.value for verdict in Verdict if STEP[verdict] is STEP[Verdict.APPROVE]]


@dataclass(frozen=True, slots=True)
class Rate:
    """How an assistant's model version did in a week, beside the week before.

    Attributes:
        now: of the week; None where the version said nothing in it.
        before: of the week before; likewise.
    """

    assistant: str
    model_version: str | None
    now: VersionFigures | None
    before: VersionFigures | None


@dataclass(frozen=True, slots=True)
class Figures:
    """What happened in a week, and what waits at its end.

    Attributes:
        flagged: replies that somebody minded.
        decided: verdicts of every kind; what was undone is none.
        approved: verdicts that made an example.
        pending: corrections and endorsements that wait for a reviewer.
        oldest: since when the first of them does.
        returned: how many wait for their author, by the author's name, most first.
        unanswered: flagged replies that nobody has corrected.
    """

    week: Week
    flagged: int
    corrections: int
    endorsements: int
    decided: int
    approved: int
    pending: int
    oldest: datetime | None
    returned: tuple[tuple[str, int], ...]
    unanswered: int
    rates: tuple[Rate, ...]
    advice: tuple[Advice, ...]


def order(session: Session, actor: Actor, now: datetime, *, place: str) -> bool:
    """Have a channel hear every week; whether it did not before.

    Raises:
        NotAllowed: the actor is no owner.
    """
    require(session, actor, Permission.DIGEST)
    changed = _ORDER.change(session, place=place, ordered_by=actor.person_id, ordered_at=now) > 0
    if changed:
        audit.record(session, actor, now, "digest.ordered", subject=f"place:{place}")
    return changed


def cancel(session: Session, actor: Actor, now: datetime, *, place: str) -> bool:
    """Have a channel hear no more; whether it did before.

    Raises:
        NotAllowed: the actor is no owner.
    """
    require(session, actor, Permission.DIGEST)
    removed = session.connection().execute(delete(_ORDERS).where(_ORDERS.c.place == place)).rowcount
    if removed:
        audit.record(session, actor, now, "digest.cancelled", subject=f"place:{place}")
    return removed > 0


def owe_due(session: Session, now: datetime) -> int:
    """Owe every channel that ordered it the digest of the week that ended last; how many were owed now.

    A channel that ordered it since then waits for the next.
    """
    week, owed = weeks.to_tell(now), 0
    for row in found(session, select(_ORDERS.c.place).where(_ORDERS.c.ordered_at <= week.told_at).order_by("place")):
        if not _OWED.change(session, week=week.name, place=row.place, owed_at=now):
            continue
        owed += 1
        team = row.place.rpartition("/")[0]
        kinds = [NoticeKind.DIGEST, *([NoticeKind.DIGEST_RATES] if _changed(session, week, team) else [])]
        for kind in kinds:
            subject, key = f"digest:{week.name}:{team}", f"{kind.value}:{week.name}"
            notices.owe(session, now, kind, subject=subject, destination=row.place, message_key=key)
    return owed


def of_week(session: Session, week: Week, team: str) -> Figures:
    """The figures of a week in one workspace; what waits, waits now. Advice is about all that models learn from."""
    put_forward = _put_forward(session, week, team)
    decided = _decided(session, week, team)
    waits = [_CANDIDATES.c.status == CandidateStatus.PENDING.value, _of(team, _CANDIDATES.c.source)]
    (pending,) = found(
        session, select(func.count().label("number"), func.min(_CANDIDATES.c.flagged_at).label("oldest")).where(*waits)
    )
    return Figures(
        week=week,
        flagged=_flagged(session, week, team),
        corrections=put_forward[CandidateKind.CORRECTION.value],
        endorsements=put_forward[CandidateKind.ENDORSEMENT.value],
        decided=sum(decided.values()),
        approved=sum(decided[verdict] for verdict in _APPROVALS),
        pending=pending.number,
        oldest=pending.oldest,
        returned=_returned(session, team),
        unanswered=flagged.count(session, team=team),
        rates=tuple(_rates(session, week, team)),
        advice=tuple(stats.overview(session).advice[:ADVICE]),
    )


def history(
    session: Session, week: Week, team: str, *, length: int = HISTORY
) -> dict[str, list[tuple[Week, VersionFigures]]]:
    """The figures of each model version by week, oldest first, up to ``week``; by the names that people know."""
    past = [week]
    while len(past) < length:
        past.insert(0, past[0].before)
    by_version: dict[str, list[tuple[Week, VersionFigures]]] = {}
    assistants = _assistants(session, team)
    for one in past:
        for assistant_id, name in assistants:
            for figures in replies.per_version(session, assistant_id, since=one.begins, until=one.ends):
                version = figures.model_version or "–"
                label = version if not assistants[1:] else f"{name} {version}"
                by_version.setdefault(label, []).append((one, figures))
    return by_version


def _changed(session: Session, week: Week, team: str) -> bool:
    """Whether there is anything to draw: one week alone is no change."""
    return len({one for points in history(session, week, team).values() for one, _ in points}) > 1


def _rates(session: Session, week: Week, team: str) -> list[Rate]:
    rates = []
    for assistant_id, name in _assistants(session, team):
        now, before = (
            {one.model_version: one for one in replies.per_version(session, assistant_id, since=w.begins, until=w.ends)}
            for w in (week, week.before)
        )
        versions: Sequence[str | None] = [*before, *(version for version in now if version not in before)]
        rates += [Rate(name, version, now.get(version), before.get(version)) for version in versions]
    return rates


def _assistants(session: Session, team: str) -> list[tuple[int, str]]:
    rows = found(
        session,
        select(_ASSISTANTS.c.id, _ASSISTANTS.c.name).where(_ASSISTANTS.c.team_id == team).order_by(_ASSISTANTS.c.id),
    )
    return [(row.id, row.name) for row in rows]


def _flagged(session: Session, week: Week, team: str) -> int:
    counted = select(func.count(_FLAGS.c.source.distinct())).where(
        _FLAGS.c.standing,
        _FLAGS.c.touched_at >= week.begins,
        _FLAGS.c.touched_at < week.ends,
        _of(team, _FLAGS.c.source),
    )
    return int(session.connection().execute(counted).scalar_one())


def _put_forward(session: Session, week: Week, team: str) -> Counter[str]:
    counted = (
        select(_CANDIDATES.c.kind, func.count().label("number"))
        .where(_CANDIDATES.c.flagged_at >= week.begins, _CANDIDATES.c.flagged_at < week.ends)
        .where(_of(team, _CANDIDATES.c.source))
        .group_by(_CANDIDATES.c.kind)
    )
    return Counter({row.kind: row.number for row in found(session, counted)})


def _decided(session: Session, week: Week, team: str) -> Counter[str]:
    counted = (
        select(_REVIEWS.c.verdict, func.count().label("number"))
        .join(_CANDIDATES, _CANDIDATES.c.id == _REVIEWS.c.candidate_id)
        .where(_of(team, _CANDIDATES.c.source))
        .where(_REVIEWS.c.verdict.in_([verdict.value for verdict in Verdict]), _REVIEWS.c.undone_at.is_(None))
        .where(_REVIEWS.c.decided_at >= week.begins, _REVIEWS.c.decided_at < week.ends)
        .group_by(_REVIEWS.c.verdict)
    )
    return Counter({row.verdict: row.number for row in found(session, counted)})


def _returned(session: Session, team: str) -> tuple[tuple[str, int], ...]:
    counted = (
        select(_CANDIDATES.c.flagged_by, func.count().label("number"))
        .where(_CANDIDATES.c.status == CandidateStatus.RETURNED.value, _of(team, _CANDIDATES.c.source))
        .group_by(_CANDIDATES.c.flagged_by)
        .order_by(func.count().desc(), _CANDIDATES.c.flagged_by)
    )
    return tuple((name_of(session, row.flagged_by), row.number) for row in found(session, counted))


def _of(team: str, source: Any) -> ColumnElement[bool]:
    """Whether something is of this workspace, or of none: what was imported belongs to everybody."""
    return or_(source.startswith(f"{team}/", autoescape=True), ~source.startswith("T"))
