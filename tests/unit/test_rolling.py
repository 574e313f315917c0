"""The one message about a channel's queue: edited in place, begun anew where it would be overlooked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from builders import NOON, Team
from sqlmodel import Session, col, select

from curation import captures, claims, imports, notices, proposals, reviews, rolling
from curation.candidates import Reason
from curation.conversation import Conversation, Message, Role
from curation.notices import NoticeKind, NoticeStatus
from curation.privacy.removal import remove_candidates
from curation.reviews import Verdict
from curation.screening import worklist
from curation.store.tables import Candidate, CandidateFinding, Notice, QueueMessage

HOUR = timedelta(hours=1)


def owed(team: Team) -> list[str | None]:
    """The keys of the queue's messages that are owed, in their order."""
    with team.store.read() as session:
        return [
            one.message_key
            for one in session.exec(
                select(Notice)
                .where(Notice.kind == NoticeKind.QUEUE.value, Notice.status == NoticeStatus.QUEUED.value)
                .order_by(col(Notice.id))
            )
        ]


def deliver(team: Team, at: datetime = NOON) -> None:
    with team.store.write() as session:
        for notice in session.exec(select(Notice).where(Notice.status == NoticeStatus.QUEUED.value)):
            notices.start(notice, at)
            notices.delivered(notice, at, reference="C1/1.2")


def test_everything_that_changes_a_queue_is_told_in_one_message(team: Team) -> None:
    first, second = team.flag("How long?", "Six months."), team.flag("How wide?", "A metre.")
    assert owed(team) == ["queue:T1/C1:1"]
    deliver(team)
    changes: list[Callable[[Session], object]] = [
        lambda s: reviews.decide(s, team.ben, NOON, candidate_id=first, verdict=Verdict.RETURN, comment="Say which."),
        lambda s: reviews.undo(s, team.ben, NOON, review_id=1),
        lambda s: proposals.amend(s, team.ana, NOON, candidate_id=second, correction="Two metres."),
        lambda s: reviews.decide(s, team.ben, NOON, candidate_id=second, verdict=Verdict.APPROVE),
        lambda s: remove_candidates(s, NOON, [first]),
    ]
    for change in changes:
        with team.store.write() as session:
            change(session)
        assert owed(team) == ["queue:T1/C1:1"]
        deliver(team)
    with team.store.write() as session:
        claims.take_next(session, team.ben, NOON)
    assert owed(team) == []  # who looks at what is said with the next change


def test_a_message_begins_anew_below_when_the_queue_had_run_empty(team: Team) -> None:
    team.approve("How long?", "Six months.")
    deliver(team)
    second = team.flag("How wide?", "A metre.")
    assert owed(team) == ["queue:T1/C1:1", "queue:T1/C1:2"]  # the old one says that it goes on below
    with team.store.read() as session:
        assert not rolling.is_current(session, "queue:T1/C1:1")
        assert rolling.is_current(session, "queue:T1/C1:2")
        assert not rolling.is_current(session, "queue:T1/C9:1")
    deliver(team)
    team.flag("How heavy?", "Two kilos.")
    assert owed(team) == ["queue:T1/C1:2"]
    deliver(team)
    team.decide(second, Verdict.RETURN, comment="Say which.")
    team.decide(second + 1, Verdict.APPROVE)
    deliver(team)
    with team.store.write() as session:
        proposals.amend(session, team.ana, NOON, candidate_id=second, correction="Two metres.")
    assert owed(team) == ["queue:T1/C1:2", "queue:T1/C1:3"]


def test_a_message_begins_anew_after_half_a_day_but_only_where_something_new_waits(team: Team) -> None:
    first = team.flag("How long?", "Six months.")
    deliver(team)
    team.flag("How wide?", "A metre.", at=NOON + 12 * HOUR)
    assert owed(team) == ["queue:T1/C1:1"]
    deliver(team)
    team.decide(first, Verdict.APPROVE)
    assert owed(team) == ["queue:T1/C1:1"]
    deliver(team)
    team.flag("How heavy?", "Two kilos.", at=NOON + 13 * HOUR)
    assert owed(team) == ["queue:T1/C1:1", "queue:T1/C1:2"]


def test_each_place_has_its_message_and_a_terminal_none(team: Team) -> None:
    Team(team.store, team.assistant_id, place="T1/C2").flag("How long?", "Six months.")
    team.flag("How long?", "Six months.")
    kept = _capture(team)
    with team.store.write() as session:
        proposals.propose(session, team.ana, NOON, capture_id=kept, correction="Six months.", review_in=None)
    assert owed(team) == ["queue:T1/C2:1", "queue:T1/C1:1"]
    with team.store.read() as session:
        assert len(session.exec(select(QueueMessage)).all()) == 2


def _capture(team: Team) -> int:
    with team.store.write() as session:
        kept = captures.keep(
            session, team.ana, NOON, assistant_id=team.assistant_id, source="T1/C3/1.1", thread="T1/C3/1.1", reply="No."
        )
        captures.fill(session, kept.key, Conversation((Message(Role.USER, "?"),)), reply="No.", staff_reply=None)
        return kept.key


def test_an_archive_of_hundreds_is_told_once_in_the_channel_where_it_is_reviewed(team: Team) -> None:
    asked = Conversation((Message(Role.USER, "How long?"),))
    replies = [imports.Reply(f"T1/C9/{number}.1", f"T1/C9/{number}.0", asked, "Long.") for number in range(600)]
    with team.store.write() as session:
        imports.propose_replies(
            session, team.ana, NOON, replies, assistant_id=team.assistant_id, origin="import:x.zip", place="T1/C2"
        )
    assert owed(team) == ["queue:T1/C2:1"]
    with team.store.read() as session:
        assert set(session.exec(select(Candidate.place))) == {"T1/C2"}


def test_what_screening_finds_makes_a_candidate_urgent_and_is_told(team: Team) -> None:
    key = team.flag("How long does it last?", "It lasts for ever!", reason=Reason.TONE)  # barely differs
    risky = team.flag("How wide?", "A metre.", reason=Reason.WRONG_FACT)
    deliver(team)
    while worklist.step(team.store, NOON):
        pass
    with team.store.read() as session:
        found = set(session.exec(select(CandidateFinding.candidate_id)))
        urgencies = {one.key: one.urgency for one in session.exec(select(Candidate))}
    assert found == {key}
    assert urgencies == {key: 2, risky: 1}
    assert owed(team) == ["queue:T1/C1:1"]
    deliver(team)
    with team.store.write() as session:
        proposals.amend(session, team.ana, NOON, candidate_id=key, correction="Six months, then change the filter.")
    deliver(team)
    while worklist.step(team.store, NOON):
        pass
    with team.store.read() as session:
        assert session.get_one(Candidate, key).urgency == 0


def test_whoever_waits_for_the_ack_waits_for_two_statements_at_most(team: Team) -> None:
    team.flag("How long?", "Six months.")
    for new in (None, 99):
        deliver(team)
        ran: list[str] = []
        with team.store.write() as session:
            session.connection().connection.driver_connection.set_trace_callback(ran.append)  # type: ignore[union-attr]  # it is open
            rolling.owe_queue(session, NOON, team.place, new=new)
            rolling.owe_queue(session, NOON, None, new=new)
            session.connection().connection.driver_connection.set_trace_callback(None)  # type: ignore[union-attr]  # it is open
        assert len(ran) <= 2, ran
        assert owed(team) == ["queue:T1/C1:1"]
