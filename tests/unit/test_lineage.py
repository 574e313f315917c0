"""Lineage: from a row back to its message and everybody who judged it, and on to the runs it went to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from builders import NOON, OLGA, Team

from bot.links import message_link
from curation import examples, imports
from curation.conversation import Conversation, Message, Role
from curation.datasets import dataset, lineage
from curation.datasets.split import Side
from curation.formats.jsonl import Row
from curation.reviews import Verdict
from curation.store.tables import DatasetVersion
from training import lineage as onward
from training import orders
from training.store.tables import Deployment, Evaluation


def attest(team: Team, count: int, **metadata: object) -> None:
    made = []
    for number in range(count):
        question = f"How does part {number:03d}-{'xyzuvw'[number % 6] * 9} work with part {number * 7919 % 1009}?"
        turns = Conversation((Message(Role.USER, question), Message(Role.ASSISTANT, "Well.")))
        made.append(Row(number + 1, turns, {"topic": "parts", "language": "en", **metadata}))
    with team.store.write() as session:
        examples.attest(session, team.olga, NOON, made, origin="import:old.jsonl", reason="From the old tool.")


def test_lineage_names_message_authors_reviewers_and_approver(team: Team) -> None:
    candidate = team.flag("How long does the filter last?", "Six months or so.")
    team.decide(candidate, Verdict.EDIT_AND_APPROVE, edited="Six months.")
    attest(team, 1)
    version = team.freeze("v1")
    with team.store.read() as session:
        reviewed, imported = lineage.rows(session, version, message_link)
        places = dataset.contributing_places(session, version)
    assert reviewed["authors"] == ["Ana", "Ben"]
    assert reviewed["approved_by"] == "Ben"
    assert reviewed["source"] == "T1/C1/1700000001.000100"
    assert reviewed["link"] == "https://slack.com/app_redirect?team=T1&channel=C1&message_ts=1700000001.000100"
    assert reviewed["reviews"] == [{"by": "Ben", "verdict": "edit_and_approve", "at": NOON.isoformat()}]
    assert reviewed["prompt_version"] == 1
    assert (reviewed["candidate"], reviewed["reviewed"], reviewed["self_approved"]) == (candidate, True, False)
    assert (reviewed["flagged"], reviewed["reply"]) == ("It lasts for ever.", "Six months.")
    assert (imported["authors"], imported["approved_by"], imported["reviewed"]) == ([], "Olga", False)
    assert (imported["source"], imported["link"]) == ("import:old.jsonl", None)
    assert (imported["attested"], imported["reviews"]) == ("From the old tool.", [])
    assert places == ["T1/C1"]


def test_a_rows_file_and_line_are_where_it_stands(team: Team, tmp_path: Path) -> None:
    attest(team, 30)
    version = team.freeze("v1")
    with team.store.read() as session:
        dataset.write_files(session, version, tmp_path)
        rows = lineage.rows(session, version)
    assert [row["row"] for row in rows] == list(range(1, 31))
    assert {row["file"] for row in rows} == {"train.jsonl", "validation.jsonl"}
    for row in rows:
        line = (tmp_path / row["file"]).read_text(encoding="utf-8").splitlines()[row["line"] - 1]
        assert json.loads(line)["metadata"]["example"] == row["example"]


def test_a_row_of_a_file_that_a_reviewer_corrected_came_from_no_channel(team: Team) -> None:
    turns = Conversation((Message(Role.USER, "How much?"), Message(Role.ASSISTANT, "9 euros.")))
    with team.store.write() as session:
        imports.propose_rows(session, team.ana, NOON, [Row(1, turns, {})], origin="import:x.jsonl")
    team.decide(1, Verdict.EDIT_AND_APPROVE, edited="11 euros.")
    team.approve("How long does the filter last?", "Six months.")
    version = team.freeze("v1")
    with team.store.read() as session:
        assert dataset.contributing_places(session, version) == ["T1/C1"]


@pytest.mark.parametrize("source", ["import:old.jsonl", "import:T1/C1/1.1", "T1/C1", "T1/C1/then", ""])
def test_what_is_no_message_has_no_address(source: str) -> None:
    assert message_link(source) is None


def test_a_message_of_an_enterprise_grid_is_found_in_its_workspace() -> None:
    assert message_link("E9/T1/C1/1700000001.000100") == message_link("T1/C1/1700000001.000100")


def frozen_with_a_run(team: Team) -> tuple[DatasetVersion, str]:
    attest(team, 30)
    version = team.freeze("v1")
    with team.store.write() as session:
        run = orders.request(session, OLGA, NOON, dataset_name="v1", model="rehearsal").id
        session.add(Evaluation(run_id=run, verdict="better", report={}, evaluated_at=NOON))
        session.add(Deployment(run_id=run, status="live", requested_by="o", requested_at=NOON))
    return version, run


def test_every_row_knows_the_runs_that_used_it_and_how(team: Team) -> None:
    version, run = frozen_with_a_run(team)
    with team.store.read() as session:
        rows = onward.with_runs(lineage.rows(session, version), onward.runs_of(session, version))
    about = {"run": run, "model": "rehearsal", "status": "requested", "verdict": "better", "deployment": "live"}
    uses = {row["side"]: row["runs"] for row in rows}
    assert uses == {
        Side.TRAIN: [{**about, "use": "trained on"}],
        Side.VALIDATION: [{**about, "use": "validated with"}],
    }


def test_a_row_in_quarantine_went_to_no_run(team: Team) -> None:
    version, _ = frozen_with_a_run(team)
    with team.store.read() as session:
        row = {**lineage.rows(session, version)[0], "side": Side.QUARANTINE.value}
        assert onward.with_runs([row], onward.runs_of(session, version))[0]["runs"] == []


def test_an_example_names_the_datasets_that_hold_it(team: Team) -> None:
    attest(team, 12)
    team.freeze("v1")
    team.approve("How long does the filter last?", "Six months.")
    team.freeze("v2")
    with team.store.read() as session:
        assert [one["dataset"] for one in lineage.versions_of(session, 1)] == ["v1", "v2"]
        assert [(one["dataset"], one["row"]) for one in lineage.versions_of(session, 13)] == [("v2", 13)]
