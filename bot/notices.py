"""From the outbox to Slack: owed notices are sent in order, retried, and never sent twice knowingly.

Owns the sending. A notice is marked in flight before its call and delivered after it; one that was
attempted before (the process died, or the answer was lost) is looked up in the channel by the key in
its metadata, a picture by its file's name, before it is sent again. The outbox owns the retries, so
slack_sdk's own are off: they resend on a dropped connection, which posts twice.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from bot.rendering import Message, render
from curation import notices
from curation.errors import ErrataError, StoreUnavailable
from curation.people import user_id_of
from curation.store.engine import Store
from curation.store.tables import Notice

log = logging.getLogger("errata.notices")

EVENT_TYPE = "errata_notice"
LOOK_BACK_MESSAGES = 100
HOPELESS = frozenset(
    {
        *("channel_not_found", "is_archived", "not_in_channel", "missing_scope", "restricted_action"),
        *("user_not_found", "message_not_found", "cant_update_message"),
    }
)
# A new token mends these; until then every notice waits.
SHUT_OUT = frozenset({"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired"})


class Deliverer:
    """Sends what is owed, on one thread of its own between ``start`` and ``stop``."""

    def __init__(
        self, store: Store, client: WebClient, clock: Callable[[], datetime], *, poll_seconds: float = 0.25
    ) -> None:
        self._store = store
        self._client = WebClient(token=client.token, base_url=client.base_url, retry_handlers=[])
        self._clock = clock
        self._poll_seconds = poll_seconds
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
        with self._store.read() as session:
            ready = notices.due(session, self._clock())
        stuck: set[str] = set()
        for notice in ready:
            if notice.destination not in stuck and not self._deliver(notice):
                stuck.add(notice.destination)
        return len(ready)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                tried = self.tick()
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
                return True  # superseded since it was found due
            reference = notices.message_ref(session, current)
            unsure = reference is None and notices.attempted(session, current)
            notices.start(current)
        try:
            with self._store.read() as session:
                message = render(session, notice)
            channel = self._channel(notice.destination)
            found = self._found(channel, notice, message) if unsure else None
            if found is not None and message.picture is not None:
                sent = found
            else:  # what was found may show an older state: an edit brings it up to date
                sent = self._send(channel, notice, message, reference or found)
        except SlackApiError as error:
            return self._refused(notice, error)
        except StoreUnavailable:
            raise
        except ErrataError as error:
            trouble = str(error)
            self._settle(notice, lambda row: notices.give_up(row, trouble=trouble))
            return True
        except Exception as error:  # a dropped connection, or a surprise that must not hold up other channels
            trouble = type(error).__name__
            log.warning("notice %s was not delivered: %s", notice.id, trouble)
            log.debug("notice %s was not delivered", notice.id, exc_info=error)
            outage = isinstance(error, OSError)
            self._settle(notice, lambda row: notices.put_off(row, self._clock(), trouble=trouble, outage=outage))
            return False
        self._settle(notice, lambda row: notices.delivered(row, reference=sent))
        return True

    def _send(self, channel: str, notice: Notice, message: Message, reference: str | None) -> str:
        """Post, edit or upload; the reference of the message."""
        if message.picture is not None:
            uploaded = self._client.files_upload_v2(
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
            self._client.chat_update(channel=channel, ts=ts, **content)
            return reference
        posted = self._client.chat_postMessage(channel=channel, **content)
        return f"{channel}/{posted['ts']}"

    def _found(self, channel: str, notice: Notice, message: Message) -> str | None:
        """The message that an interrupted attempt left in the channel, if it did."""
        try:
            history = self._client.conversations_history(
                channel=channel, limit=LOOK_BACK_MESSAGES, include_all_metadata=True
            )
        except SlackApiError as error:
            if error.response.get("error") != "missing_scope":
                raise
            # A direct message, where the app asks for no history: said twice is better than never.
            log.warning("notice %s may be said twice: its destination cannot be read", notice.id)
            return None
        for shown in history["messages"]:
            metadata = shown.get("metadata") or {}
            if metadata.get("event_type") == EVENT_TYPE and metadata["event_payload"].get("message") == _key(notice):
                return f"{channel}/{shown['ts']}"
            for file in shown.get("files", []):
                if message.picture is not None and file.get("name") == message.picture.name:
                    return f"{channel}/{file['id']}"
        return None

    def _channel(self, destination: str) -> str:
        """The channel id behind a destination: ``T1/C1`` → C1, ``person:T1/U1`` → their DM."""
        kind, _, person = destination.partition("person:")
        if person and not kind:
            opened = self._client.conversations_open(users=user_id_of(person))
            return str(opened["channel"]["id"])
        return destination.rsplit("/", 1)[-1]

    def _refused(self, notice: Notice, error: SlackApiError) -> bool:
        code = str(error.response.get("error"))
        if code == "ratelimited":
            wait = timedelta(seconds=int(error.response.headers.get("Retry-After", "1")))
            self._settle(notice, lambda row: notices.put_off(row, self._clock(), trouble=code, retry_after=wait))
            return False
        if code in HOPELESS:
            log.warning("notice %s cannot be delivered: %s", notice.id, code)
            self._settle(notice, lambda row: notices.give_up(row, trouble=code))
            return True
        outage = error.response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR or code in SHUT_OUT
        self._settle(notice, lambda row: notices.put_off(row, self._clock(), trouble=code, outage=outage))
        return False

    def _settle(self, notice: Notice, change: Callable[[Notice], None]) -> None:
        with self._store.write() as session:
            change(session.get_one(Notice, notice.key))


def _key(notice: Notice) -> str:
    """What a message is found again by: the key of all its edits, or its only notice."""
    return notice.message_key or f"notice:{notice.key}"
