"""App Home: published when somebody opens it, when they press *Refresh*, and after they have done something.

Owns when a page is published and that nobody waits for it: the ack comes first, a thread gathers and publishes. A page
that is lost is published again the next time; nothing on it is owed.
"""

from __future__ import annotations

import logging
import re
import threading
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any

from slack_bolt import Ack, App, BoltContext, BoltRequest, BoltResponse
from slack_bolt.middleware import Middleware
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

from bot import dashboard
from bot.blocks import home as blocks
from bot.blocks.elements import Block, modal, section
from bot.desk import Desk, id_of, team_of
from bot.listeners.answers import open_view, send_answer, spoken
from bot.listeners.commands.asked import Answer, Asked, Blocks, View
from bot.listeners.commands.table import SUBCOMMANDS
from bot.mrkdwn import escape
from bot.speech import Say
from curation.errors import ErrataError

log = logging.getLogger("errata.home")

REST_SECONDS = 2.0
"""Between what somebody does and the page that shows it, so that ten decisions are one page."""

MOST_REMEMBERED = 1_000
"""People whose page is kept up to date in this process; whoever opens it again is remembered again."""

TITLE_LIMIT = 24


def register(app: App, desk: Desk) -> None:
    """Listen to the opened page and to the buttons that are only on it."""
    pages = Pages(desk, rest_seconds=REST_SECONDS)
    app.middleware(_AfterWhatSomebodyDoes(pages))
    app.event("app_home_opened", matchers=[_is_home])(partial(_opened, pages))
    app.action(blocks.REFRESH)(partial(_refresh, pages))
    app.action(re.compile(f"^{blocks.COMMAND}[a-z]+$"))(ack=partial(_command, desk), lazy=[send_answer])


class Pages:
    """The pages of whoever has opened theirs, published by the desk's threads."""

    def __init__(self, desk: Desk, *, rest_seconds: float) -> None:
        self._desk = desk
        self._rest_seconds = rest_seconds
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()  # team and user
        self._due: set[tuple[str, str]] = set()

    def publish(self, body: dict[str, Any], client: WebClient) -> None:
        """Publish the page of whoever sent this, soon."""
        key = _who(body)
        with self._lock:
            self._known[key] = None
            self._known.move_to_end(key)
            while len(self._known) > MOST_REMEMBERED:
                self._known.popitem(last=False)
        self._desk.executor.submit(_published, self._desk, body, client)

    def republish(self, body: dict[str, Any], client: WebClient) -> None:
        """Publish it again once the person has done what they are about to do; several things at once are one page."""
        key = _who(body)
        with self._lock:
            if key not in self._known or key in self._due:
                return
            self._due.add(key)
        timer = threading.Timer(self._rest_seconds, self._again, (key, body, client))
        timer.daemon = True
        timer.start()

    def _again(self, key: tuple[str, str], body: dict[str, Any], client: WebClient) -> None:
        with self._lock:
            self._due.discard(key)
        _published(self._desk, body, client)


class _AfterWhatSomebodyDoes(Middleware):
    """Has the page follow what its reader does elsewhere; Bolt runs this before the listener, hence the rest."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def process(self, *, req: BoltRequest, resp: BoltResponse, next: Callable[[], BoltResponse]) -> BoltResponse:  # noqa: A002, ARG002 (Bolt's signature)
        """Let every request pass."""
        body, client = req.body, req.context.client
        acts = body.get("type") in {"block_actions", "view_submission"} or "command" in body
        if acts and client is not None:
            self._pages.republish(body, client)
        return next()


def _is_home(body: dict[str, Any]) -> bool:
    return bool(body["event"].get("tab") == "home")


def _opened(pages: Pages, ack: Ack, body: dict[str, Any], client: WebClient, context: BoltContext) -> BoltResponse:
    user = id_of(body["event"].get("user"))
    if user is not None:
        # As an interaction would name them; an event names the app's workspace beside the person.
        pages.publish({**body, "user": {"id": user, "team_id": str(context.team_id)}}, client)
    return ack()


def _refresh(pages: Pages, ack: Ack, body: dict[str, Any], client: WebClient) -> None:
    pages.publish(body, client)
    ack()


def _command(
    desk: Desk, ack: Ack, body: dict[str, Any], action: dict[str, Any], client: WebClient, context: BoltContext
) -> None:
    """A button that stands for a sub-command without words: its answer in a modal."""
    say = spoken(desk, body)
    name = str(action.get("action_id")).removeprefix(blocks.COMMAND)
    try:
        answer = _answered(desk, body, say, name)
    except ErrataError as error:
        answer = escape(say(error.sentence))
    opened = open_view(context, client, body["trigger_id"], _view(say, name, answer), say)
    if opened is not None and isinstance(answer, View) and answer.fill is not None:
        desk.executor.submit(answer.fill, client, opened["id"], opened["hash"])
    ack()


def _answered(desk: Desk, body: dict[str, Any], say: Say, name: str) -> Answer:
    command = SUBCOMMANDS.get(name)
    if command is None:
        return say("This button is from another version of Errata: press Refresh.")
    team = team_of(body)
    channel = (desk.review_place(team) or "").rpartition("/")[2]
    with desk.store.write() if command.writes else desk.store.read() as session:
        actor = desk.meet(session, body) if command.writes else desk.actor(body)
        return command.handler(session, Asked(desk, actor, say, (), channel, team, body))


def _view(say: Say, name: str, answer: Answer) -> Block:
    if isinstance(answer, View):
        return answer.view
    shown = (
        list(answer.blocks)
        if isinstance(answer, Blocks)
        else [section(answer if isinstance(answer, str) else answer.text)]
    )
    return modal(say, "notice", f"/errata {name}"[:TITLE_LIMIT], shown, submit=None)


def _published(desk: Desk, body: dict[str, Any], client: WebClient) -> None:
    """A thread's work: whatever goes wrong, the page stays as it was."""
    try:
        now = desk.clock()
        with desk.store.read() as session:
            say = desk.say(session, body)
            seen = dashboard.gather(session, desk.actor(body), now, azure=desk.azure, table=desk.shown_prices())
        client.views_publish(user_id=_who(body)[1], view=blocks.page(say, seen, now))
    except (SlackClientError, OSError, ErrataError) as error:
        code = error.response.get("error") if isinstance(error, SlackApiError) else type(error).__name__
        log.warning("a home page could not be published: code=%s", code)
    except Exception as error:  # noqa: BLE001 (a thread's edge: nobody looks at the future)
        log.error("a home page could not be made: error=%s", type(error).__name__)  # noqa: TRY400 (no people's words)


def _who(body: dict[str, Any]) -> tuple[str, str]:
    user = body.get("user") or {}
    return team_of(body), str(user.get("id") or body.get("user_id") or "")
