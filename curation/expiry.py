"""Examples that stop being true: until when they hold, and how they come back for another review.

Owns expiry dates, which are written beside the examples (an example itself never changes), and the
candidate as which an expired example returns: prefilled with the reply as it was approved, and written
by whoever wrote that, so that the two-person rule holds again. Refuses to judge what is still true.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert
from sqlmodel import Session, col, select

from curation import audit, rolling
from curation.candidates import RENEWAL, CandidateStatus
from curation.conversation import Conversation
from curation.errors import Conflict, Invalid, NotFound
from curation.people import WORKER, Actor, require
from curation.policies import Permission
from curation.store.tables import Candidate, Correction, Example, Expiry

ReviewPlace = Callable[[str], str | None]
"""Gives the place in which a workspace's corrections are reviewed; None for the channels of the replies."""


@dataclass(frozen=True, slots=True)
class Returned:
    """An expired example that waits for review again, as which candidate."""

    example: int
    candidate: int


def expire(
    session: Session,
    actor: Actor,
    now: datetime,
    *,
    reason: str,
    after: datetime | None,
    example_ids: Sequence[int] = (),
    topic: str | None = None,
) -> list[int]:
    """Say until when examples hold: those of these ids, or every one of a topic that is there now.

    Args:
        after: from then on the examples are left out of new datasets; None takes an earlier date back.

    Returns:
        The examples' ids.

    Raises:
        NotAllowed: the actor may not review.
        Invalid: no reason, or both ids and a topic, or neither.
        NotFound: no example of that id or topic.
    """
    require(session, actor, Permission.REVIEW)
    if not reason.strip():
        raise Invalid("Say why, so that whoever reviews again knows: give --reason TEXT.")
    if bool(example_ids) == (topic is not None):
        raise Invalid("Say which examples: either their ids or --topic TOPIC.")
    if topic is not None:
        chosen = list(session.exec(select(Example.id).where(Example.topic == topic).order_by(col(Example.id))))
        if not chosen:
            raise NotFound("No example has the topic {topic}; list them with: errata examples list", topic=topic)
    else:
        chosen = list(session.exec(select(Example.id).where(col(Example.id).in_(example_ids))))
        if missing := sorted(set(example_ids) - set(chosen)):
            raise NotFound("There is no example {example}; list them with: errata examples list", example=missing[0])
        chosen = list(dict.fromkeys(example_ids))
    common = {"expires_at": after, "reason": reason.strip(), "set_by": actor.person_id, "set_at": now}
    session.execute(insert(Expiry), [{"example_id": key, **common} for key in chosen])
    until = {"after": after.isoformat()} if after is not None else {}
    for key in chosen:
        audit.record(session, actor, now, "example.expires", subject=f"example:{key}", details=until)
    return [key for key in chosen if key is not None]


def newest(session: Session) -> dict[int, Expiry]:
    """What was last said about each example that anything was said about."""
    return {expiry.example_id: expiry for expiry in session.exec(select(Expiry).order_by(col(Expiry.id)))}


def expired(expiries: Mapping[int, Expiry], now: datetime) -> set[int]:
    """The examples that hold no longer."""
    return {key for key, expiry in expiries.items() if expiry.expires_at is not None and expiry.expires_at <= now}


def renew(
    session: Session,
    actor: Actor,
    now: datetime,
    *,
    example_ids: Iterable[int] = (),
    review_place: ReviewPlace = lambda _team: None,
) -> list[Returned]:
    """Put expired examples back into the queue, once each: those of these ids, or all of them.

    An approval makes a new example, which belongs to the same thread and so stays on the same side.

    Args:
        review_place: gives where they are reviewed in a workspace; None for the channels of the replies.

    Raises:
        NotAllowed: the actor may not review.
        NotFound, Conflict: no such example; it has not expired, or waits for review already.
    """
    require(session, actor, Permission.REVIEW)
    expiries = newest(session)
    due = expired(expiries, now)
    wanted = list(dict.fromkeys(example_ids))
    for key in wanted:
        _require_due(session, key, due, expiries)
    return _return(session, actor, now, [expiries[key] for key in wanted or sorted(due)], review_place)


def return_due(session: Session, now: datetime, *, review_place: ReviewPlace = lambda _team: None) -> list[Returned]:
    """The same on the worker's behalf, for everything that has expired: nobody has to remember it."""
    expiries = newest(session)
    return _return(session, WORKER, now, [expiries[key] for key in sorted(expired(expiries, now))], review_place)


def renewals(session: Session) -> dict[int, int]:
    """Of each candidate that is an example back for review, that example."""
    back = select(Expiry.candidate_id, Expiry.example_id).where(col(Expiry.candidate_id).is_not(None))
    return {candidate: example for candidate, example in session.exec(back) if candidate is not None}


def first_source(source: str) -> str:
    """The source of the reply itself: ``T1/C1/1700000000.000100#renewal-3`` → ``T1/C1/1700000000.000100``."""
    return source.partition(RENEWAL)[0]


def _require_due(session: Session, key: int, due: set[int], expiries: Mapping[int, Expiry]) -> None:
    if session.get(Example, key) is None:
        raise NotFound("There is no example {key}; list them with: errata examples list", key=key)
    if key not in due:
        raise Conflict(
            "Example {key} has not expired; give it a date with: errata examples expire {key} --after DATE", key=key
        )
    if (candidate := expiries[key].candidate_id) is not None:
        raise Conflict(
            "Example {key} came back for review already, as candidate {candidate}.", key=key, candidate=candidate
        )


def _return(
    session: Session, actor: Actor, now: datetime, expiries: Iterable[Expiry], review_place: ReviewPlace
) -> list[Returned]:
    returned = []
    for expiry in expiries:
        example = session.get_one(Example, expiry.example_id)
        if expiry.candidate_id is not None or example.erased_at is not None:
            continue
        candidate = _candidate(session, now, example, expiry, _place(example, review_place))
        expiry.candidate_id = candidate.key
        back = {"as": f"candidate:{candidate.key}"}
        audit.record(session, actor, now, "example.renewed", subject=f"example:{example.key}", details=back)
        rolling.owe_queue(session, now, candidate.place, new=candidate.key)
        returned.append(Returned(example.key, candidate.key))
    return returned


def _candidate(session: Session, now: datetime, example: Example, expiry: Expiry, place: str | None) -> Candidate:
    conversation = Conversation.from_json(example.messages, example.toolbox)
    reply = conversation.messages[-1].content
    candidate = Candidate(
        kind=example.kind,
        status=CandidateStatus.PENDING.value,
        source=f"{first_source(example.source)}{RENEWAL}{expiry.key}",
        thread=example.thread,
        assistant_id=example.assistant_id,
        turns=conversation.as_json()[:-1],
        reply=example.rejected if example.rejected is not None else reply,
        topic=example.topic,
        language=example.language,
        customer=example.customer,
        context=example.context,
        toolbox=example.toolbox,
        note=f"Re-review of example {example.key}, which has expired: {expiry.reason}",
        flagged_by=expiry.set_by,
        flagged_at=now,
        place=place,
    )
    session.add(candidate)
    session.flush()
    written = {"candidate_id": candidate.key, "text": reply, "written_at": now}
    session.execute(
        insert(Correction), [{**written, "author": author} for author in example.authors or [example.approved_by]]
    )
    return candidate


def _place(example: Example, review_place: ReviewPlace) -> str | None:
    """Where it is reviewed again; nowhere but in a terminal for a row of a file, which belongs to no channel."""
    if example.assistant_id is None:
        return None
    place = first_source(example.source).rsplit("/", 1)[0]
    return review_place(place.rpartition("/")[0]) or place
