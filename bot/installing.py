"""Installing from a browser: ``/slack/install`` sends somebody to Slack, and Slack sends them back with a code.

Owns the two pages in front of the gate and the states between them: one for each installation that was begun, good for
ten minutes, once, and in the browser that began it. Refuses everything else with a sentence. An installation grants
nobody a role: an owner does that. The tokens are ``bot.installations``'.

https://docs.slack.dev/authentication/installing-with-oauth
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from html import escape
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import parse_qs, urlencode
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.oauth import OAuthStateUtils
from sqlmodel import Session, col, delete, func, select

from bot import installations
from bot.connection import TIMEOUT_SECONDS
from bot.installations import Installed, Workspaces
from bot.scopes import SCOPES
from bot.settings import Settings
from bot.speech import speaking
from bot.variables import REDIRECT_PATH
from curation.errors import ErrataError
from curation.people import person_id
from curation.store.engine import Store
from curation.store.tables import InstallState

log = logging.getLogger("errata.installing")

INSTALL_PATH = "/slack/install"
BEGUN = timedelta(minutes=10)
"""How long somebody has to agree in Slack."""
MOST_BEGUN = 1_000
"""Installations under way at once: anybody may begin one, and each is a row."""

_SLACK = "https://slack.com/"
_COOKIE = OAuthStateUtils(expiration_seconds=int(BEGUN.total_seconds()))


class _Page(NamedTuple):
    status: HTTPStatus
    sentence: str
    headers: tuple[tuple[str, str], ...] = ()


class Installing:
    """The two pages, as a WSGI application in front of another.

    Attributes:
        app: what answers everything else.
        token: makes the secret of a state.
    """

    def __init__(
        self,
        app: WSGIApplication,
        settings: Settings,
        store: Store,
        workspaces: Workspaces,
        *,
        clock: Callable[[], datetime],
        token: Callable[[], str] = secrets.token_urlsafe,
    ) -> None:
        self._app = app
        self._settings = settings
        self._store = store
        self._workspaces = workspaces
        self._clock = clock
        self._token = token
        self._say = speaking(settings.language)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request; never raises an ``Exception`` of its own."""
        pages = {INSTALL_PATH: self._begin, REDIRECT_PATH: self._finish}
        page = pages.get(environ.get("PATH_INFO", ""))
        if page is None or environ.get("REQUEST_METHOD") != "GET":
            return self._app(environ, start_response)
        try:
            shown = page(environ)
        except ErrataError as error:
            shown = _Page(HTTPStatus.SERVICE_UNAVAILABLE, self._say(error.sentence))
        except Exception as error:  # noqa: BLE001 (the edge of the process: a browser gets a sentence, not a traceback)
            log.error("an installation failed: error=%s", type(error).__name__)  # noqa: TRY400 (it may hold a code)
            shown = _Page(HTTPStatus.BAD_GATEWAY, self._say("Slack could not be asked. Begin again in a moment."))
        return _answer(shown, start_response)

    def _begin(self, _environ: WSGIEnvironment) -> _Page:
        """Send the browser to Slack, with a state that only it gets."""
        state = self._token()
        with self._store.write() as session:
            if not issue(session, self._clock(), state):
                sentence = self._say("Too many installations have been begun. Try again in ten minutes.")
                return _Page(HTTPStatus.SERVICE_UNAVAILABLE, sentence)
        asked = {"client_id": self._settings.client_id, "scope": ",".join(SCOPES), "state": state}
        if self._settings.redirect_uri:
            asked["redirect_uri"] = self._settings.redirect_uri
        origin = self._settings.api_url.removesuffix("api/") if self._settings.api_url else _SLACK
        headers = (
            ("Location", f"{origin}oauth/v2/authorize?{urlencode(asked)}"),
            ("Set-Cookie", f"{_COOKIE.build_set_cookie_for_new_state(state)}; SameSite=Lax"),
        )
        return _Page(HTTPStatus.FOUND, self._say("Slack asks you what Errata may do."), headers)

    def _finish(self, environ: WSGIEnvironment) -> _Page:
        """Take the code that Slack sent the browser back with, and keep what Slack gives for it."""
        query = {name: values[0] for name, values in parse_qs(environ.get("QUERY_STRING", "")).items()}
        again = self._say("Nothing was installed: begin again at {path}.", path=INSTALL_PATH)
        if "error" in query:  # somebody said no, or may not say yes
            return _Page(HTTPStatus.OK, again)
        state, code = query.get("state", ""), query.get("code", "")
        same_browser = _COOKIE.is_valid_browser(state, {"cookie": environ.get("HTTP_COOKIE", "")})
        with self._store.write() as session:
            if not state or not code or not same_browser or not use_up(session, self._clock(), state):
                log.warning("refused: reason=%s status=400", "install.state")
                return _Page(HTTPStatus.BAD_REQUEST, again)
        try:
            installed, user_id = self._exchange(code)
        except SlackApiError as error:
            log.warning("refused: reason=%s status=400 code=%s", "install.code", error.response.get("error"))
            return _Page(HTTPStatus.BAD_REQUEST, again)
        if installed is None:
            sentence = self._say("Errata is installed in one workspace at a time, not in a whole organization.")
            return _Page(HTTPStatus.BAD_REQUEST, sentence)
        by = person_id(installed.team_id, user_id, installed.enterprise_id)
        with self._store.write() as session:
            installations.keep(session, self._clock(), installed, by=by)
        self._workspaces.forget(installed.team_id)
        log.info("installed: team=%s", installed.team_id)
        sentence = self._say(
            "Errata is installed in {team}. Nobody holds a role there yet: an owner grants one with errata people "
            "grant {person} agent.",
            team=installed.team,
            person=by,
        )
        gone = ("Set-Cookie", _COOKIE.build_set_cookie_for_deletion())
        return _Page(HTTPStatus.OK, sentence, (gone,))

    def _exchange(self, code: str) -> tuple[Installed | None, str]:
        """What Slack gives for a code, and who agreed; no workspace where it is for a whole organization."""
        client = WebClient(base_url=self._settings.api_url or WebClient.BASE_URL, timeout=TIMEOUT_SECONDS)
        given = client.oauth_v2_access(
            client_id=self._settings.client_id,
            client_secret=self._settings.client_secret,
            code=code,
            redirect_uri=self._settings.redirect_uri,
        )
        team, user_id = given.get("team") or {}, str((given.get("authed_user") or {}).get("id") or "")
        if given.get("is_enterprise_install") or not team.get("id"):
            return None, user_id
        token = str(given["access_token"])
        return Installed(
            team_id=str(team["id"]),
            team=str(team.get("name") or team["id"]),
            enterprise_id=(given.get("enterprise") or {}).get("id"),
            bot_id=client.auth_test(token=token).get("bot_id"),  # the exchange does not say
            bot_user_id=str(given["bot_user_id"]),
            bot_token=token,
            scopes=str(given.get("scope") or ""),
        ), user_id


def issue(session: Session, now: datetime, state: str) -> bool:
    """Keep the state of a new installation; False where too many are under way."""
    session.exec(delete(InstallState).where(col(InstallState.begun_at) <= now - BEGUN))
    if session.exec(select(func.count()).select_from(InstallState)).one() >= MOST_BEGUN:
        return False
    session.add(InstallState(digest=_digest(state), begun_at=now))
    return True


def use_up(session: Session, now: datetime, state: str) -> bool:
    """Use a state up; False for one that is unknown, used or too old."""
    begun = session.get(InstallState, _digest(state))
    if begun is None:
        return False
    session.delete(begun)
    return abs(now - begun.begun_at) < BEGUN


def _digest(state: str) -> str:
    return hashlib.sha256(state.encode()).hexdigest()


def _answer(page: _Page, start_response: StartResponse) -> Iterable[bytes]:
    body = (
        '<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Errata</title><p>{escape(page.sentence)}</p>\n"
    ).encode()
    headers = [
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        ("Referrer-Policy", "no-referrer"),
        ("Content-Security-Policy", "default-src 'none'"),
        *page.headers,
    ]
    start_response(f"{page.status.value} {page.status.phrase}", headers)
    return [body]
