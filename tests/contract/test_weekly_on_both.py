"""Flagged replies, samples and digests on SQLite and on PostgreSQL."""

from __future__ import annotations

import random
from datetime import timedelta

from builders import NOON, Team
from sqlmodel import Session, select

from curation import digests, feedback, flagged, replies, samples, weeks
from curation.people import Actor
from curation.store.tables import Notice
from training.weekly import of_week

LATER = NOON + timedelta(days=7)


def said(team: Team, session: Session, number: int, *flagged_by: Actor) -> str:
    """A counted reply and the flags on it, each a minute after the one before."""
    source = f"{team.place}/1700000{number:03d}.000100"
    replies.count(session, assistant_id=team.assistant_id, source=source, said_at=NOON, model_version="run-1")
    for place, person in enumerate(flagged_by):
        replies.flag(session, person, NOON, source=source, at=NOON + timedelta(minutes=number + place))
    return source


def test_pages_of_flagged_replies_follow_one_another_without_gaps_or_repeats(crew: Team) -> None:
    with crew.store.write() as session:
        everything = [
            said(crew, session, number, *[crew.ana, crew.ben, crew.bea][: number % 4]) for number in range(12)
        ]
    with crew.store.read() as session:
        pages, after = [], None
        while page := flagged.waiting(session, limit=2, after=after):
            pages += page
            after = page[-1].position
        assert flagged.count(session) == len(pages) == 9
        assert [one.flags for one in pages] == [3, 3, 3, 2, 2, 2, 1, 1, 1]
        assert [one.source for one in pages[:3]] == [everything[number] for number in (3, 7, 11)]
        assert pages[0].by == (crew.ana.person_id, crew.ben.person_id, crew.bea.person_id)
        assert flagged.waiting(session, team="T2", limit=5) == flagged.waiting(session, assistant_id=99, limit=5) == []


def test_a_dismissal_lasts_until_a_newer_flag_and_a_reply_that_is_gone_waits_no_more(crew: Team) -> None:
    with crew.store.write() as session:
        first, second = said(crew, session, 1, crew.ana), said(crew, session, 2, crew.ana)
        assert flagged.dismiss(session, crew.ben, NOON, source=first)
        assert not flagged.dismiss(session, crew.ben, NOON, source=first)
        assert [one.source for one in flagged.waiting(session, limit=5)] == [second]
        replies.flag(session, crew.bea, LATER, source=first, at=LATER)
        (reply,) = [one for one in flagged.waiting(session, limit=5) if one.source == first]
        assert (reply.flags, reply.by) == (1, (crew.bea.person_id,))
        flagged.gone(session, [first])
        assert flagged.count(session) == 1


def test_a_sample_is_drawn_once_of_what_nobody_minded(crew: Team) -> None:
    with crew.store.write() as session:
        good = {said(crew, session, number) for number in range(3)}
        said(crew, session, 9, crew.ana)
        now = weeks.Week(weeks.to_tell(LATER).begins).told_at
        place = "{}/C7".format
        drawn = [samples.draw(session, now, random.Random(1), size=5, review_place=place) for _ in range(2)]
        assert drawn == [1, 0]
        (notice,) = [one for one in session.exec(select(Notice)) if one.kind == "replies.sample"]
        assert notice.destination == "T1/C7"
        sample = samples.of_subject(session, notice.subject.partition(":")[2])
        assert {one.source for one in sample.replies} == good


def test_the_figures_of_a_week_are_those_of_that_week_and_workspace(crew: Team) -> None:
    crew.approve("How long?", "Six months.")
    crew.flag("Is it on?", "It is.")
    with crew.store.write() as session:
        said(crew, session, 101, crew.ana)
        said(crew, session, 102)
        assert digests.order(session, crew.olga, NOON, place=crew.place)
        assert not digests.order(session, crew.olga, NOON, place=crew.place)
        assert [digests.owe_due(session, LATER) for _ in range(2)] == [1, 0]
    week = weeks.Week(weeks.to_tell(LATER).begins)
    with crew.store.read() as session:
        figures = digests.of_week(session, week, "T1")
        assert (figures.flagged, figures.corrections, figures.decided, figures.approved) == (1, 2, 1, 1)
        assert (figures.pending, figures.oldest, figures.unanswered) == (1, NOON, 1)
        (rate,) = figures.rates
        assert rate.now is not None
        assert (rate.model_version, rate.now.replies, rate.now.flag_rate, rate.before) == ("run-1", 2, 0.5, None)
        elsewhere = digests.of_week(session, week, "T2")
        assert (elsewhere.flagged, elsewhere.corrections, elsewhere.pending, elsewhere.rates) == (0, 0, 0, ())
        assert digests.of_week(session, week.before, "T1").corrections == 0
        assert of_week(session, week).runs == ()


def test_what_a_dataset_was_trained_on_is_counted_by_author(crew: Team) -> None:
    for number in range(12):
        crew.approve(f"Question {number}?", f"Answer {number}.", thread=f"{crew.place}/{number}")
    version = crew.freeze("v1")
    with crew.store.read() as session:
        counted = feedback.trained_on(session, version.key)
    assert counted == {crew.ana.person_id: version.manifest["sides"]["train"]}
