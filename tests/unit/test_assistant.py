"""Errata as the assistant itself: its tasks' lifecycle, what fits a window, what a text can do, and its settings."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from builders import NOON, new_store
from chat_endpoint import MODEL, ChatEndpoint, Saying, serving
from hypothesis import given
from hypothesis import strategies as st
from sqlmodel import select

from bot import doctor
from bot.assistant import tasks
from bot.assistant.asking import asking, examine
from bot.assistant.endpoint import Endpoint
from bot.assistant.fitting import BYTES_PER_TOKEN, TURN_TOKENS, Fitted, fit, halved
from bot.assistant.tasks import TRANSITIONS, TaskKind, TaskStatus, TaskStep
from bot.assistant.troubles import EndpointTrouble
from bot.mrkdwn import disarm, escape, rearm, settled, to_text
from bot.settings import Settings
from bot.threads import mentions, without_mention
from curation.conversation import Conversation, Message, Role
from curation.errors import Conflict, Invalid
from curation.store.engine import Store
from curation.store.tables import ChatTask

URL = "https://models.example.com/v1"


# Tasks.


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return new_store(tmp_path)


def row(status: TaskStatus, *, attempts: int = 0) -> ChatTask:
    where = {"source": "T1/C1/1.1", "thread": "T1/C1/1.0"}
    asked = {"kind": TaskKind.ANSWER.value, "asked_by": "T1/U1", "asked_at": NOON, "not_before": NOON}
    return ChatTask.model_validate({**where, **asked, "id": 1, "status": status.value, "attempts": attempts})


def owe(store: Store, ts: str, *, thread: str = "1.0", by: str = "T1/U1", after: float = 0) -> bool:
    with store.write() as session:
        asked_at = NOON + timedelta(seconds=after)
        return tasks.owe(
            session,
            asked_at,
            TaskKind.ANSWER,
            source=f"T1/C1/{ts}",
            thread=f"T1/C1/{thread}",
            asked_by=by,
            asked_at=asked_at,
        )


def taken(store: Store, after: float = 0) -> str | None:
    """The message whose task was taken in hand."""
    now = NOON + timedelta(seconds=after)
    with store.write() as session:
        due = tasks.next_due(session, now)
        task = tasks.take(session, now, due) if due is not None else None
        return task.source.rsplit("/", 1)[1] if task is not None else None


def test_of_every_status_and_step_only_what_the_table_names_passes(store: Store) -> None:
    for status in TaskStatus:
        for step in TaskStep:
            task = row(status)
            following = TRANSITIONS.get((status, step))
            if following is None:
                with pytest.raises(Conflict, match=f"The task 1 is {status.value}"):
                    tasks._step(task, step)
            else:
                tasks._step(task, step)
                assert task.status == following.value
    store.close()


def test_a_message_is_owed_one_answer(store: Store) -> None:
    assert [owe(store, "1.1"), owe(store, "1.1"), owe(store, "1.2")] == [True, False, True]
    store.close()


def test_within_a_thread_none_overtakes_an_older_one_and_threads_do_not_wait_for_each_other(store: Store) -> None:
    for ts, thread in (("1.1", "1.0"), ("1.2", "1.0"), ("2.1", "2.0")):
        owe(store, ts, thread=thread)
    assert [taken(store), taken(store), taken(store)] == ["1.1", "2.1", None]
    with store.write() as session:
        first = session.exec(select(ChatTask).where(ChatTask.source == "T1/C1/1.1")).one()
        tasks.end(first, TaskStep.COMPLETE, NOON)
    assert taken(store) == "1.2"
    store.close()


def test_what_somebody_had_in_hand_is_taken_up_after_a_while_or_at_once_by_the_only_worker(store: Store) -> None:
    owe(store, "1.1")
    assert [taken(store), taken(store, 60), taken(store, tasks.HELD.total_seconds())] == ["1.1", None, "1.1"]
    with store.write() as session:
        tasks.release(session, NOON)
    assert taken(store, 1) == "1.1"
    store.close()


def test_the_same_task_is_taken_by_one(store: Store) -> None:
    owe(store, "1.1")
    with store.read() as session:
        seen = tasks.next_due(session, NOON)
    assert seen is not None
    for expected in (True, False):
        with store.write() as session:
            assert (tasks.take(session, NOON, seen) is not None) is expected
    store.close()


def test_whoever_looked_at_the_clock_before_another_took_a_task_does_not_take_it_as_well(store: Store) -> None:
    owe(store, "1.1")
    assert [taken(store, 0.01), taken(store, 0)] == ["1.1", None]
    store.close()


def test_a_clock_that_was_set_back_holds_nothing_up(store: Store) -> None:
    owe(store, "1.1", after=86_400)
    assert taken(store) == "1.1"
    store.close()


def test_a_task_that_is_put_back_waits_longer_each_time_and_a_minute_at_most() -> None:
    waits = []
    for attempts in (1, 2, 5, 30):
        task = row(TaskStatus.IN_HAND, attempts=attempts)
        tasks.put_back(task, NOON, trouble="internal_error")
        waits.append((task.not_before - NOON).total_seconds())
    assert waits == [2, 4, 32, 60]


# What fits.


def conversation(*words: str) -> Conversation:
    roles = [Role.USER, Role.ASSISTANT]
    return Conversation(tuple(Message(roles[place % 2], one) for place, one in enumerate(words)))


def test_the_oldest_turns_stay_behind_and_what_is_left_begins_with_the_user() -> None:
    turn = "x" * 100 * BYTES_PER_TOKEN
    room = 3 * (100 + TURN_TOKENS)
    fitted = fit(conversation(*[turn] * 5), None, room=room)
    assert (len(fitted.conversation.messages), fitted.left_out) == (3, 2)
    fitted = fit(conversation(*[turn] * 5), turn, room=room)  # the prompt takes its share: one turn, as two begin wrong
    assert [one.role for one in fitted.conversation.messages] == [Role.SYSTEM, Role.USER]
    assert fitted.left_out == 4


def test_the_question_itself_stays_in_any_case() -> None:
    assert fit(conversation("x" * 9_999), "prompt", room=10).conversation.messages[-1].content == "x" * 9_999


@given(st.lists(st.text(max_size=40), min_size=1, max_size=9).filter(lambda one: len(one) % 2), st.integers(0, 300))
def test_whatever_is_cut_ends_with_the_question_and_begins_with_a_user(words: list[str], room: int) -> None:
    whole = conversation(*words)
    fitted: Fitted | None = fit(whole, None, room=room)
    while fitted is not None:
        turns = fitted.conversation.messages
        assert turns == whole.messages[fitted.left_out :]
        assert turns[0].role is Role.USER
        fitted = halved(fitted)


# What a text can do.


@given(st.text(alphabet="<@!#channelher y[](:/)\n.\u6708"))
def test_a_disarmed_answer_is_shown_the_same_growing_or_whole_and_comes_back_as_it_was(text: str) -> None:
    shown = disarm(text)
    assert rearm(to_text(escape(shown))) == text
    for end in range(len(text) + 1):
        assert shown.startswith(disarm(text[:end][: settled(text[:end])]))


@pytest.mark.parametrize("text", ["<!channel>", "<@U1>", "<#C1>", "@here now", "[a](https://b.test)", "<https://a|b>"])
def test_what_could_ping_or_hide_an_address_is_broken(text: str) -> None:
    assert text not in disarm(text)
    assert disarm("see https://klarbris.test, 3 < 4, a@b.test") == "see https://klarbris.test, 3 < 4, a@b.test"


def test_the_mention_of_the_assistant_is_no_part_of_the_question() -> None:
    message = {"text": "<@UERRATA>, <@UANA> says hi", "blocks": [{"type": "rich_text"}]}
    assert without_mention([message], {"UERRATA", "BERRATA"}) == [{"text": "<@UANA> says hi", "blocks": []}]
    assert (mentions(message, {"UERRATA"}), mentions(message, {"UBEN"}), mentions({}, {"UBEN"})) == (True, False, False)


# Settings.


def settings(tmp_path: Path, **values: str) -> Settings:
    environ = {f"ERRATA_{name}": value for name, value in values.items()}
    return Settings.from_environment({**environ, "ERRATA_HOME": str(tmp_path)}, dotenv=tmp_path / "no.env")


@pytest.mark.parametrize(
    ("given_url", "read"), [("", None), ("live", None), (URL + "/", URL), (f"{URL}/chat/completions", URL)]
)
def test_the_endpoint_is_live_or_a_base_address(tmp_path: Path, given_url: str, read: str | None) -> None:
    made = settings(tmp_path, ASSISTANT="on", ASSISTANT_URL=given_url, ASSISTANT_MODEL="m", ASSISTANT_KEY="sk-secret")
    assert (made.assistant, made.assistant_url) == (True, read)
    assert "sk-secret" not in repr(made)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"ASSISTANT": "maybe"}, "ERRATA_ASSISTANT is neither"),
        ({"ASSISTANT_URL": "models.example.com", "ASSISTANT_MODEL": "m"}, "ERRATA_ASSISTANT_URL is neither"),
        ({"ASSISTANT_URL": "https://me:word@x.test/v1", "ASSISTANT_MODEL": "m"}, "without a name, key"),
        ({"ASSISTANT_URL": "http://x.test/v1", "ASSISTANT_MODEL": "m", "ASSISTANT_KEY": "k"}, "travel in clear"),
        ({"ASSISTANT_URL": URL}, "ERRATA_ASSISTANT_MODEL is missing"),
        ({"ASSISTANT_KEY": "two words"}, "ERRATA_ASSISTANT_KEY holds a character"),
        ({"ASSISTANT_WINDOW": "many"}, "ERRATA_ASSISTANT_WINDOW is no whole number"),
    ],
    ids=["switch", "no scheme", "a password", "in clear", "no model", "odd key", "window"],
)
def test_what_cannot_be_an_endpoint_is_refused_without_repeating_it(
    tmp_path: Path, values: dict[str, str], told: str
) -> None:
    with pytest.raises(Invalid, match=told) as refused:
        settings(tmp_path, **values)
    assert not any(value in str(refused.value) for value in values.values() if len(value) > 5)


# The endpoint.


def test_an_answer_ends_when_its_block_is_left() -> None:
    model = ChatEndpoint()
    model.then(Saying(["word "] * 1000))
    with serving(model) as url, asking(Endpoint(url, MODEL, 4096), conversation("?")) as answer:
        assert next(answer.pieces) == "word "


def test_an_answer_that_takes_too_long_as_a_whole_is_given_up() -> None:
    seconds = iter(range(0, 10_000, 50))
    with (
        serving(ChatEndpoint()) as url,
        asking(Endpoint(url, MODEL, 4096), conversation("?"), monotonic=lambda: float(next(seconds))) as answer,
        pytest.raises(EndpointTrouble, match="took too long"),
    ):
        list(answer.pieces)


def test_the_doctor_asks_the_endpoint_for_its_model(tmp_path: Path, store: Store) -> None:
    with serving(ChatEndpoint()) as url:
        assert examine(Endpoint(url, MODEL, 4096)) == f"It answers and has {MODEL}."
        with pytest.raises(EndpointTrouble) as refused:
            examine(Endpoint(url, "other", 4096))
        assert refused.value.remedy.startswith("The endpoint does not know other")
        asked = settings(tmp_path, ASSISTANT="on", ASSISTANT_URL=url, ASSISTANT_MODEL=MODEL)
        assert doctor._endpoint(store, asked).state is doctor.State.OK
    gone = doctor._endpoint(store, asked)
    assert (gone.state, "unreachable" in gone.evidence) == (doctor.State.FAILED, True)
    nothing = doctor._endpoint(store, settings(tmp_path, ASSISTANT="on"))
    assert nothing.remedy == "Deploy a completed run with errata deploy RUN, or set ERRATA_ASSISTANT_URL."
    store.close()
