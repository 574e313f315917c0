"""A thread read from Slack, and what it says about a question to the assistant or about one of its replies.

Owns the reading of every page of it and who speaks as whom in it. Which of the messages are turns is decided in
``bot.threads``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from slack_sdk import WebClient
from sqlmodel import Session

from bot import threads
from bot.mrkdwn import storable
from bot.notices import EVENT_TYPE
from bot.threads import Captured
from curation import assistants, people
from curation.assistants import Speaker
from curation.captures import Choice
from curation.conversation import Conversation
from curation.datasets.fitness import context_in
from curation.errors import Conflict
from curation.people import PersonId

THREAD_LIMIT = 200
THREAD_PAGES = 10

ANSWER_EVENT = "errata_answer"
"""The type of the metadata under which Errata's own answers are found again."""
CONTEXT_EVENT = "errata_context"
"""The type of the metadata in which an assistant says what it had retrieved for a reply."""
GROWING, ANSWERED, FAILED = "growing", "answered", "failed"
"""What that metadata says of an answer, as its ``state``."""

Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AboutReply:
    """What a thread says about one reply, the people who speak as the user in it, and what was retrieved for it.

    ``choices`` are all of the assistant's replies in it, and ``thread`` the turns before the last of them.
    """

    captured: Captured = field(repr=False)
    asking: frozenset[PersonId]
    context: list[str] | None = field(repr=False)
    thread: Conversation = field(repr=False)
    choices: list[Choice] = field(repr=False)


def read_thread(client: WebClient, channel: str, ts: str) -> list[dict[str, Any]]:
    """Every message of the thread, as far as ``THREAD_PAGES`` reach.

    Raises:
        SlackApiError, OSError: Slack refuses or does not answer.
    """
    pages = client.conversations_replies(channel=channel, ts=ts, limit=THREAD_LIMIT, include_all_metadata=True)
    return [message for page in islice(pages, THREAD_PAGES) for message in page["messages"]]


def answer_in(message: Message) -> dict[str, Any]:
    """What Errata keeps in the metadata of its own answer; nothing in any other message's."""
    return _payload(message, ANSWER_EVENT)


def retrieved_for(message: Message) -> list[str] | None:
    """What an assistant says that it had retrieved for its reply; None where it does not say."""
    context = context_in(_payload(message, CONTEXT_EVENT))
    return None if context is None else [storable(text) for text in context]


def _payload(message: Message, event_type: str) -> dict[str, Any]:
    """The metadata of a message, if it is of this type."""
    metadata = message.get("metadata")
    if not isinstance(metadata, dict) or metadata.get("event_type") != event_type:
        return {}
    payload = metadata.get("event_payload")
    return payload if isinstance(payload, dict) else {}


def speaking(message: Message) -> frozenset[str]:
    """The ids a message was written under: its user's, its bot's."""
    return frozenset(str(message[key]) for key in ("user", "bot_id") if message.get(key))


def about_reply(
    session: Session, place: str, thread: Sequence[Message], *, reply_ts: str, spoken_by: AbstractSet[str]
) -> AboutReply:
    """The turns before a reply of the assistant that posts under ``spoken_by``, in the channel of this key.

    Raises:
        Invalid: the thread has no such reply, or no user turn before it.
        Conflict: the assistant is not watched any more.
    """
    team_id = place.split("/", maxsplit=1)[0]
    speaker_of = _speakers(session, team_id, thread, spoken_by)
    said = _said(thread, spoken_by)
    asking = {str(one["user"]) for one in thread if one.get("user") and speaker_of(one) is Speaker.USER}
    captured = threads.capture(said, wrong_ts=reply_ts, speaker_of=speaker_of)
    whole, found = threads.replies(said, wrong_ts=reply_ts, speaker_of=speaker_of)
    retrieved = {one.get("ts"): retrieved_for(one) for one in thread}
    return AboutReply(
        captured,
        frozenset(people.person_id(team_id, user) for user in asking),
        retrieved.get(reply_ts),
        whole,
        [Choice(f"{place}/{one.ts}", one.text, one.before, one.staff_reply, retrieved.get(one.ts)) for one in found],
    )


def question_in(
    session: Session, team_id: str, thread: Sequence[Message], *, question_ts: str, spoken_by: AbstractSet[str]
) -> Conversation:
    """The turns up to a question to the assistant that posts under ``spoken_by``.

    Raises:
        Invalid: the question is gone, or has no text.
        Conflict: the assistant is not watched any more.
    """
    speaker_of = _speakers(session, team_id, thread, spoken_by)
    return threads.asked(_said(thread, spoken_by), question_ts=question_ts, speaker_of=speaker_of)


def _said(thread: Sequence[Message], spoken_by: AbstractSet[str]) -> list[dict[str, Any]]:
    """What belongs to the conversation: no mention of the assistant, no answers that failed, no notices of Errata's."""
    kept = (one for one in thread if answer_in(one).get("state") != FAILED and not _payload(one, EVENT_TYPE))
    return threads.without_mention(kept, spoken_by)


def _speakers(
    session: Session, team_id: str, thread: Sequence[Message], spoken_by: AbstractSet[str]
) -> Callable[[Message], Speaker]:
    """Who speaks as whom: whoever opened the thread or mentions the assistant asks it; other staff talk aside."""
    assistant = assistants.speaking_as(session, team_id, spoken_by)
    if assistant is None:
        raise Conflict("This assistant is not watched any more: add it again with errata assistants add.")
    speakers = assistants.speaker_map(session, assistant, staff=people.staff_user_ids(session, team_id))
    opener = speaking(thread[0])
    asking = {message.get("ts") for message in thread if threads.mentions(message, spoken_by)}

    def speaker_of(message: Message) -> Speaker:
        ids = speaking(message)
        return speakers.speaker(ids, opened_thread=bool(ids & opener) or message.get("ts") in asking)

    return speaker_of
