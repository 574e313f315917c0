"""Chat: mentions of Errata and direct messages to it are owed an answer; the buttons below one say how good it was.

Owns what counts as a question and that it is a row before it is acknowledged; the worker answers
(``bot.assistant.answerer``). Refuses what bots say, itself included: two that answer each other never end.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from typing import Any

from slack_bolt import Ack, App, BoltContext, BoltResponse, Respond
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from sqlmodel import Session

from bot.assistant import tasks
from bot.assistant.tasks import TaskKind
from bot.blocks import chat as blocks
from bot.blocks.correct import correct_view
from bot.desk import Desk, id_of, source, team_of
from bot.listeners import correct, entries
from bot.listeners.answers import answer_aside, send_answer, spoken
from bot.listeners.events import again, channel_of, moment_of
from bot.outcomes import TROUBLES
from curation import people, proposals, replies
from curation.errors import Conflict, ErrataError
from curation.people import person_id
from curation.policies import Permission
from curation.wording import phrase

log = logging.getLogger("errata.chat")

ASKED = frozenset({None, "file_share", "thread_broadcast"})
"""The subtypes under which a person says something."""
MESSAGES_TAB = "messages"
_SUGGESTS = "errata_suggests"
THANKS = phrase("Thank you: the answer waits for a second person's review.")


def register(app: App, desk: Desk) -> None:
    """Listen to what is asked, and to the buttons below the answers; while Errata is no assistant, nothing is asked."""
    app.action(blocks.FEEDBACK)(partial(_rate, desk))
    app.event("app_mention")(partial(_mentioned, desk))
    app.event("message", matchers=[_is_direct])(partial(_told, desk))
    app.event("app_home_opened", matchers=[_is_conversation])(
        ack=partial(_opened, desk), lazy=[partial(_suggest, desk)]
    )
    app.event("assistant_thread_started")(ack=partial(_began, desk), lazy=[partial(_suggest_in_thread, desk)])
    app.event("app_context_changed")(_look_away)


def _is_direct(body: dict[str, Any]) -> bool:
    return bool(body["event"].get("channel_type") == "im")


def _is_conversation(body: dict[str, Any]) -> bool:
    return bool(body["event"].get("tab") == MESSAGES_TAB)


def _mentioned(desk: Desk, ack: Ack, body: dict[str, Any], context: BoltContext) -> BoltResponse:
    """Somebody names Errata in a channel; Slack tells it beside the message itself."""
    return _ask(desk, ack, body, context)


def _told(desk: Desk, ack: Ack, body: dict[str, Any], context: BoltContext) -> BoltResponse:
    """Somebody writes to Errata alone."""
    return _ask(desk, ack, body, context)


def _ask(desk: Desk, ack: Ack, body: dict[str, Any], context: BoltContext) -> BoltResponse:
    """Owe an answer to what a person asks."""
    event, team = body["event"], str(context.team_id)
    user, channel, ts = id_of(event.get("user")), channel_of(event), event.get("ts")
    at = moment_of(ts)
    said = event.get("subtype") in ASKED and not event.get("hidden") and not event.get("bot_id")
    if not desk.assistant or not said or user is None or channel is None or at is None or user == context.bot_user_id:
        return ack()
    thread_ts = event.get("thread_ts")
    thread = thread_ts if moment_of(thread_ts) is not None else ts
    home = id_of(event.get("user_team")) or id_of(event.get("source_team")) or team
    try:
        with desk.store.write() as session:
            tasks.owe(
                session,
                desk.clock(),
                TaskKind.ANSWER,
                source=source(team, channel, str(ts)),
                thread=source(team, channel, str(thread)),
                asked_by=person_id(home, user, id_of(body.get("enterprise_id"))),
                asked_at=at,
            )
    except ErrataError as error:
        return again(error)
    return ack()


def _rate(
    desk: Desk,
    ack: Ack,
    body: dict[str, Any],
    action: dict[str, Any],
    client: WebClient,
    context: BoltContext,
    respond: Respond,
) -> None:
    """Good: owe an endorsement. Wrong: flag the answer, and open the form of a correction.

    Slack shows which thumb somebody pressed; what becomes of it they are told the first time.
    """
    try:
        verdict, _, _ = entries.value(action).partition(":")
        rate = {blocks.GOOD: _good, blocks.BAD: _wrong}.get(verdict)
        if rate is None:
            raise entries.from_another_version()
        with desk.store.write() as session:
            new_to_it = rate(session, desk, body)
    except ErrataError as error:
        answer_aside(desk.executor, context, client, respond, body, spoken(desk, body)(error.sentence))
        ack()
        return
    if verdict == blocks.GOOD:
        if new_to_it:
            answer_aside(desk.executor, context, client, respond, body, spoken(desk, body)(THANKS))
        ack()
    else:
        correct.open_form(desk, correct_view, ack, body, client, context)
        desk.executor.submit(_follow_up, desk, context, client, respond, body)


def _follow_up(desk: Desk, context: BoltContext, client: WebClient, respond: Respond, body: dict[str, Any]) -> None:
    """Fill the form, or say why there is none. Lazy functions would cost each press two copies of the request."""
    try:
        send_answer(context, client, respond, body)
        correct.filling(desk, correct_view)(body, client, context)
    except Exception as error:  # noqa: BLE001 (a thread's edge: nobody looks at the future)
        log.error("a form could not be filled: error=%s", type(error).__name__)  # noqa: TRY400 (no people's words)


def _good(session: Session, desk: Desk, body: dict[str, Any]) -> bool:
    """Owe the endorsement, unless somebody may not, or something stands on the answer; whether it is their first."""
    where, actor = _answer_in(body), desk.meet(session, body)
    people.require(session, actor, Permission.FLAG)
    proposals.refuse_second(session, where["source"])
    key = f"{where['source']}#{actor.person_id}"
    now = desk.clock()
    first = not tasks.ever_asked(session, TaskKind.ENDORSEMENT, actor.person_id)
    tasks.owe(
        session,
        now,
        TaskKind.ENDORSEMENT,
        source=key,
        thread=where["thread"],
        asked_by=actor.person_id,
        asked_at=now,
    )
    return first


def _wrong(session: Session, desk: Desk, body: dict[str, Any]) -> bool:
    """Let the flag stand, whatever becomes of the form, which tells the rest."""
    now = desk.clock()
    replies.flag(session, desk.meet(session, body), now, source=_answer_in(body)["source"], at=now)
    return False


def _answer_in(body: Mapping[str, Any]) -> dict[str, str]:
    """The answer that a button stands below, and its thread.

    Raises:
        Conflict: the payload names none, as of a message that is gone.
    """
    message, team = body.get("message"), team_of(body)
    holder = message if isinstance(message, dict) else {}
    channel, ts = channel_of(body), holder.get("ts")
    thread_ts = holder.get("thread_ts") or ts
    if channel is None or moment_of(ts) is None or moment_of(thread_ts) is None:
        raise Conflict("This answer is gone, or stands where Errata cannot look.")
    return {"source": source(team, channel, str(ts)), "thread": source(team, channel, str(thread_ts))}


def _opened(desk: Desk, ack: Ack, context: BoltContext) -> BoltResponse:
    """Somebody opens the conversation with Errata."""
    context[_SUGGESTS] = desk.assistant
    return ack()


def _began(desk: Desk, ack: Ack, context: BoltContext) -> BoltResponse:
    """Somebody begins a thread with it, in an app from before the agent view."""
    return _opened(desk, ack, context)


def _look_away(ack: Ack) -> BoltResponse:
    """What somebody looks at beside the conversation; Errata answers from the thread it is asked in, and no other."""
    return ack()


def _suggest(desk: Desk, body: dict[str, Any], client: WebClient, context: BoltContext) -> None:
    """Lazy: what one could ask, at the top of the conversation; lost, it is missed by nobody."""
    user = id_of(body["event"].get("user"))
    _prompt(desk, body, client, context, user_id=user, channel_id=channel_of(body["event"]))


def _suggest_in_thread(desk: Desk, body: dict[str, Any], client: WebClient, context: BoltContext) -> None:
    """Lazy: the same in an assistant's thread."""
    thread = body["event"]["assistant_thread"]
    where = {"channel_id": thread["channel_id"], "thread_ts": thread["thread_ts"]}
    _prompt(desk, body, client, context, user_id=id_of(thread.get("user_id")), **where)


def _prompt(
    desk: Desk,
    body: dict[str, Any],
    client: WebClient,
    context: BoltContext,
    *,
    user_id: str | None,
    channel_id: str | None,
    **where: str,
) -> None:
    if channel_id is None or not context.get(_SUGGESTS):
        return
    say = spoken(desk, {**body, "user": {"id": user_id}})
    prompts = [{"title": say(title), "message": say(message)} for title, message in blocks.PROMPTS]
    try:
        client.assistant_threads_setSuggestedPrompts(
            channel_id=channel_id, title=say(blocks.WELCOME), prompts=prompts, **where
        )
    except TROUBLES as error:
        code = error.response.get("error") if isinstance(error, SlackApiError) else type(error).__name__
        log.info("nothing was suggested: code=%s", code)
