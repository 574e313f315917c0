"""From the outbox to Slack: owed notices are sent in order, retried, and never sent twice.

Owns the sending. A notice is marked in flight before its call and delivered after it; one that is
found in flight (the process died, or the answer was lost) is looked up in the channel by the key in
its metadata, a picture by its file's name, before it is sent again, in the thread for which it is where the
destination names one (``T1/C1/1700000000.000100``). Where Errata may not look it is
left uncertain, for a person to see about. The outbox owns the retries, so slack_sdk's own are off:
they resend on a dropped connection, which posts twice.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.connection import without_retries
from bot.outcomes import HOPELESS, LOST, SHUT_OUT, certainly_not_taken, retry_after
from bot.rendering import Message, render
from bot.speech import DEFAULT
from curation import notices, thread_posts
from curation.errors import ErrataError, Overtaken, StoreUnavailable, Unavailable
from curation.notices import NoticeKind, NoticeStatus
from curation.people import user_id_of
from curation.store.engine import Store
from curation.store.tables import Notice
from training.planning.prices import SHIPPED, PriceTable

log = logging.getLogger("errata.notices")

_TS = re.compile(r"\d+\.\d+", re.ASCII)

EVENT_TYPE = "errata_notice"
PAGE_MESSAGES = 200
CLOCK_DIFFERENCE = timedelta(minutes=5)
"""How far this machine's clock and Slack's may be apart; the gate refuses requests beyond it as well."""


@dataclass
class Attempt:
    """One attempt at a notice.

    Attributes:
        reference: the message it edits; None for a new one.
        doubtful: whether this or an earlier attempt may have reached the channel without our knowing.
        since: since when the message may stand in the channel.
    """

    notice: Notice
    reference: str | None
    doubtful: bool
    since: datetime


class Deliverer:
    """Sends what is owed, on one thread of its own between ``start`` and ``stop``."""

    def __init__(
        self,
        store: Store,
        client: WebClient,
        clock: Callable[[], datetime],
        *,
        leads: Callable[[], bool] = lambda: True,
        language: str = DEFAULT,
        poll_seconds: float = 0.25,
        clients: Callable[[str], WebClient] | None = None,
        prices: Callable[[], PriceTable] = lambda: SHIPPED,
    ) -> None:
        """``clients`` gives the client of a destination's workspace; without it there is one, and ``client`` speaks.

        ``prices`` gives what providers ask for today.
        """
        self._store = store
        self._clients = clients or (lambda _destination: client)
        self._clock = clock
        self._leads = leads  # of several workers one delivers
        self._language = language
        self._poll_seconds = poll_seconds
        self._prices = prices
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="errata-notices", daemon=True)

    def start(self) -> None:
        """Deliver in the background until ``stop``."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the notice in hand, then end."""
        self._stopping.set()
        self._thread.join()

    def tick(self) -> int:
        """Send everything that is due now; the number of notices that were tried."""
        with self._store.look_up() as connection:
            if not notices.any_owed(connection):
                return 0
        with self._store.read() as session:
            ready = notices.due(session, self._clock())
        stuck: set[str] = set()
        for notice in ready:
            if self._stopping.is_set() or not self._leads():
                break
            if notice.destination not in stuck and not self._deliver(notice):
                stuck.add(notice.destination)
        return len(ready)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                tried = self.tick() if self._leads() else 0
            except Exception:  # a thread's edge: delivery must survive a surprise and go on later
                log.exception("delivering notices")
                tried = 0
            if not tried:
                self._stopping.wait(self._poll_seconds)

    def _deliver(self, notice: Notice) -> bool:
        """Send one notice; false where the ones behind it in its destination have to wait."""
        with self._store.write() as session:
            current = session.get_one(Notice, notice.key)
            if current.status not in notices.OPEN:
                return True  # sent by another worker since it was found due
            if current.attempts != notice.attempts:
                return False  # another worker is at it, and those behind it wait for the outcome
            reference = notices.message_ref(session, current)
            doubtful = reference is None and notices.doubtful(session, current)
            attempt = Attempt(notice, reference, doubtful, notices.first_owed_at(session, current))
            notices.start(current, self._clock())
        try:
            sent = self._try(attempt)
        except SlackApiError as error:
            return self._refused(attempt, error)
        except (StoreUnavailable, Overtaken):
            raise  # says nothing about the notice, which stays in flight
        except ErrataError as error:
            return self._not_sent(attempt, error)
        except Exception as error:  # a dropped connection, or a surprise that must not hold up other channels
            trouble = type(error).__name__
            log.warning("a notice was not delivered: notice=%s trouble=%s", notice.id, trouble)
            log.debug("a notice was not delivered: notice=%s", notice.id, exc_info=error)
            self._put_off(attempt, trouble, outage=isinstance(error, OSError))
            return False
        self._settle(notice, lambda row, now: notices.delivered(row, now, reference=sent))
        return True

    def _try(self, attempt: Attempt) -> str:
        """Look where there is doubt, then send; the reference of the message."""
        notice = attempt.notice
        with self._store.read() as session:
            message = render(session, notice, self._clock(), self._language, self._prices())
        channel, thread_ts = self._channel(notice.destination)
        if attempt.doubtful:
            found = self._found(channel, thread_ts, attempt, message)
            if found is not None and (message.picture is not None or notice.message_key is None):
                return found
            attempt.doubtful = False
            if found is not None:  # it may show an older state: an edit brings it up to date, now or later
                attempt.reference = found
                self._settle(notice, lambda row, _now: notices.arrived(row, reference=found))
        edits = attempt.reference is not None
        attempt.doubtful = not edits  # an edit that took place twice is one edit
        try:
            try:
                return self._send(channel, thread_ts, notice, message, attempt.reference)
            except SlackApiError as error:
                if not (edits and message.lasting and error.response.get("error") in LOST):
                    raise
            self._forget(attempt)
            return self._send(channel, thread_ts, notice, message, None)
        except Exception as error:  # only classified here, then raised again: whether the call may have taken effect
            if certainly_not_taken(error):
                attempt.doubtful = False
            raise

    def _forget(self, attempt: Attempt) -> None:
        """The message is gone: somebody deleted it, or it is another app's. The next one begins below."""
        attempt.reference, attempt.doubtful = None, True
        with self._store.write() as session:
            notices.forget(session, attempt.notice)

    def _send(
        self, channel: str, thread_ts: str | None, notice: Notice, message: Message, reference: str | None
    ) -> str:
        """Post, edit or upload; the reference of the message."""
        if message.picture is not None:
            uploaded = self._speaking(notice.destination).files_upload_v2(
                channel=channel,
                filename=message.picture.name,
                content=message.picture.content,
                alt_txt=message.picture.alt_text,
                title=message.text,
                initial_comment=message.text,
            )
            return f"{channel}/{uploaded['file']['id']}"
        content: dict[str, Any] = {
            "text": message.text,
            "blocks": list(message.blocks),
            "unfurl_links": False,
            "unfurl_media": False,
            "metadata": {"event_type": EVENT_TYPE, "event_payload": {"message": _key(notice)}},
        }
        if reference is not None:
            channel, ts = reference.split("/")
            del content["unfurl_links"], content["unfurl_media"]
            self._speaking(notice.destination).chat_update(channel=channel, ts=ts, **content)
            return reference
        posted = self._speaking(notice.destination).chat_postMessage(channel=channel, thread_ts=thread_ts, **content)
        return f"{channel}/{posted['ts']}"

    def _found(self, channel: str, thread_ts: str | None, attempt: Attempt, message: Message) -> str | None:
        """The message that an earlier attempt left there, if it did: every page since it was owed."""
        key, cursor, client = _key(attempt.notice), None, self._speaking(attempt.notice.destination)
        oldest = f"{(attempt.since - CLOCK_DIFFERENCE).timestamp():.6f}"
        while True:
            terms: dict[str, Any] = {
                "channel": channel,
                "oldest": oldest,
                "cursor": cursor,
                "limit": PAGE_MESSAGES,
                "include_all_metadata": True,
            }
            history = (
                client.conversations_history(**terms)
                if thread_ts is None
                else client.conversations_replies(ts=thread_ts, **terms)
            )
            for shown in history["messages"]:
                metadata = shown.get("metadata") or {}
                if metadata.get("event_type") == EVENT_TYPE and metadata["event_payload"].get("message") == key:
                    return f"{channel}/{shown['ts']}"
                for file in shown.get("files", []):
                    if message.picture is not None and file.get("name") == message.picture.name:
                        return f"{channel}/{file['id']}"
            cursor = (history.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                return None

    def _channel(self, destination: str) -> tuple[str, str | None]:
        """The channel and thread behind a destination.

        ``T1/C1`` → C1, ``T1/C1/1700000000.000100`` → C1 and the thread of that message, ``person:T1/U1`` → their DM.
        """
        kind, _, person = destination.partition("person:")
        if person and not kind:
            opened = self._speaking(destination).conversations_open(users=user_id_of(person))
            return str(opened["channel"]["id"]), None
        place, _, last = destination.rpartition("/")
        return (place.rsplit("/", 1)[-1], last) if _TS.fullmatch(last) else (last, None)

    def _not_sent(self, attempt: Attempt, error: ErrataError) -> bool:
        """Give up what cannot be said; the app may come back to a workspace that it is gone from."""
        if isinstance(error, Unavailable):
            self._put_off(attempt, type(error).__name__, outage=True)
            return False
        self._settle(attempt.notice, lambda row, _now: notices.give_up(row, trouble=str(error)))
        return True

    def _speaking(self, destination: str) -> WebClient:
        """A client for the destination's workspace, one that sends nothing twice by itself.

        Raises:
            Unavailable: Errata is not installed there.
        """
        return without_retries(self._clients(destination))

    def _refused(self, attempt: Attempt, error: SlackApiError) -> bool:
        notice, code = attempt.notice, str(error.response.get("error"))
        if code == "ratelimited":
            self._put_off(attempt, code, retry_after=retry_after(error))
            return False
        if code in HOPELESS:
            log.warning("a notice cannot be delivered: notice=%s trouble=%s", notice.id, code)
            end = notices.leave_uncertain if attempt.doubtful else notices.give_up
            self._settle(notice, lambda row, _now: end(row, trouble=code))
            return True
        outage = error.response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR or code in SHUT_OUT
        self._put_off(attempt, code, outage=outage)
        return False

    def _put_off(self, attempt: Attempt, trouble: str, **terms: Any) -> None:
        arrived = None if attempt.doubtful else False
        self._settle(
            attempt.notice, lambda row, now: notices.put_off(row, now, trouble=trouble, arrived=arrived, **terms)
        )

    def _settle(self, notice: Notice, change: Callable[[Notice, datetime], None]) -> None:
        with self._store.write() as session:
            now, row = self._clock(), session.get_one(Notice, notice.key)
            change(row, now)
            if row.kind == NoticeKind.THREAD_POST and row.status == NoticeStatus.FAILED:
                thread_posts.not_posted(session, now, row.subject)


def _key(notice: Notice) -> str:
    """What a message is found again by: the key of all its edits, or its only notice."""
    return notice.message_key or f"notice:{notice.key}"
