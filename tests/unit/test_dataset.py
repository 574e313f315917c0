"""Dataset versions: the same examples give the same bytes, sides never move, and nothing leaks across."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from pathlib import Path

import pytest
from builders import BEN, NOON, OLGA, PROMPT, Team
from sqlmodel import col, func, select

from curation import assistants, audit, examples
from curation.conversation import Conversation, Message, Role, Tool
from curation.datasets import dataset
from curation.datasets.split import Side
from curation.errors import Conflict, Invalid, NotAllowed, NotFound, Unavailable
from curation.formats.jsonl import Row
from curation.people import Actor
from curation.similarity.duplicates import fingerprint
from curation.store.tables import DatasetRow, DatasetVersion, Example

TOPICS = ("billing", "filters", "shipping", "warranty", "returns", "cleaning", "leaks", "colours")
VERBS = ("cancel", "change", "order", "repair", "compare", "register", "replace", "describe")


def attest(team: Team, rows: list[Row], origin: str = "import:old.jsonl") -> None:
    with team.store.write() as session:
        examples.attest(session, team.olga, NOON, rows, origin=origin, reason="From the old tool.")


def rows(count: int, *, seed: int, threads: int = 10**6, customers: int = 10**6) -> list[Row]:
    """Dialogues with questions of their own; some share a thread or a customer where there are few of them."""
    rng = random.Random(seed)
    made = []
    for number in range(count):
        words = " ".join(rng.sample(TOPICS, 3) + rng.sample(VERBS, 3))
        turns = Conversation((Message(Role.USER, f"{words} {rng.getrandbits(60):x}?"), Message(Role.ASSISTANT, "Yes.")))
        about = {"thread": f"t{rng.randrange(threads)}", "customer": f"c{rng.randrange(customers)}"}
        made.append(Row(number + 1, turns, about))
    return made


def sides(team: Team, version: DatasetVersion) -> dict[int, Side]:
    with team.store.read() as session:
        return {item.example.key: item.side for item in dataset.items(session, version)}


def files(team: Team, version: DatasetVersion, folder: Path) -> dict[str, bytes]:
    with team.store.read() as session:
        dataset.write_files(session, version, folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_same_examples_are_the_same_version_whatever_it_is_called(team: Team) -> None:
    team.approve("How long does the filter last?", "Six months.")
    first = team.freeze("first")
    again, new = dataset.freeze(team.store, team.olga, NOON, name="second")
    assert (again.name, new) == ("first", False)
    assert dataset_names(team) == ["first"]
    assert again.digest == first.digest


def dataset_names(team: Team) -> list[str]:
    with team.store.read() as session:
        return [version.name for version in dataset.listed(session)]


def test_frozen_files_are_the_same_bytes_twice_and_after_more_was_approved(team: Team, tmp_path: Path) -> None:
    attest(team, rows(25, seed=1))
    team.approve("How long does the filter last?", "Six months.")
    version = team.freeze("v1")
    before = files(team, version, tmp_path / "a")
    assert files(team, version, tmp_path / "a") == before
    team.approve("Is the jug safe in the dishwasher?", "The lid is not.")
    with team.store.write() as session:
        assistants.set_prompt(session, team.olga, NOON, name="Bris", text="Another prompt.")
    newer = team.freeze("v2")
    assert files(team, version, tmp_path / "b") == before
    assert files(team, newer, tmp_path / "c") != before
    assert set(before) == {"train.jsonl", "validation.jsonl", "manifest.json"}
    assert json.loads(before["manifest.json"])["digest"] == version.digest


def test_a_row_is_trained_under_the_prompt_in_force_when_it_was_frozen(team: Team) -> None:
    team.approve("How long does the filter last?", "Six months.")
    old = team.freeze("old")
    with team.store.write() as session:
        assistants.set_prompt(session, team.olga, NOON, name="Bris", text="Another prompt.")
    new = team.freeze("new")
    with team.store.read() as session:
        prompts = [dataset.items(session, version)[0].conversation.messages[0].content for version in (old, new)]
    assert prompts == [PROMPT, "Another prompt."]


def test_an_unknown_prompt_stops_freezing_with_the_command_that_says_it(team: Team) -> None:
    with team.store.write() as session:
        quoted = assistants.add(session, team.olga, NOON, name='The "new" Bris', team_id="T1", speaks_as={"UNEW"})
        team.assistant_id = quoted.key
    team.approve("How long does the filter last?", "Six months.")
    with pytest.raises(Conflict) as refused:
        team.freeze("v1")
    assert str(refused.value).endswith('Say it with: errata assistants prompt "The \\"new\\" Bris" --file prompt.txt')
    assert dataset_names(team) == []


@pytest.mark.parametrize(("threads", "customers"), [(6, 10**6), (40, 8), (15, 25), (10**6, 10**6)])
def test_sides_never_move_and_nothing_is_on_both(team: Team, threads: int, customers: int) -> None:
    """Freeze, add, freeze, with rows that share threads and customers with all that came before."""
    known: dict[int, Side] = {}
    for step in range(5):
        attest(team, rows(10, seed=step, threads=threads, customers=customers))
        frozen = sides(team, team.freeze())
        assert {key: frozen[key] for key in known} == known
        known = frozen
    assert len(known) == 50
    seen: dict[str, set[Side]] = defaultdict(set)
    with team.store.read() as session:
        for example in examples.approved(session):
            for key in keys_of(example):
                if known[example.key] is not Side.QUARANTINE:
                    seen[key].add(known[example.key])
    assert {key: found for key, found in seen.items() if len(found) > 1} == {}


def keys_of(example: Example) -> list[str]:
    text = Conversation.from_json(example.messages).user_text()
    return [f"thread {example.thread}", f"customer {example.customer}", f"text {fingerprint(text)}"]


def test_a_row_that_ties_the_sides_together_is_in_no_file(team: Team, tmp_path: Path) -> None:
    attest(team, rows(30, seed=3))
    before = sides(team, team.freeze("before"))
    with team.store.read() as session:
        by_side = {side: examples.find(session, key) for key, side in before.items()}
    tie = Row(
        1,
        Conversation((Message(Role.USER, "quite another question?"), Message(Role.ASSISTANT, "Tied."))),
        {"thread": "new", "customer": by_side[Side.TRAIN].customer},
    )
    second = Row(
        2,
        Conversation(
            (Message(Role.USER, Conversation.from_json(by_side[Side.VALIDATION].messages).first_user_text()),)
        ).answered("Tied, too."),
        {"thread": "newer", "customer": by_side[Side.TRAIN].customer},
    )
    attest(team, [tie, second], origin="import:ties")
    version = team.freeze("after")
    after = sides(team, version)
    assert {key: after[key] for key in before} == before
    assert [after[key] for key in sorted(set(after) - set(before))] == [Side.TRAIN, Side.QUARANTINE]
    written = files(team, version, tmp_path / "files")
    assert b"Tied, too." not in b"".join(written.values())
    assert b'"Tied."' in written["train.jsonl"]
    assert version.manifest["sides"]["quarantine"] == 1
    assert written["train.jsonl"].count(b"\n") == version.manifest["sides"]["train"]
    assert written["validation.jsonl"].count(b"\n") == version.manifest["sides"]["validation"]


def test_one_thread_stays_on_one_side(team: Team) -> None:
    for number in range(6):
        team.approve(f"{TOPICS[number]} {VERBS[number]}, how?", f"Like this: {number}.", thread=f"T1/C1/{number % 2}")
    found = defaultdict(set)
    version = team.freeze("v1")
    with team.store.read() as session:
        for item in dataset.items(session, version):
            found[item.example.thread].add(item.side)
    assert sorted(map(len, found.values())) == [1, 1]
    assert version.manifest["sides"] == {"train": 3, "validation": 3, "quarantine": 0}


@pytest.mark.parametrize("name", ["", "V1", "-v1", "../v1", "v/1", "v 1", "é", "v" * 64, "v1\n", "."])
def test_a_name_that_could_be_a_path_or_an_option_is_refused(team: Team, name: str) -> None:
    team.approve("How long does the filter last?", "Six months.")
    with pytest.raises(Invalid, match="cannot name a dataset"):
        team.freeze(name)
    assert dataset_names(team) == []


def test_a_taken_name_is_refused_as_datasets_never_change(team: Team) -> None:
    team.approve("How long does the filter last?", "Six months.")
    team.freeze("v1")
    team.approve("Is the jug safe in the dishwasher?", "The lid is not.")
    with pytest.raises(Conflict, match="a dataset named v1 already"):
        team.freeze("v1")
    assert team.freeze().name == "v2"


def test_a_version_is_found_by_name_and_by_the_beginning_of_its_digest(team: Team) -> None:
    team.approve("How long does the filter last?", "Six months.")
    version = team.freeze("v1")
    with team.store.read() as session:
        assert dataset.find(session, "v1").key == dataset.find(session, version.digest[:6]).key == version.key
        for missing in ("v2", version.digest[:5], "%" * 6, "______"):
            with pytest.raises(NotFound, match="errata dataset list"):
                dataset.find(session, missing)


def test_nobody_but_an_owner_freezes_and_nothing_is_frozen_of_nothing(team: Team) -> None:
    with pytest.raises(Conflict, match="Nothing is approved yet"):
        team.freeze("v1")
    team.approve("How long does the filter last?", "Six months.")
    for actor in (team.ana, team.ben, Actor(team.ben.person_id, solo=True)):
        with pytest.raises(NotAllowed):
            dataset.freeze(team.store, actor, NOON, name="v1")


def test_rows_that_no_longer_give_the_digest_are_not_written(team: Team, tmp_path: Path) -> None:
    team.approve("How long does the filter last?", "Six months.")
    version = team.freeze("v1")
    with team.store.write() as session:
        example = examples.find(session, 1)
        example.messages = [*example.messages[:-1], {"role": "assistant", "content": "Sabotaged."}]
    with team.store.read() as session, pytest.raises(Unavailable, match="no longer match its digest"):
        dataset.write_files(session, version, tmp_path / "files")
    assert not (tmp_path / "files").exists()


def test_a_manifest_counts_and_quotes_nobody(team: Team) -> None:
    team.approve("How long does the filter last?", "Six months.")
    team.approve("Where do you ship from?", None)
    attest(team, rows(3, seed=9))
    manifest = team.freeze("v1").manifest
    assert manifest["rows"] == 5
    assert manifest["kinds"] == {"correction": 1, "endorsement": 1, "imported": 3}
    assert (manifest["imported"], manifest["self_approved"], manifest["approvers"]) == (3, 0, 2)
    assert "filter" not in json.dumps(manifest)
    assert manifest["reviewers"] == {BEN.person_id: 2, OLGA.person_id: 3}
    assert manifest["context"] == {"supplied": 0, "unknown": 5}
    assert manifest["tokens"] == {}  # nothing was given that counts
    assert "turns.last" in manifest["rules"]["passed"]
    assert set(manifest["rules"]["found"]) & set(manifest["rules"]["passed"]) == set()
    assert manifest["tools"]["errata"]


def test_what_is_said_about_a_version_is_added_and_audited(team: Team) -> None:
    team.approve("How long does the filter last?", "Six months.")
    version = team.freeze("v1")
    for text in ("First.", " Second. "):
        with team.store.write() as session:
            dataset.annotate(session, team.olga, NOON, version, text)
    with team.store.read() as session:
        assert [note.text for note in dataset.notes(session, version)] == ["First.", "Second."]
        done = [entry.action for entry in audit.about(session, f"dataset:{version.key}")]
        assert done == ["dataset.frozen", "dataset.described", "dataset.described"]
    with team.store.write() as session, pytest.raises(NotAllowed):
        dataset.annotate(session, team.ben, NOON, version, "Mine.")


def test_a_row_of_an_erased_customer_is_in_no_file_and_the_manifest_says_so(team: Team, tmp_path: Path) -> None:
    attest(team, rows(20, seed=4))
    version = team.freeze("v1")
    before = files(team, version, tmp_path / "before")
    with team.store.write() as session:
        gone = examples.find(session, 3)
        gone.erased_at, gone.messages, gone.thread = NOON, [], "gone"
    after = files(team, version, tmp_path / "after")
    lines = {name: content.splitlines() for name, content in after.items()}
    assert len(lines["train.jsonl"]) + len(lines["validation.jsonl"]) == 19
    assert set(lines["train.jsonl"]) <= set(before["train.jsonl"].splitlines())
    assert json.loads(after["manifest.json"])["erased"] == [3]
    assert team.freeze("v2").manifest["rows"] == 19


def test_tools_that_were_at_hand_are_frozen_and_exported_with_the_row(team: Team) -> None:
    tool = Tool("track", "Where a parcel is.", {"type": "object", "properties": {}})
    turns = Conversation((Message(Role.USER, "Where is it?"), Message(Role.ASSISTANT, "In Cork.")), (tool,))
    attest(team, [Row(1, turns, {})])
    version = team.freeze("v1")
    with team.store.read() as session:
        (item,) = dataset.items(session, version)
    assert item.conversation == turns
    assert json.loads(item.line())["tools"] == [tool.as_json()]


def test_nothing_is_kept_where_nothing_was_said(team: Team) -> None:
    """JSON's own null would escape everybody who looks for rows without a value."""
    team.approve("How long does the filter last?", "Six months.")
    attest(team, rows(2, seed=1))
    team.freeze("v1")
    with team.store.read() as session:
        for column in (Example.context, Example.toolbox):
            assert session.exec(select(func.count()).where(col(column).is_not(None))).one() == 0
        treated = session.exec(select(DatasetRow.treated).order_by(col(DatasetRow.example_id))).all()
        assert treated == [None, {"thread": "thread:2"}, {"thread": "thread:3"}]  # a file names threads as it likes
