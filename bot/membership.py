"""Asking Slack who people are: members, guests or strangers, in which user groups, speaking what.

Owns the look at an account and how Slack's words become a standing; the web process asks after somebody has done
something, the worker before they do. Fails closed without forgetting: where Slack does not say, nothing is written,
and what was confirmed grows old (``curation.people.CONFIRMED``). What it means for rights is ``curation.people``'s.

The rule for somebody of whom Slack was not asked yet: an owner's word counts until Slack says otherwise, and Slack is
asked at once; a user group's word counts only for people whom Slack has said to be members.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.connection import TIMEOUT_SECONDS
from bot.installations import Installed, Workspaces
from bot.outcomes import TROUBLES
from curation import memberships, tongues
from curation.errors import ErrataError
from curation.people import WORKER, PersonId, person_id, user_id_of
from curation.policies import RoleName, Standing
from curation.store.engine import Store

log = logging.getLogger("errata.membership")

GROUPS_EVERY = timedelta(minutes=5)
PEOPLE_EVERY = timedelta(seconds=15)
MINUTE = timedelta(minutes=1)
MOST_AT_ONCE = 20
"""People asked about in one go; the others come with the next one, so that Slack's limits hold."""

MOST_A_MINUTE = 40
"""People whom one web process asks Slack about: it allows about a hundred, and what people wait for comes first."""

MOST_REMEMBERED = 10_000
"""People of whom a process remembers when it asked."""

_POLL_SECONDS = 1.0
_GRACE_SECONDS = 2.0
_NOBODY = frozenset({"user_not_found", "user_not_visible", "users_not_found"})


class Account(NamedTuple):
    """What Slack says of somebody."""

    standing: Standing
    name: str | None = None
    locale: str | None = None


def account_in(user: Mapping[str, Any], team_id: str) -> Account:
    """A ``user`` object of Slack's as an account of this workspace.

    ``{"id": "U1", "team_id": "T1", "is_restricted": True}`` in T1 → a guest.
    https://docs.slack.dev/reference/objects/user-object
    """
    teams = {user.get("team_id"), *((user.get("enterprise_user") or {}).get("teams") or ())} - {None}
    profile = user.get("profile") or {}
    names = (profile.get("display_name"), user.get("real_name"), profile.get("real_name"), user.get("name"))
    name = next((one for one in names if isinstance(one, str) and one), None)
    if user.get("is_stranger") or (teams and team_id not in teams):
        standing = Standing.FOREIGN
    elif user.get("deleted"):
        standing = Standing.GONE
    elif user.get("is_restricted") or user.get("is_ultra_restricted"):
        standing = Standing.GUEST
    elif user.get("is_bot"):
        standing = Standing.BOT
    else:
        standing = Standing.MEMBER
    return Account(standing, name, user.get("locale"))


def look(client: WebClient, person: str, team_id: str) -> Account:
    """Ask Slack about a person.

    Raises:
        SlackApiError, OSError: Slack does not say at the moment, or may not be asked (``missing_scope``).
    """
    try:
        user = client.users_info(user=user_id_of(person), include_locale=True)["user"]
    except SlackApiError as error:
        if error.response.get("error") not in _NOBODY:
            raise
        return Account(Standing.FOREIGN)
    return account_in(user, team_id)


def keep(store: Store, now: datetime, person: PersonId, account: Account) -> bool:
    """Keep what Slack has said; whether they stood otherwise before."""
    with store.write() as session:
        before = memberships.standing_of(session, person)
        memberships.note_standing(session, now, person, account.standing, display_name=account.name)
        if account.locale:
            tongues.note_locale(session, now, person, account.locale)
    return before is not account.standing


class Acquaintances:
    """Whoever does something in Slack is asked about afterwards, at most once an hour; never before the ack.

    Where many come at once, some are asked about when they do something again.
    """

    def __init__(self, store: Store, executor: Executor, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._executor = executor
        self._clock = clock
        self._asked: OrderedDict[str, datetime] = OrderedDict()
        self._lately: deque[datetime] = deque(maxlen=MOST_A_MINUTE)
        self._lock = threading.Lock()

    def met(self, person: PersonId, client: WebClient, team_id: str) -> None:
        """Ask about them on another thread, if it is time."""
        now = self._clock()
        with self._lock:
            asked = self._asked.get(person)
            if asked is not None and abs(now - asked) < memberships.REMEMBERED:
                return
            if len(self._lately) == MOST_A_MINUTE and abs(now - self._lately[0]) < MINUTE:
                return
            self._lately.append(now)
            self._asked[person] = now
            self._asked.move_to_end(person)
            while len(self._asked) > MOST_REMEMBERED:
                self._asked.popitem(last=False)
        self._executor.submit(self._ask, person, client, team_id)

    def _ask(self, person: PersonId, client: WebClient, team_id: str) -> None:
        try:
            with self._store.read() as session:
                due = memberships.is_due(session, person, self._clock())
            if due:
                quick = WebClient(token=client.token, base_url=client.base_url, timeout=TIMEOUT_SECONDS, ssl=client.ssl)
                keep(self._store, self._clock(), person, look(quick, person, team_id))
        except Exception as error:  # noqa: BLE001 (a thread's edge: nobody looks at the future)
            log.info("a person could not be asked about: error=%s", _word(error))


class Roster:
    """The role holders of every workspace and the members of the user groups that carry a role."""

    def __init__(
        self,
        store: Store,
        workspaces: Workspaces,
        groups: Iterable[tuple[str, RoleName]],
        clock: Callable[[], datetime],
        *,
        leads: Callable[[], bool] = lambda: True,
    ) -> None:
        """``groups`` are pairs as ERRATA_GROUPS gives them; an id without a workspace is of the settings' own."""
        self._store = store
        self._workspaces = workspaces
        self._groups = tuple(groups)
        self._clock = clock
        self._leads = leads
        self._next = {"groups": clock(), "people": clock()}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="errata-membership", daemon=True)

    def start(self) -> None:
        """Ask in the background until ``stop``."""
        self._thread.start()

    def stop(self) -> None:
        """End; a question in hand has a moment, and what comes of it too late is asked again by the next process."""
        self._stopping.set()
        self._thread.join(_GRACE_SECONDS)

    def step(self) -> None:
        """Ask about whoever is due; a group's members every few minutes."""
        now = self._clock()
        if self._is_time("people", now, PEOPLE_EVERY):
            for installed in self._workspaces.all():
                with self._store.read() as session:
                    due = memberships.due(session, now, installed.team_id, most=MOST_AT_ONCE)
                self._ask_about(due, installed)
        if self._is_time("groups", now, GROUPS_EVERY):
            self.read_groups()

    def _is_time(self, what: str, now: datetime, every: timedelta) -> bool:
        """Whether something is due; a clock that was set back does not put it off for as long."""
        if self._next[what] - every <= now < self._next[what]:
            return False
        self._next[what] = now + every
        return True

    def read_groups(self, group_id: str | None = None) -> None:
        """Read the members of every group, or of this one, and keep them. A group that Slack does not show stays."""
        if group_id is None:
            with self._store.write() as session:
                left = {(name.rpartition("/")[2], role) for name, role in self._groups}
                memberships.forget_groups(session, WORKER, self._clock(), configured=left)
        home = self._workspaces.home.team_id if self._workspaces.home is not None else None
        for installed in self._workspaces.all():
            for name, role in self._groups:
                team, _, group = name.rpartition("/")
                if (team or home) == installed.team_id and group_id in {None, group} and not self._stopping.is_set():
                    self._read_group(installed, group, role)

    def leave(self, team_id: str, group_id: str, user_ids: Iterable[str], enterprise_id: str | None) -> None:
        """Take a group's roles from whom Slack has just said to have left it."""
        gone = [person_id(team_id, user, enterprise_id) for user in user_ids]
        with self._store.write() as session:
            memberships.leave_group(session, WORKER, self._clock(), group_id=group_id, persons=gone)

    def carries(self, group_id: str) -> bool:
        """Whether members of this group hold a role."""
        return any(name.rpartition("/")[2] == group_id for name, _ in self._groups)

    def _read_group(self, installed: Installed, group_id: str, role: RoleName) -> None:
        client = self._workspaces.client_of(installed)
        try:
            users = members_of(client, group_id)
        except TROUBLES as error:
            if _word(error) != "no_such_subteam":
                log.warning("a user group could not be read: group=%s code=%s", group_id, _word(error))
                return
            users = []  # a group that is no more has no members: that is an answer
        members = [person_id(installed.team_id, user, installed.enterprise_id) for user in users]
        with self._store.read() as session:
            new = [person for person in members if memberships.standing_of(session, person) is None]
        self._ask_about(new[: 5 * MOST_AT_ONCE], installed)
        with self._store.write() as session:
            memberships.confirm_group(
                session,
                WORKER,
                self._clock(),
                team_id=installed.team_id,
                group_id=group_id,
                role=role,
                members=members,
            )

    def _ask_about(self, persons: Iterable[PersonId], installed: Installed) -> None:
        client = self._workspaces.client_of(installed)
        for person in persons:
            if self._stopping.is_set():
                return
            try:
                keep(self._store, self._clock(), person, look(client, person, installed.team_id))
            except TROUBLES as error:
                log.warning("a person could not be asked about: code=%s", _word(error))
                return  # it will hold for the others as well

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                if self._leads():
                    self.step()
            except ErrataError as error:
                log.warning("people could not be asked about: error=%s", type(error).__name__)
            except Exception:  # a thread's edge: it must survive a surprise and go on later
                log.exception("asking about people")
            self._stopping.wait(_POLL_SECONDS)


def members_of(client: WebClient, group_id: str) -> list[str]:
    """The user ids in a group; none in one that is disabled.

    Raises:
        SlackApiError, OSError: Slack does not say: that is not the same as nobody.
    """
    found = client.usergroups_users_list(usergroup=group_id).get("users")
    if not isinstance(found, list):
        raise OSError("Slack's answer names no members")
    return [user for user in found if isinstance(user, str)]


def _word(error: Exception) -> str:
    return str(error.response.get("error")) if isinstance(error, SlackApiError) else type(error).__name__
