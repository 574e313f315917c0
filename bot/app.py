"""The composition root: settings and store in, a Bolt app behind its gate out."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Any, cast
from wsgiref.types import WSGIApplication

from slack_bolt import App, BoltRequest, BoltResponse
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.listener_matcher import CustomListenerMatcher, ListenerMatcher
from slack_bolt.listener_matcher.builtins import BuiltinListenerMatcher

from bot.connection import Identity, slack_client
from bot.desk import Desk
from bot.door import AskAboutThem, TurnAwayOthers, TurnAwayStrangers
from bot.gate import Gate, Outcome
from bot.gauging import at_start
from bot.installations import Workspaces
from bot.installing import Installing
from bot.listeners import chat, commands, correct, events, flags, home, review, roles, runs, samples
from bot.membership import Acquaintances
from bot.payloads import Payload
from bot.replay import StoredReplays
from bot.settings import Settings
from bot.speech import Say, speaking
from curation import memberships
from curation.conversation import Conversation, Message, Role
from curation.errors import Invalid
from curation.language import detect
from curation.people import WORKER, person_id
from curation.store.engine import Store

log = logging.getLogger("errata.app")

LISTENER_THREADS = 16

STORIES = (correct, review, commands, runs, samples, flags, home, chat, roles, events)
"""What Errata listens to; the events come last, as they take every other one."""


def now() -> datetime:
    """The present, aware; the only clock that entry points hand out."""
    return datetime.now(UTC)


def build(
    settings: Settings, store: Store, *, clock: Callable[[], datetime] = now, workspaces: Workspaces | None = None
) -> App:
    """The Bolt app with every listener. Asks Slack once who it is, so that no request has to.

    Args:
        workspaces: where Errata is installed, shared with the pages that install it.

    Raises:
        Unavailable: Slack cannot be reached or refuses the token.
        Invalid: the tokenizer of the settings is none of the model that they name.
    """
    workspaces = workspaces or Workspaces(settings, store)
    _settle(settings, store, clock(), workspaces.home)
    executor = ThreadPoolExecutor(LISTENER_THREADS, thread_name_prefix="errata-listener")
    desk = Desk(
        store=store,
        clock=clock,
        executor=executor,
        review_channel=settings.review_channel,
        production_model=settings.production_model,
        solo=settings.solo,
        approvals=settings.approvals,
        flag_reaction=settings.flag_reaction,
        assistant=settings.assistant,
        privacy=settings.privacy_terms,
        language=settings.language,
        gauge=at_start(settings),
        workspaces=workspaces,
        azure=settings.azure,
        home=settings.home,
    )
    app = App(
        name="app.py",  # as Bolt would find it itself, on the stack and in every module that is loaded; a log's name
        logger=_bolt_log(),
        client=slack_client(settings),
        # Bolt takes None for a workspace that has not installed the app, though its annotation forgets it.
        authorize=cast("Callable[..., AuthorizeResult]", lambda team_id: workspaces.authorized(team_id)),  # noqa: PLW0108 (Bolt reads its arguments' names)
        before_authorize=TurnAwayOthers(workspaces, desk.language),
        process_before_response=True,
        request_verification_enabled=False,  # the gate has verified the bytes before Bolt reads them
        ssl_check_enabled=False,
        url_verification_enabled=True,
        token_verification_enabled=False,
        listener_executor=executor,
    )
    app.error(partial(_failed, speaking(desk.language)))
    detect("Good morning, how can I help?")  # loads its model now: in the first form it would outlast the ack
    # Likewise what looks for telephone numbers.
    desk.inspection().look(Conversation((Message(Role.USER, "Hello"),)), "Call 22 33 44 55.", None)
    app.middleware(TurnAwayStrangers(desk))
    app._listener_runner.listener_completion_handler = AskAboutThem(desk, Acquaintances(store, executor, clock))
    for story in STORIES:
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


def _settle(settings: Settings, store: Store, at: datetime, home: Identity | None) -> None:
    """Let whom ERRATA_ROLES names hold their roles, and nobody else by it.

    Raises:
        Invalid: a person without a workspace, where the settings have none either.
    """
    named = set()
    for identity, role in settings.roles:
        team, _, user_id = identity.rpartition("/")
        if not team and home is None:
            raise Invalid("ERRATA_ROLES names {person} without a workspace: write T0123ABCD/{person}.", person=identity)
        enterprise_id = home.enterprise_id if home is not None and team in {"", home.team_id} else None
        named.add((person_id(team or str(home and home.team_id), user_id, enterprise_id), role))
    with store.write() as session:
        memberships.settle(session, WORKER, at, named)


def gated(app: App, settings: Settings, store: Store, *, clock: Callable[[], datetime] = now) -> Gate:
    """The WSGI application to serve: the gate, with Bolt behind it."""
    return Gate(through(app), signing_secrets=settings.signing_secrets, memory=StoredReplays(store), clock=clock)


def installable(app: WSGIApplication, settings: Settings, store: Store, workspaces: Workspaces) -> WSGIApplication:
    """The same with the pages in front that install Errata from a browser, where the settings have the app's secret."""
    if not settings.client_id:
        return app
    return Installing(app, settings, store, workspaces, clock=now)


def through(app: App) -> Callable[[Payload], Outcome]:
    """Bolt as the gate sees it: a payload in, an outcome out."""

    def answer(payload: Payload) -> Outcome:
        # Bolt's word for a body that somebody else has parsed; over HTTP it would want text, to parse it again.
        response = app.dispatch(BoltRequest(body=payload.body, mode="socket_mode"))
        return Outcome(response.status, response.first_headers()["content-type"], response.body.encode())

    return answer


def _failed(say: Say, error: Exception) -> BoltResponse:
    """A listener's surprise: nothing was committed, the log has the type, the person a sentence."""
    log.error("a listener failed: error=%s", type(error).__name__)
    log.debug("a listener failed", exc_info=error)
    return BoltResponse(status=500, body=say("Something failed here; nothing was saved. Try again in a moment."))
