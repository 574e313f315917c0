"""Who is let in to the listeners: payloads of workspaces with Errata, from people of that same workspace.

Owns the two refusals before any use case: a workspace without Errata, and a person of another workspace in a shared
channel. Whoever was let in is asked about afterwards (``bot.membership``), so that a guest is known as one.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from slack_bolt import BoltRequest, BoltResponse
from slack_bolt.listener.listener_completion_handler import ListenerCompletionHandler
from slack_bolt.middleware import Middleware

from bot.blocks.elements import notice_view
from bot.desk import Desk
from bot.installations import Workspaces
from bot.listeners.answers import answer_aside
from bot.membership import Acquaintances
from bot.speech import speaking
from curation.errors import ErrataError

log = logging.getLogger("errata.app")


class TurnAwayOthers(Middleware):
    """For workspaces that have not installed Errata; Bolt would call the payload's response_url first."""

    def __init__(self, workspaces: Workspaces, language: str) -> None:
        self._workspaces = workspaces
        self._language = language

    def process(self, *, req: BoltRequest, resp: BoltResponse, next: Callable[[], BoltResponse]) -> BoltResponse:  # noqa: A002, ARG002 (Bolt's signature)
        """Let the request pass, or answer it here."""
        if req.body.get("type") == "url_verification":
            return next()
        try:
            known = self._workspaces.of(req.context.team_id) is not None
        except ErrataError as error:
            log.warning("a workspace could not be looked up: error=%s", type(error).__name__)
            said = speaking(self._language)("Something failed here; nothing was saved. Try again in a moment.")
            return BoltResponse(status=HTTPStatus.SERVICE_UNAVAILABLE, body=said)
        if known:
            return next()
        log.warning("refused: reason=workspace status=200")
        say = speaking(self._language)
        return BoltResponse(
            status=200, body=say("Errata is not installed in this workspace: ask an owner to install it.")
        )


class TurnAwayStrangers(Middleware):
    """For people of other workspaces, who see Errata's messages in shared channels."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def process(self, *, req: BoltRequest, resp: BoltResponse, next: Callable[[], BoltResponse]) -> BoltResponse:  # noqa: A002, ARG002 (Bolt's signature)
        """Let the request pass, or answer it here."""
        if _acts(req.body) and _home_of(req.body) not in {None, str(req.context.team_id)}:
            return self._refused(req)
        return next()

    def _refused(self, req: BoltRequest) -> BoltResponse:
        log.warning("refused: reason=person status=200")
        say = speaking(self._desk.language)
        sentence = say("You are from another workspace, and Errata works for people of this one: ask somebody here.")
        if "command" in req.body:
            return BoltResponse(status=200, body=sentence)
        if req.body.get("type") == "view_submission":
            shown = {"response_action": "update", "view": notice_view(say, say("Not allowed"), sentence)}
            return BoltResponse(status=200, body=json.dumps(shown), headers={"content-type": "application/json"})
        respond = req.context.respond
        if req.body.get("type") in {"block_actions", "message_action"} and respond is not None:
            client = req.context.client
            answer_aside(self._desk.executor, req.context, client, respond, req.body, sentence)
        return BoltResponse(status=200, body="")


class AskAboutThem(ListenerCompletionHandler):
    """Has Slack asked about whoever did something, once a listener has done it: of what none takes nothing is kept."""

    def __init__(self, desk: Desk, acquaintances: Acquaintances) -> None:
        self._desk = desk
        self._acquaintances = acquaintances

    def handle(self, request: BoltRequest, response: BoltResponse | None) -> None:
        """Begin to ask, on another thread; not where the listener failed. Never raises: what was done is committed."""
        failed = response is not None and response.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        client = request.context.client
        if failed or client is None or not _acts(request.body):
            return
        try:
            person = self._desk.actor(request.body).person_id
            self._acquaintances.met(person, client, str(request.context.team_id))
        except Exception as error:  # noqa: BLE001 (such as a process that ends: whoever comes next asks again)
            log.info("a person could not be asked about: error=%s", type(error).__name__)


def _acts(body: Mapping[str, Any]) -> bool:
    """Whether a person sent this."""
    return "event" not in body and (isinstance(body.get("user"), dict) or "command" in body)


def _home_of(body: Mapping[str, Any]) -> str | None:
    """The workspace that a person is of, where the payload says so."""
    user = body.get("user")
    home = user.get("team_id") if isinstance(user, dict) else None
    return home if isinstance(home, str) and home else None
