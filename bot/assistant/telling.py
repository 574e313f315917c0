"""An answer on its way into a thread: streamed, or where Slack does not take that, posted and edited.

Owns that one answer is one message. What a lost call may have left behind is found again before anything is said a
second time: by the metadata that every finished message carries, or, in the middle of a stream, which has none yet,
as the one message of Errata's in the thread that no other answer is known by. Such a message is completed in place.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.assistant.history import ANSWER_EVENT, GROWING, answer_in
from bot.blocks.chat import body
from bot.blocks.elements import Block
from bot.mrkdwn import disarm, escape, settled
from bot.outcomes import HOPELESS, SHUT_OUT, TROUBLES, certainly_not_taken, retry_after

log = logging.getLogger("errata.assistant")

STREAM_SECONDS = 1.0
"""Between two pieces of a stream: Slack takes about a hundred a minute of an app, for all of its streams."""
EDIT_SECONDS = 3.0
"""Between two edits of a message."""
PATIENCE_SECONDS = 30.0
"""The longest wait that Slack may ask for before the end of an answer."""
TRIES = 3
TITLE_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class Place:
    """Where an answer goes: below a message, and for whom it is streamed."""

    channel: str
    thread_ts: str
    team_id: str
    user_id: str


class Telling:
    """One answer's message, from its first words to its end.

    Attributes:
        ts: where it stands in the channel; None before anything was said.
        wait: how long a pause takes; time is an argument.
    """

    def __init__(
        self,
        client: WebClient,
        place: Place,
        answer_id: int,
        *,
        ts: str | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] = time.sleep,
    ) -> None:
        """With ``ts``, an earlier attempt's message is completed: nothing is shown of it before its end."""
        self.ts = ts
        self._client = client
        self._place = place
        self._answer_id = answer_id
        self._monotonic = monotonic
        self._wait = wait
        self._streams = ts is None
        self._completes = ts is not None
        self._sound = ts is None  # whether Slack has certainly taken what was sent so far
        self._shown = 0
        self._next = 0.0
        self._pause = STREAM_SECONDS

    def think(self, status: str, *, title: str | None = None) -> None:
        """Show in these words that an answer is coming, and what the thread is about; whether it shows is no matter."""
        channel, thread_ts = self._place.channel, self._place.thread_ts
        try:
            self._client.assistant_threads_setStatus(channel_id=channel, thread_ts=thread_ts, status=status)
            if title is not None:
                title = title[:TITLE_CHARACTERS]
                self._client.assistant_threads_setTitle(channel_id=channel, thread_ts=thread_ts, title=title)
        except TROUBLES as error:
            log.debug("no status was shown: error=%s", type(error).__name__)

    def grow(self, text: str) -> bool:
        """Show what there is of the answer, if it is time to; whether the message has just begun.

        Raises:
            SlackApiError, OSError: it could not be begun; after an OSError nobody knows whether it was.
        """
        shown = text[: settled(text)]
        if not shown.strip() or self._completes or self._monotonic() < self._next:
            return False
        begins = self.ts is None
        if begins:
            self._begin(shown)
        elif self._sound and len(shown) > self._shown:
            self._go_on(shown)
        self._next = self._monotonic() + self._pause
        return begins

    def end(self, text: str, foot: Sequence[Block], *, state: str, about: Mapping[str, Any]) -> str:
        """Say the whole of it, with what stands below; the message's ts.

        Raises:
            SlackApiError, OSError: it could not be ended; nobody may know whether it was.
        """
        metadata = self._metadata({**about, "state": state})
        if self.ts is not None and self._streams and self._sound and self._stopped(text, foot, metadata):
            return self.ts
        content: dict[str, Any] = {
            "text": escape(disarm(text)) or "–",
            "blocks": [*([body(text)] if text.strip() else []), *foot],
            "metadata": metadata,
        }
        if self.ts is None:
            posted = self._patiently(
                lambda: self._client.chat_postMessage(
                    channel=self._place.channel,
                    thread_ts=self._place.thread_ts,
                    unfurl_links=False,
                    unfurl_media=False,
                    **content,
                )
            )
            self.ts = str(posted["ts"])
            return self.ts
        ts = self.ts
        if self._completes or self._streams:
            self._stop_quietly(ts)
        self._patiently(lambda: self._client.chat_update(channel=self._place.channel, ts=ts, **content))
        return ts

    def _begin(self, shown: str) -> None:
        try:
            started = self._client.chat_startStream(
                channel=self._place.channel,
                thread_ts=self._place.thread_ts,
                markdown_text=disarm(shown),
                recipient_team_id=self._place.team_id,
                recipient_user_id=self._place.user_id,
                unfurl_links=False,
                unfurl_media=False,
            )
            self.ts = str(started["ts"])
        except SlackApiError as error:
            if not certainly_not_taken(error) or error.response.get("error") in HOPELESS | SHUT_OUT:
                raise
            # Of streams Slack takes twenty a minute of an app, and in some places none.
            log.info("an answer is not streamed: code=%s", error.response.get("error"))
            self._streams, self._pause = False, EDIT_SECONDS
            posted = self._client.chat_postMessage(
                channel=self._place.channel,
                thread_ts=self._place.thread_ts,
                unfurl_links=False,
                unfurl_media=False,
                **self._so_far(shown),
            )
            self.ts = str(posted["ts"])
        self._shown = len(shown)

    def _go_on(self, shown: str) -> None:
        channel, ts = self._place.channel, str(self.ts)
        try:
            if self._streams:
                piece = disarm(shown)[len(disarm(shown[: self._shown])) :]
                self._client.chat_appendStream(channel=channel, ts=ts, markdown_text=piece)
            else:
                self._client.chat_update(channel=channel, ts=ts, **self._so_far(shown))
            self._shown = len(shown)
        except SlackApiError as error:
            if error.response.get("error") == "ratelimited":
                self._pause = min(2 * self._pause, PATIENCE_SECONDS)
                return
            self._sound = not self._streams
            log.info("an answer does not grow any more: code=%s", error.response.get("error"))
        except OSError as error:  # whether the piece was taken nobody knows: the end says all of it
            self._sound = not self._streams
            log.info("an answer does not grow any more: error=%s", type(error).__name__)

    def _stopped(self, text: str, foot: Sequence[Block], metadata: Mapping[str, Any]) -> bool:
        """End the stream with what is left; false where Slack has ended it itself, as it does after minutes."""
        rest = disarm(text)[len(disarm(text[: self._shown])) :]
        try:
            self._patiently(
                lambda: self._client.chat_stopStream(
                    channel=self._place.channel,
                    ts=str(self.ts),
                    markdown_text=rest or None,
                    blocks=[*foot],
                    metadata=dict(metadata),
                )
            )
        except SlackApiError as error:
            if not certainly_not_taken(error):
                raise
            log.info("a stream could not be ended: code=%s", error.response.get("error"))
            return False
        return True

    def _stop_quietly(self, ts: str) -> None:
        """A message that still streams cannot be edited."""
        try:
            self._client.chat_stopStream(channel=self._place.channel, ts=ts)
        except SlackApiError as error:
            log.debug("no stream was stopped: code=%s", error.response.get("error"))

    def _patiently(self, call: Callable[[], Any]) -> Any:
        """Call, as often as Slack asks for patience within reason."""
        for left in reversed(range(TRIES)):
            try:
                return call()
            except SlackApiError as error:
                if error.response.get("error") != "ratelimited" or not left:
                    raise
                self._wait(min(retry_after(error).total_seconds(), PATIENCE_SECONDS))
        raise AssertionError  # the loop returns or raises

    def _so_far(self, shown: str) -> dict[str, Any]:
        metadata = self._metadata({"state": GROWING})
        return {"text": escape(disarm(shown)), "blocks": [body(shown)], "metadata": metadata}

    def _metadata(self, about: Mapping[str, Any]) -> dict[str, Any]:
        return {"event_type": ANSWER_EVENT, "event_payload": {"answer": self._answer_id, **about}}


@dataclass(frozen=True, slots=True)
class Left:
    """What an earlier attempt at an answer left in the thread.

    Attributes:
        ts: of its message.
        about: its metadata, where it has any; ``state`` says whether the message is whole.
    """

    ts: str
    about: Mapping[str, Any]


def left_behind(
    thread: Sequence[Mapping[str, Any]],
    *,
    answer_id: int,
    question_ts: str,
    own_ids: Collection[str],
    known: Collection[str],
) -> Left | None:
    """The message that an earlier attempt at this answer left, if it did.

    Args:
        own_ids: the ids under which Errata posts.
        known: the ts of other answers in this thread.
    """
    for message in thread:
        about = answer_in(message)
        if about.get("answer") == answer_id:
            return Left(str(message["ts"]), about)
    for message in thread:
        ts = str(message.get("ts", ""))
        ours = {message.get("user"), message.get("bot_id")} & set(own_ids)
        if ours and ts > question_ts and ts not in known and not message.get("metadata"):
            return Left(ts, {})
    return None
