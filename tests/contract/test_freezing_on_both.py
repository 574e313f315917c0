"""Freezing while others work, asked of SQLite and of a real PostgreSQL: nobody waits, and nothing stale is written."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from builders import NOON, Team
from sqlmodel import select

from curation import assistants, audit, examples, expiry
from curation.conversation import Conversation, Message, Role
from curation.datasets import dataset, freezing, requested
from curation.datasets.requested import RequestStatus
from curation.datasets.split import Side
from curation.errors import Conflict
from curation.formats.jsonl import Row
from curation.privacy import erasure, personal
from curation.privacy.treatment import Decision
from curation.store.engine import Store, open_engine
from curation.store.tables import DatasetVersion, Example, FreezeRequest, Notice

NUMBER = "My number is 22 33 44 55"


def other_process(store: Store) -> Store:
    """The same database, with a lock and a pool of its own."""
    return Store(open_engine(store.engine.url.render_as_string(hide_password=False)))


def row(number: int, words: str = "") -> Row:
    asked = "".join(random.Random(number).choices("abcdefghijklmnopqrstuvwxyz ", k=40))
    turns = (Message(Role.USER, f"{asked} {words}?"), Message(Role.ASSISTANT, "Yes."))
    return Row(number, Conversation(turns), {"thread": f"t{number}", "customer": f"c{number}"})


def attest(team: Team, *rows: Row, store: Store | None = None) -> None:
    with (store or team.store).write() as session:
        examples.attest(session, team.olga, NOON, rows, origin="import:old", reason="Known.")


def frozen_rows(team: Team, version: DatasetVersion) -> dict[int, Side]:
    with team.store.read() as session:
        return {item.example.key: item.side for item in dataset.items(session, version)}


def approve_another(team: Team, store: Store) -> None:
    attest(team, row(100), store=store)


def set_a_prompt(team: Team, store: Store) -> None:
    with store.write() as session:
        assistants.set_prompt(session, team.olga, NOON, name="Bris", text="Be brief.")


def erase_somebody(team: Team, store: Store) -> None:
    with store.write() as session:
        erasure.erase(session, team.olga, NOON, "c3")


def say_until_when(team: Team, store: Store) -> None:
    with store.write() as session:
        expiry.expire(session, team.ben, NOON, reason="Old.", after=NOON, example_ids=[4])


def keep_a_number(team: Team, store: Store) -> None:
    with store.write() as session:
        (found,) = personal.listed(session)
        personal.decide(
            session,
            team.ben,
            NOON,
            which=found.id,
            decision=Decision.KEEP,
            reason="Ours.",
            everywhere=False,
            key=b"a key of these tests",
        )


def freeze_as_well(team: Team, store: Store) -> None:
    dataset.freeze(store, team.olga, NOON, name="other", validation_share=0.5)


CHANGES = [set_a_prompt, erase_somebody, say_until_when, keep_a_number, freeze_as_well]


def disturbed(team: Team, change: Callable[[Team, Store], None], times: int = 1) -> tuple[DatasetVersion, list[str]]:
    """Freeze while another process changes something before the version is written, so many times; the stages."""
    other, stages = other_process(team.store), list[str]()

    def told(what: str, _done: int, _total: int) -> None:
        stages.append(what)
        if what == "Writing" and stages.count(what) <= times:
            change(team, other)

    try:
        return dataset.freeze(team.store, team.olga, NOON, name="v1", told=told)[0], stages
    finally:
        other.close()


def test_others_write_at_every_stage_and_what_they_approve_is_not_in_it(crew: Team) -> None:
    attest(crew, *(row(number) for number in range(1, 21)))
    other, wrote = other_process(crew.store), list[str]()

    def told(what: str, _done: int, _total: int) -> None:
        attest(crew, row(100 + len(wrote)), store=other)  # waits for ever while somebody holds the lock
        wrote.append(what)

    version, _ = dataset.freeze(crew.store, crew.olga, NOON, told=told)
    other.close()
    assert wrote == ["Looking for personal data", "Reading", "Placing rows", "Counting tokens", "Writing"]
    assert sorted(frozen_rows(crew, version)) == list(range(1, 21))
    assert crew.freeze("v2").manifest["rows"] == 20 + len(wrote)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_what_changes_before_it_is_written_is_in_it(crew: Team, change: Callable[[Team, Store], None]) -> None:
    crew.approve("How long does the filter last?", "Six months.")
    attest(crew, row(1, NUMBER), *(row(number) for number in range(2, 12)))
    version, stages = disturbed(crew, change)
    # Another dataset's sides may give this one's digest, which needs no second manifest.
    assert stages.count("Reading") == 2
    with crew.store.read() as session:
        items = {item.example.key: item for item in dataset.items(session, version)}
        frozen = version.manifest
        assert dataset.erased(session, version) == []
    if change is set_a_prompt:
        assert items[1].system == "Be brief."
    elif change in {erase_somebody, say_until_when}:
        assert 4 not in items
        assert frozen["rows"] == 11
    elif change is keep_a_number:
        assert "22 33 44 55" in items[2].conversation.first_user_text()
    else:
        assert version.name == "other"


def test_what_keeps_changing_is_not_frozen(crew: Team) -> None:
    crew.approve("How long does the filter last?", "Six months.")
    attest(crew, *(row(number) for number in range(2, 12)))
    texts = iter(f"Be brief: {number} words." for number in range(100))

    def change(team: Team, store: Store) -> None:
        with store.write() as session:
            assistants.set_prompt(session, team.olga, NOON, name="Bris", text=next(texts))

    with pytest.raises(Conflict, match="what was to be frozen kept changing"):
        disturbed(crew, change, times=freezing.ATTEMPTS)
    with crew.store.read() as session:
        assert dataset.listed(session) == []
        assert audit.search(session, action="dataset.frozen") == []


def test_a_version_is_never_written_over_a_name_that_was_taken_meanwhile(crew: Team) -> None:
    attest(crew, *(row(number) for number in range(2, 12)))

    def take_the_name(team: Team, store: Store) -> None:
        approve_another(team, store)
        dataset.freeze(store, team.olga, NOON, name="v1")

    with pytest.raises(Conflict, match="There is a dataset named v1 already"):
        disturbed(crew, take_the_name)
    with crew.store.read() as session:
        assert [version.manifest["rows"] for version in dataset.listed(session)] == [11]


def test_of_workers_of_many_processes_one_carries_a_request_out(crew: Team) -> None:
    attest(crew, *(row(number) for number in range(1, 30)))
    with crew.store.write() as session:
        asked = requested.ask(session, crew.olga, NOON, name="v1", validation_share=0.1, destination=crew.place)
    stores = [other_process(crew.store) for _ in range(4)]
    with ThreadPoolExecutor(4) as workers:
        list(workers.map(lambda store: requested.step(store, NOON), stores))
    for store in stores:
        store.close()
    with crew.store.read() as session:
        (request,) = session.exec(select(FreezeRequest))
        (notice,) = session.exec(select(Notice).where(Notice.kind == "dataset.frozen"))
        (version,) = dataset.listed(session)
        assert (request.key, request.status) == (asked.key, RequestStatus.FROZEN.value)
        assert (request.dataset_id, request.new, request.version) == (version.key, True, 2)
        assert notice.subject == f"freezing:{request.key}"
        assert len(audit.search(session, action="dataset.frozen")) == 1
        assert [one.action for one in audit.about(session, notice.subject)] == ["freezing.requested", "freezing.done"]
        assert audit.verify(session).broken is None
        assert all(example.scanned for example in session.exec(select(Example)))
