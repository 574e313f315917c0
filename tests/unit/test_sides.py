"""Sides, kept: whatever arrives in whatever order, no example moves, and no group stands on both sides."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from builders import NOON, Team, new_team
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import delete

from curation import examples, expiry
from curation.conversation import Conversation, Message, Role
from curation.datasets import dataset, sides
from curation.datasets.manifest import ties_of
from curation.datasets.split import Side
from curation.errors import Conflict, Invalid
from curation.formats.jsonl import Row
from curation.similarity.duplicates import clusters
from curation.store.tables import DatasetVersion, Example, SplitKey

LONG = "please tell me how the {} of the machine in our kitchen is cleaned and how often that has to be done"


@dataclass(frozen=True)
class Arrival:
    """A dialogue that is imported: some share a thread, a customer, or nearly a question."""

    number: int
    thread: int
    customer: int | None
    question: int
    topic: int

    def row(self) -> Row:
        asked = LONG.format(f"{'abcdefghijklmnop'[self.question]}{self.question:03d} filter") + "!" * (self.number % 4)
        turns = Conversation((Message(Role.USER, asked), Message(Role.ASSISTANT, f"Reply {self.number}.")))
        customer = f"c{self.customer}" if self.customer is not None else None
        about = {"thread": f"t{self.thread}", "customer": customer, "topic": f"topic {self.topic}", "language": "en"}
        return Row(self.number + 1, turns, about)


arrivals = st.lists(
    st.tuples(st.integers(0, 30), st.one_of(st.none(), st.integers(0, 12)), st.integers(0, 15), st.integers(0, 2)),
    min_size=2,
    max_size=40,
).map(lambda made: [Arrival(number, *values) for number, values in enumerate(made)])


def attest(team: Team, rows: list[Row], origin: str = "import:x") -> None:
    with team.store.write() as session:
        examples.attest(session, team.olga, NOON, rows, origin=origin, reason="Known.")


def placed(team: Team, version: DatasetVersion) -> dict[int, Side]:
    with team.store.read() as session:
        return {item.example.key: item.side for item in dataset.items(session, version)}


def groups(every: list[Example]) -> Iterator[tuple[str, int]]:
    """What may not be torn apart, worked out apart from the code under test."""
    texts = [Conversation.from_json(example.messages).user_text() for example in every]
    near = clusters(texts)
    for example, cluster in zip(every, near, strict=True):
        yield f"thread {example.thread}", example.key
        yield f"cluster {cluster}", example.key
        if example.customer:
            yield f"customer {example.customer}", example.key


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(made=arrivals, cuts=st.sets(st.integers(1, 39), max_size=4), rng=st.randoms(use_true_random=False))
def test_as_a_dataset_grows_in_any_order_no_example_moves_and_no_group_is_torn(
    tmp_path_factory: pytest.TempPathFactory, made: list[Arrival], cuts: set[int], rng: random.Random
) -> None:
    team = new_team(tmp_path_factory.mktemp("team"))
    rows = [arrival.row() for arrival in rng.sample(made, len(made))]
    edges = [0, *sorted(cut for cut in cuts if cut < len(rows)), len(rows)]
    known: dict[int, Side] = {}
    for first, last in pairwise(edges):
        attest(team, rows[first:last])
        with team.store.write() as session:
            late = NOON + timedelta(days=last)
            if known and rng.random() < 0.5:  # examples come and go meanwhile
                expiry.expire(
                    session,
                    team.ben,
                    NOON,
                    reason="x",
                    after=rng.choice([NOON, None]),
                    example_ids=[rng.choice([*known])],
                )
        version, _ = dataset.freeze(team.store, team.olga, late, validation_share=0.3)
        frozen = placed(team, version)
        assert {key: frozen[key] for key in known.keys() & frozen.keys()} == {
            key: known[key] for key in known.keys() & frozen.keys()
        }
        known |= frozen
    torn: dict[str, set[Side]] = defaultdict(set)
    with team.store.read() as session:
        for name, key in groups(examples.approved(session)):
            if known.get(key, Side.QUARANTINE) is not Side.QUARANTINE:
                torn[name].add(known[key])
    team.store.close()
    assert {name: found for name, found in torn.items() if len(found) > 1} == {}


def simple(number: int, **about: object) -> Row:
    rng = random.Random(number)
    words = " ".join("".join(rng.choices("abdefgiklmnoprstu", k=6)) for _ in range(8))
    turns = Conversation((Message(Role.USER, f"What does {words} cost?"), Message(Role.ASSISTANT, f"{number} euros.")))
    return Row(number + 1, turns, {"topic": "prices", "language": "en", **about})


def quarantined(team: Team) -> tuple[DatasetVersion, Example, Example]:
    """A dataset with a row between its sides: the question of a validation row, the customer of a train row."""
    attest(team, [simple(number, customer=f"c{number}") for number in range(20)])
    before = placed(team, team.freeze("before"))
    with team.store.read() as session:
        trained, held = (
            examples.find(session, next(key for key, side in before.items() if side is wanted))
            for wanted in (Side.TRAIN, Side.VALIDATION)
        )
    question = Conversation.from_json(held.messages).first_user_text()
    turns = Conversation((Message(Role.USER, question), Message(Role.ASSISTANT, "Tied.")))
    attest(team, [Row(1, turns, {"customer": trained.customer, "topic": "prices", "language": "en"})], "import:tie")
    return team.freeze("after"), trained, held


def test_a_row_in_quarantine_says_what_ties_it_to_either_side_and_names_nobody(team: Team) -> None:
    version, _, _ = quarantined(team)
    (tie,) = ties_of(version.manifest)
    assert (tie.example, tie.train, tie.validation) == (21, ("customer",), ("question",))
    assert tie.sentence() == ("example 21: its customer is on the train side, its question on the validation side.")
    assert "split.quarantine" in version.manifest["rules"]["found"]


def test_quarantine_outlives_what_the_row_lay_between(team: Team) -> None:
    """Else a row would change its side on the day on which a customer is erased."""
    _, trained, _ = quarantined(team)
    with team.store.write() as session:
        session.exec(delete(SplitKey).where(SplitKey.key == f"customer:{trained.customer}"))
        session.get_one(Example, trained.key).customer = None
    attest(team, [simple(99)])
    assert placed(team, team.freeze("later"))[21] is Side.QUARANTINE


def test_topics_without_validation_rows_are_told_the_largest_first(team: Team) -> None:
    attest(team, [simple(number) for number in range(30)])
    attest(team, [simple(number, topic="tone", language="de") for number in range(100, 103)])
    attest(team, [simple(200, topic="returns")])
    version = team.freeze("v1")
    lacking = {(row["topic"], row["language"]): row["rows"] for row in version.manifest["no_validation"]}
    assert lacking == {("tone", "de"): 3, ("returns", "en"): 1}
    found = next(one for one in version.manifest["findings"] if one["rule"] == "split.no_validation")
    assert found["message"] == "Nothing validates tone in German (3 rows), returns in English (1 row)."


def freeze_with(team: Team, rows: list[Row], name: str = "own") -> DatasetVersion:
    options = dataset.Options(validation=rows)
    return dataset.freeze(team.store, team.olga, NOON, name=name, options=options)[0]


def test_a_validation_file_of_ones_own_is_the_whole_validation_side(team: Team) -> None:
    attest(team, [simple(number) for number in range(20)])
    version = freeze_with(team, [simple(number) for number in range(100, 104)])
    frozen = placed(team, version)
    assert [key for key, side in frozen.items() if side is Side.VALIDATION] == [21, 22, 23, 24]
    assert version.manifest["sides"] == {"train": 20, "validation": 4, "quarantine": 0}
    with team.store.read() as session:
        added = examples.find(session, 21)
        assert (added.source, added.attested) == ("validation:own", "Validation file of the dataset own")


def test_what_belongs_with_a_row_of_the_file_validates_too(team: Team) -> None:
    attest(team, [simple(0, customer="Maya"), *(simple(number) for number in range(1, 10))])
    frozen = placed(team, freeze_with(team, [simple(100, customer="Maya")]))
    assert [key for key, side in frozen.items() if side is Side.VALIDATION] == [1, 11]


def test_a_row_of_the_file_that_is_an_example_already_is_not_taken_twice(team: Team) -> None:
    team.approve("How long does the filter last?", "Six months.")
    attest(team, [simple(number) for number in range(5)])
    with team.store.read() as session:
        exported = examples.conversation_of(examples.find(session, 1), "Be brief.")
    frozen = placed(team, freeze_with(team, [Row(1, exported, {})]))
    assert len(frozen) == 6
    assert frozen[1] is Side.VALIDATION


def test_a_file_that_holds_what_was_trained_on_is_refused_by_line_and_reason(team: Team) -> None:
    attest(team, [simple(number, customer=f"c{number}") for number in range(20)])
    first = placed(team, team.freeze("v1"))
    trained = next(key for key, side in first.items() if side is Side.TRAIN)
    rows = [simple(300), simple(301, customer=f"c{trained - 1}")]
    with pytest.raises(Conflict) as refused:
        freeze_with(team, rows)
    assert str(refused.value) == (
        "1 of 2 rows of the validation file belong with rows that earlier datasets trained on: line 302 (customer). "
        "Take these lines out of the file: a side, once given, stays."
    )
    with team.store.read() as session:
        assert len(examples.approved(session)) == 20  # nothing of the file was kept
        assert [version.name for version in dataset.listed(session)] == ["v1"]


def test_a_file_that_leaves_nothing_to_train_on_is_refused(team: Team) -> None:
    attest(team, [simple(0)])
    with pytest.raises(Invalid, match="Nothing is left to train on"):
        freeze_with(team, [simple(0)])


def test_later_datasets_hold_out_of_what_is_new_again(team: Team) -> None:
    attest(team, [simple(number) for number in range(20)])
    first = placed(team, freeze_with(team, [simple(500)]))
    attest(team, [simple(number) for number in range(20, 60)])
    second = placed(team, team.freeze("v2"))
    assert {key: second[key] for key in first} == first
    assert list(second.values()).count(Side.VALIDATION) == 6


def test_what_nothing_validates_is_counted_by_topic_and_language() -> None:
    rows = [
        ("a", "en", Side.TRAIN),
        ("a", "en", Side.VALIDATION),
        ("b", "en", Side.TRAIN),
        ("c", "en", Side.QUARANTINE),
    ]
    assert sides.without_validation(rows) == {("b", "en"): 1}


def test_a_dataset_of_before_quarantine_was_kept_keeps_its_sides(team: Team, tmp_path: Path) -> None:
    """Versions frozen by an older program have neither pins nor the newer keys of the manifest."""
    version, _, _ = quarantined(team)
    with team.store.write() as session:
        session.exec(delete(SplitKey).where(SplitKey.key == "example:21"))
        row = session.get_one(DatasetVersion, version.key)
        row.manifest = {key: row.manifest[key] for key in ("digest", "rows", "sides", "kinds", "topics", "languages")}
    attest(team, [simple(99)])
    assert placed(team, team.freeze("later"))[21] is Side.QUARANTINE
    with team.store.read() as session:
        old = dataset.find(session, "after")
        dataset.write_files(session, old, tmp_path)
        assert ties_of(old.manifest) == []
    assert json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))["rows"] == 21
