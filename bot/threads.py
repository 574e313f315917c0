"""A Slack thread as a conversation: what was asked before the wrong reply, the reply, and what staff said after.

Owns which messages are turns and in which order they are read. Refuses to guess who speaks: that
comes from the assistant's speaker map. Fetching the thread is the listener's business.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from bot.mrkdwn import NO_NAMES, Names, blocks_to_text, rearm, to_text
from curation.assistants import Speaker
from curation.conversation import Conversation, Message, Role
from curation.errors import Invalid

# Everything else with a subtype was not said by anybody: joins, topic changes, tombstones of the
# deleted, the invisible root of an assistant's thread.
_SPOKEN_SUBTYPES = frozenset({None, "bot_message", "file_share", "thread_broadcast"})

MOST_REPLIES = 99
"""As many as can be chosen from; Slack's menus take 100 options."""

_ROLES = {Speaker.ASSISTANT: Role.ASSISTANT, Speaker.USER: Role.USER}


@dataclass(frozen=True, slots=True)
class Captured:
    """What a thread says about one wrong reply.

    Attributes:
        conversation: the turns before the reply, user and assistant in turn, a user's first and last;
            no system turn.
        reply: the reply as it stands.
        asides: how many messages before the reply were left out as talk between colleagues.
        staff_reply: the first thing staff wrote below the reply: often the better answer. None where
            they wrote nothing before the assistant answered the next question.
    """

    conversation: Conversation = field(repr=False)
    reply: str = field(repr=False)
    asides: int
    staff_reply: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """One of the assistant's replies in a thread.

    Attributes:
        before: how many of the thread's turns came before it.
        staff_reply: the first thing staff wrote below it, as ``Captured`` has it.
    """

    ts: str
    text: str = field(repr=False)
    before: int
    staff_reply: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Said:
    ts: str
    speaker: Speaker
    text: str


def capture(
    messages: Sequence[Mapping[str, Any]],
    *,
    wrong_ts: str,
    speaker_of: Callable[[Mapping[str, Any]], Speaker],
    names: Names = NO_NAMES,
) -> Captured:
    """Read a thread as ``conversations.replies`` returns it, in any order, pages overlapping or not.

    ``[user "Refund?", assistant "One moment", assistant "No."]`` with the ts of "No." →
    the turn ``user: Refund?`` and the reply ``No.``: what the assistant said since the last user turn
    is left out, since the reply takes its place. Turns of one role in a row become one, a blank line
    between them; what the assistant said before any user is left out as well.

    Args:
        messages: the thread's messages, the root included.
        wrong_ts: the ts of the wrong reply.
        speaker_of: who a message is by, from the assistant's speaker map.
        names: ids → names, for mentions in the texts.

    Raises:
        Invalid: no such message, a message that is not the assistant's or has no text, or no user
            turn before it.
    """
    by_ts = {str(message.get("ts", "")): message for message in messages}
    wrong = by_ts.get(wrong_ts)
    if wrong is None:
        raise Invalid(
            "The message {message} is not in this thread; choose one of the assistant's replies in it.",
            message=wrong_ts,
        )
    if not is_spoken(wrong) or speaker_of(wrong) is not Speaker.ASSISTANT:
        raise Invalid("The message {message} is not by the assistant; choose one of its replies.", message=wrong_ts)
    reply = text_of(wrong, names)
    if not reply:
        raise Invalid("The reply {message} has no text to correct; choose a reply that has.", message=wrong_ts)
    said = _in_order(messages, speaker_of, names)
    before = [one for one in said if one.ts < wrong_ts]
    turns = _turns(before)
    if not turns:
        raise Invalid(
            "No user speaks before the reply {message}; choose a reply to something that a user wrote.",
            message=wrong_ts,
        )
    return Captured(
        conversation=Conversation(turns),
        reply=reply,
        asides=sum(one.speaker is Speaker.ASIDE for one in before),
        staff_reply=_answered_by_staff(said, wrong_ts),
    )


def replies(
    messages: Sequence[Mapping[str, Any]],
    *,
    wrong_ts: str,
    speaker_of: Callable[[Mapping[str, Any]], Speaker],
    names: Names = NO_NAMES,
) -> tuple[Conversation, list[Reply]]:
    """Every reply in a thread that could be corrected, of very many the last ones and the wrong one; and the turns.

    The turns before each of them, as ``capture`` gives them, are the first ``before`` turns of the conversation.

    Raises:
        Invalid: there is no reply to anything that a user wrote.
    """
    said = _in_order(messages, speaker_of, names)
    spoken = [one for one in said if one.speaker is Speaker.ASSISTANT]
    spoken = [one for one in spoken[:-MOST_REPLIES] if one.ts == wrong_ts] + spoken[-MOST_REPLIES:]
    before = {one.ts: _turns([earlier for earlier in said if earlier.ts < one.ts]) for one in spoken}
    found = [
        Reply(one.ts, one.text, len(before[one.ts]), _answered_by_staff(said, one.ts))
        for one in spoken
        if before[one.ts]
    ]
    if not found:
        raise Invalid("No user speaks before a reply in this thread; choose a reply to something that a user wrote.")
    return Conversation(before[found[-1].ts]), found


def asked(
    messages: Sequence[Mapping[str, Any]], *, question_ts: str, speaker_of: Callable[[Mapping[str, Any]], Speaker]
) -> Conversation:
    """A thread as far as a question that was put to the assistant, as turns; the question is the last one.

    Whoever put it speaks as the user in it, be it a colleague in a customer's thread.

    Raises:
        Invalid: the question is not in the thread any more, or has no text.
    """
    said = []
    for ts, message in sorted({str(message.get("ts", "")): message for message in messages}.items()):
        if ts <= question_ts and is_spoken(message) and (text := text_of(message)):
            said.append(_Said(ts, Speaker.USER if ts == question_ts else speaker_of(message), text))
    if not said or said[-1].ts != question_ts:
        raise Invalid("There is no text to answer in this message: write your question.")
    return Conversation(_turns(said))


def without_mention(messages: Iterable[Mapping[str, Any]], user_ids: AbstractSet[str]) -> list[dict[str, Any]]:
    """The messages without the mention of whoever is addressed: ``<@U1> Which filter?`` → ``Which filter?``."""
    tokens = re.compile("|".join(rf"<@{re.escape(one)}(?:\|[^<>]*)?>[ \t]*[,:]?[ \t]*" for one in sorted(user_ids)))
    return [_without(tokens, message) for message in messages]


def _without(tokens: re.Pattern[str], message: Mapping[str, Any]) -> dict[str, Any]:
    text = message.get("text")
    if not isinstance(text, str) or not tokens.search(text):
        return {**message}
    # Its blocks say the same once more, mention included.
    return {**message, "text": tokens.sub("", text), "blocks": []}


def mentions(message: Mapping[str, Any], user_ids: AbstractSet[str]) -> bool:
    """Whether a message is addressed to any of these by a mention."""
    text = message.get("text")
    return isinstance(text, str) and any(f"<@{one}>" in text or f"<@{one}|" in text for one in user_ids)


def text_of(message: Mapping[str, Any], names: Names = NO_NAMES) -> str:
    """A message's words as plain text; those of its blocks where the text itself is empty, as in some bots' replies."""
    text, blocks = message.get("text"), message.get("blocks")
    said = to_text(text, names).strip() if isinstance(text, str) else ""
    return rearm(said or (blocks_to_text(blocks, names).strip() if isinstance(blocks, list) else ""))


def is_spoken(message: Mapping[str, Any]) -> bool:
    """Whether somebody said it: not a join, a change of topic, or what is left of something deleted."""
    return message.get("subtype") in _SPOKEN_SUBTYPES and not message.get("hidden")


def is_tombstone(message: Mapping[str, Any]) -> bool:
    """Whether it is Slack's own, in the place of a deleted message with a thread below it."""
    return message.get("subtype") == "tombstone"


def _in_order(
    messages: Sequence[Mapping[str, Any]], speaker_of: Callable[[Mapping[str, Any]], Speaker], names: Names
) -> list[_Said]:
    by_ts = {str(message.get("ts", "")): message for message in messages}
    # Slack's ts are seconds with ten digits and a fixed fraction: they sort as text until 2286.
    return [
        _Said(ts, speaker_of(message), text)
        for ts, message in sorted(by_ts.items())
        if is_spoken(message) and (text := text_of(message, names))
    ]


def _answered_by_staff(said: Sequence[_Said], ts: str) -> str | None:
    asked_again = False
    for one in said:
        if one.ts <= ts:
            continue
        if one.speaker is Speaker.ASIDE:
            return one.text
        if one.speaker is Speaker.ASSISTANT and asked_again:
            return None  # what follows is about another reply
        asked_again |= one.speaker is Speaker.USER
    return None


def _turns(said: Sequence[_Said]) -> tuple[Message, ...]:
    """Roles in turn, from the first user to the last; empty where no user speaks."""
    spoken = [one for one in said if one.speaker in _ROLES]
    turns = [
        Message(_ROLES[speaker], "\n\n".join(one.text for one in run))
        for speaker, run in groupby(spoken, key=lambda one: one.speaker)
    ]
    users = [index for index, turn in enumerate(turns) if turn.role is Role.USER]
    return tuple(turns[users[0] : users[-1] + 1]) if users else ()
