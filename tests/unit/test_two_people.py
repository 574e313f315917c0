"""The two-person rule under every order of events that Hypothesis finds."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from builders import ANA, BEA, BEN, NOON, OLGA, Team, new_team
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule
from sqlmodel import col, select

from curation import corrections, people, proposals
from curation.errors import Conflict, ErrataError, NotAllowed
from curation.people import Actor
from curation.policies import RoleName
from curation.reviews import Verdict
from curation.store.tables import Correction, Example, Review
from training import orders
from training.backends.names import PAID

EVERYBODY = st.sampled_from([ANA, BEN, BEA, OLGA])


class Office(RuleBasedStateMachine):
    """Ana flags; Ben and Bea review and flag; Olga may everything; nobody plays alone."""

    flagged = Bundle("flagged")

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.team = new_team(Path(self.folder.name))
        self.number = 0

    def teardown(self) -> None:
        self.team.store.close()
        self.folder.cleanup()

    def fresh(self, word: str) -> str:
        self.number += 1
        return f"{word} {self.number}"

    @rule(target=flagged, author=EVERYBODY, endorses=st.booleans())
    def flag(self, author: Actor, *, endorses: bool) -> int:
        return self.team.flag(self.fresh("Question"), None if endorses else self.fresh("Better"), by=author)

    @rule(candidate=flagged, author=EVERYBODY, again=st.booleans())
    def amend(self, candidate: int, author: Actor, *, again: bool) -> None:
        with suppress(ErrataError), self.team.store.write() as session:
            text = corrections.current_text(session, candidate) if again else self.fresh("Better")
            proposals.amend(session, author, NOON, candidate_id=candidate, correction=text)

    @rule(candidate=flagged, reviewer=EVERYBODY, verdict=st.sampled_from(Verdict))
    def review(self, candidate: int, reviewer: Actor, verdict: Verdict) -> None:
        words = {"edited": self.fresh("Edited")} if verdict is Verdict.EDIT_AND_APPROVE else {"comment": "Because."}
        with suppress(ErrataError):
            self.team.decide(candidate, verdict, by=reviewer, **words)

    @rule()
    def ana_is_promoted(self) -> None:
        with self.team.store.write() as session:
            people.grant(session, OLGA, NOON, person=ANA.person_id, role=RoleName.REVIEWER)

    @invariant()
    def nobody_approved_what_they_had_written(self) -> None:
        with self.team.store.read() as session:
            for example in session.exec(select(Example)):
                given = select(Review).where(Review.candidate_id == example.candidate_id)
                review = session.exec(given.order_by(col(Review.id).desc())).all()[0]
                versions = select(Correction).where(Correction.candidate_id == example.candidate_id)
                written = session.exec(versions.order_by(col(Correction.id))).all()
                if review.verdict == Verdict.EDIT_AND_APPROVE.value:  # the approver's own edit, made while approving
                    assert written[-1].author == example.approved_by
                    written = written[:-1]
                assert example.approved_by == review.reviewer
                assert example.approved_by not in {version.author for version in written}
                assert len({*example.authors, example.approved_by}) >= 2
                assert not example.self_approved


TestTwoPeople = Office.TestCase
TestTwoPeople.settings = settings(
    max_examples=12,
    stateful_step_count=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    # Without shrinking: fifteen steps are read as they are, and trying fewer of them takes minutes of transactions.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)


def test_solo_rows_are_marked_and_counted_and_no_paid_run_takes_them(team: Team) -> None:
    team.approve("Is it safe?", "Yes, it is.")
    alone = Actor(BEN.person_id, solo=True)
    for number in range(2):
        candidate = team.flag(f"Question {number}: how does this part work?", f"Like this, {number}.", by=BEN)
        with pytest.raises(NotAllowed, match=r"a second person approves it\. To try Errata alone, "):
            team.decide(candidate, Verdict.APPROVE, by=BEN)
        team.decide(candidate, Verdict.APPROVE, by=alone)
    version = team.freeze("mixed")
    assert version.manifest["self_approved"] == 2
    with team.store.read() as session:
        kept = session.exec(select(Example).order_by(col(Example.id)))
        assert [example.self_approved for example in kept] == [False, True, True]
    for backend in PAID:
        asked: dict[str, Any] = {
            "dataset_name": "mixed",
            "model": "rehearsal",
            "backend": backend,
        }
        refused = pytest.raises(Conflict, match="mixed holds 2 self-approved rows; a paid run takes none")
        with refused, team.store.write() as session:
            orders.request(session, OLGA, NOON, **asked)
    with team.store.write() as session:
        free = orders.request(session, OLGA, NOON, dataset_name="mixed", model="rehearsal")
    assert free.backend == "local"


def test_solo_marks_only_what_was_really_approved_alone(team: Team) -> None:
    candidate = team.flag("Is it safe?", "Yes, it is.")
    team.decide(candidate, Verdict.APPROVE, by=Actor(BEN.person_id, solo=True))
    with team.store.read() as session:
        assert not session.exec(select(Example)).one().self_approved
