"""Taking a decision back when something has happened since: it is undone whole, or refused with where it went."""

from __future__ import annotations

from datetime import timedelta

import pytest
from builders import NOON, Team
from sqlmodel import Session, select

from curation import digests, examples, reviews, undoing, weeks
from curation.errors import NotFound
from curation.people import Actor
from curation.privacy.removal import remove_candidates
from curation.reviews import Decision, Verdict
from curation.store.tables import Candidate, Example

SOON = NOON + timedelta(minutes=1)


def decide(session: Session, actor: Actor, key: int, verdict: Verdict = Verdict.APPROVE, **words: object) -> Decision:
    return reviews.decide(session, actor, NOON, candidate_id=key, verdict=verdict, **words)  # type: ignore[arg-type]


def test_whoever_took_an_edit_back_is_no_author_of_the_example_that_they_approve_after_it(team: Team) -> None:
    key = team.flag("How long?", "Six months.")
    with team.store.write() as session:
        edit = decide(session, team.ben, key, Verdict.EDIT_AND_APPROVE, edited="A yaer.")
        undoing.undo(session, team.ben, SOON, review_id=edit.review_id)
        assert not decide(session, team.ben, key).self_approved
        (example,) = examples.approved(session)
    assert (example.authors, example.approved_by) == ([team.ana.person_id], team.ben.person_id)
    assert example.messages[-1]["content"] == "Six months."


def test_a_decision_whose_candidate_was_erased_is_no_more(team: Team) -> None:
    key = team.flag("How long?", "Six months.")
    with team.store.write() as session:
        decision = decide(session, team.ben, key)
        remove_candidates(session, SOON, [key])
    with team.store.write() as session, pytest.raises(NotFound, match="no decision"):
        undoing.undo(session, team.ben, SOON, review_id=decision.review_id)
    with team.store.read() as session:
        assert len(session.exec(select(Example)).all()) == 1


def test_where_one_of_several_was_erased_the_others_are_taken_back(team: Team) -> None:
    first, second = team.flag("How long?", "Six months."), team.flag("How long?", "Half a year.")
    with team.store.write() as session:
        together = decide(session, team.ben, first, together=[second])
        remove_candidates(session, SOON, [second])
    with team.store.write() as session:
        assert undoing.undo(session, team.ben, SOON, review_id=together.review_id) == [first]
        assert [one.status for one in session.exec(select(Candidate))] == ["pending"]


def test_what_was_taken_back_is_no_decision_of_the_week(team: Team) -> None:
    key = team.flag("How long?", "Six months.")
    with team.store.write() as session:
        decision = decide(session, team.ben, key)
        undoing.undo(session, team.ben, SOON, review_id=decision.review_id)
        decide(session, team.ben, key, Verdict.REJECT, comment="No.")
        figures = digests.of_week(session, weeks.to_tell(NOON + weeks.WEEK), "T1")
    assert (figures.decided, figures.approved) == (1, 0)
