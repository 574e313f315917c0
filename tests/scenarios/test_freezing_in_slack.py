"""``/errata freeze``: an answer at once, a dataset from the worker, and a notice that says what came of it."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from builders import NOON, Office, Team, open_office
from sqlmodel import col, select

from bot.app import now
from bot.working import _freeze
from curation import assistants, audit, examples, expiry, people
from curation.conversation import Conversation, Message, Role
from curation.datasets import dataset, manifest, requested
from curation.formats.jsonl import Row
from curation.policies import RoleName
from curation.store.engine import Store
from curation.store.tables import DatasetVersion, Example, Notice
from training.workplace import Workplace

QUESTION = "How long does the filter last?"


class Crowd:
    """An office, its people as a team, and a worker that freezes when it is told to."""

    def __init__(self, office: Office) -> None:
        self.office = office
        actors = {name: office.actor(name) for name in ("ana", "ben", "bea", "olga")}
        self.team = Team(office.store, 1, f"{office.workspace.team_id}/{office.channel}", **actors)

    def say(self, words: str) -> str:
        return str(self.office.olga.command("/errata", words, self.office.channel).get("text", ""))

    def ask_in_the_form(self) -> str:
        """Send the form of ``/errata freeze`` as it is, without a name; what it says then."""
        self.say("freeze")
        assert self.office.olga.submit() == {}
        return json.dumps(self.office.olga.modal, ensure_ascii=False)

    def work(self) -> int:
        """Requests that were carried out until none was left, by what the worker's round does."""
        place = Workplace(self.office.store, {}, Path("nowhere"), now)
        done = 0
        while _freeze(place, self.office.settings):
            done += 1
        return done

    def notice(self) -> str:
        """The newest message of Errata's in the channel, as a person reads it."""
        return json.dumps(self.office.cards()[-1]["blocks"], ensure_ascii=False)

    def versions(self) -> list[DatasetVersion]:
        with self.office.store.read() as session:
            return dataset.listed(session)[::-1]

    def attest(self, *rows: Row) -> None:
        with self.office.store.write() as session:
            examples.attest(session, self.team.olga, NOON, rows, origin="import:old", reason="Known.")


@pytest.fixture
def crowd(office: Office) -> Crowd:
    made = Crowd(office)
    made.team.approve(QUESTION, "Six months.")
    made.team.approve("Is the jug safe in the dishwasher?", "The lid is not.")
    return made


def test_the_person_is_answered_at_once_and_the_channel_hears_what_the_worker_froze(crowd: Crowd) -> None:
    assert crowd.say("freeze first") == "*first* is being frozen; this channel hears what came of it."
    assert crowd.versions() == []
    assert crowd.work() == 1
    (version,) = crowd.versions()
    assert (version.name, version.frozen_by) == ("first", crowd.team.olga.person_id)
    told = crowd.notice()
    assert "*Dataset first is frozen.* 1 row to train on, 1 row held out." in told
    assert f"Digest {version.digest[:12]}" in told
    assert "`/errata train first`" in told
    assert crowd.say("train first").startswith("*run-")
    assert crowd.work() == 0


def test_the_manifest_is_that_of_the_command_line_tokens_included(crowd: Crowd) -> None:
    crowd.say("freeze first 50%")
    crowd.work()
    (version,) = crowd.versions()
    counted = version.manifest["tokens"]
    assert set(counted) == {counter.name for counter in manifest.counters()}
    exact = next(name for name, tokens in counted.items() if tokens["exact"])
    assert f"{counted[exact]['total']:,} by {exact}" in crowd.notice()
    with crowd.office.store.write() as session:
        for row in session.exec(select(DatasetVersion)):
            row.digest, row.name = "another", "other"
            session.add(row)
    options = dataset.Options(counters=manifest.counters(), privacy=crowd.office.settings.privacy_terms)
    by_hand, _ = dataset.freeze(crowd.office.store, crowd.team.olga, NOON, validation_share=0.5, options=options)
    assert by_hand.manifest == version.manifest


def test_a_command_delivered_twice_is_one_request(crowd: Crowd) -> None:
    said = crowd.ask_in_the_form()
    for kind in ("command", "interaction"):
        sent = next(one for one in reversed(crowd.office.workspace.deliveries) if one.kind == kind)
        assert crowd.office.workspace.redeliver(sent).answer.status == 200
    assert "*The next dataset*" in said
    with crowd.office.store.read() as session:
        assert len(requested.waiting(session)) == 1
    assert crowd.work() == 1


def test_without_a_name_and_without_a_change_the_notice_names_the_dataset_there_is(crowd: Crowd) -> None:
    assert "*The next dataset* is being frozen" in crowd.ask_in_the_form()
    crowd.work()
    assert [version.name for version in crowd.versions()] == ["v1"]
    crowd.say("freeze again")
    crowd.work()
    assert "*Dataset v1 holds exactly these examples already.*" in crowd.notice()
    assert [version.name for version in crowd.versions()] == ["v1"]


def test_what_stays_behind_is_said_with_the_reason(tmp_path: Path) -> None:
    with open_office(tmp_path, ERRATA_PRIVACY="review") as office:
        crowd = Crowd(office)
        crowd.attest(*(row(number) for number in range(30)))
        crowd.say("freeze v1")
        crowd.work()
        with office.store.read() as session:
            sides = {item.side.value: item.example for item in dataset.items(session, crowd.versions()[0])}
        asked = Conversation.from_json(sides["validation"].messages).first_user_text()
        crowd.attest(
            Row(1, answered(asked, "Tied."), {"thread": "new", "customer": sides["train"].customer}),
            Row(2, answered("I am at kari@nordmann.no, is it broken?", "No."), {"thread": "newer"}),
        )
        with office.store.write() as session:
            expiry.expire(session, crowd.team.ben, NOON, reason="Old.", after=NOON, example_ids=[sides["train"].key])
        crowd.say("freeze v2")
        crowd.work()
        told = crowd.notice()
    assert "• Left out: 1 example has expired. See: errata examples renew" in told
    assert "• Left out: 1 example holds personal data that nobody has decided about. See: errata privacy list" in told
    assert "• In no file: 1 example lies between the two sides. See: errata dataset show v2" in told
    assert "[privacy.undecided]" not in told  # it would say once more what was left out


def test_two_replies_to_one_question_are_told_in_the_notice(crowd: Crowd) -> None:
    crowd.team.approve(QUESTION, "A year.", thread="another")
    crowd.say("freeze v1")
    crowd.work()
    assert "1 question has replies that differ, by example: 1 and 3. Decide which reply is right" in crowd.notice()


def test_a_freeze_that_is_refused_later_is_told_and_keeps_no_other_from_being_made(crowd: Crowd) -> None:
    with crowd.office.store.write() as session:
        fjord = assistants.add(session, crowd.team.olga, NOON, name="Fjord", team_id="T9", speaks_as={"UFJORD"})
        session.get_one(Example, 1).assistant_id = fjord.key
    crowd.say("freeze first")
    crowd.say("freeze second")
    assert crowd.work() == 2
    assert "The system prompt of Fjord is not known" in crowd.notice()
    assert crowd.versions() == []
    with crowd.office.store.write() as session:
        assistants.set_prompt(session, crowd.team.olga, NOON, name="Fjord", text="Be brief.")
    crowd.say("freeze third")
    crowd.work()
    assert [version.name for version in crowd.versions()] == ["third"]


def test_requests_are_carried_out_in_their_order_and_each_once(crowd: Crowd) -> None:
    for name in ("a", "b", "c"):
        crowd.say(f"freeze {name}")
    with crowd.office.store.read() as session:
        assert [one.name for one in requested.waiting(session)] == ["a", "b", "c"]
    assert requested.step(crowd.office.store, NOON)
    with crowd.office.store.read() as session:
        assert [one.name for one in requested.waiting(session)] == ["b", "c"]
    assert crowd.work() == 2
    assert [version.name for version in crowd.versions()] == ["a"]
    with crowd.office.store.read() as session:
        told = session.exec(select(Notice).where(Notice.kind == "dataset.frozen").order_by(col(Notice.id))).all()
        outcomes = [requested.outcome_of(session, int(one.subject.partition(":")[2])) for one in told]
        assert [(one.name, one.new) for one in outcomes] == [("a", True), ("a", False), ("a", False)]
        assert audit.verify(session).broken is None


def test_of_workers_that_come_at_once_one_freezes_and_the_channel_hears_it_once(crowd: Crowd) -> None:
    crowd.say("freeze a")
    with ThreadPoolExecutor(4) as workers:
        list(workers.map(lambda _: requested.step(crowd.office.store, NOON), range(4)))
    with crowd.office.store.read() as session:
        assert len(session.exec(select(Notice).where(Notice.kind == "dataset.frozen")).all()) == 1
        assert len(audit.search(session, action="dataset.frozen")) == 1


def test_a_surprise_is_told_without_its_words_and_the_next_request_goes_on(
    crowd: Crowd, caplog: pytest.LogCaptureFixture
) -> None:
    crowd.say("freeze a")
    with crowd.office.store.write() as session:
        damaged = session.get_one(Example, 1)
        whole, damaged.messages = damaged.messages, [{"role": "alien"}]
    assert crowd.work() == 1
    assert "Freezing failed here; the worker's log says why." in crowd.notice()
    assert "alien" not in crowd.notice()
    assert "could not be frozen" in caplog.text
    with crowd.office.store.write() as session:
        session.get_one(Example, 1).messages = whole
    crowd.say("freeze b")
    crowd.work()
    assert [version.name for version in crowd.versions()] == ["b"]


def test_whoever_lost_the_role_before_the_worker_came_gets_no_dataset(crowd: Crowd) -> None:
    crowd.say("freeze a")
    with crowd.office.store.write() as session:
        people.grant(session, crowd.team.olga, NOON, person=crowd.team.ben.person_id, role=RoleName.OWNER)
        people.revoke(session, crowd.team.ben, NOON, person=crowd.team.olga.person_id, role=RoleName.OWNER)
    crowd.work()
    assert crowd.versions() == []
    assert "Olga may not freeze datasets" in crowd.notice()


def test_a_dataset_from_before_personal_data_was_treated_is_not_trained_on(crowd: Crowd) -> None:
    crowd.say("freeze v1")
    crowd.work()
    untreat(crowd.office.store)
    refused = "v1 was frozen without a look at personal data, so no model is tuned on it."
    assert crowd.say("train v1") == f"{refused} Freeze a new one with: errata dataset freeze"
    crowd.say("freeze v2")  # the look that it takes finds nothing, so the dataset is the one there was
    crowd.work()
    assert "*Dataset v1 holds exactly these examples already.*" in crowd.notice()
    assert crowd.say("train v1").startswith("*run-")


def untreat(store: Store) -> None:
    """Make the only dataset one from before there was any treatment."""
    with store.write() as session:
        version = session.exec(select(DatasetVersion)).one()
        version.manifest = {key: value for key, value in version.manifest.items() if key != "privacy"}
        for example in session.exec(select(Example)):
            example.scanned = None


def answered(question: str, reply: str) -> Conversation:
    return Conversation((Message(Role.USER, question), Message(Role.ASSISTANT, reply)))


def row(number: int) -> Row:
    words = f"{'abcdefghijklmnopqrstuvwxyzäöüåøæ'[number] * 9} {number * 7919}"
    return Row(number, answered(f"{words}?", "Yes."), {"thread": f"t{number}", "customer": f"c{number}"})


def test_a_topic_that_would_ping_pings_nobody_and_a_long_list_is_cut_to_what_slack_takes(crowd: Crowd) -> None:
    topics = [f"<!channel> *{'x' * 60}* {number}" for number in range(25)]
    crowd.attest(*(Row(one.line, one.conversation, {"topic": topics[one.line]}) for one in map(row, range(25))))
    crowd.say("freeze v1")
    crowd.work()
    (notice,) = [card for card in crowd.office.cards() if card["text"] == "Dataset v1 is frozen."]
    assert "<!channel>" not in json.dumps(notice)
    assert "&lt;!channel&gt;" in json.dumps(notice)
    assert "`/errata train v1`" in json.dumps(notice)
