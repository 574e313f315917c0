"""Who is answered: Errata is the assistant of its own workspace.

Owns the look at a person's account, remembered for a while. Fails closed: where Slack does not say whether somebody
is a guest, nobody is answered.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from curation.people import user_id_of
from curation.policies import may_ask

log = logging.getLogger("errata.assistant")

REMEMBERED = timedelta(minutes=10)

FOREIGN = "Errata answers people of its own workspace, and you are from another one: ask somebody here."
GUEST = "Errata answers members of this workspace, and you are here as a guest: ask somebody in this channel."
UNKNOWN = "Errata cannot tell who is a guest here, so it answers nobody: it lacks the scope users:read."


class Visitors:
    """The people who ask; safe to use from several threads."""

    def __init__(self, client: WebClient, team_id: str, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._team_id = team_id
        self._clock = clock
        self._known: dict[str, tuple[datetime, str | None]] = {}
        self._lock = threading.Lock()

    def refusal(self, person: str) -> str | None:
        """Why this person is not answered; None for those who are.

        Raises:
            SlackApiError, OSError: Slack does not say at the moment.
        """
        home = person.split("/")[-2] == self._team_id
        if not may_ask(home=home, guest=False):
            return FOREIGN
        now = self._clock()
        with self._lock:
            seen = self._known.get(person)
        if seen is not None and abs(now - seen[0]) < REMEMBERED:
            return seen[1]
        refusal = self._look(person)
        with self._lock:
            self._known[person] = (now, refusal)
        return refusal

    def _look(self, person: str) -> str | None:
        try:
            user = self._client.users_info(user=user_id_of(person))["user"]
        except SlackApiError as error:
            if error.response.get("error") != "missing_scope":
                raise
            log.warning("nobody is answered: the bot token lacks the scope users:read")
            return UNKNOWN
        if user.get("is_stranger") or user.get("team_id") not in {None, self._team_id}:
            return FOREIGN
        guest = any(user.get(mark) for mark in ("is_restricted", "is_ultra_restricted", "is_bot", "deleted"))
        return None if may_ask(home=True, guest=guest) else GUEST
