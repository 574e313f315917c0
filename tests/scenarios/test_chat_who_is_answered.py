"""Whom Errata answers and whom not: bots, guests and strangers, questions that changed, came too often or too late."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from builders import open_office
from chatting import EVENTS, QUESTION, Chat
from sqlmodel import select

from bot import doctor
from bot.assistant.answering import PER_MINUTE, STALE, TOO_LATE, TOO_MANY
from bot.assistant.visitors import FOREIGN, GUEST, UNKNOWN
from curation.store.tables import ChatTask


def test_bots_and_errata_itself_are_not_answered(chat: Chat) -> None:
    chat.mention(chat.office.bris, QUESTION)
    state = chat.office.workspace.state
    said = {"user": chat.errata, "text": f"<@{chat.errata}> hello", "channel": chat.office.channel}
    state.on_event({"type": "app_mention", **said, "ts": "1700000000.000100"})
    state.on_event({"type": "message", "channel_type": "im", **said, "ts": "1700000000.000200"})
    asked = chat.mention(chat.office.customer, QUESTION)
    chat.settle()
    assert len(chat.tasks()) == 1  # the answer to it came back as an event as well
    assert len(chat.answers(asked)) == 1


def test_an_edit_of_an_answered_question_is_not_answered_again_and_an_unanswered_one_is_read_as_it_is(
    chat: Chat,
) -> None:
    ana = chat.office.ana
    asked = ana.post(ana.dm_channel, "How lng?")
    ana.edit(ana.dm_channel, asked, QUESTION)
    chat.settle()
    ana.edit(ana.dm_channel, asked, "Never mind.")
    chat.settle()
    assert chat.model.said() == [("user", QUESTION)]
    assert len(chat.model.asked) == len(chat.answers(asked, ana.dm_channel)) == 1


def test_a_question_that_was_deleted_is_not_answered(chat: Chat) -> None:
    asked = chat.mention(chat.office.customer, QUESTION)
    chat.office.customer.delete(chat.office.channel, asked)
    chat.settle()
    assert [task.status for task in chat.tasks()] == ["withdrawn"]
    assert chat.model.asked == []


def test_a_mention_without_words_is_asked_for_some(chat: Chat) -> None:
    asked = chat.mention(chat.office.customer, "")
    chat.settle()
    assert "write your question" in chat.answers(asked)[0]["text"]


def test_guests_and_people_of_other_workspaces_are_told_that_they_are_not_answered(chat: Chat) -> None:
    workspace = chat.office.workspace
    guest = workspace.add_person("Guest", guest=True)
    stranger = workspace.add_person("Stranger", team_id="TELSEWHERE")
    workspace.state.channels[chat.office.channel].members += [guest.user_id, stranger.user_id]
    for person in (guest, guest, stranger):
        chat.mention(person, QUESTION)
    chat.settle()
    assert [one["text"] for one in guest.ephemerals] == [GUEST]  # once a minute
    assert [one["text"] for one in stranger.ephemerals] == [FOREIGN]
    assert chat.model.asked == []
    assert {task.status for task in chat.tasks()} == {"refused"}


def test_where_slack_does_not_say_who_is_a_guest_nobody_is_answered(chat: Chat) -> None:
    chat.office.workspace.scopes = {"chat:write", "channels:history"}
    chat.mention(chat.office.customer, QUESTION)
    chat.settle()
    assert [one["text"] for one in chat.office.customer.ephemerals] == [UNKNOWN]
    assert chat.model.asked == []


def test_whoever_asks_too_much_is_told_once_and_others_are_answered(chat: Chat) -> None:
    for number in range(PER_MINUTE + 3):
        chat.mention(chat.office.customer, f"{QUESTION} ({number})")
    other = chat.mention(chat.office.ana, QUESTION)
    chat.settle()
    assert len(chat.model.asked) == PER_MINUTE + 1
    assert [one["text"] for one in chat.office.customer.ephemerals] == [TOO_MANY]
    assert len(chat.answers(other)) == 1


def test_a_question_that_waited_too_long_is_said_to_have(chat: Chat) -> None:
    asked = chat.mention(chat.office.customer, QUESTION)
    chat.office.ahead.by += STALE + timedelta(minutes=1)
    chat.settle()
    assert [one["text"] for one in chat.answers(asked)] == [TOO_LATE]
    assert chat.model.asked == []


def test_nothing_is_listened_to_while_errata_is_no_assistant(tmp_path: Path) -> None:
    with open_office(tmp_path) as office:
        office.workspace.subscriptions = EVENTS
        office.customer.post(office.channel, f"<@{office.workspace.bot_user_id}> hello", raw=True)
        office.ana.post(office.ana.dm_channel, QUESTION)
        office.ana.open_home("messages")
        office.workspace.wait_until_delivered()
        assert all(one.acknowledged for one in office.workspace.deliveries)
        with office.store.read() as session:
            assert list(session.exec(select(ChatTask))) == []


def test_the_doctor_says_whether_guests_can_be_told(chat: Chat) -> None:
    check = doctor._visitors(chat.office.settings, chat.errata)
    assert check.state is doctor.State.OK
    chat.office.workspace.scopes = {"chat:write"}
    check = doctor._visitors(chat.office.settings, chat.errata)
    assert (check.state, "missing_scope" in check.evidence) == (doctor.State.FAILED, True)
    assert "lacks users:read" in check.remedy
