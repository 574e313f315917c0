"""Who is answered: Errata is the assistant of its own workspace.

Owns what a person's standing (``bot.membership``) means for a question, remembered for a while. Fails closed: where
Slack does not say whether somebody is a guest, nobody is answered.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot import membership
from curation.policies import Standing
from curation.wording import phrase

log = logging.getLogger("errata.assistant")

REMEMBERED = timedelta(minutes=10)

FOREIGN = phrase("Errata answers people of its own workspace, and you are from another one: ask somebody here.")
GUEST = phrase("Errata answers members of this workspace, and you are here as a guest: ask somebody in this channel.")
UNKNOWN = phrase("Errata cannot tell who is a guest here, so it answers nobody: it lacks the scope users:read.")


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
        if not home:
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
            standing = membership.look(self._client, person, self._team_id).standing
        except SlackApiError as error:
            if error.response.get("error") != "missing_scope":
                raise
            log.warning("nobody is answered: the bot token lacks the scope users:read")
            return UNKNOWN
        if standing is Standing.MEMBER:
            return None
        return FOREIGN if standing is Standing.FOREIGN else GUEST
