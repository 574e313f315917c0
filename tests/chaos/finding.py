"""What people find in the end: every message in every channel, thread and direct message, beside what is owed.

Owns by what a message is known and what it has to say then. Shared by the sieges of the worker and of the outbox.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from builders import now
from sqlmodel import col, select

from bot.notices import EVENT_TYPE
from bot.rendering import render
from bot.sandbox.people import Person
from bot.sandbox.workspace import Workspace
from curation.notices import NoticeKind
from curation.store.engine import Store
from curation.store.tables import Notice

Known = tuple[str, str]
"""The id of a channel, and by what a message is known in it."""

_EDITED = frozenset(
    {
        *(NoticeKind.QUEUE.value, NoticeKind.AUTHOR.value, NoticeKind.THREAD_POST.value),
        *(NoticeKind.RUN_STATUS.value, NoticeKind.SAMPLE.value),
    }
)
"""Kinds whose message shows the newest state, and not that of the moment in which it was sent."""

_PICTURES = {NoticeKind.RUN_CURVE.value: "{}-loss.png", NoticeKind.RUN_SCORES.value: "{}-scores.png"}
_AGE = re.compile(r" · oldest [^·]*|(?<=Nothing waits).*")
"""What a message says relative to the hour in which it is sent."""


def shown(workspace: Workspace) -> dict[Known, list[dict[str, Any]]]:
    """Errata's messages and pictures, those in direct messages included, by what they are known by."""
    found: dict[Known, list[dict[str, Any]]] = defaultdict(list)
    for channel in list(workspace.state.channels):
        for message in workspace.messages(channel):
            metadata = message.get("metadata") or {}
            if metadata.get("event_type") == EVENT_TYPE:
                found[channel, metadata["event_payload"]["message"]].append(message)
            for file in message.get("files", []):
                found[channel, file["name"]].append(message)
    return found


def owed(store: Store, people: Sequence[Person]) -> dict[Known, str | None]:
    """What has to be there, and what it has to say now; None where that does not change."""
    wanted: dict[Known, str | None] = {}
    with store.read() as session:
        for notice in session.exec(select(Notice).order_by(col(Notice.id))):
            edited = notice.kind in _EDITED
            wanted[_channel(notice, people), _known(notice)] = render(session, notice, now()).text if edited else None
    return wanted


def stale(found: Mapping[Known, list[dict[str, Any]]], wanted: Mapping[Known, str | None]) -> list[Known]:
    """The messages that do not show the newest state."""
    texts = {known: text for known, text in wanted.items() if text is not None and known in found}
    return [known for known, text in texts.items() if _ageless(found[known][0]["text"]) != _ageless(text)]


def _ageless(text: str) -> str:
    return _AGE.sub("", text)


def _known(notice: Notice) -> str:
    picture = _PICTURES.get(notice.kind)
    if picture is not None:
        return picture.format(notice.subject.removeprefix("run:"))
    if notice.kind == NoticeKind.DIGEST_RATES.value:
        return f"flag-rate-{notice.subject.split(':')[1]}.png"
    return notice.message_key or f"notice:{notice.key}"


def _channel(notice: Notice, people: Sequence[Person]) -> str:
    """The id of the channel that a notice's message stands in."""
    if notice.destination.startswith("person:"):
        user = notice.destination.rpartition("/")[2]
        return next(one.dm_channel for one in people if one.user_id == user)
    return notice.destination.split("/")[1]
