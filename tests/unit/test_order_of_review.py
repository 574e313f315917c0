"""In which order what waits is shown to a reviewer: risk, then the dataset's gaps, then age."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from builders import NOON, Team, new_team
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import insert
from sqlmodel import col, select

from curation import claims, urgency
from curation.candidates import CandidateStatus, Reason
from curation.findings import Severity
from curation.store.tables import Candidate, Correction, Example
from curation.urgency import Urgency

TOPICS, LANGUAGES = (None, "billing", "returns"), (None, "en", "de")
GROUPS = st.tuples(st.sampled_from(TOPICS), st.sampled_from(LANGUAGES))


def fill(team: Team, waiting: list[Any], approved: list[Any]) -> None:
    """Candidates of ``(urgency, (topic, language), author)`` in this order, and examples of ``(topic, language)``."""
    with team.store.write() as session:
        for number, (urgent, (topic, language), by) in enumerate(waiting, start=1):
            common = {"kind": "correction", "status": CandidateStatus.PENDING.value, "place": team.place}
            where = {"source": f"{team.place}/{number}", "thread": f"{team.place}/{number}", "turns": [], "reply": ""}
            said = {"topic": topic, "language": language, "urgency": int(urgent), "flagged_by": by, "flagged_at": NOON}
            session.execute(insert(Candidate), [common | where | said | {"version": 1}])
            written = {"candidate_id": number, "text": "Yes.", "author": by, "written_at": NOON}
            session.execute(insert(Correction), [written])
        for number, (topic, language) in enumerate(approved):
            session.execute(insert(Example), [_example(number, topic, language)])


def _example(number: int, topic: str | None, language: str | None) -> dict[str, Any]:
    return {
        "kind": "correction",
        "messages": [],
        "digest": str(number),
        "source": str(number),
        "thread": str(number),
        "topic": topic,
        "language": language,
        "authors": [],
        "approved_by": "T1/UBEN",
        "approved_at": NOON,
    }


def shown(team: Team) -> list[int]:
    """Everything that Ben is shown, one after the other, passing each."""
    passed: list[int] = []
    with team.store.write() as session:
        while (key := claims.take_next(session, team.ben, NOON, passed=passed)) is not None:
            passed.append(key)
    return passed


@settings(deadline=None, max_examples=25)
@given(
    waiting=st.lists(
        st.tuples(st.sampled_from(list(Urgency)), GROUPS, st.sampled_from(["T1/UANA", "T1/UBEN", "T1/UOLGA"])),
        max_size=12,
    ),
    approved=st.lists(GROUPS, max_size=12),
)
def test_whatever_waits_is_shown_once_in_the_order_that_is_told(waiting: list[Any], approved: list[Any]) -> None:
    with TemporaryDirectory() as folder:
        team = new_team(Path(folder))
        fill(team, waiting, approved)
        counted = Counter(approved)
        others = [(key, *one) for key, one in enumerate(waiting, start=1) if one[2] != "T1/UBEN"]
        expected = sorted(others, key=lambda one: (-one[1], counted[one[2]], one[0]))
        assert shown(team) == [one[0] for one in expected]
        team.store.close()


def test_a_group_that_has_enough_is_no_gap_and_the_window_is_of_the_oldest(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "WINDOW", 2)
    usual = Urgency.USUAL
    groups = [("billing", "en"), ("billing", "en"), ("returns", "de")]
    fill(team, [(usual, group, "T1/UANA") for group in groups], [("billing", "en")])
    assert shown(team) == [1, 3, 2]  # the third comes into the window once the first is passed
    with team.store.write() as session:
        for number in range(2 * claims.ENOUGH):
            group = ("billing", "en") if number % 2 else ("returns", "de")
            session.execute(insert(Example), [_example(1_000 + number, *group)])
    assert shown(team) == [1, 2, 3]  # of both there is plenty


def test_the_reason_and_what_screening_found_make_it_urgent() -> None:
    assert urgency.of(Reason.UNSAFE.value, frozenset({Severity.WARNING.value})) is Urgency.UNSAFE
    assert urgency.of(Reason.TONE.value, frozenset({Severity.ERROR.value})) is Urgency.WARNED
    assert urgency.of(Reason.POLICY.value, frozenset({Severity.INFO.value})) is Urgency.RISKY
    assert urgency.of(Reason.WRONG_FACT.value) is Urgency.RISKY
    assert urgency.of(None) is urgency.of(Reason.TONE.value) is Urgency.USUAL


def test_a_form_keeps_how_urgent_its_reason_is(team: Team) -> None:
    for reason in (None, Reason.TONE, Reason.POLICY, Reason.UNSAFE):
        team.flag("How long?", "Six months.", reason=reason)
    assert shown(team) == [4, 3, 1, 2]
    with team.store.read() as session:
        assert list(session.exec(select(Candidate.place).order_by(col(Candidate.id)))) == [team.place] * 4
