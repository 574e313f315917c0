"""A thread becomes the conversation before the wrong reply, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from bot.threads import Captured, capture
from curation.assistants import Speaker
from curation.conversation import Role
from curation.errors import Invalid

BOT, CUSTOMER, STAFF = "UBOT", "UCUSTOMER", "USTAFF"


def said(ts: int, user: str, text: str, **more: Any) -> dict[str, Any]:
    return {"type": "message", "ts": f"17000000{ts:02}.000100", "user": user, "text": text, **more}


def speaker_of(message: Mapping[str, Any]) -> Speaker:
    return {BOT: Speaker.ASSISTANT, CUSTOMER: Speaker.USER, STAFF: Speaker.ASIDE}[message["user"]]


def captured(*messages: Mapping[str, Any], wrong: int) -> Captured:
    return capture(messages, wrong_ts=f"17000000{wrong:02}.000100", speaker_of=speaker_of)


def turns(result: Captured) -> list[tuple[str, str]]:
    return [(message.role.value, message.content) for message in result.conversation.messages]


def test_the_turns_before_the_wrong_reply_are_captured_and_those_after_it_are_not() -> None:
    result = captured(
        said(1, CUSTOMER, "Refund?"),
        said(2, BOT, "Which order?"),
        said(3, CUSTOMER, "Order 7"),
        said(4, BOT, "No."),
        said(5, CUSTOMER, "Why?"),
        said(6, BOT, "Because."),
        wrong=4,
    )
    assert turns(result) == [("user", "Refund?"), ("assistant", "Which order?"), ("user", "Order 7")]
    assert result.reply == "No."
    assert (result.asides, result.staff_reply) == (0, None)


def test_messages_of_one_role_in_a_row_become_one_turn() -> None:
    result = captured(said(1, CUSTOMER, "Hello"), said(2, CUSTOMER, "Refund?"), said(3, BOT, "No."), wrong=3)
    assert turns(result) == [("user", "Hello\n\nRefund?")]


def test_asides_are_left_out_and_counted_and_do_not_split_a_turn() -> None:
    result = captured(
        said(1, CUSTOMER, "Hello"),
        said(2, STAFF, "I take this one"),
        said(3, CUSTOMER, "Refund?"),
        said(4, BOT, "No."),
        said(5, STAFF, "That is wrong"),
        wrong=4,
    )
    assert turns(result) == [("user", "Hello\n\nRefund?")]
    assert result.asides == 1


def test_the_first_answer_of_staff_below_the_reply_is_offered() -> None:
    result = captured(
        said(1, CUSTOMER, "Refund?"),
        said(2, STAFF, "before"),
        said(3, BOT, "No."),
        said(4, CUSTOMER, "Oh"),
        said(5, STAFF, ""),
        said(6, STAFF, "Yes &amp; gladly."),
        said(7, STAFF, "later"),
        wrong=3,
    )
    assert result.staff_reply == "Yes & gladly."


def test_what_the_assistant_says_before_any_user_is_left_out() -> None:
    result = captured(said(1, BOT, "Welcome!"), said(2, CUSTOMER, "Refund?"), said(3, BOT, "No."), wrong=3)
    assert turns(result) == [("user", "Refund?")]


def test_the_conversation_ends_with_the_user_even_where_the_assistant_spoke_twice() -> None:
    result = captured(said(1, CUSTOMER, "Refund?"), said(2, BOT, "One moment…"), said(3, BOT, "No."), wrong=3)
    assert turns(result) == [("user", "Refund?")]
    assert result.reply == "No."


@pytest.mark.parametrize(
    "silent",
    [
        said(2, CUSTOMER, "<@UCUSTOMER> has joined the channel", subtype="channel_join"),
        said(2, CUSTOMER, "has left", subtype="channel_leave"),
        said(2, CUSTOMER, "This message was deleted.", subtype="tombstone"),
        said(2, CUSTOMER, "New Assistant Thread", subtype="assistant_app_thread"),
        said(2, CUSTOMER, "psst", hidden=True),
        said(2, CUSTOMER, "   "),
        said(2, CUSTOMER, "", files=[{"id": "F1"}], subtype="file_share"),
    ],
)
def test_what_nobody_said_is_no_turn(silent: dict[str, Any]) -> None:
    assert turns(captured(said(1, CUSTOMER, "Refund?"), silent, said(3, BOT, "No."), wrong=3)) == [("user", "Refund?")]


@pytest.mark.parametrize("subtype", ["bot_message", "file_share", "thread_broadcast"])
def test_what_was_said_in_a_special_way_is_a_turn(subtype: str) -> None:
    assert turns(captured(said(1, CUSTOMER, "Refund?", subtype=subtype), said(2, BOT, "No."), wrong=2)) == [
        ("user", "Refund?")
    ]


def test_a_thread_read_in_overlapping_pages_out_of_order_is_the_same_thread() -> None:
    root, second, wrong = said(1, CUSTOMER, "Hello"), said(2, CUSTOMER, "Refund?"), said(3, BOT, "No.")
    assert captured(wrong, root, second, root, wrong=3) == captured(root, second, wrong, wrong=3)


def test_a_reply_made_of_blocks_alone_is_read_from_them() -> None:
    blocks = [{"type": "markdown", "text": "**No.**"}]
    assert captured(said(1, CUSTOMER, "Refund?"), said(2, BOT, "", blocks=blocks), wrong=2).reply == "**No.**"


def test_mentions_are_read_by_name() -> None:
    thread = [said(1, CUSTOMER, "<@UBOT> refund?"), said(2, BOT, "No.")]
    result = capture(thread, wrong_ts=thread[1]["ts"], speaker_of=speaker_of, names={"UBOT": "Helper"})
    assert turns(result) == [("user", "@Helper refund?")]


def test_a_captured_conversation_has_no_system_turn_and_shows_no_text_in_logs() -> None:
    result = captured(said(1, CUSTOMER, "Refund?"), said(2, BOT, "No."), wrong=2)
    assert all(message.role is not Role.SYSTEM for message in result.conversation.messages)
    assert "Refund?" not in repr(result)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (9, "is not in this thread"),
        (1, "has no text to correct"),
        (2, "No user speaks before"),
        (3, "is not by the assistant; choose one of its replies"),
        (4, "is not by the assistant; choose one of its replies"),
        (5, "is not by the assistant; choose one of its replies"),
    ],
)
def test_a_message_that_is_no_reply_of_the_assistant_is_refused(wrong: int, sentence: str) -> None:
    thread = [
        said(1, BOT, ""),
        said(2, BOT, "Welcome!"),
        said(3, CUSTOMER, "Refund?"),
        said(4, STAFF, "mine"),
        said(5, BOT, "This message was deleted.", subtype="tombstone"),
    ]
    with pytest.raises(Invalid, match=sentence):
        captured(*thread, wrong=wrong)
