"""Notices on Slack's ugly days: order, waiting, lost answers, killed deliverers, channels that are gone."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from builders import NOON, Team, furnish, new_workspace
from slack_sdk import WebClient
from sqlmodel import col, select

from bot import doctor
from bot.connection import slack_client
from bot.notices import Deliverer
from bot.sandbox.people import Person
from bot.sandbox.workspace import Workspace
from curation import feedback, notices, proposals
from curation.notices import MAX_ATTEMPTS, NoticeKind, NoticeStatus
from curation.reviews import Verdict
from curation.store.engine import Store
from curation.store.tables import Notice
from training import orders, runs
from training.runs import RunStep
from training.store.tables import Run

MANIFEST_SCOPES = {"commands", "chat:write", "files:write", "channels:history", "groups:history", "im:write"}


@dataclass
class Clock:
    """Stands still until it is moved."""

    moment: datetime = NOON

    def __call__(self) -> datetime:
        return self.moment

    def forward(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


@dataclass
class Room:
    """A workspace with a deliverer and nobody else connected; Team's people are its members."""

    workspace: Workspace
    store: Store
    deliverer: Deliverer
    new_deliverer: Callable[[], Deliverer]
    clock: Clock
    team: Team
    members: dict[str, Person]
    channel: str
    replies: list[str] = field(default_factory=list)

    def place(self, channel: str) -> str:
        return f"{self.workspace.team_id}/{channel}"

    def messages(self, channel: str | None = None) -> list[dict[str, Any]]:
        return self.workspace.messages(channel or self.channel)

    def notices(self) -> list[Notice]:
        with self.store.read() as session:
            return list(session.exec(select(Notice).order_by(col(Notice.id))))

    def states(self) -> list[str]:
        return [notice.status for notice in self.notices()]

    def run(self, *, destinations: list[str] | None = None) -> str:
        """A requested run whose notices go to the channel."""
        self.team.approve("How long does the filter last?", "Six months.")
        self.team.approve("Is the jug safe in the dishwasher?", "The lid is not.")
        self.team.freeze("v1")
        with self.store.write() as session:
            for notice in session.exec(select(Notice)):
                notice.status = NoticeStatus.DELIVERED.value  # the cards are not what these tests are about
            asked = destinations or [self.place(self.channel)]
            run = orders.request(
                session, self.team.olga, self.clock(), dataset_name="v1", model="rehearsal", asked_in=asked
            )
            return run.id

    def card(self, question: str, correction: str) -> int:
        """A message about a candidate in the team's channel, which shows its newest state; the candidate's id."""
        key = self.team.flag(question, correction, review_in=None)
        with self.store.write() as session:
            about = {"subject": f"candidate:{key}", "message_key": feedback.message_key(key)}
            notices.owe(session, NOON, NoticeKind.AUTHOR, destination=self.team.place, **about)
        return key

    def news(self, key: int, text: str = "News.") -> None:
        """Something new about that candidate, which its message has to show."""
        with self.store.write() as session:
            proposals.amend(session, self.team.ana, self.clock(), candidate_id=key, correction=text)

    def step(self, run_id: str, step: RunStep) -> None:
        with self.store.write() as session:
            run = runs.find(session, run_id)
            runs.take(run, step, self.clock())
            runs.owe_status(session, self.clock(), run)


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    clock = Clock()
    with new_workspace(now=clock).serve() as workspace:
        office = furnish(workspace, tmp_path)
        actors = {name: office.actor(name) for name in ("ana", "ben", "bea", "olga")}
        team = Team(office.store, 1, f"{workspace.team_id}/{office.channel}", **actors)
        client = slack_client(office.settings)

        def new_deliverer() -> Deliverer:
            return Deliverer(office.store, client, clock)

        yield Room(workspace, office.store, new_deliverer(), new_deliverer, clock, team, office.people, office.channel)
        office.store.close()


def ids(messages: list[dict[str, Any]]) -> list[str]:
    """What each card is about, by its one-line text."""
    return [found for message in messages for found in re.findall(r"#[0-9]+", message["text"])]


def test_cards_of_one_channel_arrive_in_the_order_of_their_corrections(room: Room) -> None:
    for number in range(5):
        room.card(f"Question {number}?", f"Answer {number}.")
    assert room.deliverer.tick() == 5
    assert ids(room.messages()) == ["#1", "#2", "#3", "#4", "#5"]
    assert room.deliverer.tick() == 0


def test_while_one_channel_waits_its_later_notices_wait_and_other_channels_do_not(room: Room) -> None:
    other = room.workspace.add_channel("other", list(room.members.values()))
    room.card("First?", "One.")
    room.card("Second?", "Two.")
    room.team.place = room.place(other)
    room.card("Third?", "Three.")
    room.workspace.fail_next("chat.postMessage", 500)
    room.deliverer.tick()
    assert room.messages() == []
    assert ids(room.messages(other)) == ["#3"]
    room.clock.forward(2)
    assert room.deliverer.tick() == 0
    room.clock.forward(1)
    room.deliverer.tick()
    assert ids(room.messages()) == ["#1", "#2"]


def test_a_rate_limit_is_waited_out_as_long_as_slack_says_and_is_not_held_against_the_notice(room: Room) -> None:
    room.card("First?", "One.")
    room.workspace.fail_next("chat.postMessage", "ratelimited", retry_after=30, times=MAX_ATTEMPTS + 1)
    for _ in range(MAX_ATTEMPTS + 1):
        assert room.deliverer.tick() == 1
        room.clock.forward(29)
        assert room.deliverer.tick() == 0
        room.clock.forward(1)
    assert room.deliverer.tick() == 1
    assert ids(room.messages()) == ["#1"]
    assert room.states() == ["delivered"]


def test_a_failing_slack_is_tried_again_after_longer_and_longer_waits(room: Room) -> None:
    room.card("First?", "One.")
    room.workspace.fail_next("chat.postMessage", 500, times=3)
    for seconds in (3, 4, 8):
        assert room.deliverer.tick() == 1
        room.clock.forward(seconds - 0.1)
        assert room.deliverer.tick() == 0
        room.clock.forward(0.1)
    room.deliverer.tick()
    assert ids(room.messages()) == ["#1"]
    (notice,) = room.notices()
    assert (notice.status, notice.trouble) == ("delivered", None)


def test_a_notice_that_fails_for_good_lets_the_next_ones_go(room: Room) -> None:
    room.card("First?", "One.")
    room.workspace.fail_next("chat.postMessage", "invalid_blocks", times=MAX_ATTEMPTS)
    for _ in range(MAX_ATTEMPTS):
        room.deliverer.tick()
        room.clock.forward(600)
    room.card("Second?", "Two.")
    room.deliverer.tick()
    assert room.states() == ["failed", "delivered"]
    assert ids(room.messages()) == ["#2"]


@pytest.mark.parametrize("outage", [503, "token_revoked"])
def test_what_is_owed_outlasts_a_night_without_slack_and_keeps_its_order(room: Room, outage: str | int) -> None:
    room.card("First?", "One.")
    room.card("Second?", "Two.")
    tries = 3 * MAX_ATTEMPTS
    room.workspace.fail_next("chat.postMessage", outage, times=tries)
    for _ in range(tries):
        assert room.deliverer.tick() == 2
        room.clock.forward(300)
    room.deliverer.tick()
    assert ids(room.messages()) == ["#1", "#2"]


def test_a_lost_answer_is_not_a_second_message(room: Room) -> None:
    room.card("First?", "One.")
    room.workspace.fail_next("chat.postMessage", "drop_answer")
    room.deliverer.tick()
    assert room.states() == ["in_flight"]
    room.clock.forward(3)
    room.deliverer.tick()
    (message,) = room.messages()
    (notice,) = room.notices()
    assert (notice.status, notice.message_ref) == ("delivered", f"{room.channel}/{message['ts']}")
    room.news(1)
    room.clock.forward(3)
    room.deliverer.tick()
    (message,) = room.messages()
    assert "News." in json.dumps(message)


def test_a_lost_answer_overtaken_by_news_is_still_one_message_and_shows_the_news(room: Room) -> None:
    room.card("First?", "One.")
    room.workspace.fail_next("chat.postMessage", "drop_answer")
    room.deliverer.tick()
    room.news(1)
    room.clock.forward(3)
    room.deliverer.tick()
    (message,) = room.messages()
    assert "News." in json.dumps(message)
    room.clock.forward(3)
    room.deliverer.tick()
    assert len(room.messages()) == 1
    assert room.states() == ["delivered", "delivered"]


@pytest.mark.parametrize("arrived", [True, False])
def test_a_deliverer_killed_in_flight_is_one_message(room: Room, *, arrived: bool) -> None:
    room.card("First?", "One.")
    room.workspace.fail_next("chat.postMessage", "drop_answer" if arrived else 500)
    room.deliverer.tick()
    with room.store.write() as session:  # as the row stands when the process dies before it hears the answer
        notice = session.exec(select(Notice)).one()
        notice.status, notice.not_before = NoticeStatus.IN_FLIGHT.value, room.clock()
    room.new_deliverer().tick()
    assert ids(room.messages()) == ["#1"]
    assert room.states() == ["delivered"]


def test_a_lost_edit_is_an_edit_again(room: Room) -> None:
    room.card("First?", "One.")
    room.deliverer.tick()
    room.news(1)
    room.clock.forward(3)
    room.workspace.fail_next("chat.update", "drop_answer")
    room.deliverer.tick()
    assert room.states() == ["delivered", "queued"]
    room.clock.forward(3)
    room.deliverer.tick()
    assert len(room.messages()) == 1
    assert room.states() == ["delivered", "delivered"]


def test_a_channel_without_errata_costs_only_its_own_notices(room: Room) -> None:
    closed = room.workspace.add_channel("closed", list(room.members.values()), with_errata=False)
    open_place, room.team.place = room.team.place, room.place(closed)
    room.card("First?", "One.")
    room.card("Second?", "Two.")
    room.team.place = open_place
    room.card("Third?", "Three.")
    room.deliverer.tick()
    assert ids(room.messages()) == ["#3"]
    assert room.states() == ["failed", "failed", "delivered"]
    assert {notice.trouble for notice in room.notices()} == {"not_in_channel", None}


def test_a_message_that_somebody_deleted_is_posted_anew_and_does_not_hold_up_the_channel(room: Room) -> None:
    room.card("First?", "One.")
    room.deliverer.tick()
    (message,) = room.messages()
    client = WebClient(token=room.workspace.bot_token, base_url=room.workspace.api_url)
    client.chat_delete(channel=room.channel, ts=message["ts"])
    room.news(1)
    room.card("Second?", "Two.")
    room.clock.forward(3)
    room.deliverer.tick()
    assert room.states() == ["delivered", "delivered", "delivered"]
    assert ids(room.messages()) == ["#1", "#2"]


def test_a_notice_about_nothing_fails_with_its_reason_and_the_next_one_goes(room: Room) -> None:
    with room.store.write() as session:
        notices.owe(session, NOON, NoticeKind.AUTHOR, subject="candidate:999", destination=room.place(room.channel))
    room.card("First?", "One.")
    room.deliverer.tick()
    assert room.states() == ["failed", "delivered"]
    assert "There is no candidate 999" in str(room.notices()[0].trouble)


def test_a_surprise_in_one_notice_waits_and_does_not_stop_other_channels(
    room: Room, caplog: pytest.LogCaptureFixture
) -> None:
    other = room.workspace.add_channel("other", list(room.members.values()))
    with room.store.write() as session:
        notices.owe(session, NOON, NoticeKind.SAMPLE, subject="sample:999:T1/C1", destination=room.place(other))
    room.card("First?", "One.")
    with caplog.at_level(logging.WARNING):
        room.deliverer.tick()
    assert ids(room.messages()) == ["#1"]
    assert room.states() == ["queued", "delivered"]
    assert "NoResultFound" in caplog.text


def test_edits_of_one_message_coalesce(room: Room) -> None:
    room.card("First?", "One.")
    room.deliverer.tick()
    for number in range(5):
        with room.store.write() as session:
            proposals.amend(session, room.team.ana, NOON, candidate_id=1, correction=f"Version {number}.")
    room.clock.forward(3)
    assert room.deliverer.tick() == 1
    (message,) = room.messages()
    assert "Version 4." in json.dumps(message)
    assert room.states() == ["delivered", "delivered"]


def test_a_run_has_one_status_message_in_each_channel_edited_from_request_to_end(room: Room) -> None:
    other = room.workspace.add_channel("owners", list(room.members.values()))
    run_id = room.run(destinations=[room.place(other)])
    texts = []
    for step in (None, RunStep.START, RunStep.TRAINED, RunStep.EVALUATED):
        if step is not None:
            room.step(run_id, step)
            room.clock.forward(3)
        room.deliverer.tick()
        (message,), (copy,) = room.messages(), room.messages(other)
        assert message["text"] == copy["text"]
        texts.append((message["ts"], message["text"]))
    assert len({ts for ts, _ in texts}) == 1
    states = ["requested, 1%", "training", "evaluating, 80%", "completed"]  # how long it trains is not known yet
    assert [text for _, text in texts] == [f"Run {run_id}: {status}" for status in states]


def test_the_author_of_a_returned_correction_hears_it_in_a_direct_message(room: Room) -> None:
    room.team.flag("First?", "One.")
    room.team.decide(1, Verdict.RETURN, comment="Say how long exactly.")
    room.deliverer.tick()
    (message,) = room.members["ana"].dms
    assert "Say how long exactly." in json.dumps(message)
    assert room.members["ben"].dms == []


def test_a_message_is_sent_at_most_once_in_three_seconds(room: Room) -> None:
    room.card("First?", "One.")
    room.deliverer.tick()
    sent = []
    for second in range(12):
        with room.store.write() as session:
            proposals.amend(session, room.team.ana, room.clock(), candidate_id=1, correction=f"Version {second}.")
        sent.append(room.deliverer.tick())
        room.clock.forward(1)
    assert sent == [0, *[0, 0, 1] * 3, 0, 0]
    room.deliverer.tick()
    assert "Version 11." in json.dumps(room.messages())


def test_a_lost_edit_and_news_of_the_same_message_are_three_seconds_apart(room: Room) -> None:
    room.card("First?", "One.")
    room.deliverer.tick()
    room.clock.forward(3)
    room.news(1)
    room.workspace.fail_next("chat.update", "drop_answer")
    room.deliverer.tick()
    room.clock.forward(1)
    with room.store.write() as session:
        proposals.amend(session, room.team.ana, room.clock(), candidate_id=1, correction="Six months.")
    assert room.deliverer.tick() == 0
    room.clock.forward(2)
    assert room.deliverer.tick() == 1
    assert "Six months." in json.dumps(room.messages())


def test_news_of_a_message_do_not_shorten_the_wait_that_slack_asked_its_channel_for(room: Room) -> None:
    room.card("First?", "One.")
    room.card("Second?", "Two.")
    room.workspace.fail_next("chat.postMessage", "ratelimited", retry_after=30)
    room.deliverer.tick()
    room.news(1)
    room.clock.forward(29)
    assert room.deliverer.tick() == 0
    room.clock.forward(1)
    room.deliverer.tick()
    assert ids(room.messages()) == ["#1", "#2"]


def test_news_of_a_card_that_still_waits_does_not_move_it_behind_later_ones(room: Room) -> None:
    for number in range(3):
        room.card(f"Question {number}?", f"Answer {number}.")
    room.news(1)
    room.deliverer.tick()
    assert ids(room.messages()) == ["#1", "#2", "#3"]
    assert "News." in json.dumps(room.messages()[0])
    assert room.states() == ["delivered"] * 3


def test_what_another_deliverer_has_in_hand_is_left_to_it_and_holds_back_what_is_behind(room: Room) -> None:
    room.card("First?", "One.")
    with room.store.read() as session:
        (found_due,) = notices.due(session, room.clock())
    with room.store.write() as session:
        notices.start(session.get_one(Notice, found_due.key), room.clock())
    assert not room.deliverer._deliver(found_due)
    assert room.messages() == []
    with room.store.write() as session:
        notices.delivered(session.get_one(Notice, found_due.key), room.clock(), reference="C1/1.000100")
    assert room.deliverer._deliver(found_due)
    assert room.messages() == []


def test_slack_away_for_ten_minutes_costs_nothing_but_time(room: Room) -> None:
    room.workspace.chaos(seed=1, share_500=1.0)
    for number in range(4):
        room.card(f"Question {number}?", f"Answer {number}.")
    down = 0
    while down < 600:
        room.deliverer.tick()
        room.clock.forward(5)
        down += 5
    room.workspace.chaos(seed=1)
    for _ in range(100):
        room.deliverer.tick()
        room.clock.forward(5)
    assert sorted(ids(room.messages())) == ids(room.messages()) == ["#1", "#2", "#3", "#4"]
    assert set(room.states()) == {"delivered"}


def test_a_lost_answer_is_found_again_below_hundreds_of_later_messages(room: Room) -> None:
    room.card("First?", "One.")
    room.workspace.fail_next("chat.postMessage", "drop_answer")
    room.deliverer.tick()
    for number in range(450):
        room.members["ana"].post(room.channel, f"Talk {number}")
    room.clock.forward(3)
    room.deliverer.tick()
    assert sum("metadata" in message for message in room.messages()) == 1
    assert room.states() == ["delivered"]


@pytest.mark.parametrize("refusal", ["ratelimited", 500, "drop_answer"])
def test_a_message_that_was_found_again_is_remembered_even_where_its_edit_fails(room: Room, refusal: str | int) -> None:
    room.card("First?", "One.")
    room.workspace.fail_next("chat.postMessage", "drop_answer")
    room.workspace.fail_next("chat.update", refusal, times=2)
    for _ in range(4):
        room.deliverer.tick()
        room.clock.forward(10)
    assert ids(room.messages()) == ["#1"]
    assert room.states() == ["delivered"]


@pytest.mark.parametrize("arrived", [True, False])
def test_without_the_scope_to_look_a_lost_answer_is_left_uncertain_and_never_said_again(
    room: Room, *, arrived: bool
) -> None:
    room.workspace.scopes = MANIFEST_SCOPES
    room.team.flag("First?", "One.")
    room.deliverer.tick()
    room.team.decide(1, Verdict.RETURN, comment="Say how long exactly.")
    room.workspace.fail_next("chat.postMessage", "drop_answer" if arrived else 500)
    for _ in range(5):
        room.clock.forward(10)
        room.deliverer.tick()
    assert [notice.status for notice in room.notices() if notice.kind == NoticeKind.AUTHOR] == ["uncertain"]
    assert len(room.members["ana"].dms) == int(arrived)
    with room.store.read() as session:
        (left,) = notices.uncertain(session, since=NOON)
    assert left.trouble == "missing_scope"
    (check,) = doctor._notices(room.store, room.clock())
    assert check.state is doctor.State.WARNING
    assert check.evidence.startswith("Of 1 notices of the last week nobody knows whether they arrived in person:")
    assert "im:history" in check.remedy
    room.clock.forward(8 * 24 * 3600)
    assert [check.state for check in doctor._notices(room.store, room.clock())] == [doctor.State.OK]


def test_a_refusal_leaves_no_doubt_and_needs_no_look(room: Room) -> None:
    room.workspace.scopes = {"chat:write", "im:write"}
    room.card("First?", "One.")
    for trouble in ("ratelimited", "token_revoked", "too_many_attachments"):
        room.workspace.fail_next("chat.postMessage", trouble)
        room.deliverer.tick()
        room.clock.forward(60)
    room.deliverer.tick()
    assert ids(room.messages()) == ["#1"]
    assert room.states() == ["delivered"]


def test_an_uncertain_card_is_found_once_errata_may_look(room: Room) -> None:
    room.workspace.scopes = {"chat:write"}
    room.card("First?", "One.")
    room.workspace.fail_next("chat.postMessage", "drop_answer")
    for _ in range(2):
        room.deliverer.tick()
        room.clock.forward(3)
    assert room.states() == ["uncertain"]
    room.workspace.scopes = MANIFEST_SCOPES
    room.news(1)
    room.deliverer.tick()
    (message,) = room.messages()
    assert "News." in json.dumps(message)


def test_an_answer_that_comes_too_late_is_a_lost_answer(room: Room) -> None:
    impatient = WebClient(token=room.workspace.bot_token, base_url=room.workspace.api_url, timeout=1)
    deliverer = Deliverer(room.store, impatient, room.clock)
    room.card("First?", "One.")
    room.workspace.fail_next("chat.postMessage", "timeout", seconds=1.5)
    deliverer.tick()
    assert room.states() == ["in_flight"]
    room.clock.forward(3)
    deliverer.tick()
    assert ids(room.messages()) == ["#1"]


def test_a_clock_set_back_by_hours_holds_nothing_up(room: Room) -> None:
    room.card("First?", "One.")
    room.workspace.fail_next("chat.postMessage", 500)
    room.deliverer.tick()
    room.clock.forward(-3 * 3600)
    room.deliverer.tick()
    room.news(1)
    room.clock.forward(3)
    room.deliverer.tick()
    (message,) = room.messages()
    assert "News." in json.dumps(message)


def curve_owed(room: Room) -> None:
    run_id = room.run()
    with room.store.write() as session:
        run = session.get_one(Run, run_id)
        run.progress = {"step": 2, "steps": 2, "curve": [[1, 3.0, None, 90.0], [2, 1.5, 2.0, 95.0]]}
        runs.tell(session, room.clock(), run, NoticeKind.RUN_CURVE)


def test_the_loss_curve_is_a_picture_with_words_for_those_who_cannot_see_it(room: Room) -> None:
    curve_owed(room)
    room.deliverer.tick()
    (file,) = room.workspace.files
    assert (file.content or b"").startswith(b"\x89PNG")
    assert "1.5" in file.alt_text
    assert file.channels == [room.channel]


@pytest.mark.parametrize("method", ["files.getUploadURLExternal", "files.completeUploadExternal"])
def test_a_picture_whose_answer_was_lost_is_shown_once(room: Room, method: str) -> None:
    curve_owed(room)
    room.workspace.fail_next(method, "drop_answer")
    room.deliverer.tick()
    room.clock.forward(3)
    room.deliverer.tick()
    assert len([message for message in room.messages() if message.get("files")]) == 1
    assert set(room.states()) == {"delivered"}


def test_a_slack_that_cannot_be_reached_is_tried_later(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    room.card("First?", "One.")
    nowhere = WebClient(token=room.workspace.bot_token, base_url="http://127.0.0.1:9/api/")
    Deliverer(room.store, nowhere, room.clock).tick()
    assert room.states() == ["queued"]
    assert "URLError" in caplog.text
    assert "One." not in caplog.text
    room.clock.forward(3)
    room.deliverer.tick()
    assert ids(room.messages()) == ["#1"]


def test_a_started_deliverer_delivers_by_itself_and_stops(room: Room) -> None:
    room.deliverer.start()
    room.card("First?", "One.")
    room.workspace.wait_until(room.messages, what="the card")
    room.deliverer.stop()
    room.card("Second?", "Two.")
    assert ids(room.messages()) == ["#1"]
    assert room.states()[1] == "queued"
