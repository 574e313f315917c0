"""Who is shown what next, deciding several together, undoing, two approvals: on SQLite and on a real PostgreSQL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from builders import NOON, Team
from sqlalchemy import delete
from sqlmodel import col, select

from curation import alike, audit, candidates, claims, examples, expiry, people, proposals, queue, reviews
from curation.candidates import CandidateStatus, Reason
from curation.claims import CLAIM
from curation.errors import AlreadyDecided, Conflict, Invalid, NotAllowed, NotFound
from curation.people import Actor, PersonId
from curation.policies import RoleName
from curation.reviews import UNDO, Decision, Verdict
from curation.screening import worklist
from curation.store.tables import Claim, Correction, Example, Export, Person
from curation.store.tables import Review as Given
from curation.summaries import CandidateSummary, of_candidate, of_candidates

SOON = NOON + timedelta(minutes=1)


@pytest.fixture
def team(crew: Team) -> Team:
    return crew


def following(team: Team, actor: Actor, now: datetime = NOON, **wanted: Any) -> int | None:
    with team.store.write() as session:
        return claims.take_next(session, actor, now, **wanted)


def decide(team: Team, actor: Actor, key: int, verdict: Verdict = Verdict.APPROVE, **words: Any) -> Decision:
    with team.store.write() as session:
        return reviews.decide(session, actor, words.pop("now", NOON), candidate_id=key, verdict=verdict, **words)


def undo(team: Team, actor: Actor, decision: Decision, now: datetime = SOON) -> list[int]:
    with team.store.write() as session:
        return reviews.undo(session, actor, now, review_id=decision.review_id)


def status(team: Team, key: int) -> str:
    return summary(team, key).status


def summary(team: Team, key: int) -> CandidateSummary:
    with team.store.read() as session:
        candidate = candidates.find(session, key)
        (of_page,) = of_candidates(session, [candidate])
        assert of_candidate(session, candidate) == of_page
        return of_page


def made(team: Team) -> list[int | None]:
    """The candidates of which there are examples."""
    with team.store.read() as session:
        return [example.candidate_id for example in examples.approved(session)]


def reads(team: Team, actor: Actor, *languages: str) -> None:
    with team.store.write() as session:
        session.get_one(Person, actor.person_id).reads = list(languages)


# Taking the next one


def test_two_who_take_at_once_get_different_candidates(team: Team) -> None:
    waiting = {team.flag(f"How long does filter {number} last?", "Six months.") for number in range(8)}
    takers = [team.ben, team.bea] * 4
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda actor: following(team, actor), takers))
    assert set(taken) <= waiting
    assert {taken[0], taken[2]}.isdisjoint({taken[1], taken[3]})
    with team.store.read() as session:
        held = {(claim.candidate_id, claim.person_id) for claim in session.exec(select(Claim))}
    assert len(held) == 2  # whoever asked again was given what they held
    assert len({person for _, person in held}) == 2


def test_what_a_reviewer_holds_comes_first_and_outlasts_lunch(team: Team) -> None:
    first = team.flag("How long does it last?", "Six months.")
    lunch = NOON + timedelta(hours=1)
    assert following(team, team.ben) == first
    team.flag("Is it safe?", "Yes.", reason=Reason.UNSAFE)
    assert following(team, team.ben, lunch) == first
    assert following(team, team.bea, lunch + CLAIM - timedelta(seconds=1)) != first


def test_a_claim_that_ran_out_may_be_taken_over_and_a_late_decision_counts(team: Team) -> None:
    key = team.flag("How long does it last?", "Six months.")
    assert following(team, team.ben) == key
    assert following(team, team.bea, NOON + CLAIM - timedelta(seconds=1)) is None
    assert following(team, team.bea, NOON + CLAIM) == key
    assert following(team, team.ben, NOON + CLAIM) is None
    assert decide(team, team.ben, key, now=NOON + CLAIM).decided == (key,)
    with pytest.raises(AlreadyDecided, match="Ben was faster"):
        decide(team, team.bea, key, now=NOON + CLAIM)
    with team.store.read() as session:
        assert session.exec(select(Claim)).all() == []


def test_one_may_not_be_held_by_two_and_the_refusal_says_by_whom_and_since_when(team: Team) -> None:
    key = team.flag("How long does it last?", "Six months.")
    with team.store.write() as session:
        claims.hold(session, team.ben, NOON, key)
        claims.hold(session, team.ben, SOON, key)
        with pytest.raises(Conflict, match=f"Ben has been looking at candidate {key} since 12:00 UTC"):
            claims.hold(session, team.bea, SOON, key)
        claims.release(session, team.bea, key)  # not hers to give back
        with pytest.raises(Conflict):
            claims.hold(session, team.bea, SOON, key)
        claims.release(session, team.ben, key)
        claims.hold(session, team.bea, SOON, key)
    decide(team, team.bea, key)
    with team.store.write() as session:
        with pytest.raises(Conflict, match=f"Candidate {key} is approved"):
            claims.hold(session, team.ben, SOON, key)
        with pytest.raises(NotFound):
            claims.hold(session, team.ben, SOON, 999)
        with pytest.raises(NotAllowed):
            claims.hold(session, team.ana, NOON, key)
        with pytest.raises(NotAllowed):
            claims.take_next(session, team.ana, NOON)


def test_what_is_passed_is_given_back_and_not_shown_again(team: Team) -> None:
    first = team.flag("How long does it last?", "Six months.")
    second = team.flag("Is it heavy?", "Two kilos.")
    assert following(team, team.ben) == first
    assert following(team, team.ben, passed=[first]) == second
    assert following(team, team.bea) == first
    assert following(team, team.ben, passed=[first, second]) is None


def test_nobody_is_shown_their_own_unless_alone(team: Team) -> None:
    own = team.flag("How long does it last?", "Six months.", by=team.ben)
    amended = team.flag("Is it heavy?", "Two kilos.")
    with team.store.write() as session:
        proposals.amend(session, team.ben, NOON, candidate_id=amended, correction="Three kilos.")
    assert following(team, team.ben) is None
    assert following(team, team.bea) == own
    assert following(team, Actor(team.ben.person_id, solo=True)) == amended


def test_who_reworked_a_correction_is_not_shown_it_because_a_colleagues_approval_was_undone(team: Team) -> None:
    key = team.flag("How long?", "Six months.")
    with team.store.write() as session:
        proposals.amend(session, team.ben, NOON, candidate_id=key, correction="Six months, see the box.")
    undo(team, team.bea, decide(team, team.bea, key))
    assert following(team, team.ben) is None
    assert following(team, team.bea) == key


def test_only_languages_that_are_read_are_shown_and_those_of_none(team: Team) -> None:
    german = team.flag("Wie lange hält der Filter, wenn ich ihn jeden Tag benutze?", "Sechs Monate.")
    unknown = team.flag("?", "Two kilos.")
    reads(team, team.ben, "en")
    assert following(team, team.ben) == unknown
    assert following(team, team.ben, passed=[unknown]) is None
    assert following(team, team.ben, passed=[unknown], languages=frozenset({"de"})) == german
    with team.store.read() as session:
        seen = queue.tally(session, team.ben, NOON)
    assert (seen.waiting, seen.for_you, seen.other_languages) == (2, 1, 1)


def test_a_place_has_a_queue_of_its_own(team: Team) -> None:
    elsewhere = Team(team.store, team.assistant_id, place="T1/C2")
    here, there = team.flag("How long?", "Six months."), elsewhere.flag("How heavy?", "Two kilos.")
    assert following(team, team.ben, place="T1/C2") == there
    assert following(team, team.bea, place="T1/C1") == here
    assert following(team, team.bea, place="T1/C3") is None
    with team.store.read() as session:
        assert queue.tally_of(session, NOON, "T1/C2").waiting == 1
        assert queue.tally(session, team.bea, NOON, place="T1/C1").claimed == 0


def test_the_tally_says_what_is_for_whom(team: Team) -> None:
    first = team.flag("How long?", "Six months.", reason=Reason.UNSAFE)
    for by in (team.ana, team.ben, team.ben):
        team.flag("How heavy?", "Two kilos.", by=by, at=SOON)
    returned = team.flag("How wide?", "A metre.")
    decide(team, team.bea, returned, Verdict.RETURN, comment="Say it.")
    following(team, team.bea)
    with team.store.read() as session:
        assert queue.tally(session, team.ben, NOON) == queue.Tally(4, 1, 2, 1, 0, 1, NOON)
        assert queue.tally(session, Actor(team.ben.person_id, solo=True), NOON).for_you == 3
        assert queue.tally(session, team.ben, NOON + CLAIM).for_you == 2
        of_all = queue.tally_of(session, NOON, team.place)
        assert (of_all.waiting, of_all.risky, of_all.returned, of_all.reviewers) == (4, 1, 1, ("Bea",))
        with pytest.raises(NotAllowed):
            queue.tally(session, team.ana, NOON)
    decide(team, team.bea, first)
    with team.store.read() as session:
        assert queue.tally_of(session, NOON, team.place).oldest_at == SOON
        assert queue.tally_of(session, NOON, "T1/C9") == queue.PlaceTally(0, 0, 0, None, ())


def test_a_long_queue_is_counted_by_who_put_it_forward(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    for by in (team.ana, team.ben, team.ben):
        team.flag("How heavy?", "Two kilos.", by=by)
    following(team, team.bea)
    with team.store.read() as session:
        exact = queue.tally(session, team.ben, NOON)
        monkeypatch.setattr("curation.tallies._EXACT", 2)
        assert queue.tally(session, team.ben, NOON) == exact


def test_an_expired_example_is_for_whoever_sent_it_back_too(team: Team) -> None:
    team.approve("How long?", "Six months.")
    with team.store.write() as session:
        (example,) = examples.approved(session)
        expiry.expire(session, team.bea, NOON, reason="Old.", after=NOON, example_ids=[example.key])
        (back,) = expiry.renew(session, team.bea, NOON)
    with team.store.read() as session:
        assert queue.tally(session, team.bea, NOON).yours == 0
    assert following(team, team.bea) == back.candidate


# Near-duplicates


def test_near_duplicates_are_found_once_they_are_screened_and_decided_together(team: Team) -> None:
    question = "How long does the water filter last before I have to change it for a new one?"
    first = team.flag(question, "Six months.")
    second = team.flag(question.upper(), "Half a year.")
    third = team.flag(f"{question} Thanks", "Six months, roughly.")
    team.flag("Is the lamp waterproof?", "No.")
    elsewhere = Team(team.store, team.assistant_id, place="T1/C2").flag(question, "A year.")
    with team.store.read() as session:
        assert alike.beside(session, first) == []
    while worklist.step(team.store, NOON):
        pass
    with team.store.read() as session:
        assert alike.beside(session, first) == [second, third]
        assert alike.beside(session, third) == [first, second]
        assert alike.beside(session, elsewhere) == []
    decision = decide(team, team.ben, first, together=[second, third, first])
    assert (decision.decided, decision.left_out) == ((first, second, third), ())
    assert made(team) == [first, second, third]
    with team.store.read() as session:
        texts = [example.messages[-1]["content"] for example in examples.approved(session)]
        assert alike.beside(session, first) == []
    assert texts == ["Six months.", "Half a year.", "Six months, roughly."]


def test_what_was_decided_meanwhile_is_left_out_and_told_and_the_rest_goes_through(team: Team) -> None:
    first, own, gone, changed, last = (
        team.flag("How long?", f"{number} months.", by=team.ben if number == 1 else None) for number in range(5)
    )
    with team.store.read() as session:
        seen = {key: of_candidate(session, candidates.find(session, key)).seen for key in (changed, last)}
    decide(team, team.bea, gone, Verdict.REJECT, comment="No.")
    with team.store.write() as session:
        proposals.amend(session, team.ana, NOON, candidate_id=changed, correction="A year.")
    decision = decide(team, team.ben, first, together=[own, gone, changed, 999, last], seen_together=seen)
    assert decision.decided == (first, last)
    assert [left.candidate for left in decision.left_out] == [own, gone, changed, 999]
    why = [str(left.why) for left in decision.left_out]
    assert "wrote this correction" in why[0]
    assert why[1] == f"Bea was faster: candidate {gone} is rejected."
    assert why[2] == "Ana changed the correction in between; read the new one first."
    assert made(team) == [first, last]
    again = decide(team, team.ben, first, together=[last, own])
    assert (again.review_id, again.decided) == (decision.review_id, (first, last))
    assert [left.candidate for left in again.left_out] == [own]


def test_an_edit_is_of_one(team: Team) -> None:
    first, second = team.flag("How long?", "Six months."), team.flag("How long?", "Half a year.")
    with pytest.raises(Invalid, match="An edit is of one correction"):
        decide(team, team.ben, first, Verdict.EDIT_AND_APPROVE, edited="A year.", together=[second])
    assert made(team) == []


def test_each_author_of_several_returned_hears_of_it(team: Team) -> None:
    first, second = team.flag("How long?", "Six months."), team.flag("How long?", "Half a year.", by=team.olga)
    decision = decide(team, team.ben, first, Verdict.RETURN, comment="Name the filter.", together=[second])
    assert decision.decided == (first, second)
    for key in decision.decided:
        assert (status(team, key), summary(team, key).comment) == ("returned", "Name the filter.")


# Undoing


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        (Verdict.APPROVE, {}),
        (Verdict.EDIT_AND_APPROVE, {"edited": "A year."}),
        (Verdict.RETURN, {"comment": "Say it."}),
        (Verdict.REJECT, {"comment": "No."}),
    ],
)
def test_a_decision_is_undone_for_ten_minutes_and_may_be_given_anew(
    team: Team, verdict: Verdict, words: dict[str, str]
) -> None:
    key = team.flag("How long?", "Six months.")
    decision = decide(team, team.ben, key, verdict, **words)
    with pytest.raises(NotAllowed, match="Ben decided that"):
        undo(team, team.bea, decision)
    assert undo(team, team.ben, decision, NOON + UNDO) == [key]
    assert made(team) == []
    stands = summary(team, key)
    assert (stands.status, stands.correction, stands.verdict, stands.comment) == ("pending", "Six months.", None, None)
    assert undo(team, team.ben, decision, NOON + 2 * UNDO) == [key]  # pressed twice
    with team.store.read() as session:
        told = [entry.action for entry in audit.about(session, f"candidate:{key}")]
    assert told.count("candidate.undone") == 1
    assert following(team, team.ben) == key
    late = decide(team, team.ben, key, verdict, **words)
    with pytest.raises(Conflict, match="more than 10 minutes ago"):
        undo(team, team.ben, late, NOON + UNDO + timedelta(seconds=1))
    assert status(team, key) != "pending"


def test_an_edit_that_was_undone_stays_in_the_history_and_its_author_is_named(team: Team) -> None:
    key = team.flag("How long?", "Six months.")
    decision = decide(team, team.ben, key, Verdict.EDIT_AND_APPROVE, edited="A yaer.")
    undo(team, team.ben, decision)
    with team.store.read() as session:
        written = [(one.text, one.author) for one in session.exec(select(Correction).order_by(col(Correction.id)))]
        assert queue.tally(session, team.ben, NOON).for_you == 1
    assert written == [
        ("Six months.", team.ana.person_id),
        ("A yaer.", team.ben.person_id),
        ("Six months.", team.ana.person_id),
    ]
    assert summary(team, key).authors == ("Ana", "Ben")
    assert not decide(team, team.ben, key, Verdict.EDIT_AND_APPROVE, edited="A year.").self_approved
    with team.store.read() as session:
        (example,) = examples.approved(session)
    assert example.messages[-1]["content"] == "A year."


def test_undoing_takes_back_all_that_were_decided_together_or_nothing(team: Team) -> None:
    first, second = team.flag("How long?", "Six months."), team.flag("How long?", "Half a year.")
    decision = decide(team, team.ben, first, Verdict.RETURN, comment="Say it.", together=[second])
    with team.store.write() as session:
        proposals.amend(session, team.ana, SOON, candidate_id=second, correction="A year.")
    with pytest.raises(Conflict, match=f"Candidate {second} has moved on since and is pending"):
        undo(team, team.ben, decision)
    assert status(team, first) == "returned"
    both = decide(team, team.bea, second, together=[first])
    assert (both.decided, [left.candidate for left in both.left_out]) == ((second,), [first])
    third, fourth = team.flag("How wide?", "A metre."), team.flag("How wide?", "Two.")
    together = decide(team, team.ben, third, together=[fourth])
    assert undo(team, team.ben, together) == [third, fourth]
    assert made(team) == [second]


def test_an_example_in_use_is_not_withdrawn(team: Team) -> None:
    frozen = team.flag("How long?", "Six months.")
    decision = decide(team, team.ben, frozen)
    team.approve("How wide?", "A metre.")
    team.freeze("v1")
    with pytest.raises(Conflict, match="is in the dataset v1 already"):
        undo(team, team.ben, decision)
    dated = decide(team, team.ben, team.flag("How heavy?", "Two kilos."))
    with team.store.write() as session:
        example = session.exec(select(Example.id).order_by(col(Example.id).desc())).first()
        expiry.expire(session, team.bea, SOON, reason="Old.", after=SOON, example_ids=[example or 0])
    with pytest.raises(Conflict, match="was given a date"):
        undo(team, team.ben, dated)
    left = decide(team, team.ben, team.flag("How deep?", "A metre."))
    with team.store.write() as session:
        session.add(
            Export(path="all.jsonl", target="openai", rows=3, digest="d", written_by="T1/UOLGA", written_at=SOON)
        )
    with pytest.raises(Conflict, match=r"has left with the file all\.jsonl already"):
        undo(team, team.ben, left)
    assert len(made(team)) == 4
    with pytest.raises(NotFound):
        undo(team, team.ben, Decision(999, "", "approve", None, False, ()))


def test_a_dataset_in_the_making_notices_that_an_example_went_and_another_has_its_id(team: Team) -> None:
    from curation.datasets.basis import basis_of, newest_example  # noqa: PLC0415 (this test alone looks there)

    team.approve("How long?", "Six months.")
    decision = decide(team, team.ben, team.flag("How wide?", "A metre."))
    with team.store.read() as session:
        newest = newest_example(session)
        before = basis_of(session, newest)
    undo(team, team.ben, decision)
    with team.store.read() as session:
        assert basis_of(session, newest) != before
    decide(team, team.ben, team.flag("How deep?", "A metre."), now=SOON)
    with team.store.read() as session:
        assert basis_of(session, newest) != before


# Two approvals


def test_the_second_approval_makes_the_example_and_is_another_persons(team: Team) -> None:
    key = team.flag("How long?", "Six months.")
    first = decide(team, team.ben, key, approvals=2)
    assert (first.second_needed, status(team, key), made(team)) == (True, "pending", [])
    assert summary(team, key).remarks == ("Approved by Ben; a second approval is needed.",)
    assert decide(team, team.ben, key, approvals=2).review_id == first.review_id
    assert following(team, team.ben) is None
    with team.store.read() as session:
        assert queue.tally(session, team.ben, NOON).for_you == 0
        assert queue.tally(session, team.bea, NOON).for_you == 1
    assert following(team, team.bea) == key
    second = decide(team, team.bea, key, approvals=2)
    assert (second.second_needed, made(team)) == (False, [key])
    assert undo(team, team.bea, second) == [key]
    assert summary(team, key).remarks == ("Approved by Ben; a second approval is needed.",)
    assert undo(team, team.ben, first) == [key]
    assert summary(team, key).remarks == ()
    assert following(team, team.ben) == key


def test_the_author_is_none_of_the_two_and_anybody_ends_it(team: Team) -> None:
    key = team.flag("How long?", "Six months.", by=team.ben)
    with pytest.raises(NotAllowed):
        decide(team, team.ben, key, approvals=2)
    decide(team, team.bea, key, approvals=2)
    decide(team, team.olga, key, Verdict.RETURN, comment="Say it.", approvals=2)
    assert status(team, key) == "returned"
    with team.store.write() as session:
        proposals.amend(session, team.ben, NOON, candidate_id=key, correction="A year.")
    assert decide(team, team.olga, key, approvals=2).second_needed  # Bea's was of another text


def test_an_edit_by_the_second_asks_for_both_again(team: Team) -> None:
    key = team.flag("How long?", "Six months.")
    decide(team, team.ben, key, approvals=2)
    edit = decide(team, team.bea, key, Verdict.EDIT_AND_APPROVE, edited="A year.", approvals=2)
    assert (edit.second_needed, edit.lapsed, made(team)) == (True, ("Ben",), [])
    again = decide(team, team.bea, key, Verdict.EDIT_AND_APPROVE, edited="A year.", approvals=2)
    assert (again.review_id, again.second_needed) == (edit.review_id, True)
    assert summary(team, key).remarks == ("Approved by Bea; a second approval is needed.",)
    assert following(team, team.ben) == key
    assert not decide(team, team.ben, key, approvals=2).second_needed
    assert made(team) == [key]


def test_an_approval_of_a_text_that_changed_is_said_to_count_no_more(team: Team) -> None:
    key = team.flag("How long?", "Six months.")
    decide(team, team.ben, key, approvals=2)
    with team.store.write() as session:
        proposals.amend(session, team.ana, NOON, candidate_id=key, correction="A year.")
    assert summary(team, key).remarks == ("Ben approved an earlier version: that counts no more for this one.",)
    assert following(team, team.ben) == key


def test_a_first_approval_is_told_apart_from_those_of_other_candidates(team: Team) -> None:
    first, second = team.flag("How long?", "Six months."), team.flag("How wide?", "A metre.")
    third = team.flag("How heavy?", "Two kilos.")
    decide(team, team.ben, first, approvals=2)
    edit = decide(team, team.ben, second, Verdict.EDIT_AND_APPROVE, edited="Two metres.", approvals=2)
    undo(team, team.ben, edit)
    shown = [following(team, team.ben), following(team, team.ben, passed=[second]), following(team, team.bea)]
    assert shown == [second, third, first]
    assert following(team, team.ben, passed=[second, third]) is None
    with team.store.read() as session:
        assert queue.tally(session, team.ben, NOON).yours == 0


def test_alone_one_approval_is_enough(team: Team) -> None:
    key = team.flag("How long?", "Six months.", by=team.ben)
    decision = decide(team, Actor(team.ben.person_id, solo=True), key, approvals=2)
    assert (decision.self_approved, decision.second_needed) == (True, False)


# The two that lost their right


def test_whoever_lost_the_role_can_neither_take_nor_undo(team: Team) -> None:
    key = team.flag("How long?", "Six months.")
    decision = decide(team, team.ben, key)
    with team.store.write() as session:
        people.revoke(session, team.olga, NOON, person=PersonId(team.ben.person_id), role=RoleName.REVIEWER)
    with pytest.raises(NotAllowed):
        undo(team, team.ben, decision)
    with pytest.raises(NotAllowed):
        following(team, team.ben)
    assert status(team, key) == CandidateStatus.APPROVED.value


def test_a_candidate_that_is_erased_takes_its_claim_along(team: Team) -> None:
    from curation.privacy.removal import remove_candidates  # noqa: PLC0415 (this test alone removes)

    key = team.flag("How long?", "Six months.")
    following(team, team.ben)
    with team.store.write() as session:
        remove_candidates(session, NOON, [key])
    with team.store.write() as session:
        assert session.exec(select(Claim)).all() == []
        session.execute(delete(Given))
    assert following(team, team.ben) is None
