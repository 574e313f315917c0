"""Replies of watched assistants, counted from the first day: how many, under which model, how many flagged.

Owns one row a reply and one a person's flag on it, and the figures made of them. Refuses words: a row says
where a reply stands, not what it says. Chat providers bring events at least once and in no order, so every
change here may come twice, late, or before what it is about; what stands in the end is the same.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import bindparam, case, exists, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session

from curation import audit
from curation.assistants import Speaker
from curation.candidates import CandidateKind, CandidateStatus
from curation.people import Actor, require, roles
from curation.policies import Permission, may
from curation.store.columns import UtcDateTime
from curation.store.rows import Prepared, table_of
from curation.store.tables import Assistant, Candidate, Reply, ReplyFlag, SpeakerRule

_REPLIES, _FLAGS, _CANDIDATES = table_of(Reply), table_of(ReplyFlag), table_of(Candidate)
_RULES, _ASSISTANTS = table_of(SpeakerRule), table_of(Assistant)

_SPEAKING_AS = Prepared(
    select(_RULES.c.assistant_id)
    .join(_ASSISTANTS, _ASSISTANTS.c.id == _RULES.c.assistant_id)
    .where(_ASSISTANTS.c.team_id == bindparam("team"), _RULES.c.speaker == Speaker.ASSISTANT.value)
    .where(or_(_RULES.c.identity == bindparam("user"), _RULES.c.identity == bindparam("bot")))
)

# PostgreSQL's words for a conflict are SQLite's as well.
_REPLY, _TOUCHED = insert(_REPLIES), insert(_FLAGS)
_COUNT = Prepared(_REPLY.on_conflict_do_nothing(index_elements=[_REPLIES.c.source]))
_WITHDRAW = Prepared(
    _REPLY.on_conflict_do_update(
        index_elements=[_REPLIES.c.source], set_={"withdrawn": _REPLY.excluded.withdrawn}, where=~_REPLIES.c.withdrawn
    )
)
_TOUCH = Prepared(
    _TOUCHED.on_conflict_do_update(
        index_elements=[_FLAGS.c.source, _FLAGS.c.person_id],
        set_={"standing": _TOUCHED.excluded.standing, "touched_at": _TOUCHED.excluded.touched_at},
        where=_FLAGS.c.touched_at < _TOUCHED.excluded.touched_at,
    )
)
_TAKE_DOWN = Prepared(
    update(_FLAGS)
    .where(_FLAGS.c.source == bindparam("on"), _FLAGS.c.person_id == bindparam("of"))
    .where(_FLAGS.c.touched_at < bindparam("at", type_=UtcDateTime))
    .values(standing=False, touched_at=bindparam("at", type_=UtcDateTime))
)

_FIRST_HOUR, _LAST_HOUR = datetime(2000, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
_FLAGGED = exists().where(_FLAGS.c.source == _REPLIES.c.source, _FLAGS.c.standing)
_CORRECTED = exists().where(
    _CANDIDATES.c.source == _REPLIES.c.source,
    _CANDIDATES.c.kind == CandidateKind.CORRECTION.value,
    _CANDIDATES.c.status != CandidateStatus.REJECTED.value,
)
_PER_VERSION = Prepared(
    select(
        _REPLIES.c.model_version,
        func.count().label("replies"),
        func.sum(case((or_(_FLAGGED, _CORRECTED), 1), else_=0)).label("flagged"),
        func.sum(case((_CORRECTED, 1), else_=0)).label("corrected"),
        func.min(_REPLIES.c.hour).label("first_hour"),
        func.max(_REPLIES.c.hour).label("last_hour"),
    )
    # A reply that was taken away before anybody minded was never read: many assistants post "one moment" so.
    .where(_REPLIES.c.assistant_id == bindparam("assistant"), or_(~_REPLIES.c.withdrawn, _FLAGGED, _CORRECTED))
    .where(
        _REPLIES.c.hour >= bindparam("since", type_=UtcDateTime),
        _REPLIES.c.hour < bindparam("until", type_=UtcDateTime),
    )
    .group_by(_REPLIES.c.model_version)
    .order_by(func.min(_REPLIES.c.hour), _REPLIES.c.model_version)
)

_ANSWERED = Prepared(
    select(_REPLIES.c.source)
    .where(_REPLIES.c.model_version == bindparam("version"), _REPLIES.c.hour >= bindparam("since", type_=UtcDateTime))
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class VersionFigures:
    """What one model version of an assistant was counted for.

    Attributes:
        model_version: a run's id, or what another endpoint calls its model; None for whatever was in production
            without Errata.
        replies: at least 1; those deleted unflagged are not among them.
        flagged: those that carry somebody's flag or a correction that was not rejected, 0 to ``replies``.
        corrected: of these, those with such a correction.
        flag_rate: ``flagged / replies``, 0 to 1.
        first_hour: the hour in which the first of them was said, ISO 8601 in UTC.
        last_hour: the same of the last.
    """

    model_version: str | None
    replies: int
    flagged: int
    corrected: int
    flag_rate: float
    first_hour: str
    last_hour: str

    def as_json(self) -> dict[str, Any]:
        """Every attribute, as ``--json`` prints it."""
        return asdict(self)


def speaker_of(session: Session, team_id: str, *, user: str | None, bot: str | None) -> int | None:
    """The id of the watched assistant that posts under either id: asked for every message of a channel."""
    row = _SPEAKING_AS.first(session, team=team_id, user=user, bot=bot)
    return None if row is None else int(row.assistant_id)


def count(session: Session, *, assistant_id: int, source: str, said_at: datetime, model_version: str | None) -> bool:
    """Count a reply under the model version that was live when it was said; whether it was not counted yet."""
    return _COUNT.change(session, **_reply(assistant_id, source, said_at, model_version, withdrawn=False)) > 0


def withdraw(session: Session, *, assistant_id: int, source: str, said_at: datetime, model_version: str | None) -> bool:
    """Note that a reply was deleted, counted or not: what arrives after this does not bring it back."""
    return _WITHDRAW.change(session, **_reply(assistant_id, source, said_at, model_version, withdrawn=True)) > 0


def flag(session: Session, actor: Actor, now: datetime, *, source: str, at: datetime) -> bool:
    """Let the actor's flag stand on a reply, counted or not yet; whether that changed anything.

    Args:
        at: when they set it; an older flag than what they did last changes nothing.

    Raises:
        NotAllowed: the actor may not flag.
    """
    require(session, actor, Permission.FLAG)
    changed = _TOUCH.change(session, source=source, person_id=actor.person_id, standing=True, touched_at=at) > 0
    if changed:
        audit.record(session, actor, now, "reply.flagged", subject=f"reply:{source}")
    return changed


def take_back(session: Session, actor: Actor, now: datetime, *, source: str, at: datetime) -> bool:
    """Take the actor's own flag from a reply; whether that changed anything.

    Somebody who may no longer flag may still take back. Of somebody who may, it is remembered even before
    the flag itself is heard of.
    """
    person = actor.person_id
    if may(roles(session, person), Permission.FLAG):
        changed = _TOUCH.change(session, source=source, person_id=person, standing=False, touched_at=at) > 0
    else:
        changed = _TAKE_DOWN.change(session, on=source, of=person, at=at) > 0
    if changed:
        audit.record(session, actor, now, "reply.flag_taken_back", subject=f"reply:{source}")
    return changed


def per_version(
    session: Session, assistant_id: int, *, since: datetime = _FIRST_HOUR, until: datetime = _LAST_HOUR
) -> list[VersionFigures]:
    """An assistant's figures by model version, in the order in which the versions first spoke.

    Args:
        since: of replies said from this hour on.
        until: and before this one.
    """
    return [
        VersionFigures(
            model_version=row.model_version,
            replies=row.replies,
            flagged=int(row.flagged),
            corrected=int(row.corrected),
            flag_rate=int(row.flagged) / row.replies,
            first_hour=row.first_hour.isoformat(),
            last_hour=row.last_hour.isoformat(),
        )
        for row in _PER_VERSION.rows(session, assistant=assistant_id, since=since, until=until)
    ]


def _reply(
    assistant_id: int, source: str, said_at: datetime, model_version: str | None, *, withdrawn: bool
) -> dict[str, Any]:
    row = {"source": source, "assistant_id": assistant_id, "model_version": model_version, "withdrawn": withdrawn}
    return {**row, "hour": said_at.replace(minute=0, second=0, microsecond=0)}


def answered(session: Session, model_version: str, *, since: datetime) -> bool:
    """Whether a model version has said anything that was counted, from this hour on."""
    return _ANSWERED.first(session, version=model_version, since=since) is not None
