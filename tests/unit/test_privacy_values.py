"""A decision belongs to a value: it stays with it, never slides to what stands in its place, and covers it whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import NOON, Team, new_team
from hypothesis import given
from hypothesis import strategies as st
from sqlmodel import select

from bot import cli
from curation import assistants, examples, proposals
from curation.conversation import Conversation, Message, Role
from curation.datasets import dataset
from curation.errors import Conflict
from curation.formats.jsonl import Row
from curation.privacy import personal, retention
from curation.privacy.spans import Kind, Span, holds_placeholder, replaced
from curation.privacy.treatment import Decision, Words
from curation.reviews import Verdict
from curation.store.tables import PrivacyFinding, PrivacyValue

KEY = b"k" * 32
HOTLINE, PRIVATE = "+47 22 12 34 56", "+47 22 98 76 54"


@pytest.fixture
def crew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Team]:
    """A team whose home is the working directory of the commands."""
    monkeypatch.chdir(tmp_path)
    made = new_team(tmp_path)
    yield made
    made.store.close()


def errata(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    capsys.readouterr()
    assert cli.run(["--home", ".", "--as", "Olga", *words]) == code, capsys.readouterr().err
    return capsys.readouterr().out


def attest(team: Team, *asked: str, customer: str = "C-1") -> None:
    with team.store.write() as session:
        rows = [
            Row(number, Conversation((Message(Role.USER, text), Message(Role.ASSISTANT, "ok"))), {"customer": customer})
            for number, text in enumerate(asked, start=1)
        ]
        examples.attest(session, team.olga, NOON, rows, origin=f"import:{customer}", reason="Looked at")


def look(team: Team) -> int:
    with team.store.write() as session:
        return personal.look(session, examples.approved(session))


def findings(team: Team, *, decided: bool = False) -> dict[str, int]:
    """The ids of findings by their value."""
    with team.store.read() as session:
        return {one.value: one.id for one in personal.listed(session, decided=decided)}


def decide(team: Team, value: str, decision: Decision, *, everywhere: bool = False) -> int:
    with team.store.write() as session:
        return personal.decide(
            session,
            team.ben,
            NOON,
            which=findings(team)[value],
            decision=decision,
            reason="Ours",
            everywhere=everywhere,
            key=KEY,
        )


def test_what_was_kept_everywhere_stays_kept_and_the_number_that_took_its_place_is_not(
    crew: Team, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    first = crew.flag("What is your hotline?", f"Call {HOTLINE} now.")
    errata(capsys, "privacy", "scan", "--queue")
    errata(capsys, "privacy", "decide", "1", "keep", "--everywhere", "--reason", "Our hotline")
    with crew.store.write() as session:
        proposals.amend(session, crew.ana, NOON, candidate_id=first, correction=f"Call {PRIVATE} now.")
    assert "Nothing is decided yet." in errata(capsys, "privacy", "list", "--decided")
    errata(capsys, "privacy", "scan", "--queue")
    crew.decide(first, Verdict.APPROVE)
    second = crew.flag("Where does Per live?", f"Call {PRIVATE} now.")
    crew.decide(second, Verdict.APPROVE)
    crew.approve("And your number?", "It is 004722123456 as before.")
    errata(capsys, "export", "--format", "openai", "--out", "all.jsonl")
    left = (tmp_path / "all.jsonl").read_text()
    assert PRIVATE not in left
    assert left.count("Call [PHONE] now.") == 2
    crew.approve("Once more?", f"It is {HOTLINE}.")
    errata(capsys, "export", "--format", "openai", "--out", "all.jsonl")
    assert f"It is {HOTLINE}." in (tmp_path / "all.jsonl").read_text()


def test_a_decision_everywhere_outlives_the_row_that_it_was_made_in(crew: Team) -> None:
    crew.flag("What is your hotline?", f"Call {HOTLINE} now.")
    with crew.store.write() as session:
        personal.look_at_queue(session)
    assert decide(crew, HOTLINE, Decision.KEEP, everywhere=True) == 1
    with crew.store.write() as session:
        retention.sweep(session, crew.olga, NOON.replace(year=2027), days=1)
        assert session.exec(select(PrivacyFinding)).all() == []
    crew.approve("And today?", f"Still {HOTLINE}.")
    assert look(crew) == 1
    assert list(findings(crew, decided=True)) == [HOTLINE]


def test_no_decision_is_made_about_words_that_nobody_has_seen(crew: Team) -> None:
    candidate = crew.flag("What is your hotline?", f"Call {HOTLINE} now.")
    with crew.store.write() as session:
        personal.look_at_queue(session)
    number = findings(crew)[HOTLINE]
    with crew.store.write() as session:
        proposals.amend(session, crew.ana, NOON, candidate_id=candidate, correction=f"Call {PRIVATE} now.")
    assert findings(crew) == {}
    with crew.store.write() as session, pytest.raises(Conflict, match="have changed since it was found"):
        personal.decide(
            session,
            crew.ben,
            NOON,
            which=number,
            decision=Decision.KEEP,
            reason="Ours",
            everywhere=True,
            key=KEY,
        )


def test_the_reviewers_decision_about_a_correction_holds_for_the_example_that_it_becomes(crew: Team) -> None:
    candidate = crew.flag("What is your hotline?", f"Call {HOTLINE} now.")
    with crew.store.write() as session:
        personal.look_at_queue(session)
    decide(crew, HOTLINE, Decision.KEEP)
    crew.decide(candidate, Verdict.APPROVE)
    assert look(crew) == 1
    assert findings(crew) == {}


def test_no_value_is_written_down_with_its_decision(crew: Team) -> None:
    attest(crew, f"Call {HOTLINE}.")
    look(crew)
    decide(crew, HOTLINE, Decision.KEEP, everywhere=True)
    with crew.store.read() as session:
        (value,) = session.exec(select(PrivacyValue))
    assert (value.kind, value.decision, len(value.mark)) == ("phone", "keep", 32)
    assert not any("22" in str(one) and "34" in str(one) for one in (value.replacement, value.reason))


def test_a_name_that_becomes_known_in_full_leaves_in_full(
    crew: Team, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    attest(crew, "I ordered for Brunhilde Zwetschgenbaum, where is it?", customer="C-2")
    attest(crew, "Blue lamp?", customer="Brunhilde")
    look(crew)
    assert list(findings(crew)) == ["Brunhilde"]
    attest(crew, "Red lamp?", customer="Brunhilde Zwetschgenbaum")
    errata(capsys, "export", "--format", "openai", "--out", "all.jsonl")
    assert "I ordered for [NAME], where is it?" in (tmp_path / "all.jsonl").read_text()
    assert list(findings(crew)) == ["Brunhilde Zwetschgenbaum"]


def test_a_shorter_finding_inside_a_longer_one_brings_no_half_of_it_back(crew: Team) -> None:
    attest(crew, "The order of Anna Zwetschge Nordmann is lost.", customer="C-9")
    attest(crew, "Lamp?", customer="Zwetschge")
    look(crew)
    decide(crew, "Zwetschge", Decision.REDACT)
    attest(crew, "Lamp two?", customer="Anna Zwetschge Nordmann")
    version = crew.freeze("v1")
    assert version.manifest["rows"] == 3
    with crew.store.read() as session:
        found = examples.approved(session)[0]
        rows = session.exec(select(PrivacyFinding).where(PrivacyFinding.example_id == found.key)).all()
        asked = [item.asked for item in dataset.items(session, version)]
    assert len(rows) == 2  # the part, which is decided, and the whole, which is not
    assert "user: The order of [NAME] is lost." in asked


def test_a_new_name_of_an_assistant_has_everything_looked_at_again(crew: Team) -> None:
    attest(crew, "Hi Birch, is it on?", customer="C-1")
    look(crew)
    assert list(findings(crew)) == ["Birch"]
    with crew.store.write() as session:
        assistants.add(session, crew.olga, NOON, name="Birch", team_id="T1", speaks_as={"UBIRCH"})
    look(crew)
    assert findings(crew) == {}


SPANS = st.lists(st.tuples(st.integers(0, 30), st.integers(1, 12)), max_size=8)


@given(SPANS)
def test_every_character_of_every_span_goes_and_every_other_stays(places: list[tuple[int, int]]) -> None:
    text = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOP"
    spans = [Span(Kind.NAME, start, start + length, text[start : start + length]) for start, length in places]
    covered = {at for span in spans for at in range(span.start, span.end)}
    left = replaced(text, spans, lambda _: "#")
    assert left.replace("#", "") == "".join(text[at] for at in range(len(text)) if at not in covered)
    assert left.count("#") <= len(spans)


def test_the_longest_of_spans_that_lie_over_another_says_what_stands_for_them() -> None:
    spans = [Span(Kind.NAME, 0, 4, ""), Span(Kind.EMAIL, 2, 12, ""), Span(Kind.PHONE, 11, 14, "")]
    assert replaced("0123456789abcdefgh", spans, lambda span: f"[{span.kind}]") == "[email]efgh"


@pytest.mark.parametrize(
    ("text", "held"),
    [("Hi [NAME].", "[NAME]"), ("It is [CARD-00c0de].", "[CARD-00c0de]"), ("See [1] and [note].", None), ("Hi.", None)],
)
def test_a_placeholder_is_told_from_other_brackets(text: str, held: str | None) -> None:
    assert holds_placeholder(text) == held


TOOLBOX = {
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "track",
                "description": "Ask kari@nordmann.no.",
                "parameters": {"type": "object", "properties": {"who": {"enum": ["ola@nordmann.no", "a"]}}},
            },
        }
    ],
    "parallel_tool_calls": False,
}


def test_every_passage_can_be_put_back_where_it_stood() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "track", "arguments": '{"a": 1}'}}
    messages = [{"role": "user", "content": "a", "name": "b"}, {"role": "assistant", "tool_calls": [call]}]
    words = Words(messages, "c", ["d", "e"], TOOLBOX, "billing", "en")
    assert words.with_passages({}) == words
    numbered = {number: f"{number}" for number, _ in words.passages()}
    assert dict(words.with_passages(numbered).passages()) == numbered
