"""Proposals: a reply is put forward, with a correction or as an endorsement, and is a candidate from then on.

Owns who may put a reply forward, that a reply has one candidate at a time, and amending. How a thread becomes a
capture is ``curation.captures``'s; where a candidate may go is ``curation.candidates``'s.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam
from sqlalchemy import select as select_columns
from sqlmodel import Session

from curation import (
    assistants,
    audit,
    candidates,
    captures,
    corrections,
    feedback,
    rolling,
    samples,
    thread_posts,
    urgency,
)
from curation.candidates import CandidateKind, CandidateStatus, Reason, Step
from curation.conversation import Conversation, Message, Role
from curation.errors import Conflict, Invalid, NotFound
from curation.formats.unseen import is_blank
from curation.language import detect
from curation.people import Actor, name_of, require, require_at_home
from curation.policies import Permission
from curation.store.rows import Prepared, insert_row, table_of
from curation.store.tables import Candidate, Capture
from curation.wording import called

if TYPE_CHECKING:  # its scan of telephone numbers takes a twentieth of a second to load
    from curation.checking.inspection import Inspection

ITS_CHANNEL = "the channel of the reply"
"""Where it is reviewed: wherever the reply stands."""

_PUT_FORWARD = {
    CandidateKind.CORRECTION: "candidate.proposed",
    CandidateKind.ENDORSEMENT: "candidate.endorsed",
}

_CANDIDATES = table_of(Candidate)
_OF_CAPTURE = Prepared(select_columns(_CANDIDATES.c.id).where(_CANDIDATES.c.capture_id == bindparam("capture")))
_ON_REPLY = Prepared(
    select_columns(*(_CANDIDATES.c[name] for name in ("id", "kind", "status", "flagged_by"))).where(
        _CANDIDATES.c.source == bindparam("reply")
    )
)


def capture(
    session: Session,
    actor: Actor,
    now: datetime,
    *,
    team_id: str,
    spoken_by: AbstractSet[str],
    source: str,
    thread: str,
    reply: str,
) -> Capture:
    """Keep the reply that somebody points at, if a candidate may be made of it, before its thread has been read.

    Args:
        spoken_by: the user and bot ids that the message was written under.

    Raises:
        NotFound, Conflict, NotAllowed: no assistant speaks under these ids; a candidate stands on the reply;
            the actor may not flag.
    """
    assistant = assistants.speaking_as(session, team_id, spoken_by)
    if assistant is None:
        raise NotFound(
            "This message is not by an assistant that Errata watches. An owner adds one with: errata assistants add "
            "NAME --bot {user_id}",
            user_id=max(spoken_by, default="USER_ID"),  # U…, not B…, of Slack's two ids
        )
    refuse_second(session, source)
    return captures.keep(session, actor, now, assistant_id=assistant.key, source=source, thread=thread, reply=reply)


def propose(
    session: Session,
    actor: Actor,
    now: datetime,
    *,
    capture_id: int,
    correction: str,
    reason: Reason | None = None,
    topic: str | None = None,
    note: str | None = None,
    question: str | None = None,
    review_in: str | None,
    inspection: Inspection | None = None,
    meant: str | None = None,
    in_thread: bool = False,
) -> int:
    """Store a correction beside the original and owe a review card; the id of the candidate, one of each capture.

    Args:
        question: what the customer asked, where the thread could not be read.
        review_in: the destination of the review card, or ``ITS_CHANNEL``; None where nobody reviews in a channel.
        inspection: looks at the correction first, and has then found what its author should be told.
        meant: where the wrong reply stands, if it is another one of the thread than the one that was pressed.
        in_thread: say the correction in the thread as well, now and under the author's name.

    Raises:
        NotAllowed, NotFound, Invalid, Conflict: may not flag; no such capture; the correction is
            empty or the question unknown; somebody else's candidate stands on the reply.
        OverWindow: with the correction the conversation surely does not fit the model that will be tuned.
    """
    if is_blank(correction):
        raise Invalid("The correction is empty: write the reply that the assistant should have given.")
    said: dict[str, Any] = {
        "reason": reason.value if reason is not None else None,
        "topic": topic or None,
        "note": note or None,
    }
    return _put_forward(
        session,
        actor,
        now,
        capture_id,
        CandidateKind.CORRECTION,
        correction,
        question,
        review_in,
        inspection,
        said,
        meant=meant,
        in_thread=in_thread,
    )


def endorse(
    session: Session,
    actor: Actor,
    now: datetime,
    *,
    capture_id: int,
    topic: str | None = None,
    question: str | None = None,
    review_in: str | None,
    inspection: Inspection | None = None,
) -> int:
    """Put a good reply forward, unchanged; a second person approves it like a correction. The candidate's id.

    Raises:
        As ``propose``.
    """
    said = {"topic": topic or None}
    return _put_forward(
        session, actor, now, capture_id, CandidateKind.ENDORSEMENT, None, question, review_in, inspection, said
    )


def amend(
    session: Session,
    actor: Actor,
    now: datetime,
    *,
    candidate_id: int,
    correction: str,
    seen: int | None = None,
    inspection: Inspection | None = None,
) -> None:
    """Write a new version of the correction; whoever does becomes one of its authors.

    Args:
        seen: the id of the version that was reworked, where known.

    Raises:
        NotAllowed, NotFound, Invalid: may not flag, or not there; no such candidate; empty.
        Conflict: decided already, or somebody else has changed the correction since it was seen.
        OverWindow: as ``propose``.
    """
    require(session, actor, Permission.FLAG)
    if is_blank(correction):
        raise Invalid("The correction is empty: write the reply that the assistant should have given.")
    candidate = candidates.standing(session, candidate_id)
    require_at_home(session, actor, candidate.source)
    newest = corrections.versions(session, candidate_id)[-1]
    if CandidateStatus(candidate.status) is CandidateStatus.PENDING and correction.strip() == newest.text:
        return  # pressed twice: the text already stands
    if seen is not None and newest.id != seen:
        raise Conflict(
            "{person} changed the correction in between; read the new one first.",
            person=name_of(session, newest.author),
        )
    corrections.inspect(session, inspection, candidate, correction)
    candidates.take(session, candidate, Step.AMEND)
    corrections.write(session, now, candidate_id, text=correction, author=actor.person_id)
    audit.record(session, actor, now, "candidate.amended", subject=f"candidate:{candidate_id}")
    back = candidate.status == CandidateStatus.RETURNED.value
    rolling.owe_queue(session, now, candidate.place, new=candidate_id if back else None)
    feedback.changed(session, now, candidate_id)
    thread_posts.changed(session, now, candidate_id)


def refuse_second(session: Session, source: str) -> None:
    """Raise Conflict, naming who and where, if a candidate that is open or approved stands on this reply."""
    for candidate in _ON_REPLY.rows(session, reply=source):
        if candidate.status == CandidateStatus.REJECTED.value:
            continue
        raise Conflict(
            "Already endorsed by {person}, {status}: it is candidate {candidate} in the queue."
            if candidate.kind == CandidateKind.ENDORSEMENT.value
            else "Already corrected by {person}, {status}: it is candidate {candidate} in the queue.",
            person=name_of(session, candidate.flagged_by),
            status=called(CandidateStatus(candidate.status)),
            candidate=candidate.id,
        )


def _put_forward(
    session: Session,
    actor: Actor,
    now: datetime,
    capture_id: int,
    kind: CandidateKind,
    correction: str | None,
    question: str | None,
    review_in: str | None,
    inspection: Inspection | None,
    said: dict[str, Any],
    *,
    meant: str | None = None,
    in_thread: bool = False,
) -> int:
    """Make the capture's candidate, unless there is one; without a correction the reply stands as it is."""
    require(session, actor, Permission.FLAG)
    kept = captures.find(session, capture_id)
    if kept.captured_by != actor.person_id:
        raise Conflict("Somebody else opened this form; press the shortcut on the reply yourself.")
    if (made := _OF_CAPTURE.first(session, capture=capture_id)) is not None:
        return int(made.id)
    kept = captures.of_reply(session, kept, meant or kept.source)
    refuse_second(session, kept.source)
    turns = kept.turns or (_asked(question) if question and question.strip() else None)
    if turns is None:
        raise Invalid(
            "Errata is still reading the thread: save again in a moment."
            if kept.trouble is None
            else "The thread could not be read: write what the customer asked."
        )
    language = detect(Conversation.from_json(turns).first_user_text())
    proposed = kept.reply if correction is None else correction
    if inspection is not None:
        asked = corrections.asked(session, turns, assistant_id=kept.assistant_id, source=kept.source)
        inspection.look(asked, proposed.strip(), language, written=correction is not None)
    place = kept.place if review_in == ITS_CHANNEL else review_in
    candidate_id = insert_row(
        session,
        Candidate,
        kind=kind.value,
        status=CandidateStatus.PENDING.value,
        source=kept.source,
        thread=kept.thread,
        capture_id=capture_id,
        assistant_id=kept.assistant_id,
        turns=turns,
        context=kept.context,
        reply=kept.reply,
        language=language,
        flagged_by=actor.person_id,
        flagged_at=now,
        place=place,
        urgency=int(urgency.of(said.get("reason"))),
        version=1,  # as the mapper begins
        **said,
    )
    corrections.write(session, now, candidate_id, text=proposed, author=actor.person_id)
    audit.record(session, actor, now, _PUT_FORWARD[kind], subject=f"candidate:{candidate_id}")
    samples.answered(session, now, kept.source)
    rolling.owe_queue(session, now, place, new=candidate_id)
    if in_thread:
        thread_posts.owe(session, now, candidate_id, thread=kept.thread)
    return candidate_id


def _asked(question: str) -> list[dict[str, object]]:
    return Conversation((Message(Role.USER, question.strip()),)).as_json()
