"""No personal data leaves that nobody has decided about; what somebody decided holds; the store keeps the originals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from builders import NOON, Team

from curation import audit, examples, handover, proposals
from curation.conversation import Conversation
from curation.datasets import dataset
from curation.datasets.frozen import release
from curation.datasets.split import Side
from curation.errors import Conflict, Invalid, NotAllowed, NotFound
from curation.findings import Severity
from curation.formats.exports import write
from curation.formats.format import Format
from curation.formats.jsonl import Row
from curation.privacy import personal, releases
from curation.privacy.treatment import Decision, Policy, Terms, Words
from curation.reviews import Verdict
from curation.store.tables import DatasetVersion, Example, Export

KEY = b"k" * 32
QUESTION = "I am at kari@nordmann.no, is lamp 7 broken?"
BETTER = "Call our hotline, 22 33 44 55."
REVIEW, OFF = Terms(Policy.REVIEW), Terms(Policy.OFF)


def freeze(team: Team, terms: Terms, name: str | None = None) -> DatasetVersion:
    options = dataset.Options(privacy=terms)
    return dataset.freeze(team.store, team.olga, NOON, name=name, options=options)[0]


def lines(team: Team, version: DatasetVersion, folder: Path) -> list[dict[str, Any]]:
    with team.store.read() as session:
        files = dataset.write_files(session, version, folder)
    return [json.loads(line) for file in (files.train, files.validation) for line in file.read_text().splitlines()]


def listed(team: Team) -> dict[str, personal.Seen]:
    """The undecided findings by their value."""
    with team.store.read() as session:
        return {one.value: one for one in personal.listed(session)}


def scan(team: Team) -> int:
    with team.store.write() as session:
        return personal.look(session, examples.approved(session))


def decide(team: Team, value: str, decision: Decision, *, reason: str = "", everywhere: bool = False) -> int:
    with team.store.write() as session:
        return personal.decide(
            session,
            team.ben,
            NOON,
            which=listed(team)[value].id,
            decision=decision,
            reason=reason,
            everywhere=everywhere,
            key=KEY,
        )


def test_by_default_what_nobody_decided_about_is_redacted_on_the_way_out_and_stays_in_the_store(
    team: Team, tmp_path: Path
) -> None:
    team.approve(QUESTION, BETTER)
    version = team.freeze()
    (row,) = lines(team, version, tmp_path)
    assert [turn["content"] for turn in row["messages"][1:]] == [
        "I am at [EMAIL], is lamp 7 broken?",
        "Call our hotline, [PHONE].",
    ]
    with team.store.read() as session:
        (example,) = examples.approved(session)
        assert example.messages[0]["content"] == QUESTION
    assert version.manifest["privacy"] == "redact"
    assert "Redacted on the way out: an e-mail address, a telephone number." in [
        one["message"] for one in version.manifest["findings"]
    ]


def test_a_frozen_row_keeps_its_words_whatever_is_decided_later(team: Team, tmp_path: Path) -> None:
    team.approve(QUESTION, BETTER)
    first = team.freeze("v1")
    before = lines(team, first, tmp_path / "a")
    decide(team, "22 33 44 55", Decision.KEEP, reason="Our own hotline")
    assert lines(team, first, tmp_path / "b") == before
    second = team.freeze("v2")
    assert second.digest != first.digest
    assert lines(team, second, tmp_path / "c")[0]["messages"][-1]["content"] == BETTER


def test_with_the_policy_review_a_row_stays_until_everything_in_it_is_decided(team: Team, tmp_path: Path) -> None:
    team.approve(QUESTION, BETTER)
    team.approve("Is lamp 8 broken?", "Turn it off and on.")
    first = freeze(team, REVIEW)
    assert (first.manifest["rows"], first.manifest["left_out"]) == (1, {"undecided_privacy": [1]})
    assert any(
        "since nobody has decided about data in them: 1." in one["message"] for one in first.manifest["findings"]
    )
    decide(team, "kari@nordmann.no", Decision.PSEUDONYMISE)
    assert freeze(team, REVIEW).digest == first.digest  # the telephone number is still undecided
    decide(team, "22 33 44 55", Decision.KEEP, reason="Our own hotline")
    second = freeze(team, REVIEW)
    rows = {row["metadata"]["example"]: row for row in lines(team, second, tmp_path)}
    asked, replied = (turn["content"] for turn in rows[1]["messages"][1:])
    assert replied == BETTER
    assert asked.startswith("I am at ")
    assert asked.endswith("@pseudonym.invalid, is lamp 7 broken?")


def test_with_the_policy_off_everything_leaves_and_the_audit_says_so(team: Team, tmp_path: Path) -> None:
    team.approve(QUESTION, BETTER)
    version = freeze(team, OFF)
    assert lines(team, version, tmp_path)[0]["messages"][1]["content"] == QUESTION
    with team.store.read() as session:
        assert [entry.details for entry in audit.search(session, action="privacy")] == [{"rows": 1}]
    assert any(one["rule"] == "privacy.off" for one in version.manifest["findings"])


def test_what_was_frozen_without_a_look_does_not_leave_once_somebody_looks(team: Team) -> None:
    team.approve(QUESTION, BETTER)
    freeze(team, OFF, "v1")
    with team.store.write() as session, pytest.raises(Conflict, match="v1 was frozen without a look at personal data"):
        handover.hand_over(session, team.olga, NOON, target=Format.OPENAI, name="v1")
    with team.store.write() as session:
        assert handover.hand_over(session, team.olga, NOON, target=Format.OPENAI, name="v1", privacy=OFF).rows


def test_an_export_of_everything_approved_is_treated_as_well_the_rejected_reply_included(team: Team) -> None:
    team.approve("Is lamp 7 broken?", "Yes.")
    with team.store.write() as session:
        example = session.get_one(Example, 1)
        example.rejected = "Ask kari@nordmann.no."
        session.add(example)
    with team.store.write() as session:
        (row,) = handover.hand_over(session, team.olga, NOON, target=Format.DPO).rows
    assert row.rejected == "Ask [EMAIL]."


def test_a_decision_can_hold_for_a_value_everywhere_also_where_it_comes_up_later(team: Team) -> None:
    team.approve("Is lamp 7 broken?", BETTER)
    team.approve("Is lamp 8 broken?", "Our hotline is 22334455.")
    assert scan(team) == 2
    assert decide(team, "22 33 44 55", Decision.KEEP, reason="Our own hotline", everywhere=True) == 2
    team.approve("Is lamp 9 broken?", "The hotline, 22 33 44 55, knows.")
    assert scan(team) == 1
    assert listed(team) == {}


def test_scanning_again_finds_nothing_new_and_loses_no_decision(team: Team) -> None:
    team.approve(QUESTION, BETTER)
    assert scan(team) == 2
    decide(team, "kari@nordmann.no", Decision.REDACT)
    assert scan(team) == 0
    with team.store.write() as session:
        assert personal.look(session, examples.approved(session), again=True) == 0
    assert set(listed(team)) == {"22 33 44 55"}


def test_what_was_decided_about_a_candidate_holds_for_its_example_unless_the_words_may_have_changed(team: Team) -> None:
    candidate = team.flag(QUESTION, "Call 22 33 44 55.")
    with team.store.write() as session:
        assert personal.look_at_queue(session) == 2
    decide(team, "kari@nordmann.no", Decision.REDACT)
    decide(team, "22 33 44 55", Decision.KEEP, reason="Our own hotline")
    with team.store.write() as session:
        proposals.amend(session, team.ana, NOON, candidate_id=candidate, correction="Call 23 45 67 89.")
    team.decide(candidate, Verdict.APPROVE)
    assert scan(team) == 2
    assert set(listed(team)) == {"23 45 67 89"}


def test_names_of_people_met_are_found_and_the_assistants_own_is_not(team: Team) -> None:
    team.approve("Hi Bris, Olga told me to ask. Is lamp 7 broken?", "Bris says no.")
    scan(team)
    assert {one.kind for one in listed(team).values()} == {"name"}
    assert set(listed(team)) == {"Olga"}


@pytest.mark.parametrize("decision", [*Decision])
def test_agents_decide_nothing(team: Team, decision: Decision) -> None:
    team.approve(QUESTION, BETTER)
    scan(team)
    with team.store.write() as session, pytest.raises(NotAllowed, match="may not review corrections"):
        personal.decide(session, team.ana, NOON, which=1, decision=decision, reason="x", everywhere=False, key=KEY)


def test_keeping_takes_a_reason_and_a_finding(team: Team) -> None:
    team.approve(QUESTION, BETTER)
    scan(team)
    with pytest.raises(Invalid, match="needs a reason"):
        decide(team, "kari@nordmann.no", Decision.KEEP, reason=" ")
    with team.store.write() as session, pytest.raises(NotFound, match="no privacy finding 99"):
        personal.decide(
            session, team.ben, NOON, which=99, decision=Decision.REDACT, reason="", everywhere=False, key=KEY
        )


def test_the_audit_knows_of_a_decision_and_holds_no_words(team: Team) -> None:
    team.approve(QUESTION, BETTER)
    scan(team)
    decide(team, "kari@nordmann.no", Decision.KEEP, reason="Kari agreed")
    with team.store.read() as session:
        (entry,) = audit.search(session, action="privacy.decided")
        assert entry.details == {"decision": "keep", "kind": "email", "findings": 1}
        assert audit.verify(session).broken is None


def test_everything_of_a_row_that_leaves_is_looked_at(team: Team, tmp_path: Path) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "track", "arguments": '{"mail": "kari@nordmann.no"}'}}
    messages = [
        {"role": "user", "content": "Where is it?", "name": "kari@nordmann.no"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "content": "sent to kari@nordmann.no", "tool_call_id": "c1"},
        {"role": "assistant", "content": "On its way."},
    ]
    tools = {"tools": [{"type": "function", "function": {"name": "track"}}]}
    row = Row(1, Conversation.from_json(messages, tools), {"context": ["Kari's mail: kari@nordmann.no"]})
    with team.store.write() as session:
        examples.attest(session, team.olga, NOON, [row], origin="import:x", reason="Looked at")
    version = team.freeze()
    text = json.dumps(lines(team, version, tmp_path))
    assert "kari@nordmann.no" not in text
    assert text.count("[EMAIL]") == 4


def test_the_number_of_a_passage_means_the_same_text_when_it_is_put_back() -> None:
    words = Words([{"role": "user", "content": "a", "name": "b"}], "c", ["d", "e"])
    passages = dict(words.passages())
    assert passages == {0: "a", -1: "c", -2: "d", -3: "e", -4: "b"}
    assert dict(words.with_passages({key: text.upper() for key, text in passages.items()}).passages()) == {
        key: text.upper() for key, text in passages.items()
    }


def test_an_export_is_written_down_with_its_digest(team: Team, tmp_path: Path) -> None:
    team.approve(QUESTION, BETTER)
    version = team.freeze()
    out = tmp_path / "v1.jsonl"
    with team.store.write() as session:
        rows = handover.hand_over(session, team.olga, NOON, target=Format.OPENAI, name=version.name).rows
        written = write(rows, Format.OPENAI, out)
        releases.record_export(session, team.olga, NOON, out, target="openai", version=version, rows=written)
    with team.store.read() as session:
        kept = session.get_one(Export, 1)
    assert (kept.path, kept.rows, kept.dataset_id, len(kept.digest)) == (str(out), 1, version.key, 64)


def test_the_gate_has_a_rule_for_everything_it_says() -> None:
    assert [(rule.id, rule.severity) for rule in releases.RULES] == [
        ("privacy.undecided", Severity.WARNING),
        ("privacy.redacted", Severity.INFO),
        ("privacy.off", Severity.WARNING),
        ("privacy.taught", Severity.WARNING),
    ]


def test_replies_that_would_teach_a_placeholder_are_told_of(team: Team) -> None:
    for number in range(3):
        team.approve(f"Who helps with lamp {number}?", f"Write to kari{number}@nordmann.no.")
    team.approve("My mail is ola@nordmann.no.", "Thank you.")
    told = [one for one in team.freeze().manifest["findings"] if one["rule"] == "privacy.taught"]
    assert [(one["severity"], one["message"]) for one in told] == [
        (
            "warning",
            "3 replies are trained on with a placeholder such as [EMAIL]: the model would say it to customers.",
        )
    ]
    for number in range(3):
        decide(team, f"kari{number}@nordmann.no", Decision.PSEUDONYMISE)
    assert not [one for one in team.freeze().manifest["findings"] if one["rule"] == "privacy.taught"]


def test_a_placeholder_that_is_not_learned_from_is_not_told_of(team: Team) -> None:
    turns = [
        {"role": "user", "content": "Who?"},
        {"role": "assistant", "content": "Write to kari@nordmann.no.", "weight": 0},
        {"role": "user", "content": "And else?"},
        {"role": "assistant", "content": "Nobody."},
    ]
    with team.store.write() as session:
        rows = [Row(1, Conversation.from_json(turns))]
        examples.attest(session, team.olga, NOON, rows, origin="import:x", reason="Looked at")
    assert [one["rule"] for one in team.freeze().manifest["findings"] if one["rule"] == "privacy.taught"] == []


def test_the_definitions_of_tools_the_topic_and_the_thread_leave_without_what_is_personal(
    team: Team, tmp_path: Path
) -> None:
    described = {
        "name": "track",
        "description": "Ask kari@nordmann.no",
        "parameters": {"properties": {"key": {"description": "AKIAIOSFODNN7EXAMPLE", "enum": ["ola@nordmann.no"]}}},
    }
    turns = [{"role": "user", "content": "Where is it?"}, {"role": "assistant", "content": "On its way."}]
    about = {"topic": "per@nordmann.no", "thread": "kari@nordmann.no"}
    tools = {"tools": [{"type": "function", "function": described}], "parallel_tool_calls": False}
    with team.store.write() as session:
        rows = [Row(1, Conversation.from_json(turns, tools), about), Row(2, Conversation.from_json(turns), about)]
        examples.attest(session, team.olga, NOON, rows, origin="import:eva@nordmann.no.jsonl", reason="Looked at")
    version = team.freeze()
    rows_left = lines(team, version, tmp_path)
    assert "nordmann" not in json.dumps([rows_left, version.manifest])
    assert "AKIA" not in json.dumps(rows_left)
    (function,) = (tool["function"] for tool in rows_left[0]["tools"])
    assert (function["name"], function["description"]) == ("track", "Ask [EMAIL]")
    assert function["parameters"]["properties"]["key"] == {"description": "[KEY]", "enum": ["[EMAIL]"]}
    assert rows_left[0]["parallel_tool_calls"] is False
    assert [row["metadata"]["thread"] for row in rows_left] == ["thread:1", "thread:1"]
    assert list(version.manifest["topics"]) == ["[EMAIL]"]
    with team.store.write() as session:
        (handed, _) = handover.hand_over(session, team.olga, NOON, target=Format.OPENAI).rows
    assert "nordmann" not in json.dumps(handed.conversation.toolbox())


def test_what_was_frozen_before_topics_were_looked_at_keeps_its_bytes(team: Team) -> None:
    team.approve("Is lamp 7 broken?", "No.")
    with team.store.write() as session:
        example = session.get_one(Example, 1)
        example.topic = "lamps"
        session.add(example)
        session.flush()
        old = {"messages": [*example.messages], "rejected": example.rejected, "context": None}
        treated, plain = (release(example, Side.TRAIN, None, words) for words in (old, None))
    assert treated.line() == plain.line()
    assert treated.labels == {"topic": "lamps", "language": None, "thread": example.thread}
