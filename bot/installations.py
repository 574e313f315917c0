"""The workspaces that Errata is installed in, and the token that each of them gave.

Owns the rows of workspaces that installed the app by themselves, and the choice of the token that a workspace is
spoken to with. Refuses to write a token anywhere but into its row: no log, no entry of the audit, no answer.
How an installation comes about is ``bot.installing``'s.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import NamedTuple

from slack_bolt.authorization import AuthorizeResult
from slack_sdk import WebClient
from slack_sdk.http_retry.builtin_handlers import RateLimitErrorRetryHandler
from sqlalchemy import bindparam
from sqlalchemy import select as select_columns
from sqlmodel import Session, select

from bot.connection import Identity, identify, slack_client, trust
from bot.settings import Settings
from curation import audit
from curation.errors import Unavailable
from curation.people import WORKER, Actor, PersonId
from curation.policies import same_house
from curation.store.engine import Store
from curation.store.rows import Prepared, columns_of, table_of
from curation.store.tables import Installation

KEPT_SECONDS = 10.0
"""How long a process may go on with what it knows of a workspace, where another process has changed it."""


class Installed(NamedTuple):
    """A workspace with the app, and what speaks for the app there."""

    team_id: str
    team: str
    enterprise_id: str | None
    bot_id: str | None
    bot_user_id: str
    bot_token: str
    scopes: str


class NotInstalled(Unavailable):
    """No token for this workspace: the app was removed there, or never installed."""


_ROWS = table_of(Installation)
_OF_TEAM = Prepared(
    select_columns(*columns_of(Installation, Installed)).where(_ROWS.c.team_id == bindparam("sought")), Installed
)


def keep(session: Session, now: datetime, installed: Installed, *, by: PersonId) -> None:
    """Keep a workspace's installation; a newer one takes the place of the one before."""
    row = session.get(Installation, installed.team_id) or Installation(
        team_id=installed.team_id, team="", bot_user_id="", bot_token="", scopes="", installed_by=by, installed_at=now
    )
    for name, value in installed._asdict().items():
        setattr(row, name, value)
    row.installed_by, row.installed_at = by, now
    session.add(row)
    session.flush()
    audit.record(session, Actor(by), now, "app.installed", subject=f"workspace:{installed.team_id}")


def remove(session: Session, team_id: str, at: datetime) -> bool:
    """Forget a workspace that took the app or its token away at this moment; False where that is not news.

    Slack brings such an event again for minutes: one from before a later installation changes nothing.
    """
    row = session.get(Installation, team_id)
    if row is None or row.installed_at.replace(microsecond=0) > at:  # Slack tells whole seconds
        return False
    session.delete(row)
    session.flush()
    audit.record(session, WORKER, at, "app.removed", subject=f"workspace:{team_id}")
    return True


def listed(session: Session) -> list[Installation]:
    """Every workspace that installed the app by itself, by name."""
    return list(session.exec(select(Installation).order_by(Installation.team, Installation.team_id)))


class Workspaces:
    """Whom a token speaks for in which workspace; safe to use from several threads.

    Without the app's client id there is one workspace, that of the settings' token, and no row is looked at.

    Attributes:
        settings: whose token and app these are.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self._store = store
        self._home: Identity | None = None
        self._monotonic = monotonic
        self._known: dict[str, tuple[float, Installed | None]] = {}

    @property
    def home(self) -> Identity | None:
        """Whom the settings' own token speaks for, asked of Slack once; None without such a token.

        Raises:
            Unavailable: Slack does not say.
        """
        if self._home is None and self.settings.bot_token:
            self._home = identify(self.settings)
        return self._home

    def of(self, team_id: str | None) -> Installed | None:
        """The installation in a workspace; None where there is none.

        Raises:
            Unavailable: Slack does not say whom the token of the settings speaks for.
        """
        installed = self._of_row(team_id) if team_id and self.settings.client_id else None
        if installed is not None or self.home is None:
            return installed
        return self._with_own_token(self.home) if self.home.team_id == team_id else None

    def authorized(self, team_id: str | None) -> AuthorizeResult | None:
        """What Bolt wants to know of a request's workspace, without asking Slack at each request."""
        installed = self.of(team_id)
        if installed is None:
            return None
        return AuthorizeResult(
            enterprise_id=installed.enterprise_id,
            team_id=installed.team_id,
            bot_id=installed.bot_id,
            bot_user_id=installed.bot_user_id,
            bot_token=installed.bot_token,
        )

    def review_places(self) -> Callable[[str], str | None]:
        """What gives the place in which a workspace's corrections are reviewed; None for the channel of each reply.

        ERRATA_REVIEW_CHANNEL is a channel of the workspace of the settings' own token: no other one has it.

        Raises:
            Unavailable: Slack does not say whom the token of the settings speaks for.
        """
        channel, home = self.settings.review_channel, self.home if self.settings.client_id else None
        if channel is None or (self.settings.client_id and home is None):
            return lambda _team: None
        return lambda team: f"{team}/{channel}" if home is None or home.team_id == team else None

    def client_for(self, key: str) -> WebClient:
        """A client for the workspace of a place or a person: ``T1/C1``, ``person:T1/U1``.

        Raises:
            NotInstalled: the app is not installed there any more.
        """
        if not self.settings.client_id:
            return slack_client(self.settings)
        for installed in self.all():
            if same_house(key, f"{installed.team_id}/"):
                return self.client_of(installed)
        raise NotInstalled("Errata is not installed in that workspace any more: somebody there can install it again.")

    def client_of(self, installed: Installed) -> WebClient:
        """A client for this workspace; it waits and tries again where Slack asks for patience."""
        base_url = self.settings.api_url or WebClient.BASE_URL
        client = WebClient(token=installed.bot_token, base_url=base_url, ssl=trust(base_url))
        client.retry_handlers.append(RateLimitErrorRetryHandler(max_retry_count=2))
        return client

    def all(self) -> Iterator[Installed]:
        """Every workspace, that of the settings first.

        Raises:
            Unavailable: Slack does not say whom the token of the settings speaks for.
        """
        if self.home is not None:
            yield self.of(self.home.team_id) or self._with_own_token(self.home)
        if self.settings.client_id:
            with self._store.read() as session:
                rows = [Installed(*(getattr(row, name) for name in Installed._fields)) for row in listed(session)]
            yield from (row for row in rows if self._home is None or row.team_id != self._home.team_id)

    def forget(self, team_id: str) -> None:
        """Look the workspace up again, as it has just installed or removed the app."""
        self._known.pop(team_id, None)

    def _of_row(self, team_id: str) -> Installed | None:
        known = self._known.get(team_id)
        if known is not None and known[0] > self._monotonic():
            return known[1]
        with self._store.look_up() as connection:
            installed = _OF_TEAM.first(connection, sought=team_id)
        self._known[team_id] = (self._monotonic() + KEPT_SECONDS, installed)
        return installed

    def _with_own_token(self, home: Identity) -> Installed:
        return Installed(
            *(home.team_id, home.team, home.enterprise_id, home.bot_id, home.bot_user_id),
            bot_token=self.settings.bot_token,
            scopes="",
        )
