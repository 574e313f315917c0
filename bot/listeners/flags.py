"""Flagged replies: the list of those that wait for a correction, and what is pressed in it.

Owns reading the replies where they were said, after the list is open: their words are kept nowhere. One that is gone
there leaves the list. *Correct* opens the form of the message shortcut; what it saves is ``bot.listeners.correct``'s.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from slack_bolt import Ack, App, BoltContext
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from sqlmodel import Session

from bot.blocks import flags as blocks
from bot.blocks.elements import Block, notice_view
from bot.blocks.flags import SHOWN, Page
from bot.desk import Desk, team_of
from bot.listeners import entries, pointing
from bot.listeners.answers import open_view, send_answer, spoken
from bot.outcomes import TROUBLES
from bot.speech import Say
from curation import flagged, people
from curation.errors import ErrataError
from curation.flagged import Position
from curation.policies import Permission
from curation.wording import phrase

log = logging.getLogger("errata.flags")

DISMISSED = phrase("Said to be not wrong. A new flag brings it back.")
NOTHING_TO_DISMISS = phrase("This reply waits no more: somebody was faster.")


def register(app: App, desk: Desk) -> None:
    """Listen to what opens the list, and to its buttons."""
    app.action(blocks.OPEN)(ack=partial(_open, desk), lazy=[send_answer])
    app.action(blocks.MORE)(partial(_more, desk))
    app.action(blocks.DISMISS)(partial(_dismiss, desk))
    app.action(blocks.CORRECT)(ack=partial(_correct, desk), lazy=[send_answer])


def page(session: Session, desk: Desk, body: Mapping[str, Any], *, after: Position | None = None) -> Page:
    """The list for whoever sent this payload.

    Raises:
        NotAllowed: this person may not flag.
    """
    people.require(session, desk.actor(body), Permission.FLAG)
    team = team_of(body)
    found = flagged.waiting(session, team=team, limit=SHOWN + 1, after=after)
    shown = tuple(found[:SHOWN])
    names = {person: people.name_of(session, person) for reply in shown for person in reply.by}
    return Page(shown, flagged.count(session, team=team), names, further=len(found) > SHOWN)


def fill(desk: Desk, say: Say, shown: Page, body: Mapping[str, Any]) -> Callable[[WebClient, str, str], None]:
    """What completes an open list after the ack: takes a client, the id of its view and the view's hash."""
    team, person = team_of(body), desk.actor(body).person_id

    def read(client: WebClient, view_id: str, view_hash: str) -> None:
        sources = [reply.source for reply in shown.replies]
        texts, gone = pointing.words_at(client, sources, team=team, person=person)
        if gone:
            with desk.store.write() as session:
                flagged.gone(session, gone)
        left = Page(
            tuple(reply for reply in shown.replies if reply.source not in gone),
            shown.total - len(gone),
            shown.names,
            shown.further,
            shown.said,
        )
        _update(client, view_id, view_hash, blocks.view(say, left, texts))

    return read


def _open(desk: Desk, ack: Ack, body: dict[str, Any], client: WebClient, context: BoltContext) -> None:
    """From a message or App Home: the list in a modal of its own."""
    say = spoken(desk, body)
    try:
        with desk.store.read() as session:
            shown = page(session, desk, body)
    except ErrataError as error:
        open_view(context, client, body["trigger_id"], notice_view(say, say("Not possible"), say(error.sentence)), say)
        ack()
        return
    opened = open_view(context, client, body["trigger_id"], blocks.view(say, shown), say)
    if opened is not None:
        desk.executor.submit(_quietly, partial(fill(desk, say, shown, body), client, opened["id"], opened["hash"]))
    ack()


def _more(desk: Desk, ack: Ack, body: dict[str, Any], action: dict[str, Any], client: WebClient) -> None:
    """The next page, in place of this one."""
    _show(desk, body, client, lambda session: page(session, desk, body, after=_position(action)))
    ack()


def _dismiss(desk: Desk, ack: Ack, body: dict[str, Any], action: dict[str, Any], client: WebClient) -> None:
    """Nothing is wrong with it; the list shows the others."""
    say, said = spoken(desk, body), NOTHING_TO_DISMISS
    try:
        with desk.store.write() as session:
            actor = desk.meet(session, body)
            if flagged.dismiss(session, actor, desk.clock(), source=entries.value(action)):
                said = DISMISSED
    except ErrataError as error:
        said = error.sentence
    _show(desk, body, client, lambda session: _saying(page(session, desk, body), say(said)))
    ack()


def _correct(
    desk: Desk, ack: Ack, body: dict[str, Any], action: dict[str, Any], client: WebClient, context: BoltContext
) -> None:
    """The form of the shortcut, on top of the list."""
    pointing.correct(desk, ack, body, client, context, action)


def _show(desk: Desk, body: dict[str, Any], client: WebClient, shows: Callable[[Session], Page]) -> None:
    """Change the open list after the ack: two calls of Slack's may take longer than a person's press may."""
    view, say = body["view"], spoken(desk, body)

    def change() -> None:
        try:
            with desk.store.read() as session:
                shown = shows(session)
        except ErrataError as error:
            _update(client, view["id"], view["hash"], notice_view(say, say("Not possible"), say(error.sentence)))
            return
        changed = _update(client, view["id"], view["hash"], blocks.view(say, shown))
        if changed is not None:
            fill(desk, say, shown, body)(client, changed["id"], changed["hash"])

    desk.executor.submit(_quietly, change)


def _saying(shown: Page, said: str) -> Page:
    return Page(shown.replies, shown.total, shown.names, shown.further, said)


def _update(client: WebClient, view_id: str, view_hash: str, view: Block) -> Mapping[str, Any] | None:
    try:
        changed: Mapping[str, Any] = client.views_update(view_id=view_id, hash=view_hash, view=view)["view"]
    except TROUBLES as error:  # closed, or changed meanwhile
        code = error.response.get("error") if isinstance(error, SlackApiError) else type(error).__name__
        log.info("the list could not be changed: code=%s", code)
        return None
    return changed


def _position(action: Mapping[str, Any]) -> Position:
    flags, _, rest = entries.value(action).partition("|")
    moment, _, source = rest.partition("|")
    try:
        return Position(int(flags), datetime.fromisoformat(moment), source)
    except ValueError as error:
        raise entries.from_another_version() from error


def _quietly(work: Callable[[], object]) -> None:
    try:
        work()
    except Exception as error:  # noqa: BLE001 (a thread's edge: nobody looks at the future)
        log.error("the list could not be completed: error=%s", type(error).__name__)  # noqa: TRY400 (no people's words)
