"""Whether rows are trained under what the deployed assistant works with: its prompt, and what it had retrieved."""

from __future__ import annotations

import json
from typing import Any

import pytest
from builders import NOON, PROMPT, Team

from curation import assistants, examples, imports
from curation.conversation import Conversation, Message, Role
from curation.datasets import dataset
from curation.datasets.fitness import Fit, Prompt, context_in, findings
from curation.formats.jsonl import Row
from curation.reviews import Verdict

OLD, NEW = Prompt("Bris", 1, "Be kind.", current=False), Prompt("Bris", 2, "Be brief.", current=True)
PROMPTS = {1: OLD, 2: NEW}


def told(*rows: Fit, prompts: dict[int, Prompt] | None = None) -> dict[str, str]:
    return {one.rule: one.message for one in findings(rows, PROMPTS if prompts is None else prompts)}


def fit(prompt_id: int | None = None, system: str | None = None, *, context: bool = True) -> Fit:
    return Fit(prompt_id, system, context)


@pytest.mark.parametrize(
    ("row", "rule", "message"),
    [
        (fit(1), "prompt.stale", "1 of 1 rows are under version 1 of Bris's prompt, which is at version 2."),
        (
            fit(None, "Be kind. "),
            "prompt.stale",
            "1 of 1 rows are under version 1 of Bris's prompt, which is at version 2.",
        ),
        (fit(), "prompt.missing", "1 of 1 rows have no system prompt, and Bris is served with one."),
        (fit(None, "Be rude."), "prompt.foreign", "1 of 1 rows are under a prompt that no assistant uses."),
        (
            fit(2, context=False),
            "context.unknown",
            "What the assistant had retrieved is not known of 1 of 1 rows.",
        ),
    ],
)
def test_a_row_that_does_not_fit_is_told(row: Fit, rule: str, message: str) -> None:
    assert told(row) == {rule: message}


@pytest.mark.parametrize("row", [fit(2), fit(None, "Be brief."), fit(None, " Be brief.\n")])
def test_a_row_under_the_prompt_in_use_fits(row: Fit) -> None:
    assert told(row) == {}


def test_where_no_assistant_has_a_prompt_nothing_can_be_compared() -> None:
    assert told(fit(), fit(None, "Be rude."), prompts={}) == {}


def test_a_prompt_that_came_back_is_the_one_in_use() -> None:
    again = {1: OLD, 2: Prompt("Bris", 2, "Be brief.", current=False), 3: Prompt("Bris", 3, "Be kind.", current=True)}
    assert told(fit(None, "Be kind."), prompts=again) == {}


def test_several_assistants_are_told_apart() -> None:
    others = {**PROMPTS, 3: Prompt("Fjord", 1, "Ahoy.", current=False), 4: Prompt("Fjord", 2, "Hello.", current=True)}
    found = [one.message for one in findings([fit(1), fit(3), fit(3), fit()], others)]
    assert found == [
        "1 of 4 rows are under version 1 of Bris's prompt, which is at version 2.",
        "2 of 4 rows are under version 1 of Fjord's prompt, which is at version 2.",
        "1 of 4 rows have no system prompt, and the assistants are served with one.",
    ]


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        (["Price list", ""], ["Price list"]),
        ("Price list", ["Price list"]),
        ([" "], None),
        ([], None),
        (None, None),
        ([1], None),
        ({"a": "b"}, None),
    ],
)
def test_context_is_a_list_of_texts_or_unknown(value: Any, texts: list[str] | None) -> None:
    assert context_in({"context": value}) == texts


def dialogue(number: int, *, system: str | None = None, **metadata: object) -> Row:
    asked = Conversation(
        (Message(Role.USER, f"{'abcdefg'[number] * 9}, how much?"), Message(Role.ASSISTANT, "9 euros."))
    )
    return Row(number, asked.with_system(system), dict(metadata))


def attest(team: Team, *rows: Row) -> None:
    with team.store.write() as session:
        examples.attest(session, team.olga, NOON, rows, origin="import:x", reason="Known.")


def rules_today(team: Team, name: str) -> set[str]:
    with team.store.read() as session:
        return {one.rule for one in dataset.findings(session, dataset.find(session, name))}


def test_a_dataset_is_compared_with_the_prompt_that_the_assistant_uses_today(team: Team) -> None:
    team.approve("How long does the filter last?", "Six months.")
    team.freeze("v1")
    assert "prompt.stale" not in rules_today(team, "v1")
    with team.store.write() as session:
        assistants.set_prompt(session, team.olga, NOON, name="Bris", text="Another prompt.")
    assert "prompt.stale" in rules_today(team, "v1")
    team.freeze("v2")
    assert "prompt.stale" not in rules_today(team, "v2")


def test_rows_of_files_are_compared_and_can_be_put_under_the_assistants_prompt(team: Team) -> None:
    attest(team, dialogue(1), dialogue(2, system="Be rude."), dialogue(3, system=PROMPT))
    version = team.freeze("v1")
    found = {one["rule"]: one["message"] for one in version.manifest["findings"]}
    assert found["prompt.missing"].startswith("1 of 3 rows have no system prompt")
    assert found["prompt.foreign"].startswith("1 of 3 rows are under a prompt")
    options = dataset.Options(prompt="Bris")
    under, _ = dataset.freeze(team.store, team.olga, NOON, name="v2", options=options)
    with team.store.read() as session:
        assert {item.system for item in dataset.items(session, under)} == {PROMPT}
    assert {"prompt.missing", "prompt.foreign"} & rules_today(team, "v2") == set()
    assert under.manifest["prompts"] == [1]


def test_context_is_kept_from_the_file_to_the_frozen_row_whichever_way_it_came(team: Team) -> None:
    attest(team, dialogue(1, context=["Price list 2026"]), dialogue(2))
    with team.store.write() as session:
        imports.propose_rows(session, team.ana, NOON, [dialogue(3, context="Manual")], origin="import:y")
    team.decide(1, Verdict.APPROVE)
    version = team.freeze("v1")
    with team.store.read() as session:
        lines = [json.loads(item.line())["metadata"] for item in dataset.items(session, version)]
    assert [line.get("context") for line in lines] == [["Price list 2026"], None, ["Manual"]]
    assert "context" not in lines[1]
    assert version.manifest["context"] == {"supplied": 2, "unknown": 1}
    assert "context.unknown" in version.manifest["rules"]["found"]
