"""Correct and endorse: from a message shortcut to a candidate in the queue.

The shortcut's payload carries the reply, so the form opens at once; the thread is read by a lazy
function that fills the capture and the form.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from itertools import islice
from typing import Any

from slack_bolt import Ack, App, BoltContext
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from sqlmodel import Session

from bot.blocks import correct as blocks
from bot.blocks.elements import Block, notice_view
from bot.desk import Desk, place, source, team_of
from bot.listeners import entries
from bot.listeners.answers import open_view, send_answer
from bot.mrkdwn import to_text
from bot.threads import capture
from curation import assistants, candidates, captures, people
from curation.assistants import Speaker
from curation.errors import ErrataError
from curation.people import Actor

log = logging.getLogger("errata.correct")

CORRECT = "correct_reply"
ENDORSE = "endorse_reply"
THREAD_LIMIT = 200
THREAD_PAGES = 10

Form = Callable[..., Block]


def register(app: App, desk: Desk) -> None:
    """Listen to both shortcuts and both forms."""
    for callback, form in ((CORRECT, blocks.correct_view), (ENDORSE, blocks.endorse_view)):
        app.shortcut(callback)(ack=partial(_open, desk, form), lazy=[_named(_fill, desk, form), send_answer])
    app.view(blocks.CORRECT)(partial(_save_correction, desk))
    app.view(blocks.ENDORSE)(partial(_save_endorsement, desk))


def _named(function: Callable[..., None], desk: Desk, form: Form) -> Callable[..., None]:
    """A lazy function of its own name: Bolt tells lazy functions apart by it."""

    def lazy(body: dict[str, Any], client: WebClient, context: BoltContext) -> None:
        function(desk, form, body, client, context)

    lazy.__name__ = f"{function.__name__}_{form.__name__}"
    return lazy


def _open(desk: Desk, form: Form, ack: Ack, body: dict[str, Any], client: WebClient, context: BoltContext) -> None:
    """Keep the reply, open the form with it, ack."""
    message, team = body["message"], team_of(body)
    try:
        with desk.store.write() as session:
            kept = candidates.capture(
                session,
                desk.meet(session, body),
                desk.clock(),
                team_id=team,
                spoken_by=_speakers(message),
                source=source(team, body["channel"]["id"], message["ts"]),
                thread=source(team, body["channel"]["id"], message.get("thread_ts") or message["ts"]),
                reply=_said(message),
            )
            capture_id, reply = kept.key, kept.reply
    except ErrataError as error:
        open_view(context, client, body["trigger_id"], notice_view("Not this one", str(error)))
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
        thread = _read_thread(client, body["channel"]["id"], message.get("thread_ts") or message["ts"])
        with desk.store.write() as session:
            assistant = assistants.speaking_as(session, team, _speakers(message))
            if assistant is None:
                return
            speakers = assistants.speaker_map(session, assistant, staff=people.staff_user_ids(session, team))
            opener = _speakers(thread[0])

            def speaker_of(spoken: Mapping[str, Any]) -> Speaker:
                return speakers.speaker(_speakers(spoken), opened_thread=bool(_speakers(spoken) & opener))

            captured = capture(
                thread,
                wrong_ts=message["ts"],
                speaker_of=speaker_of,
            )
            asking = {str(one["user"]) for one in thread if one.get("user") and speaker_of(one) is Speaker.USER}
            captures.fill(
                session,
                capture_id,
                captured.conversation,
                reply=captured.reply,
                staff_reply=captured.staff_reply,
                speakers={people.person_id(team, user) for user in asking},
            )
            turns = [(turn.role.value, turn.content) for turn in captured.conversation.messages]
            shown: dict[str, Any] = {"reply": captured.reply, "turns": turns}
            if captured.staff_reply is not None and form is blocks.correct_view:
                shown["staff_reply"] = captured.staff_reply
    except (ErrataError, SlackApiError, OSError) as error:
        shown = {"reply": _said(message), "turns": None, "trouble": _trouble(error)}
        with desk.store.write() as session:
            captures.not_filled(session, capture_id, trouble=shown["trouble"])
    try:
        client.views_update(view_id=context["view_id"], hash=context["view_hash"], view=form(capture_id, **shown))
    except (SlackApiError, OSError) as error:  # closed or changed meanwhile; the capture is complete all the same
        code = error.response.get("error") if isinstance(error, SlackApiError) else type(error).__name__
        log.info("the form could not be filled: code=%s", code)


def _read_thread(client: WebClient, channel: str, ts: str) -> list[dict[str, Any]]:
    """Every message of the thread, as far as ``THREAD_PAGES`` reach; beyond them the form asks for the question."""
    pages = client.conversations_replies(channel=channel, ts=ts, limit=THREAD_LIMIT)
    return [message for page in islice(pages, THREAD_PAGES) for message in page["messages"]]


def _save_correction(desk: Desk, ack: Ack, body: dict[str, Any], view: dict[str, Any]) -> None:
    def propose(session: Session, actor: Actor, values: Mapping[str, str | None], **where: Any) -> None:
        candidates.propose(
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

    _save(desk, ack, body, view, field="correction", use_case=propose)


def _save_endorsement(desk: Desk, ack: Ack, body: dict[str, Any], view: dict[str, Any]) -> None:
    def endorse(session: Session, actor: Actor, values: Mapping[str, str | None], **where: Any) -> None:
        candidates.endorse(
            session, actor, desk.clock(), topic=values.get("topic"), question=values.get("question"), **where
        )

    _save(desk, ack, body, view, field="topic", use_case=endorse)


def _save(
    desk: Desk, ack: Ack, body: dict[str, Any], view: dict[str, Any], *, field: str, use_case: Callable[..., Any]
) -> None:
    """Commit the candidate, then close the form; what stands against it is shown in the form, with the text kept."""
    try:
        capture_id, values = entries.captured(view), entries.entered(view)
        channel = desk.review_channel
        review_in = place(team_of(body), channel) if channel else candidates.ITS_CHANNEL
        with desk.store.write() as session:
            use_case(session, desk.actor(body), values, capture_id=capture_id, review_in=review_in)
    except ErrataError as error:
        ack(response_action="errors", errors={field: str(error)})
        return
    ack()


def _said(message: Mapping[str, Any]) -> str:
    """The message's own text; empty where it carries none."""
    text = message.get("text")
    return to_text(text) if isinstance(text, str) else ""


def _speakers(message: Mapping[str, Any]) -> frozenset[str]:
    """The ids a message was written under: its user's, its bot's."""
    return frozenset(str(message[key]) for key in ("user", "bot_id") if message.get(key))


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
