"""Errata as the assistant when workers die, Slack loses answers and the model fails: one answer, or one sentence."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from chat_endpoint import VERSION, Saying
from chatting import KEY, QUESTION, Chat, bench_for, opened, small_print

from bot.assistant.answerer import Answerer
from bot.assistant.answering import NOTHING_SAID
from bot.blocks.chat import FEEDBACK


class Killed(BaseException):
    """The process is gone: nothing that follows happens."""


def kill(chat: Chat, method: str, *, before: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the worker die at its next call of this method, before it or with its answer unread; then start another."""
    client, real = chat.bench.client, getattr(chat.bench.client, method)

    def dying(**arguments: Any) -> Any:
        if not before:
            real(**arguments)
        raise Killed

    monkeypatch.setattr(client, method, dying)
    with pytest.raises(Killed):
        chat.settle()
    monkeypatch.setattr(client, method, real)
    assert not chat.answerer.settle_next()  # it is in hand for a while, as far as anybody knows
    chat.again()


def test_an_event_that_is_told_three_times_is_answered_once(chat: Chat) -> None:
    with chat.office.workspace.events_out_of_order(copies=3):
        asked = chat.mention(chat.office.customer, QUESTION)
        direct = chat.office.ana.post(chat.office.ana.dm_channel, QUESTION)
    chat.settle()
    assert len(chat.answers(asked)) == len(chat.answers(direct, chat.office.ana.dm_channel)) == 1
    assert len(chat.model.asked) == 2
    assert chat.figures() == [(VERSION, 2, 0)]


@pytest.mark.parametrize("before", [True, False], ids=["before", "unread"])
@pytest.mark.parametrize("method", ["chat_startStream", "chat_appendStream", "chat_stopStream"])
def test_a_kill_anywhere_leaves_one_answer_that_is_completed_once(
    chat: Chat, method: str, before: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [f"word{number} " for number in range(12)]
    chat.model.then(Saying(words), Saying([*words, "end"]))
    asked = chat.mention(chat.office.customer, QUESTION)
    kill(chat, method, before=before, monkeypatch=monkeypatch)
    chat.settle()
    (answer,) = chat.answers(asked)
    whole = method == "chat_stopStream" and not before
    assert answer["text"] == "".join(words) + ("" if whole else "end")
    assert small_print(answer) == f"Answered by {VERSION}"
    assert chat.figures() == [(VERSION, 1, 0)]
    assert [task.status for task in chat.tasks()] == ["done"]
    assert chat.office.workspace.state.streams == {}


def test_a_kill_while_an_answer_is_edited_leaves_one_answer(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    chat.office.workspace.fail_next("chat.startStream", "ratelimited")
    asked = chat.mention(chat.office.customer, QUESTION)
    kill(chat, "chat_postMessage", before=False, monkeypatch=monkeypatch)
    chat.settle()
    assert [one["text"] for one in chat.answers(asked)] == ["Six months."]
    assert chat.figures() == [(VERSION, 1, 0)]


@pytest.mark.parametrize("method", ["chat.startStream", "chat.appendStream", "chat.stopStream", "chat.update"])
@pytest.mark.parametrize("fault", ["drop_answer", 500, "ratelimited", "message_not_in_streaming_state"])
def test_a_call_that_fails_or_whose_answer_is_lost_makes_no_second_answer(
    chat: Chat, method: str, fault: str | int
) -> None:
    if method == "chat.update":
        chat.office.workspace.fail_next("chat.startStream", "ratelimited")
    words = [f"word{number} " for number in range(20)]
    chat.model.then(*[Saying(words)] * 3)
    chat.office.workspace.fail_next(method, fault, retry_after=0)
    asked = chat.mention(chat.office.customer, QUESTION)
    for _ in range(3):
        chat.settle()
        chat.again()
    (answer,) = chat.answers(asked)
    assert answer["text"] == "".join(words)
    assert small_print(answer) == f"Answered by {VERSION}"
    assert chat.figures() == [(VERSION, 1, 0)]
    assert chat.office.workspace.state.streams == {}


@pytest.mark.parametrize(
    ("saying", "told"),
    [
        (Saying(status=500), "failed at this question"),
        (Saying(status=429), "too much to do"),
        (Saying(status=401), "refuses Errata's key"),
        (Saying(status=404), "is not there"),
        (Saying(status=400), "does not take this question"),
        (Saying([], streams=False), "could not be read"),
        (Saying([]), NOTHING_SAID),
        (Saying([], finish="content_filter"), "content filter"),
    ],
    ids=["500", "429", "401", "404", "400", "no json", "empty", "filtered"],
)
def test_an_endpoint_that_gives_no_answer_is_told_of_in_one_sentence(
    chat: Chat, saying: Saying, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    chat.model.then(saying)
    asked = chat.mention(chat.office.customer, QUESTION)
    with caplog.at_level(logging.DEBUG):
        chat.settle()
    (answer,) = chat.answers(asked)
    assert told in answer["text"]
    assert not any(word in json.dumps(answer) for word in ("Traceback", "httpx", FEEDBACK))
    assert chat.figures() == []
    assert [task.status for task in chat.tasks()] == ["failed"]
    assert KEY not in caplog.text
    chat.mention(chat.office.customer, "And now?", asked)
    chat.settle()
    assert chat.model.said() == [("user", f"{QUESTION}\n\nAnd now?")]  # the failure is no turn of the conversation
    assert chat.answers(asked)[-1]["text"] == "Six months."


def test_an_answer_that_breaks_off_stays_as_far_as_it_came_and_says_so(chat: Chat) -> None:
    chat.model.then(Saying(["Six ", "mon"], finish=None))
    asked = chat.mention(chat.office.customer, QUESTION)
    chat.settle()
    (answer,) = chat.answers(asked)
    assert answer["text"] == "Six mon"
    assert "broke off" in small_print(answer)
    assert chat.figures() == []


def test_an_endpoint_that_is_down_is_asked_twice_and_one_that_spoke_is_not(tmp_path: Path) -> None:
    with opened(tmp_path) as chat:
        chat.model.then(Saying(status=0), Saying())
        asked = chat.mention(chat.office.customer, QUESTION)
        chat.settle()
        assert [one["text"] for one in chat.answers(asked)] == ["Six months."]
        chat.model.then(Saying(status=0), Saying(status=0), Saying())
        again = chat.mention(chat.office.customer, QUESTION)
        chat.settle()
        assert "does not answer at the moment" in chat.answers(again)[0]["text"]
        assert len(chat.model.asked) == 4


def test_a_model_that_says_nothing_for_too_long_is_given_up(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.assistant.asking.SILENCE_SECONDS", 0.2)
    never = Event()
    chat.model.then(Saying(between=lambda _number: never.wait(2)))
    asked = chat.mention(chat.office.customer, QUESTION)
    chat.settle()
    never.set()
    assert "took too long" in chat.answers(asked)[0]["text"]


def test_a_process_that_has_to_leave_puts_its_answer_back_and_the_next_completes_it(chat: Chat) -> None:
    leads = True

    def leave(number: int) -> None:
        nonlocal leads
        leads = number < 3

    chat.model.then(Saying(["Six ", "months", ", ", "or ", "less."], between=leave))
    asked = chat.mention(chat.office.customer, QUESTION)
    chat.office.workspace.wait_until_delivered()
    first = Answerer(bench_for(chat.office, leads=lambda: leads))
    assert first.settle_next()
    assert [task.status for task in chat.tasks()] == ["owed"]
    chat.settle()
    assert [one["text"] for one in chat.answers(asked)] == ["Six months."]
