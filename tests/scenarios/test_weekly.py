"""Once a week: replies that nobody minded are put before people, and a channel that asked hears how things stand."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from builders import Office, open_office
from sqlalchemy import text
from sqlmodel import Session, select

from bot.assistant.answerer import Answerer
from bot.assistant.bench import Bench
from bot.blocks import samples as blocks
from bot.connection import slack_client
from bot.sandbox.limits import check_message
from bot.settings import Settings
from bot.speech import OWN_NAMES
from bot.variables import FLAG_REACTION
from bot.weekly import Weekly
from curation import audit, replies, weeks
from curation.errors import Invalid
from curation.samples import spread
from curation.store.tables import Notice, ReplySample, SampledReply

EVENTS = frozenset({"message", "reaction_added", "reaction_removed"})


@dataclass
class Desk:
    """An office whose bot hears everything, and a worker that does its weekly work when it is told to."""

    office: Office
    weekly: Weekly
    answerer: Answerer

    def __call__(self) -> None:
        """A week passes: the next Monday has begun, and an hour more for every look."""
        ahead, now = self.office.ahead, self.office.ahead()
        told = weeks.to_tell(now).told_at + timedelta(days=7)
        ahead.by += max(told - now, timedelta(hours=1)) + timedelta(minutes=1)
        self.weekly()
        self.office.deliver()

    def look_again(self) -> None:
        self.office.ahead.by += timedelta(hours=1)
        self.weekly()
        self.office.deliver()

    def settle(self) -> None:
        """Let the worker do what was asked of it, and tell."""
        while self.answerer.settle_next():
            pass
        self.office.deliver()

    def reply(self, said: str, channel: str | None = None) -> str:
        office = self.office
        channel = channel or office.channel
        thread = office.customer.post(channel, f"Question about {said}?")
        ts = office.bris.post(channel, said, thread_ts=thread)
        office.workspace.wait_until_delivered()
        return ts

    def asked(self, channel: str | None = None) -> dict[str, Any]:
        """The one question about a week's replies."""
        (message,) = self.questions(channel)
        return message

    def questions(self, channel: str | None = None) -> list[dict[str, Any]]:
        mine, channel = self.office.workspace.bot_id, channel or self.office.channel
        posted = [one for one in self.office.workspace.messages(channel) if one.get("bot_id") == mine]
        return [one for one in posted if "that nobody minded this week" in one["text"]]

    def rows(self, model: Any) -> list[Any]:
        with self.office.store.read() as session:
            return list(session.exec(select(model)))


def at(office: Office, **changes: str) -> Desk:
    settings = Settings.from_environment(
        {
            "SLACK_BOT_TOKEN": office.workspace.bot_token,
            "SLACK_API_URL": office.workspace.api_url,
            "ERRATA_HOME": str(office.settings.home),
            **changes,
        },
        dotenv=office.settings.home / "no.env",
    )
    weekly = Weekly(office.store, office.ahead, settings, rng=random.Random(7))
    return Desk(office, weekly, Answerer(Bench(office.store, slack_client(settings), office.ahead, settings)))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with open_office(tmp_path) as opened:
        opened.workspace.subscriptions = EVENTS
        yield at(opened)


def test_five_replies_that_nobody_minded_are_put_before_the_channel(desk: Desk) -> None:
    said = [desk.reply(f"number {number}") for number in range(7)]
    desk.office.ana.react(desk.office.channel, said[0], FLAG_REACTION)
    desk.office.correct(desk.office.ana, said[1], "Better.")
    desk.office.bris.delete(desk.office.channel, said[2])
    desk.office.workspace.wait_until_delivered()
    desk()
    message = desk.asked()
    assert message["text"] == "4 replies of Bris that nobody minded this week. Are they good?"
    shown = json.dumps(message)
    assert [ts in shown for ts in said] == [False, False, False, True, True, True, True]
    with desk.office.store.read() as session:
        (entry,) = audit.search(session, action="replies.sampled")
        assert (entry.actor, entry.details) == ("system/worker", {"replies": 4})


def test_a_reply_is_endorsed_with_one_press_and_ticked_in_place(desk: Desk) -> None:
    ts = desk.reply("It lasts six months")
    desk()
    question = desk.asked()
    for _ in range(2):
        desk.office.ana.click(desk.office.channel, question["ts"], blocks.ENDORSE, "sample:1")
    desk.office.workspace.wait_until(lambda: desk.office.ana.ephemerals, what="the thanks")
    desk.settle()
    assert "endorsed by Ana" in json.dumps(desk.asked())
    with desk.office.store.read() as session:
        (row,) = session.connection().execute(text("SELECT kind, source, thread, turns FROM candidates")).all()
    place = f"{desk.office.workspace.team_id}/{desk.office.channel}"
    assert (row.kind, row.source) == ("endorsement", f"{place}/{ts}")
    assert row.thread != row.source  # the thread's own, by which sides are drawn
    assert "Question about It lasts six months?" in row.turns


def test_a_reply_is_corrected_from_the_question_and_ticked_in_place(desk: Desk) -> None:
    desk.reply("It lasts for ever")
    desk()
    office = desk.office
    office.ana.click(office.channel, desk.asked()["ts"], blocks.CORRECT, "sample:1")
    office.wait_for_thread(office.ana)
    assert office.ana.submit({"correction": "Six months."}) == {}
    desk.settle()
    assert "corrected by Ana" in json.dumps(desk.asked())


def test_a_week_is_asked_about_once_whoever_looks_and_how_often(desk: Desk) -> None:
    for number in range(8):
        desk.reply(f"number {number}")
    desk()
    at(desk.office).weekly()
    desk.look_again()
    assert len(desk.rows(ReplySample)) == 1
    assert len(desk.rows(SampledReply)) == 5
    assert len(desk.questions()) == 1


def test_a_worker_that_is_killed_between_drawing_and_committing_draws_once_all_the_same(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.reply("It lasts six months")
    commits = Session.commit

    def killed(_session: Session) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Session, "commit", killed)
    with pytest.raises(KeyboardInterrupt):
        desk()
    monkeypatch.setattr(Session, "commit", commits)
    assert desk.rows(ReplySample) == []
    at(desk.office).weekly()
    desk.look_again()
    assert len(desk.rows(ReplySample)) == 1
    assert len(desk.questions()) == 1


def test_the_same_seed_draws_the_same_replies_again(desk: Desk) -> None:
    for number in range(12):
        desk.reply(f"number {number}")
    desk()
    (drawn,), chosen = desk.rows(ReplySample), [one.source for one in desk.rows(SampledReply)]
    with desk.office.store.read() as session:
        everything = [row.source for row in session.connection().execute(text("SELECT source FROM replies")).all()]
    assert sorted(spread(sorted(everything), 5, random.Random(drawn.seed))) == sorted(chosen)


def test_a_sample_is_spread_over_the_channels() -> None:
    sources = [f"T1/C1/{number}.1" for number in range(90)] + ["T1/C2/1.1", "T1/C2/2.1", "T1/C3/1.1"]
    for seed in range(20):
        chosen = spread(sources, 5, random.Random(seed))
        assert len(set(chosen)) == 5
        assert {source.split("/")[1] for source in chosen} == {"C1", "C2", "C3"}
    assert spread(sources[:3], 5, random.Random(1)) != []
    assert spread([], 5, random.Random(1)) == []


def test_each_channel_is_asked_about_its_own_replies_and_direct_messages_about_none(desk: Desk) -> None:
    office = desk.office
    other = office.workspace.add_channel("returns", list(office.people.values()))
    here, there = desk.reply("here"), desk.reply("there", other)
    with office.store.write() as session:
        private = f"{office.workspace.team_id}/D0123/1700000000.000100"
        replies.count(session, assistant_id=1, source=private, said_at=office.ahead(), model_version=None)
    desk()
    for channel, own, foreign in ((office.channel, here, there), (other, there, here)):
        shown = json.dumps(desk.asked(channel))
        assert own in shown
        assert foreign not in shown
    assert len(desk.rows(SampledReply)) == 2


def test_with_a_review_channel_that_one_alone_is_asked(tmp_path: Path) -> None:
    with open_office(tmp_path) as office:
        office.workspace.subscriptions = EVENTS
        reviewers = office.workspace.add_channel("review", list(office.people.values()))
        desk = at(office, ERRATA_REVIEW_CHANNEL=reviewers)
        desk.reply("It lasts six months")
        desk()
        assert desk.questions() == []
        assert desk.questions(reviewers)


def test_a_channel_that_was_archived_loses_its_question_and_no_other_does(desk: Desk) -> None:
    office = desk.office
    other = office.workspace.add_channel("returns", list(office.people.values()))
    desk.reply("here")
    desk.reply("there", other)
    office.workspace.fail_next("chat.postMessage", "is_archived")
    desk()
    states = sorted((notice.status, notice.trouble) for notice in desk.rows(Notice))
    assert states == [("delivered", None), ("failed", "is_archived")]


def test_a_week_without_a_worker_is_made_up_for_the_ones_before_are_not(desk: Desk) -> None:
    office, monday = desk.office, weeks.to_tell(desk.office.ahead()).ends
    with office.store.write() as session:
        for ago in (10, 3, -4):
            source = f"{office.workspace.team_id}/{office.channel}/17000000{ago + 50}.000100"
            said_at = monday - timedelta(days=ago)
            replies.count(session, assistant_id=1, source=source, said_at=said_at, model_version=None)
    office.ahead.by += monday + timedelta(days=9) - office.ahead()  # Wednesday of the week after
    desk.weekly()
    assert [one.week for one in desk.rows(ReplySample)] == [weeks.Week(monday).name]
    assert [one.source.endswith("46.000100") for one in desk.rows(SampledReply)] == [True]


def test_nobody_is_asked_where_no_replies_are_wanted_and_a_wrong_number_is_refused(tmp_path: Path) -> None:
    with open_office(tmp_path) as office:
        office.workspace.subscriptions = EVENTS
        desk = at(office, ERRATA_SAMPLE="0")
        desk.reply("It lasts six months")
        desk()
        assert desk.rows(ReplySample) == []
        for wrong in ("-1", "16", "many"):
            with pytest.raises(Invalid, match="ERRATA_SAMPLE is no number from 0 to 15"):
                at(office, ERRATA_SAMPLE=wrong)


def test_somebody_without_a_role_endorses_nothing(desk: Desk) -> None:
    desk.reply("It lasts six months")
    desk()
    office = desk.office
    office.customer.click(office.channel, desk.asked()["ts"], blocks.ENDORSE, "sample:1")
    office.workspace.wait_until(lambda: office.customer.ephemerals, what="the refusal")
    assert "may not flag and correct replies" in office.customer.ephemerals[-1]["text"]
    desk.settle()
    assert "endorsed" not in json.dumps(desk.asked())


def test_a_reply_deleted_after_it_was_drawn_is_crossed_out_once_somebody_presses(desk: Desk) -> None:
    ts = desk.reply("It lasts six months")
    desk()
    office = desk.office
    office.workspace.subscriptions = frozenset()
    office.bris.delete(office.channel, ts)
    office.ana.click(office.channel, desk.asked()["ts"], blocks.ENDORSE, "sample:1")
    desk.settle()
    assert "taken away since" in json.dumps(desk.asked())


def digest(desk: Desk) -> str:
    mine = desk.office.workspace.bot_id
    posted = [one for one in desk.office.workspace.messages(desk.office.channel) if one.get("bot_id") == mine]
    found = [one for one in posted if "in figures" in one["text"]]
    assert len(found) <= 1
    return json.dumps(found[0]["blocks"], ensure_ascii=False) if found else ""


def test_a_channel_that_ordered_it_hears_on_monday_how_things_stand(desk: Desk) -> None:
    office = desk.office
    answer = office.olga.command("/errata", "digest on", office.channel)
    assert answer["text"].startswith("This channel hears every Monday")
    good, bad = desk.reply("good"), desk.reply("bad")
    office.ben.react(office.channel, bad, FLAG_REACTION)
    office.workspace.wait_until_delivered()
    office.correct(office.ana, good, "Better.")
    desk()
    told = digest(desk)
    assert "1 reply was flagged\\n1 correction was written\\n0 replies were endorsed" in told
    assert "1 waits for a reviewer" in told
    assert "100.0 per hundred, of 2 replies this week, no replies the week before" in told
    assert "1 flagged reply has no correction yet" in told
    assert "`/errata flags`" in told
    assert "`/errata review`" in told


def test_a_digest_comes_once_a_week_and_no_more_once_it_is_taken_back(desk: Desk) -> None:
    office = desk.office
    office.olga.command("/errata", "digest on", office.channel)
    desk()
    at(office).weekly()
    desk.look_again()
    assert len([one for one in desk.rows(Notice) if one.kind == "digest"]) == 1
    office.olga.command("/errata", "digest off", office.channel)
    desk()
    assert len([one for one in desk.rows(Notice) if one.kind == "digest"]) == 1
    with office.store.read() as session:
        actions = [entry.action for entry in audit.search(session, action="digest")]
    assert actions == ["digest.ordered", "digest.cancelled"]


def test_only_an_owner_orders_a_digest_and_a_slip_is_answered(desk: Desk) -> None:
    office = desk.office
    assert "may not order weekly digests" in office.ben.command("/errata", "digest on", office.channel)["text"]
    slip = office.olga.command("/errata", "digest sometimes", office.channel)["text"]
    assert slip == "Write /errata digest on or /errata digest off."
    desk()
    assert digest(desk) == ""


def test_two_weeks_are_drawn_as_a_picture_with_words_for_those_who_cannot_see_it(desk: Desk) -> None:
    office, now = desk.office, desk.office.ahead()
    office.olga.command("/errata", "digest on", office.channel)
    with office.store.write() as session:
        for days in (0, 7):
            for number in range(4):
                source = f"{office.workspace.team_id}/{office.channel}/17000000{days}{number}.000100"
                said_at = now - timedelta(days=days)
                replies.count(session, assistant_id=1, source=source, said_at=said_at, model_version="run-1a2b")
    desk()
    (picture,) = office.workspace.files
    assert picture.content is not None
    assert picture.content.startswith(b"\x89PNG")
    assert "run-1a2b: 0.0 in" in str(picture.alt_text)


@pytest.mark.parametrize("language", OWN_NAMES)
def test_the_question_and_the_digest_fit_into_slacks_limits_in_every_language(tmp_path: Path, language: str) -> None:
    with open_office(tmp_path, ERRATA_LANGUAGE=language) as office:
        office.workspace.subscriptions = EVENTS
        desk = at(office, ERRATA_SAMPLE="15")
        office.olga.command("/errata", "digest on", office.channel)
        for number in range(16):
            desk.reply(f"number {number}")
        desk()
        mine = office.workspace.bot_id
        for message in office.workspace.messages(office.channel):
            if message.get("bot_id") == mine:
                check_message(message)
        assert {one.status for one in desk.rows(Notice)} == {"delivered"}


@pytest.mark.parametrize(
    ("now", "name"),
    [
        (datetime(2026, 11, 23, 8, 59, tzinfo=UTC), "2026-W46"),
        (datetime(2026, 11, 23, 9, 0, tzinfo=UTC), "2026-W47"),
        (datetime(2026, 11, 29, 23, 0, tzinfo=UTC), "2026-W47"),
        (datetime(2027, 1, 4, 9, 0, tzinfo=UTC), "2026-W53"),
    ],
)
def test_a_week_is_told_about_from_monday_morning_on(now: datetime, name: str) -> None:
    week = weeks.to_tell(now)
    assert week.name == name
    assert weeks.named(name) == week
    assert week.ends - week.begins == timedelta(days=7)


def test_what_the_worker_cannot_do_this_hour_it_tries_again_in_the_next(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.reply("It lasts six months")
    ahead, told = desk.office.ahead, weeks.to_tell(desk.office.ahead()).told_at + timedelta(days=7)
    ahead.by += told - ahead()
    commits = Session.commit

    def fails(_session: Session) -> None:
        raise OSError("The disk is full.")

    monkeypatch.setattr(Session, "commit", fails)
    desk.weekly()
    monkeypatch.setattr(Session, "commit", commits)
    desk.weekly()
    assert desk.rows(ReplySample) == []
    desk.look_again()
    assert len(desk.rows(ReplySample)) == 1


def test_of_one_reply_in_a_week_one_is_asked_about(desk: Desk) -> None:
    desk.reply("It lasts six months")
    desk()
    assert "1 reply of Bris that nobody minded this week. Is it good?" in desk.asked()["text"]
    assert len([one for one in desk.asked()["blocks"] if one["type"] == "actions"]) == 1


def test_a_digest_for_a_channel_that_was_archived_is_given_up_and_comes_again_once_it_is_back(desk: Desk) -> None:
    office = desk.office
    desk.reply("It lasts six months")
    office.olga.command("/errata", "digest on", office.channel)
    office.workspace.archive(office.channel)
    desk()
    assert digest(desk) == ""
    assert {one.status for one in desk.rows(Notice) if one.kind.startswith("digest")} == {"failed"}
    office.workspace.unarchive(office.channel)
    desk()
    assert "in figures" in digest(desk)
