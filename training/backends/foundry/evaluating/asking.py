"""Asking: many conversations put to one endpoint, a few at a time, until each has its reply or a reason to have none.

Owns pauses and patience. A provider that says *later* is waited for as long as it says; one that does not answer is
asked a few times; one that refuses a conversation is believed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from threading import Event

from curation.conversation import Conversation
from curation.errors import Unavailable
from training.backends.errors import Refused

Ask = Callable[[Conversation], str]
"""Gives the reply; raises Unavailable with one sentence where none comes."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often is asked, and for how long.

    Attributes:
        at_once: questions on their way at the same moment.
        attempts: how often one is asked that is not answered.
        first_seconds: the pause after the first of them; it doubles.
        longest_seconds: the longest pause that grows so.
        patience_seconds: how long one question waits for a provider that says *later*, altogether.
        most_silent: questions in a row without a reply after which nobody is asked any more.
    """

    at_once: int = 4
    attempts: int = 5
    first_seconds: float = 2.0
    longest_seconds: float = 60.0
    patience_seconds: float = 1800.0
    most_silent: int = 5


def replies(
    ask: Ask,
    conversations: Sequence[Conversation],
    known: Mapping[str, str],
    pace: Pace,
    *,
    heard: Callable[[str, str], None],
) -> list[str | None]:
    """The reply to each conversation, in their order; None for those that were refused or never answered.

    Args:
        ask: of the endpoint; called from several threads.
        conversations: equal ones are asked once.
        known: replies of an earlier attempt by the conversations' digests; these are not asked again.
        pace: of the asking.
        heard: called in this thread with digest and reply as each comes.

    Raises:
        Unavailable: nothing was answered, or ``pace.most_silent`` in a row were not.
    """
    left = {one.digest: one for one in conversations if one.digest not in known}
    found = dict(known)
    ended, silent = Event(), 0
    pool = ThreadPoolExecutor(pace.at_once, thread_name_prefix="asking")
    try:
        asked = {pool.submit(_reply, ask, one, pace, ended): digest for digest, one in left.items()}
        for future in as_completed(asked):
            error = future.exception()
            if error is None:
                silent, found[asked[future]] = 0, future.result()
                heard(asked[future], future.result())
                continue
            silent += 1
            if not isinstance(error, Unavailable) or silent >= min(pace.most_silent, len(conversations)):
                raise error
    finally:
        ended.set()  # nobody waits for whoever is in the middle of a pause
        pool.shutdown(wait=False, cancel_futures=True)
    return [found.get(one.digest) for one in conversations]


def _reply(ask: Ask, conversation: Conversation, pace: Pace, ended: Event) -> str:
    pause, attempts, waited_until = pace.first_seconds, 0, time.monotonic() + pace.patience_seconds
    while True:
        try:
            return ask(conversation)
        except Refused:
            raise
        except Unavailable as error:
            later: float | None = getattr(error, "wait_seconds", None)
            attempts += later is None
            wait = later or pause
            if attempts >= pace.attempts or time.monotonic() + wait > waited_until or ended.wait(wait):
                raise
            pause = min(2 * pause, pace.longest_seconds) if later is None else pause
