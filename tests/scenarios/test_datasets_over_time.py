"""Datasets as they are made month after month, on the command line: frozen, grown, compared, traced, reproduced."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path
from typing import Any

import pytest
from builders import NOON, PROMPT, new_team
from shell import Shell

from curation import assistants, captures, proposals
from curation.candidates import Reason
from curation.conversation import Conversation, Message, Role
from curation.reviews import Verdict


@pytest.fixture
def errata(shell: Shell) -> Shell:
    """As Olga, before she owns anything."""
    shell.acting = "Olga"
    return shell


@pytest.fixture
def owned(errata: Shell) -> Shell:
    errata("people", "grant", "Olga", "owner", acting=None)
    return errata


def dialogue(number: int) -> dict[str, Any]:
    rng = random.Random(number)
    words = " ".join("".join(rng.choices("abdefgiklmnoprstu", k=6)) for _ in range(8))
    turns = [("user", f"What does {words} cost?"), ("assistant", f"It costs {number} euros.")]
    about = {"topic": ("billing", "plans", "returns")[number % 3], "language": "en", "customer": f"c{number // 4}"}
    return {"messages": [{"role": role, "content": text} for role, text in turns], "metadata": about}


def write(path: str, numbers: range) -> str:
    Path(path).write_text("".join(json.dumps(dialogue(number)) + "\n" for number in numbers), encoding="utf-8")
    return path


def imported(errata: Shell, path: str) -> None:
    code, _, err = errata("import", path, "--approve-as", "Olga", "--reason", "Checked by hand.")
    assert code == 0, err


def frozen(errata: Shell, *words: str) -> dict[str, Any]:
    code, out, err = errata("dataset", "freeze", *words, "--json")
    assert code == 0, err
    version: dict[str, Any] = json.loads(out)
    return version


def export(errata: Shell, name: str, path: str) -> bytes:
    assert errata("export", name, "--format", "openai", "--out", path)[0] == 0
    return Path(path).read_bytes()


def test_a_dataset_grows_and_no_row_moves_and_the_older_one_reproduces_byte_for_byte(owned: Shell) -> None:
    imported(owned, write("first.jsonl", range(60)))
    frozen(owned, "v1")
    before = export(owned, "v1", "before.jsonl")
    imported(owned, write("second.jsonl", range(60, 90)))
    frozen(owned, "v2")
    code, out, _ = owned("dataset", "diff", "v1", "v2", "--json")
    told = json.loads(out)
    assert (code, told["moved"], told["removed"], told["unchanged"], len(told["added"])) == (0, [], [], 60, 30)
    sides = [
        {row["example"]: row["side"] for row in json.loads(owned("dataset", "lineage", name, "--json")[1])}
        for name in ("v1", "v2")
    ]
    assert len(sides[0]) == 60
    assert sides[0].items() <= sides[1].items()
    assert export(owned, "v1", "after.jsonl") == before
    out = owned("dataset", "diff", "v1", "v2")[1]
    assert "From v1 to v2: 30 added, 60 unchanged.\nNo row has changed its side.\n" in out


def test_what_is_left_out_expired_and_tied_is_said_where_one_looks(owned: Shell) -> None:
    imported(owned, write("first.jsonl", range(60)))
    code, out, _ = owned("examples", "expire", "--topic", "plans", "--after", "2020-01-01", "--reason", "New plans.")
    assert (code, out) == (0, "20 examples hold until 2020-01-01 00:00 UTC. Next: errata examples renew\n")
    code, out, err = owned("dataset", "freeze", "v1")
    assert code == 0
    assert "Left out: 20 examples have expired. See: errata examples renew" in err
    shown = json.loads(owned("dataset", "show", "v1", "--json")[1])
    assert shown["manifest"]["rows"] == 40
    assert set(shown["manifest"]["topics"]) == {"billing", "returns"}
    assert "Left out: 20 examples have expired" in owned("dataset", "show", "v1")[1]
    assert len(json.loads(owned("examples", "list", "--expired", "--json")[1])) == 20
    assert "expired 2020-01-01" in owned("examples", "list", "--topic", "plans")[1]


def test_an_expired_example_goes_round_again_in_the_terminal(owned: Shell) -> None:
    owned("people", "grant", "ben", "reviewer")
    imported(owned, write("first.jsonl", range(12)))
    owned("examples", "expire", "3", "--after", "2020-01-01", "--reason", "New prices.")
    code, out, _ = owned("examples", "renew")
    assert (code, out) == (0, "Back in the queue: 3 as #1. Next: errata review\n")
    assert owned("examples", "renew")[1] == "Nothing has expired that is not back already.\n"
    assert "imported, re-review" in owned("queue", acting="ben")[1]
    assert owned("review", "1", "--edit", "It costs 12 euros.", acting="ben")[0] == 0
    version = frozen(owned, "v1")
    assert version["manifest"]["left_out"] == {"expired": [3]}
    one = json.loads(owned("examples", "show", "13", "--json")[1])
    assert (one["reply"], one["kind"], one["rejected"]) == ("It costs 12 euros.", "correction", "It costs 2 euros.")
    assert [held["dataset"] for held in one["datasets"]] == ["v1"]
    assert "expired 2020-01-01, back as #1" in owned("examples", "show", "3")[1]


def test_a_validation_file_of_ones_own(owned: Shell) -> None:
    imported(owned, write("first.jsonl", range(40)))
    version = frozen(owned, "v1", "--validation", write("own.jsonl", range(200, 208)))
    assert version["manifest"]["sides"] == {"train": 40, "validation": 8, "quarantine": 0}
    write("trained.jsonl", range(4))
    code, _, err = owned("dataset", "freeze", "v2", "--validation", "trained.jsonl")
    assert code == 1
    assert "4 of 4 rows of the validation file belong with rows that earlier datasets trained on: line 1 (" in err
    Path("broken.jsonl").write_text('{"messages": []}\n', encoding="utf-8")
    code, _, err = owned("dataset", "freeze", "v2", "--validation", "broken.jsonl")
    assert (code, "line 1" in err, "errata check broken.jsonl" in err) == (2, True, True)
    code, _, err = owned("dataset", "freeze", "v2", "--validation", "no-such-file.jsonl")
    assert (code, "no-such-file.jsonl is neither a share nor a file" in err) == (2, True)


def test_a_description_is_added_and_shown(owned: Shell) -> None:
    imported(owned, write("first.jsonl", range(12)))
    frozen(owned, "v1")
    for text in ("The first.", "Used for the spring model."):
        assert owned("dataset", "describe", "v1", text)[1] == "v1 is described. Next: errata dataset show v1\n"
    out = owned("dataset", "show", "v1")[1]
    assert out.index("The first.") < out.index("Used for the spring model.")
    assert "Used for the spring model." in owned("dataset", "list")[1]
    assert owned("dataset", "describe", "v1", "  ")[0] == 2
    owned("people", "grant", "ben", "reviewer")
    assert owned("dataset", "describe", "v1", "Mine.", acting="ben")[0] == 1


def test_a_manifest_has_its_tokens_by_counter_with_bounds_where_they_are_estimated(owned: Shell) -> None:
    imported(owned, write("first.jsonl", range(12)))
    tokens = frozen(owned, "v1")["manifest"]["tokens"]
    assert len(tokens) == 3
    for counted in tokens.values():
        assert counted["train"] + counted["validation"] == counted["total"]
        assert (counted["at_least"] == counted["total"]) == counted["exact"]
        assert 0 < counted["p50"] <= counted["max"]


def test_a_row_is_traced_to_its_message_its_reviewers_and_its_runs(errata: Shell, tmp_path: Path) -> None:
    team = new_team(tmp_path / "home")
    for number in range(12):
        team.approve(f"{'abcdefghijkl'[number] * 9}, how long does it last?", f"{number} months.")
    team.store.close()
    frozen(errata, "v1")
    run = json.loads(errata("train", "v1", "--detach", "--json")[1])["id"]
    (row,) = json.loads(errata("dataset", "lineage", "v1", "--row", "2", "--json")[1])
    assert (row["row"], row["example"], row["authors"], row["approved_by"]) == (2, 2, ["Ana"], "Ben")
    assert row["link"] == "https://slack.com/app_redirect?team=T1&channel=C1&message_ts=1700000002.000100"
    assert [review["by"] for review in row["reviews"]] == ["Ben"]
    assert [(one["run"], one["status"]) for one in row["runs"]] == [(run, "requested")]
    out = errata("dataset", "lineage", "v1", "--example", "2")[1]
    assert "From:    https://slack.com/app_redirect?" in out
    assert "Review:  approve by Ben" in out
    assert f"Run:     {run} on rehearsal, " in out
    assert f"Runs: {run} (requested)" in errata("dataset", "lineage", "v1")[1]
    assert errata("dataset", "lineage", "v1", "--row", "13")[0] == 2
    with team.store.write() as session:
        assistants.set_prompt(session, team.olga, NOON, name="Bris", text=f"{PROMPT} Be kind.")
    team.store.close()
    assert "prompt.stale" in errata("dataset", "show", "v1")[1]


def test_knowledge_gaps_are_written_for_people_for_tables_and_for_programs(errata: Shell, tmp_path: Path) -> None:
    team = new_team(tmp_path / "home")
    with team.store.write() as session:
        spot = "T1/C1/1700000900.000100"
        kept = captures.keep(
            session, team.ana, NOON, assistant_id=team.assistant_id, source=spot, thread=spot, reply="12 euros."
        )
        asked = Conversation((Message(Role.USER, "How much is the plan?"),))
        captures.fill(session, kept.key, asked, reply="12 euros.", staff_reply=None)
        proposals.propose(
            session,
            team.ana,
            NOON,
            capture_id=kept.key,
            correction="9 euros.",
            reason=Reason.CHANGING_FACT,
            topic="prices",
            review_in=None,
        )
    team.decide(1, Verdict.APPROVE)
    team.approve("Is the jug safe in the dishwasher?", "The lid is not.")
    team.store.close()
    assert "### How much is the plan?" in errata("knowledge-gaps")[1]
    code, out, _ = errata("knowledge-gaps", "--format", "csv", "--out", "gaps.csv")
    assert (code, out.startswith("1 knowledge gaps are in gaps.csv.")) == (0, True)
    with Path("gaps.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["wrong"], row["correction"], row["topic"]) == ("12 euros.", "9 euros.", "prices")
    assert json.loads(errata("knowledge-gaps", "--format", "json")[1])[0]["status"] == "approved"
    assert "Left out: 1 example is of a fact that changes" in errata("dataset", "freeze", "v1")[2]
    assert frozen(errata, "v2", "--include-changing")["manifest"]["rows"] == 2
    assert "not in datasets: the fact changes" in errata("examples", "list")[1]
    assert errata("knowledge-gaps", acting="Ana")[0] == 1
