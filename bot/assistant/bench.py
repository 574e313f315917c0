"""What a task is settled at: the database, Slack, the clock, and the ends that a task may come to.

Owns that a row is changed only by whoever has it in hand. What is done about a task is ``answering``'s and
``endorsing``'s.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from sqlmodel import Session

from bot.assistant import tasks
from bot.assistant.history import read_thread
from bot.assistant.tasks import TaskStep
from bot.assistant.visitors import Visitors
from bot.connection import Identity, identify, without_retries
from bot.installations import Workspaces
from bot.mrkdwn import escape
from bot.outcomes import HOPELESS, TROUBLES, retry_after
from bot.settings import Settings
from bot.speech import Say, speaking, spoken_to
from curation import assistants, proposals
from curation.errors import Overtaken
from curation.people import user_id_of
from curation.store.engine import Store
from curation.store.tables import ChatTask
from curation.wording import phrase

log = logging.getLogger("errata.assistant")

GRACE_SECONDS = 3.0
"""What an answer in hand has after SIGTERM; then it is put back, and completed by the next worker."""

NOT_READ = phrase(
    "This message could not be read: Errata lacks a scope for the history of this channel. See errata doctor."
)
_NOT_THERE = frozenset({"thread_not_found", "message_not_found"})


class Interrupted(Exception):
    """The process ends, or another one leads; the task is for the next."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A task in hand, with the places that its ids name."""

    task: ChatTask
    channel: str
    thread_ts: str
    ts: str

    @classmethod
    def of(cls, task: ChatTask) -> Asked:
        """``T1/C1/1.2`` → channel C1, message 1.2; an endorsement's source has its presser behind a ``#``."""
        channel, ts = task.source.partition("#")[0].rsplit("/", 2)[1:]
        return cls(task, channel, task.thread.rsplit("/", 1)[1], ts)

    @property
    def key(self) -> int:
        """The task's key."""
        return self.task.key

    @property
    def place(self) -> str:
        """The destination key of the channel."""
        return self.task.source.partition("#")[0].rsplit("/", 1)[0]

    @property
    def begins_a_direct_message(self) -> bool:
        """Whether this is the first message of a thread with Errata alone."""
        return self.channel.startswith("D") and self.ts == self.thread_ts


class Bench:
    """The surroundings of whoever settles tasks; safe to use from several threads.

    Attributes:
        client: one without retries: slack_sdk's own would send a piece of a stream twice.
        monotonic: seconds that only grow, for intervals.
    """

    def __init__(
        self,
        store: Store,
        client: WebClient,
        clock: Callable[[], datetime],
        settings: Settings,
        *,
        leads: Callable[[], bool] = lambda: True,
        monotonic: Callable[[], float] = time.monotonic,
        workspaces: Workspaces | None = None,
    ) -> None:
        """``workspaces``: those that installed Errata, where it serves several; else there is that of the client."""
        self.store = store
        self._workspaces = workspaces
        self.client = without_retries(client)
        self.clock = clock
        self.settings = settings
        self.leads = leads
        self.monotonic = monotonic
        self.stopping = threading.Event()
        self._stopped_at = float("inf")

    @cached_property
    def identity(self) -> Identity:
        """Whom Errata is in Slack; the assistant that it is itself is watched from then on.

        Raises:
            Unavailable: Slack does not say.
        """
        identity = identify(self.settings)
        if self.settings.assistant:
            own = frozenset(filter(None, (identity.bot_user_id, identity.bot_id)))
            with self.store.write() as session:
                assistants.itself(session, self.clock(), team_id=identity.team_id, speaks_as=own)
        return identity

    @property
    def own_ids(self) -> frozenset[str]:
        """The ids under which Errata posts."""
        return frozenset(filter(None, (self.identity.bot_user_id, self.identity.bot_id)))

    @cached_property
    def visitors(self) -> Visitors:
        """Who is answered."""
        return Visitors(self.client, self.identity.team_id, self.clock)

    def stop(self) -> None:
        """Let nobody begin anything; what is in hand has ``GRACE_SECONDS``."""
        self._stopped_at = self.monotonic()
        self.stopping.set()

    @property
    def grace_left(self) -> float:
        """Seconds that are left to whoever is at it; infinite while nobody stops."""
        return max(0.0, self._stopped_at + GRACE_SECONDS - self.monotonic())

    def go_on_or_leave(self) -> None:
        """Raise Interrupted where this process has to leave the task to another."""
        if not self.leads() or not self.grace_left:
            raise Interrupted

    def client_in(self, place: str) -> WebClient:
        """A client for the workspace of a channel's destination key, without retries.

        Raises:
            NotInstalled: the app is not installed there any more.
            Unavailable: Slack does not say whom the token of the settings speaks for.
        """
        if self._workspaces is None:
            return self.client
        found = self._workspaces.client_for(place)
        return without_retries(found, self.client.timeout)

    def review_in(self, team_id: str) -> str:
        """Where a workspace's candidates are reviewed: its review channel, else the channel of each reply."""
        if self._workspaces is not None:
            return self._workspaces.review_places()(team_id) or proposals.ITS_CHANNEL
        channel = self.settings.review_channel
        return f"{team_id}/{channel}" if channel else proposals.ITS_CHANNEL

    def thread(self, asked: Asked) -> list[dict[str, Any]]:
        """The thread that a task is about; empty where it is gone.

        Raises:
            SlackApiError, OSError: Slack refuses or does not answer.
        """
        try:
            return read_thread(self.client_in(asked.place), asked.channel, asked.thread_ts)
        except SlackApiError as error:
            if error.response.get("error") in _NOT_THERE:
                return []
            raise

    def say(self, asked: Asked, *, alone: bool = False) -> Say:
        """How to speak where something was asked: to one person in their language, to a channel in the workspace's.

        Args:
            alone: only whoever asked will see it, wherever that is.
        """
        language = self.settings.language
        if not alone and not asked.channel.startswith("D"):
            return speaking(language)
        with self.store.read() as session:
            return spoken_to(session, asked.task.asked_by, language)

    def whisper(self, asked: Asked, sentence: str) -> None:
        """Tell the person alone, in their language; a lost whisper loses nothing."""
        try:
            self.client_in(asked.place).chat_postEphemeral(
                channel=asked.channel,
                user=user_id_of(asked.task.asked_by),
                thread_ts=asked.thread_ts,
                text=escape(self.say(asked, alone=True)(sentence)),
            )
        except TROUBLES as error:
            log.info("a person was not told: error=%s", type(error).__name__)

    def note_message(self, asked: Asked, ts: str) -> None:
        """Keep where the answer stands as soon as it has begun: after a kill it is completed there."""
        with self.store.write() as session:
            mine(session, asked).message_ref = f"{asked.place}/{ts}"

    def end(self, asked: Asked, step: TaskStep, *, trouble: str | None = None, ts: str | None = None) -> None:
        """Settle the task for good; ``ts`` is of the message that says so."""
        with self.store.write() as session:
            task = mine(session, asked)
            tasks.end(task, step, self.clock(), trouble=trouble)
            if ts is not None:
                task.message_ref = f"{asked.place}/{ts}"

    def put_back(self, asked: Asked, trouble: str, *, after: timedelta | None = None) -> None:
        """Leave the task for another attempt."""
        with self.store.write() as session:
            tasks.put_back(mine(session, asked), self.clock(), trouble=trouble, after=after)

    def refused(self, asked: Asked, error: SlackApiError) -> None:
        """What Slack's refusal means for the task: never, or later."""
        code = str(error.response.get("error"))
        if code == "missing_scope":
            self.whisper(asked, NOT_READ)
        if code == "missing_scope" or code in HOPELESS or asked.task.attempts >= tasks.MAX_ATTEMPTS:
            log.warning("a task could not be settled: task=%s code=%s", asked.key, code)
            self.end(asked, TaskStep.FAIL, trouble=code)
            return
        self.put_back(asked, code, after=retry_after(error) if code == "ratelimited" else None)


def mine(session: Session, asked: Asked) -> ChatTask:
    """The task's row, to change it.

    Raises:
        Overtaken: another worker has taken it since: what becomes of it is that one's to say.
    """
    task = session.get_one(ChatTask, asked.key)
    if task.attempts != asked.task.attempts:
        raise Overtaken("Another worker has taken this question.")
    return task
