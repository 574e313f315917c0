"""Examples expire, are left out of new datasets, and come back for another person's review."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from builders import NOON, Team
from sqlmodel import select

from curation import audit, candidates, corrections, examples, expiry, people
from curation.conversation import Conversation, Message, Role
from curation.datasets import dataset
from curation.datasets.split import Side
from curation.errors import Conflict, Invalid, NotAllowed, NotFound
from curation.formats.jsonl import Row
from curation.policies import RoleName
from curation.reviews import Verdict
from curation.store.tables import DatasetVersion, Example, Notice

LATER = NOON + timedelta(days=30)


def expire(team: Team, *ids: int, days: int = 0, topic: str | None = None) -> list[int]:
    with team.store.write() as session:
        after = NOON + timedelta(days=days)
        return expiry.expire(session, team.ben, NOON, reason="New prices.", after=after, example_ids=ids, topic=topic)


def renew(team: Team, *ids: int) -> list[expiry.Returned]:
    with team.store.write() as session:
        return expiry.renew(session, team.ben, NOON, example_ids=ids)


def freeze_at(team: Team, moment: datetime) -> DatasetVersion:
    return dataset.freeze(team.store, team.olga, moment)[0]


def two_examples(team: Team) -> None:
    team.approve("How much is the filter?", "9 euros.")
    team.approve("Is the jug safe in the dishwasher?", "The lid is not.")


def test_an_expired_example_is_left_out_with_its_reason_and_is_in_until_then(team: Team) -> None:
    two_examples(team)
    expire(team, 1, days=10)
    before, after = freeze_at(team, NOON), freeze_at(team, LATER)
    assert (before.manifest["rows"], before.manifest["left_out"]) == (2, {})
    assert (after.manifest["rows"], after.manifest["left_out"]) == (1, {"expired": [1]})


def test_the_newest_date_counts_and_a_date_can_be_taken_back(team: Team) -> None:
    two_examples(team)
    expire(team, 1)
    expire(team, 1, days=40)
    assert freeze_at(team, LATER).manifest["rows"] == 2
    expire(team, 1)
    with team.store.write() as session:
        expiry.expire(session, team.ben, NOON, reason="It holds after all.", after=None, example_ids=[1])
    with team.store.read() as session:
        assert expiry.expired(expiry.newest(session), LATER) == set()


def test_a_topic_expires_as_it_is_now(team: Team) -> None:
    turns = [Conversation((Message(Role.USER, f"What is {word}?"), Message(Role.ASSISTANT, "It."))) for word in "abc"]
    labels = ("prices", "prices", "colours")
    with team.store.write() as session:
        told = [Row(1, one, {"topic": topic}) for one, topic in zip(turns, labels, strict=True)]
        examples.attest(session, team.olga, NOON, told, origin="import:x", reason="Known.")
    assert expire(team, topic="prices") == [1, 2]


def test_when_everything_has_expired_nothing_is_frozen_and_the_sentence_says_so(team: Team) -> None:
    two_examples(team)
    expire(team, 1, 2)
    with pytest.raises(Conflict, match="every approved example has expired"):
        freeze_at(team, NOON)


def test_an_expired_example_returns_prefilled_and_an_approval_makes_a_new_one_on_the_same_side(team: Team) -> None:
    for number in range(12):
        team.approve(f"{'abcdefghijkl'[number] * 8} costs what, in euros, today?", f"{number} euros.")
    first = freeze_at(team, NOON)
    with team.store.read() as session:
        held = next(item.example.key for item in dataset.items(session, first) if item.side is Side.VALIDATION)
    expire(team, held)
    (back,) = renew(team)
    assert back.example == held
    with team.store.read() as session:
        candidate = candidates.find(session, back.candidate)
        old = session.get_one(Example, held)
        assert corrections.current_text(session, back.candidate) == old.messages[-1]["content"]
        assert (candidate.reply, candidate.thread) == (old.rejected, old.thread)
        assert candidate.note == f"Re-review of example {held}, which has expired: New prices."
        assert expiry.renewals(session) == {back.candidate: held}
    team.decide(back.candidate, Verdict.APPROVE, by=team.bea)
    second = freeze_at(team, NOON)
    with team.store.read() as session:
        sides = {item.example.key: item.side for item in dataset.items(session, second)}
    assert held not in sides
    assert sides[13] is Side.VALIDATION  # the new one: same thread, same question
    assert second.manifest["left_out"] == {"expired": [held]}


def test_who_wrote_the_reply_does_not_approve_it_when_it_returns(team: Team) -> None:
    two_examples(team)
    expire(team, 1)
    (back,) = renew(team)
    with team.store.write() as session:
        people.grant(session, team.olga, NOON, person=team.ana.person_id, role=RoleName.REVIEWER)
    with pytest.raises(NotAllowed, match="a second person approves it"):
        team.decide(back.candidate, Verdict.APPROVE, by=team.ana)


def test_an_attested_row_returns_as_written_by_whoever_attested_it(team: Team) -> None:
    turns = Conversation((Message(Role.SYSTEM, "Be brief."), Message(Role.USER, "How much?"))).answered("9 euros.")
    with team.store.write() as session:
        row = Row(1, turns, {"customer": "c7", "context": ["Price list"]})
        examples.attest(session, team.olga, NOON, [row], origin="import:x", reason="Known.")
    expire(team, 1)
    (back,) = renew(team)
    with pytest.raises(NotAllowed):
        team.decide(back.candidate, Verdict.APPROVE, by=team.olga)
    team.decide(back.candidate, Verdict.APPROVE, by=team.ben)
    with team.store.read() as session:
        again = examples.find(session, 2)
    assert again.messages == turns.as_json()
    assert (again.customer, again.context) == ("c7", ["Price list"])
    assert (again.kind, again.attested, again.authors) == ("imported", None, [team.olga.person_id])


def test_an_example_returns_once_and_only_after_it_has_expired(team: Team) -> None:
    two_examples(team)
    with pytest.raises(Conflict, match="Example 1 has not expired"):
        renew(team, 1)
    expire(team, 1)
    (back,) = renew(team)
    assert renew(team) == []
    with pytest.raises(Conflict, match=f"came back for review already, as candidate {back.candidate}"):
        renew(team, 1)
    with pytest.raises(NotFound, match="no example 99"):
        renew(team, 99)


def test_a_captured_example_returns_to_its_channel(team: Team) -> None:
    two_examples(team)
    expire(team, 1)
    (back,) = renew(team)
    with team.store.read() as session:
        assert candidates.find(session, back.candidate).place == "T1/C1"
        told = session.exec(select(Notice.destination).where(Notice.subject == "queue:T1/C1")).all()
        assert set(told) == {"T1/C1"}
        assert [entry.action for entry in audit.about(session, "example:1")] == ["example.expires", "example.renewed"]


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        ({"reason": " "}, Invalid, "give --reason"),
        ({"example_ids": ()}, Invalid, "either their ids or --topic"),
        ({"topic": "prices"}, Invalid, "either their ids or --topic"),
        ({"example_ids": (), "topic": "prices"}, NotFound, "No example has the topic prices"),
        ({"example_ids": (1, 77)}, NotFound, "no example 77"),
    ],
)
def test_an_expiry_that_says_too_little_is_refused(
    team: Team, changes: dict[str, object], error: type[Exception], sentence: str
) -> None:
    two_examples(team)
    with team.store.write() as session, pytest.raises(error, match=sentence):
        expiry.expire(session, team.ben, NOON, **{"reason": "x", "after": NOON, "example_ids": (1,), **changes})  # type: ignore[arg-type]


def test_nobody_but_a_reviewer_says_until_when_something_holds(team: Team) -> None:
    two_examples(team)
    with team.store.write() as session:
        with pytest.raises(NotAllowed):
            expiry.expire(session, team.ana, NOON, reason="x", after=NOON, example_ids=[1])
        with pytest.raises(NotAllowed):
            expiry.renew(session, team.ana, NOON)


def test_the_worker_returns_what_has_expired_by_itself_and_in_nobodys_name_but_who_said_so(team: Team) -> None:
    two_examples(team)
    expire(team, 1, days=10)
    with team.store.write() as session:
        assert expiry.return_due(session, NOON) == []
    with team.store.write() as session:
        (back,) = expiry.return_due(session, LATER, review_place="{}/C9REVIEW".format)
    with team.store.write() as session:
        assert expiry.return_due(session, LATER) == []
        assert candidates.find(session, back.candidate).flagged_by == team.ben.person_id
        assert candidates.find(session, back.candidate).place == "T1/C9REVIEW"
        assert session.exec(select(Notice.destination).where(Notice.subject == "queue:T1/C9REVIEW")).all()
        assert audit.about(session, "example:1")[-1].actor == "system/worker"


def test_an_erased_example_does_not_return(team: Team) -> None:
    two_examples(team)
    expire(team, 1)
    with team.store.write() as session:
        session.get_one(Example, 1).erased_at = NOON
    assert renew(team) == []
