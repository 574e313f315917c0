"""What is shown to a reviewer after each press: this candidate, the next one, or that nothing is left.

Owns the way from a use case's outcome to the modal's next view, inside of one unit of work: what is shown is claimed
in the commit that decided the one before. Talks to nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlmodel import Session

from bot.blocks import review as blocks
from bot.blocks.candidate import SHOWN_BESIDE
from bot.blocks.elements import Block
from bot.blocks.review import Shown, Told
from bot.desk import Desk
from bot.listeners.rounds import Round
from bot.speech import Say
from curation import alike, claims, queue, reviews, summaries, verdicts
from curation.checking.inspection import Inspection
from curation.errors import Conflict, NotFound
from curation.people import Actor
from curation.reviews import Verdict


def following(desk: Desk, session: Session, actor: Actor, say: Say, going_on: Round, told: Told | None = None) -> Block:
    """The next candidate, claimed, or what is said where none is left.

    Raises:
        NotAllowed: the actor may not review.
    """
    now = desk.clock()
    key = claims.take_next(session, actor, now, place=going_on.place, passed=going_on.passed)
    if key is not None:
        return _view(desk, session, actor, say, going_on.showing(key, None), told)
    return blocks.over_view(
        say,
        queue.tally(session, actor, now, place=going_on.place),
        given=going_on.given,
        passed=len(going_on.passed),
        metadata=going_on.showing(None, None).packed(),
        told=told,
    )


def shown(desk: Desk, session: Session, actor: Actor, say: Say, going_on: Round, told: Told | None = None) -> Block:
    """The round's candidate as it stands now, in the form of the round's verdict; the next one where it is taken.

    Raises:
        NotAllowed: the actor may not review.
    """
    if going_on.candidate is None:
        return following(desk, session, actor, say, going_on, told)
    try:
        claims.hold(session, actor, desk.clock(), going_on.candidate)
    except (Conflict, NotFound) as error:
        return following(desk, session, actor, say, going_on, told or Told(say(error.sentence), trouble=True))
    return _view(desk, session, actor, say, going_on, told)


def decided(
    desk: Desk,
    session: Session,
    actor: Actor,
    say: Say,
    going_on: Round,
    *,
    candidate_id: int,
    verdict: Verdict,
    together: Mapping[int, int],
    inspection: Inspection | None = None,
    **words: Any,
) -> Block:
    """Give the verdict; the next view, which begins with what was done.

    Args:
        together: near-duplicates that are decided with it, with the versions of their corrections that were shown.
        words: as ``reviews.decide`` takes them.

    Raises:
        As ``reviews.decide``.
    """
    done = reviews.decide(
        session,
        actor,
        desk.clock(),
        candidate_id=candidate_id,
        verdict=verdict,
        together=tuple(together),
        seen_together=together,
        inspection=inspection,
        approvals=desk.approvals,
        **words,
    )
    found = inspection.findings if inspection is not None else ()
    told = Told(blocks.done_line(say, done), undo=done.review_id, found=tuple(found), left_out=done.left_out)
    return following(desk, session, actor, say, going_on.after(verdict, done.review_id, len(done.decided)), told)


def undone(desk: Desk, session: Session, actor: Actor, say: Say, going_on: Round, *, review_id: int) -> Block:
    """Take a decision back and show its candidate again.

    Raises:
        As ``reviews.undo``.
    """
    back = reviews.undo(session, actor, desk.clock(), review_id=review_id)
    given = verdicts.find(session, review_id)
    if given is not None and going_on.review == review_id:
        going_on = going_on.without(Verdict(given.verdict), len(back))
    told = Told(blocks.undone_line(say, back))
    return shown(desk, session, actor, say, going_on.showing(back[0], None), told)


def _view(desk: Desk, session: Session, actor: Actor, say: Say, going_on: Round, told: Told | None) -> Block:
    assert going_on.candidate is not None  # noqa: S101 (whoever calls has claimed it)
    summary = summaries.find(session, going_on.candidate)
    verdict = going_on.verdict
    if going_on.seen is not None and going_on.seen != summary.seen:
        verdict = None
        told = told or Told(say("The correction changed in between; read the new one first."), trouble=True)
    going_on = going_on.showing(summary.id, summary.seen, verdict)
    near = alike.beside(session, summary.id)[:SHOWN_BESIDE]
    view = Shown(
        summary,
        queue.tally(session, actor, desk.clock(), place=going_on.place),
        going_on.position,
        going_on.packed(),
        [summaries.find(session, key) for key in near],
    )
    return blocks.verdict_view(say, view, verdict) if verdict is not None else blocks.review_view(say, view, told)
