"""Review: one modal in which each decision loads the next candidate.

Owns what each press in it does. A submission is answered with the next view in the ack itself; a button's press
changes the open view by one quick call before the ack, with its hash, so that of two presses one counts.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from slack_bolt import Ack, App, BoltContext
from slack_sdk import WebClient
from sqlmodel import Session

from bot.blocks import queue as queue_blocks
from bot.blocks import review as blocks
from bot.blocks.candidate import BESIDE
from bot.blocks.elements import Block
from bot.blocks.review import Told
from bot.desk import Desk
from bot.listeners import deciding, entries, reworking, rounds
from bot.listeners.answers import expect_update, open_view, send_answer, show_next, spoken, update
from bot.listeners.rounds import Round
from bot.speech import Say
from curation import claims
from curation.errors import ErrataError, NotAllowed, Unavailable
from curation.people import Actor
from curation.reviews import Verdict

log = logging.getLogger("errata.review")

SHORTCUT = "review_corrections"

FORMS = {
    blocks.EDIT: Verdict.EDIT_AND_APPROVE,
    blocks.RETURN: Verdict.RETURN,
    blocks.REJECT: Verdict.REJECT,
}

Press = Callable[[Session, Actor, Say], Block]
"""What a press does in its unit of work; the view that follows."""


def register(app: App, desk: Desk) -> None:
    """Listen to what opens the modal and to everything in it."""
    app.action(queue_blocks.OPEN)(ack=partial(_open, desk), lazy=[send_answer])
    app.shortcut(SHORTCUT)(ack=partial(_open, desk), lazy=[send_answer])
    app.action(blocks.APPROVE_ON_CARD)(ack=partial(_open_card, desk), lazy=[send_answer])
    for action_id, verdict in FORMS.items():
        app.action(action_id)(ack=partial(_ask, desk, verdict), lazy=[send_answer])
    for action_id, press in ((blocks.BACK, _back), (blocks.SKIP, _skip), (blocks.UNDO, _undo), (blocks.AGAIN, _again)):
        app.action(action_id)(partial(press, desk))
    app.view(blocks.REVIEW)(partial(_approve, desk))
    app.view(blocks.VERDICT)(partial(_decide, desk))
    for callback_id in (blocks.REVIEW, blocks.VERDICT, blocks.OVER):
        app.view_closed(callback_id)(partial(_closed, desk))
    reworking.register(app, desk)


def open_review(
    desk: Desk, session: Session, body: dict[str, Any], *, place: str | None = None, candidate_id: int | None = None
) -> Block:
    """The modal's first view, for whoever sent this payload; what it shows is claimed for them.

    Args:
        session: a unit of work.
        place: the destination key of the channel whose queue it is; None: every queue.
        candidate_id: what to begin with, if it still waits.

    Raises:
        NotAllowed: this person may not review.
    """
    actor, say = desk.meet(session, body), desk.say(session, body)
    if candidate_id is None:
        return deciding.following(desk, session, actor, say, Round(place))
    return deciding.shown(desk, session, actor, say, Round(place, candidate_id))


def _open(
    desk: Desk, ack: Ack, body: dict[str, Any], payload: dict[str, Any], client: WebClient, context: BoltContext
) -> None:
    place, say = payload.get("value"), spoken(desk, body)
    try:
        with desk.store.write() as session:
            view = open_review(desk, session, body, place=place if isinstance(place, str) and place else None)
    except ErrataError as error:
        view = blocks.stopped_view(say, error.sentence)
    open_view(context, client, body["trigger_id"], view, say)
    ack()


def _open_card(
    desk: Desk, ack: Ack, body: dict[str, Any], action: dict[str, Any], client: WebClient, context: BoltContext
) -> None:
    """A button on a card of an earlier Errata: the modal opens on its candidate, where nothing is decided unseen."""
    say = spoken(desk, body)
    try:
        candidate_id, _ = entries.named(action)
        with desk.store.write() as session:
            view = open_review(desk, session, body, candidate_id=candidate_id)
    except ErrataError as error:
        view = blocks.stopped_view(say, error.sentence)
    open_view(context, client, body["trigger_id"], view, say)
    ack()


def _approve(desk: Desk, ack: Ack, body: dict[str, Any], view: dict[str, Any]) -> None:
    try:
        following = _decided(desk, body, view, Verdict.APPROVE)
    except Unavailable as error:
        again = entries.labels_in(view)
        following = blocks.retry_view(spoken(desk, body), error.sentence, view["private_metadata"], again)
    except ErrataError as error:
        following = _in_spite(desk, body, view, spoken(desk, body), error, passes=True)
    update(ack, following)


def _decide(desk: Desk, ack: Ack, body: dict[str, Any], view: dict[str, Any]) -> None:
    """A form's submission; what stands against it is shown in the form, with everything typed kept."""
    field = _field(view)
    if field is None:
        update(ack, blocks.stopped_view(spoken(desk, body), entries.from_another_version().sentence))
        return
    try:
        words = {"edited" if field == blocks.EDITED else "comment": entries.joined(view, field)}
        following = _decided(desk, body, view, None, inspection=desk.inspection(), **words)
    except ErrataError as error:
        ack(response_action="errors", errors={field: spoken(desk, body)(error.sentence)})
        return
    update(ack, following)


def _field(view: dict[str, Any]) -> str | None:
    """The field of a verdict's form, whose parts share its name; None where Errata made no such form."""
    stems = (block_id.partition(":")[0] for block_id in view["state"]["values"])
    return next((stem for stem in stems if stem in {blocks.EDITED, blocks.COMMENT}), None)


def _decided(desk: Desk, body: dict[str, Any], view: dict[str, Any], verdict: Verdict | None, **words: Any) -> Block:
    """Give the verdict, or without one that of the form; the view that follows, committed as the answer."""
    going_on, candidate_id, seen = rounds.shown(view)
    verdict = verdict or going_on.verdict
    if verdict is None:
        raise entries.from_another_version()
    together = rounds.chosen(view, BESIDE)
    with desk.store.write() as session:
        following = deciding.decided(
            desk,
            session,
            desk.meet(session, body),
            desk.say(session, body),
            going_on,
            candidate_id=candidate_id,
            seen=seen,
            verdict=verdict,
            together=together,
            labels=entries.labels(view),
            **words,
        )
        expect_update(following)
    return following


def _ask(
    desk: Desk,
    verdict: Verdict,
    ack: Ack,
    body: dict[str, Any],
    action: dict[str, Any],
    client: WebClient,
    context: BoltContext,
) -> None:
    """Show the form of a verdict, unless the candidate was decided or changed since it was shown."""
    if "view" not in body:
        _open_card(desk, ack, body, action, client, context)
        return

    def press(session: Session, actor: Actor, say: Say) -> Block:
        going_on, candidate_id, seen = rounds.shown(body["view"])
        form = going_on.showing(candidate_id, seen, verdict)
        return deciding.shown(desk, session, actor, say, form)

    _pressed(desk, ack, body, client, press)


def _back(desk: Desk, ack: Ack, body: dict[str, Any], client: WebClient) -> None:
    def press(session: Session, actor: Actor, say: Say) -> Block:
        going_on, candidate_id, seen = rounds.shown(body["view"])
        return deciding.shown(desk, session, actor, say, going_on.showing(candidate_id, seen))

    _pressed(desk, ack, body, client, press)


def _skip(desk: Desk, ack: Ack, body: dict[str, Any], client: WebClient) -> None:
    def press(session: Session, actor: Actor, say: Say) -> Block:
        going_on, candidate_id, _ = rounds.shown(body["view"])
        return deciding.following(desk, session, actor, say, going_on.passing(candidate_id))

    _pressed(desk, ack, body, client, press)


def _undo(desk: Desk, ack: Ack, body: dict[str, Any], action: dict[str, Any], client: WebClient) -> None:
    def press(session: Session, actor: Actor, say: Say) -> Block:
        going_on = rounds.unpacked(body["view"])
        return deciding.undone(desk, session, actor, say, going_on, review_id=entries.number(action))

    _pressed(desk, ack, body, client, press)


def _again(desk: Desk, ack: Ack, body: dict[str, Any], client: WebClient) -> None:
    def press(session: Session, actor: Actor, say: Say) -> Block:
        return deciding.following(desk, session, actor, say, rounds.unpacked(body["view"]).anew())

    _pressed(desk, ack, body, client, press)


def _pressed(desk: Desk, ack: Ack, body: dict[str, Any], client: WebClient, press: Press) -> None:
    """Do what a button of the modal asks for and show what follows, or why not."""
    say, view = spoken(desk, body), body["view"]
    following: Block | None
    try:
        with desk.store.write() as session:
            following = press(session, desk.meet(session, body), say)
    except Unavailable as error:
        # Left as it is, with all that was typed: pressing again is the way on.
        log.warning("a press was not taken: error=%s", type(error).__name__)
        following = None
    except ErrataError as error:
        following = _in_spite(desk, body, view, say, error)
    if following is not None:
        show_next(client, view, following)
    ack()


def _in_spite(
    desk: Desk, body: dict[str, Any], view: dict[str, Any], say: Say, error: ErrataError, *, passes: bool = False
) -> Block:
    """What follows something that was refused: the same candidate as it stands now, or the next one.

    Args:
        passes: goes on to the next one where the candidate is another's to decide.
    """
    told = Told(say(error.sentence), trouble=True)
    try:
        going_on = rounds.unpacked(view)
        going_on = going_on.showing(going_on.candidate, None)
        if passes and isinstance(error, NotAllowed) and going_on.candidate is not None:
            going_on = going_on.passing(going_on.candidate).showing(None, None)
        with desk.store.write() as session:
            return deciding.shown(desk, session, desk.meet(session, body), say, going_on, told)
    except Unavailable as again:
        return blocks.retry_view(say, again.sentence, view["private_metadata"])
    except ErrataError as again:
        return blocks.stopped_view(say, again.sentence)


def _closed(desk: Desk, ack: Ack, body: dict[str, Any]) -> None:
    """The modal was closed: what was claimed for it is free for a colleague at once, and not only after its time."""
    try:
        going_on = rounds.unpacked(body["view"])
        if going_on.candidate is not None:
            with desk.store.write() as session:
                claims.release(session, desk.actor(body), going_on.candidate)
    except ErrataError as error:
        log.info("a claim was left to its end: error=%s", type(error).__name__)
    ack()
