"""Correct and endorse: from a message shortcut to a candidate in the queue.

The shortcut's payload carries the reply, so the form opens at once; the thread is read by a lazy
function that fills the capture and the form.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from slack_bolt import Ack, App, BoltContext
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from sqlmodel import Session

from bot.assistant.history import about_reply, read_thread, speaking
from bot.blocks import correct as blocks
from bot.blocks.elements import Block, notice_view
from bot.desk import Desk, place, source, team_of
from bot.listeners import entries
from bot.listeners.answers import open_view, send_answer
from bot.mrkdwn import rearm, to_text
from bot.speech import ENGLISH_SPOKEN
from curation import captures, corrections, proposals
from curation.checking.inspection import Inspection
from curation.errors import ErrataError
from curation.language import detect
from curation.people import Actor

log = logging.getLogger("errata.correct")

CORRECT = "correct_reply"
ENDORSE = "endorse_reply"

Form = Callable[..., Block]


def register(app: App, desk: Desk) -> None:
    """Listen to both shortcuts and both forms."""
    for callback, form in ((CORRECT, blocks.correct_view), (ENDORSE, blocks.endorse_view)):
        app.shortcut(callback)(ack=partial(open_form, desk, form), lazy=[filling(desk, form), send_answer])
    app.view(blocks.CORRECT)(partial(_save_correction, desk))
    app.view(blocks.ENDORSE)(partial(_save_endorsement, desk))


def filling(desk: Desk, form: Form) -> Callable[..., None]:
    """The lazy function that fills what ``open_form`` opened; of its own name, by which Bolt tells them apart."""

    def lazy(body: dict[str, Any], client: WebClient, context: BoltContext) -> None:
        _fill(desk, form, body, client, context)

    lazy.__name__ = f"_fill_{form.__name__}"
    return lazy


def open_form(desk: Desk, form: Form, ack: Ack, body: dict[str, Any], client: WebClient, context: BoltContext) -> None:
    """Keep the reply, open the form with it, ack."""
    message, team = body["message"], team_of(body)
    try:
        with desk.store.write() as session:
            kept = proposals.capture(
                session,
                desk.meet(session, body),
                desk.clock(),
                team_id=team,
                spoken_by=speaking(message),
                source=source(team, body["channel"]["id"], message["ts"]),
                thread=source(team, body["channel"]["id"], message.get("thread_ts") or message["ts"]),
                reply=_said(message),
            )
            capture_id, reply = kept.key, kept.reply
    except ErrataError as error:
        open_view(context, client, body["trigger_id"], notice_view(ENGLISH_SPOKEN, "Not this one", str(error)))
        ack()
        return
    view = open_view(context, client, body["trigger_id"], form(capture_id, reply=reply, turns=None))
    if view is not None:
        context["capture_id"], context["view_id"], context["view_hash"] = capture_id, view["id"], view["hash"]
    ack()


def _fill(desk: Desk, form: Form, body: dict[str, Any], client: WebClient, context: BoltContext) -> None:
    """Lazy: read the thread, complete the capture, show the turns in the open form."""
    capture_id = context.get("capture_id")
    if capture_id is None:
        return
    message, team = body["message"], team_of(body)
    try:
        thread = read_thread(client, body["channel"]["id"], message.get("thread_ts") or message["ts"])
        with desk.store.write() as session:
            about = about_reply(session, team, thread, reply_ts=message["ts"], spoken_by=speaking(message))
            captured = about.captured
            captures.fill(
                session,
                capture_id,
                captured.conversation,
                reply=captured.reply,
                staff_reply=captured.staff_reply,
                speakers=about.asking,
                context=about.context,
            )
            turns = [(turn.role.value, turn.content) for turn in captured.conversation.messages]
            shown: dict[str, Any] = {"reply": captured.reply, "turns": turns}
            if form is blocks.correct_view:
                shown |= {"staff_reply": captured.staff_reply, "room": _room(desk, session, capture_id)}
    except (ErrataError, SlackApiError, OSError) as error:
        shown = {"reply": _said(message), "turns": None, "trouble": _trouble(error)}
        with desk.store.write() as session:
            captures.not_filled(session, capture_id, trouble=shown["trouble"])
    try:
        client.views_update(view_id=context["view_id"], hash=context["view_hash"], view=form(capture_id, **shown))
    except (SlackApiError, OSError) as error:  # closed or changed meanwhile; the capture is complete all the same
        code = error.response.get("error") if isinstance(error, SlackApiError) else type(error).__name__
        log.info("the form could not be filled: code=%s", code)


def _room(desk: Desk, session: Session, capture_id: int) -> str | None:
    """What of the window is taken by a capture that has been filled; None where there is nothing to measure with."""
    gauge, kept = desk.gauge(), captures.find(session, capture_id)
    if gauge is None or kept.turns is None:
        return None
    asked = corrections.asked(session, kept.turns, assistant_id=kept.assistant_id, source=kept.source)
    return gauge.room(asked, detect(asked.first_user_text()))


def _save_correction(desk: Desk, ack: Ack, body: dict[str, Any], view: dict[str, Any]) -> None:
    def propose(session: Session, actor: Actor, values: Mapping[str, str | None], **where: Any) -> None:
        proposals.propose(
            session,
            actor,
            desk.clock(),
            correction=values.get("correction") or "",
            reason=entries.reason(values.get("reason")),
            topic=values.get("topic"),
            note=values.get("note"),
            question=values.get("question"),
            **where,
        )

    done = "Your correction is saved and waits for review."
    _save(desk, ack, body, view, field="correction", done=done, use_case=propose)


def _save_endorsement(desk: Desk, ack: Ack, body: dict[str, Any], view: dict[str, Any]) -> None:
    def endorse(session: Session, actor: Actor, values: Mapping[str, str | None], **where: Any) -> None:
        proposals.endorse(
            session, actor, desk.clock(), topic=values.get("topic"), question=values.get("question"), **where
        )

    done = "Your endorsement is saved and waits for review."
    _save(desk, ack, body, view, field="topic", done=done, use_case=endorse)


def _save(
    desk: Desk,
    ack: Ack,
    body: dict[str, Any],
    view: dict[str, Any],
    *,
    field: str,
    done: str,
    use_case: Callable[..., Any],
) -> None:
    """Commit the candidate, then close the form; what stands against it is shown in the form, with the text kept."""
    try:
        capture_id, values = entries.captured(view), entries.entered(view)
        channel = desk.review_channel
        review_in = place(team_of(body), channel) if channel else proposals.ITS_CHANNEL
        inspection = desk.inspection()
        where = {"capture_id": capture_id, "review_in": review_in, "inspection": inspection}
        with desk.store.write() as session:
            use_case(session, desk.actor(body), values, **where)
    except ErrataError as error:
        ack(response_action="errors", errors={field: str(error)})
        return
    close_form(ack, done, inspection)


def close_form(ack: Ack, done: str, inspection: Inspection) -> None:
    """Close a form that was accepted; where something was found in it, say so in its place."""
    if inspection.findings:
        ack(response_action="update", view=blocks.found_view(done, inspection.findings))
    else:
        ack()


def _said(message: Mapping[str, Any]) -> str:
    """The message's own text; empty where it carries none."""
    text = message.get("text")
    return rearm(to_text(text)) if isinstance(text, str) else ""


def _trouble(error: Exception) -> str:
    if isinstance(error, OSError):
        return "Slack did not answer while the thread was read."
    if not isinstance(error, SlackApiError):
        return str(error)
    code = error.response.get("error")
    if code in {"not_in_channel", "channel_not_found"}:
        return "Errata is not in this channel: invite it with /invite @Errata."
    if code == "missing_scope":
        return "Errata may not read this channel's history: add the scope that errata doctor names."
    return f"The thread could not be read ({code})."
