"""Correct and endorse: from a message shortcut to a candidate in the queue.

The shortcut's payload carries the reply, so the form opens at once; the thread is read by a lazy
function that fills the capture and the form. Where that is lost, the form asks for the question on Save.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

from slack_bolt import Ack, App, BoltContext
from slack_sdk import WebClient
from sqlmodel import Session

from bot.assistant.history import read_thread
from bot.blocks import correct as blocks
from bot.blocks.correct import Form
from bot.blocks.elements import Block, notice_view
from bot.desk import Desk, team_of
from bot.listeners import adding, capturing, entries, turns
from bot.listeners.answers import open_view, send_answer
from bot.listeners.capturing import Spot, View
from bot.outcomes import TROUBLES
from bot.speech import Say, speaking
from curation import captures, proposals
from curation.captures import Kept
from curation.checking.inspection import Inspection
from curation.errors import Conflict, ErrataError, StoreUnavailable
from curation.people import Actor
from curation.wording import phrase, unpacked

CORRECT = "correct_reply"
ENDORSE = "endorse_reply"

UNTOUCHED = timedelta(seconds=3)
"""So soon after a form was opened nobody has written anything yet: what stands in it may still be replaced."""
_FILLED = "read"
_NOT_READ = phrase("The thread could not be read.")


def register(app: App, desk: Desk) -> None:
    """Listen to both shortcuts, both forms, the choice of another reply, and another part of a long one."""
    for callback, view in ((CORRECT, blocks.correct_view), (ENDORSE, blocks.endorse_view)):
        app.shortcut(callback)(ack=partial(open_form, desk, view), lazy=[filling(desk, view), send_answer])
    app.view(blocks.CORRECT)(partial(_save_correction, desk))
    app.view(blocks.ENDORSE)(partial(_save_endorsement, desk))
    turns.register(app, desk)
    adding.register(app, desk)


def filling(desk: Desk, view: View) -> Callable[..., None]:
    """The lazy function that fills what ``open_form`` opened; of its own name, by which Bolt tells them apart."""

    def lazy(body: dict[str, Any], client: WebClient, context: BoltContext) -> None:
        _fill(desk, view, body, client, context)

    lazy.__name__ = f"_fill_{view.__name__}"
    return lazy


def open_form(desk: Desk, view: View, ack: Ack, body: dict[str, Any], client: WebClient, context: BoltContext) -> None:
    """Keep the reply, open the form with it, ack."""
    spot, say = Spot(team_of(body), body["channel"]["id"], body["message"]), speaking(desk.language)
    try:
        with desk.store.write() as session:
            say = desk.say(session, body)
            capture_id = capturing.keep(session, desk, desk.meet(session, body), spot)
    except ErrataError as error:
        refusal = notice_view(say, say("Not this one"), say(error.sentence))
        open_view(context, client, body["trigger_id"], refusal, say)
        ack()
        return
    shown = open_view(context, client, body["trigger_id"], view(say, Form(capture_id, spot.reply)), say)
    if shown is not None:
        context["capture_id"], context["view_id"], context["view_hash"] = capture_id, shown["id"], shown["hash"]
        context["opened_at"] = desk.clock().timestamp()
    ack()


def _fill(desk: Desk, view: View, body: dict[str, Any], client: WebClient, context: BoltContext) -> None:
    """Lazy: read the thread, complete the capture, show the turns in the open form."""
    capture_id = context.get("capture_id")
    if capture_id is None:
        return
    spot, say = Spot(team_of(body), body["channel"]["id"], body["message"]), speaking(desk.language)
    try:
        thread = read_thread(client, spot.channel, spot.thread_ts)
        soon = desk.clock().timestamp() - context["opened_at"] < UNTOUCHED.total_seconds()
        with desk.store.write() as session:
            say, kept = desk.say(session, body), capturing.fill(session, capture_id, spot, thread)
            form = capturing.form_of(desk, session, say, kept, **_begins(kept, spot.reply) if soon else {})
    except StoreUnavailable:
        return  # on Save the form asks for the question
    except (ErrataError, *TROUBLES) as error:
        trouble = capturing.trouble_of(error)
        with suppress(ErrataError), desk.store.write() as session:
            say = desk.say(session, body)
            captures.not_filled(session, capture_id, trouble=trouble)
        form = Form(capture_id, spot.reply, trouble=say(trouble))
    capturing.update(client, view_id=context["view_id"], view_hash=context["view_hash"], view=view(say, form))


def _begins(kept: Kept, opened_with: str) -> dict[str, Any]:
    """What the correction begins as, if that is not what the form was opened with."""
    begins = kept.staff_reply or kept.reply
    return {} if begins == opened_with else {"prefill": begins, "edition": _FILLED}


def _save_correction(desk: Desk, ack: Ack, body: dict[str, Any], view: dict[str, Any]) -> None:
    def propose(session: Session, actor: Actor, values: dict[str, str | None], **where: Any) -> None:
        proposals.propose(
            session,
            actor,
            desk.clock(),
            correction=entries.joined(view, "correction"),
            reason=entries.reason(values.get("reason")),
            topic=values.get("topic"),
            note=values.get("note"),
            question=values.get("question"),
            meant=entries.shown(view)[1],
            in_thread=entries.ticked(view, "post", blocks.IN_THREAD),
            **where,
        )

    done = phrase("Your correction is saved and waits for review.")
    _save(desk, ack, body, view, blocks.correct_view, field="correction", done=done, use_case=propose)


def _save_endorsement(desk: Desk, ack: Ack, body: dict[str, Any], view: dict[str, Any]) -> None:
    def endorse(session: Session, actor: Actor, values: dict[str, str | None], **where: Any) -> None:
        proposals.endorse(
            session, actor, desk.clock(), topic=values.get("topic"), question=values.get("question"), **where
        )

    done = phrase("Your endorsement is saved and waits for review.")
    _save(desk, ack, body, view, blocks.endorse_view, field="topic", done=done, use_case=endorse)


def _save(
    desk: Desk,
    ack: Ack,
    body: dict[str, Any],
    view: dict[str, Any],
    again: View,
    *,
    field: str,
    done: str,
    use_case: Callable[..., Any],
) -> None:
    """Commit the candidate, then close the form; what stands against it is shown in the form, with the text kept."""
    say = speaking(desk.language)
    inspection = desk.inspection()
    try:
        (capture_id, shown), values = entries.shown(view), entries.entered(view)
        review_in = desk.review_place(team_of(body)) or proposals.ITS_CHANNEL
        with desk.store.write() as session:
            say, actor = desk.say(session, body), desk.actor(body)
            kept = captures.find(session, capture_id)
            asks = "question" not in values and kept.captured_by == actor.person_id and kept.unread(desk.clock())
            menu = entries.chosen(view, "turn")
            if menu is not None and menu[1] not in {None, shown}:
                field = menu[0]
                raise Conflict("The form still shows the other reply: wait a moment, or choose it once more.")
            if not asks:
                use_case(session, actor, values, capture_id=capture_id, review_in=review_in, inspection=inspection)
    except ErrataError as error:
        ack(response_action="errors", errors={field: say(error.sentence)})
        return
    if asks:
        ack(response_action="update", view=_asking(say, kept, view, again))
    else:
        close_form(say, ack, done, inspection)


def _asking(say: Say, kept: Kept, view: dict[str, Any], again: View) -> Block:
    """The form once more, with what was typed and a field for the question."""
    trouble = say(unpacked(kept.trouble) if kept.trouble else _NOT_READ)
    return again(say, Form(kept.id, kept.reply, trouble=trouble, fields=entries.filled_in(view, "correction")))


def close_form(say: Say, ack: Ack, done: str, inspection: Inspection) -> None:
    """Close a form that was accepted; where something was found in it, say so in its place."""
    if inspection.findings:
        ack(response_action="update", view=blocks.found_view(say, say(done), inspection.findings))
    else:
        ack()
