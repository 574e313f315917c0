"""How long anybody waits for a provider that says *later*: as long as it says, and never past one's own patience."""

from __future__ import annotations

import time

import pytest

from curation.conversation import Conversation, Message, Role
from training.backends.errors import Unreached
from training.backends.foundry.access.shapes import wait_of
from training.backends.foundry.evaluating.asking import Pace, replies
from training.backends.foundry.looks import Looks

QUESTION = Conversation((Message(Role.USER, "Price?"),))


def test_a_question_is_given_up_at_once_where_the_provider_wants_more_time_than_it_has() -> None:
    def ask(_conversation: Conversation) -> str:
        later = Unreached("Later.")
        later.wait_seconds = 3600.0
        raise later

    began = time.monotonic()
    with pytest.raises(Unreached):
        replies(ask, [QUESTION], {}, Pace(patience_seconds=60.0), heard=lambda _digest, _reply: None)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after-ms": "250", "Retry-After": "1"}, 0.25),
        ({"x-ms-retry-after-ms": "20"}, 0.02),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "Sat, 21 Nov 2026 18:00:00 GMT"}, None),
        ({}, None),
    ],
    ids=["seconds", "milliseconds", "of Microsoft", "for ever", "before", "a date", "nothing"],
)
def test_a_pause_is_read_from_three_headers(headers: dict[str, str], seconds: float | None) -> None:
    assert wait_of(headers) == seconds


def test_whoever_was_told_to_stay_away_looks_no_sooner_and_then_as_before() -> None:
    clock = [0.0]
    looks = Looks(lambda: clock[0])
    assert looks.due("a job")
    looks.later("a job", 100.0)
    looks.later("a job", None)
    looks.later("a job", 1.0)  # the longest counts
    clock[0] = 99.0
    assert not looks.due("a job")
    clock[0] = 100.0
    assert looks.due("a job")
