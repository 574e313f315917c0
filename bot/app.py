"""The composition root: settings and store in, a Bolt app behind its gate out."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, cast

from slack_bolt import App, BoltRequest, BoltResponse
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.listener_matcher import CustomListenerMatcher, ListenerMatcher
from slack_bolt.listener_matcher.builtins import BuiltinListenerMatcher
from slack_bolt.middleware import Middleware

from bot.connection import identify, slack_client
from bot.desk import Desk
from bot.gate import Gate, Outcome
from bot.gauging import at_start
from bot.listeners import chat, commands, correct, events, review, runs
from bot.payloads import Payload
from bot.replay import StoredReplays
from bot.settings import Settings
from curation.conversation import Conversation, Message, Role
from curation.language import detect
from curation.store.engine import Store

log = logging.getLogger("errata.app")

LISTENER_THREADS = 16


def now() -> datetime:
    """The present, aware; the only clock that entry points hand out."""
    return datetime.now(UTC)


def build(settings: Settings, store: Store, *, clock: Callable[[], datetime] = now) -> App:
    """The Bolt app with every listener. Asks Slack once who it is, so that no request has to.

    Raises:
        Unavailable: Slack cannot be reached or refuses the token.
        Invalid: the tokenizer of the settings is none of the model that they name.
    """
    identity = identify(settings)
    home = AuthorizeResult(
        enterprise_id=identity.enterprise_id,
        team_id=identity.team_id,
        bot_id=identity.bot_id,
        bot_user_id=identity.bot_user_id,
        bot_token=settings.bot_token,
    )
    executor = ThreadPoolExecutor(LISTENER_THREADS, thread_name_prefix="errata-listener")
    app = App(
        logger=_bolt_log(),
        client=slack_client(settings),
        # Bolt takes None for a workspace that has not installed the app, though its annotation forgets it.
        authorize=cast("Callable[..., AuthorizeResult]", lambda team_id: home if team_id == home.team_id else None),
        before_authorize=_TurnAwayOthers(home),
        process_before_response=True,
        request_verification_enabled=False,  # the gate has verified the bytes before Bolt reads them
        ssl_check_enabled=False,
        url_verification_enabled=True,
        token_verification_enabled=False,
        listener_executor=executor,
    )
    app.error(_failed)
    detect("Good morning, how can I help?")  # loads its model now: in the first form it would outlast the ack
    desk = Desk(
        store=store,
        clock=clock,
        executor=executor,
        review_channel=settings.review_channel,
        production_model=settings.production_model,
        solo=settings.solo,
        flag_reaction=settings.flag_reaction,
        assistant=settings.assistant,
        privacy=settings.privacy_terms,
        gauge=at_start(settings),
    )
    # Likewise what looks for telephone numbers.
    desk.inspection().look(Conversation((Message(Role.USER, "Hello"),)), "Call 22 33 44 55.", None)
    for story in (correct, review, commands, runs, chat, events):
        story.register(app, desk)
    _match_by_body(app)
    return app


class _BodyMatcher(ListenerMatcher):
    """A matcher that is given the body alone, which is all that it reads.

    Bolt 1.30 collects 25 arguments for each listener that it asks whether a payload is for it, 7 µs each time.
    """

    def __init__(self, matches: Callable[..., Any]) -> None:
        self._matches = matches

    def matches(self, req: BoltRequest, resp: BoltResponse) -> bool:  # noqa: ARG002 (Bolt's signature)
        return bool(self._matches(body=req.body))


def _match_by_body(app: App) -> None:
    for listener in app._listeners:
        listener.matchers = [
            _BodyMatcher(one.func)
            if isinstance(one, BuiltinListenerMatcher | CustomListenerMatcher) and one.arg_names == ["body"]
            else one
            for one in listener.matchers
        ]


def _bolt_log() -> logging.Logger:
    """Bolt's own log, errors only: it warns of tokens that it sees in the environment and prints code to add."""
    bolt = logging.getLogger("errata.bolt")
    bolt.setLevel(logging.ERROR)
    return bolt


def gated(app: App, settings: Settings, store: Store, *, clock: Callable[[], datetime] = now) -> Gate:
    """The WSGI application to serve: the gate, with Bolt behind it."""
    return Gate(through(app), signing_secrets=settings.signing_secrets, memory=StoredReplays(store), clock=clock)


def through(app: App) -> Callable[[Payload], Outcome]:
    """Bolt as the gate sees it: a payload in, an outcome out."""

    def answer(payload: Payload) -> Outcome:
        # Bolt's word for a body that somebody else has parsed; over HTTP it would want text, to parse it again.
        response = app.dispatch(BoltRequest(body=payload.body, mode="socket_mode"))
        return Outcome(response.status, response.first_headers()["content-type"], response.body.encode())

    return answer


class _TurnAwayOthers(Middleware):
    """For workspaces that have not installed Errata; Bolt would call the payload's response_url first."""

    def __init__(self, home: AuthorizeResult) -> None:
        self._team_id = home.team_id

    def process(self, *, req: BoltRequest, resp: BoltResponse, next: Callable[[], BoltResponse]) -> BoltResponse:  # noqa: A002, ARG002 (Bolt's signature)
        if req.context.team_id == self._team_id or req.body.get("type") == "url_verification":
            return next()
        log.warning("refused: reason=workspace status=200")
        return BoltResponse(status=200, body="Errata is not installed in this workspace: ask an owner to install it.")


def _failed(error: Exception) -> BoltResponse:
    """A listener's surprise: nothing was committed, the log has the type, the person a sentence."""
    log.error("a listener failed: error=%s", type(error).__name__)
    log.debug("a listener failed", exc_info=error)
    return BoltResponse(status=500, body="Something failed here; nothing was saved. Try again in a moment.")
