"""A customer is erased everywhere, in one transaction, on SQLite and on PostgreSQL; old captures go by themselves."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from builders import NOON, Team, new_team
from sqlalchemy import inspect, text
from sqlmodel import select

from curation import audit, captures, examples, handover, people
from curation.candidates import CandidateStatus
from curation.conversation import Conversation, Message, Role
from curation.datasets import dataset
from curation.errors import Invalid, NotAllowed, NotFound
from curation.formats.exports import write
from curation.formats.format import Format
from curation.formats.jsonl import Row
from curation.people import WORKER
from curation.policies import RoleName
from curation.privacy import erasure, personal, releases, retention
from curation.privacy.treatment import Decision, Policy, Terms
from curation.reviews import Verdict
from curation.similarity.duplicates import fingerprint
from curation.store.engine import Store
from curation.store.tables import (
    Candidate,
    Capture,
    Correction,
    Example,
    HandledRequest,
    Notice,
    PrivacyFinding,
    PrivacyValue,
    Review,
    SplitKey,
)

WORDS = "My zeppelin is leaking at Mølleveien 7"
CUSTOMER = "UKARI"


def speaks(team: Team, candidate_id: int, person: str, asked: str = WORDS) -> None:
    """Have the candidate's capture know who asked."""
    with team.store.write() as session:
        candidate = session.get_one(Candidate, candidate_id)
        captures.fill(
            session,
            candidate.capture_id or 0,
            Conversation((Message(Role.USER, asked),)),
            reply="It lasts for ever.",
            staff_reply="Call me",
            speakers={person},
        )


def erase(team: Team, customer: str = CUSTOMER) -> erasure.Erased:
    with team.store.write() as session:
        return erasure.erase(session, team.olga, NOON, customer)


def everything(store: Store) -> str:
    """All that stands in any table, as text; JSON without escapes."""
    with store.engine.connect() as connection:
        names = [name for name in inspect(connection).get_table_names() if not name.startswith("candidate_search_")]
        rows: list[Any] = []
        for name in names:
            quoted = connection.dialect.identifier_preparer.quote(name)
            rows += [tuple(row) for row in connection.execute(text(f"SELECT * FROM {quoted}"))]  # noqa: S608
    return repr(rows).encode().decode("unicode_escape", errors="replace") + json.dumps(rows, default=str)


def furnished(team: Team) -> None:
    """Two threads of Kari's, one approved and frozen and one waiting, and one of somebody else's."""
    approved = team.approve(WORDS, "Patch it.")
    speaks(team, approved, f"T1/{CUSTOMER}")
    waiting = team.flag(f"{WORDS}, still", "Patch it again.")
    speaks(team, waiting, f"T1/{CUSTOMER}")
    team.decide(waiting, Verdict.RETURN, comment=f"She wrote: {WORDS}")
    other = team.approve("Does the lamp come in blue?", "It does.")
    speaks(team, other, "T1/UOTHER", "Does the lamp come in blue?")
    with team.store.write() as session:
        people.meet(session, NOON, people.person_id("T1", CUSTOMER), display_name="Kari Zeppelin")
        session.add(HandledRequest(key="k", status=200, content_type="x", body=WORDS.encode(), handled_at=NOON))


def test_nothing_of_a_customer_is_left_in_any_table(crew: Team) -> None:
    furnished(crew)
    with crew.store.write() as session:
        personal.look(session, examples.approved(session))
    version = crew.freeze("v1")
    assert "zeppelin" in everything(crew.store).lower()
    erased = erase(crew)
    assert (erased.examples, erased.candidates, erased.captures, erased.datasets) == ([1], [1, 2], [1, 2], ["v1"])
    left = everything(crew.store).lower()
    assert "zeppelin" not in left
    assert "mølleveien" not in left
    assert "does the lamp come in blue?" in left
    with crew.store.read() as session:
        assert [one.key for one in session.exec(select(Candidate))] == [3]
        assert {one.candidate_id for one in session.exec(select(Correction))} == {3}
        assert {one.candidate_id for one in session.exec(select(Review))} == {3}
        assert {one.example_id for one in session.exec(select(PrivacyFinding))} <= {2}
        assert [one.key for one in examples.approved(session)] == [2]
        assert not [key for key in session.exec(select(SplitKey.key)) if key == "thread:T1/C1/1700000001.000100"]
        assert (len(dataset.items(session, version)), dataset.erased(session, version)) == (1, [1])
        assert people.name_of(session, f"T1/{CUSTOMER}") == CUSTOMER


def test_a_dataset_goes_on_with_its_rows_in_their_places_and_says_which_are_gone(crew: Team, tmp_path: Path) -> None:
    furnished(crew)
    version = crew.freeze("v1")
    erase(crew)
    with crew.store.read() as session:
        dataset.write_files(session, dataset.find(session, "v1"), tmp_path / "files")
    about = json.loads((tmp_path / "files" / "manifest.json").read_text())
    assert (about["digest"], about["erased"]) == (version.digest, [1])
    lines = "".join((tmp_path / "files" / f"{side}.jsonl").read_text() for side in ("train", "validation"))
    assert "zeppelin" not in lines.lower()
    assert "lamp" in lines
    second = crew.freeze("v2")
    assert second.manifest["rows"] == 1


def test_the_audit_holds_and_holds_no_key(crew: Team) -> None:
    furnished(crew)
    erase(crew)
    with crew.store.read() as session:
        assert audit.verify(session).broken is None
        (entry,) = audit.search(session, action="customer.erased")
    assert entry.details == {"captures": 2, "candidates": 2, "examples": 1, "datasets": 0}
    assert CUSTOMER not in repr((entry.subject, entry.details))


def test_a_customer_of_an_imported_file_goes_by_the_name_that_the_file_gives(crew: Team) -> None:
    rows = [
        Row(number, Conversation((Message(Role.USER, asked), Message(Role.ASSISTANT, "Yes."))), {"customer": name})
        for number, (asked, name) in enumerate([(WORDS, "kari@x.no"), ("Blue?", "ola@x.no")], start=1)
    ]
    with crew.store.write() as session:
        examples.attest(session, crew.olga, NOON, rows, origin="import:x", reason="Reviewed")
    assert erase(crew, "kari@x.no").examples == [1]
    left = everything(crew.store)
    assert "kari@x.no" not in left
    assert "ola@x.no" in left


def test_a_thread_is_a_key_as_well_and_goes_as_a_whole(crew: Team) -> None:
    first = crew.approve(WORDS, "Patch it.", thread="T1/C1/7.0")
    crew.flag("And now?", "Wait.", thread="T1/C1/7.0")
    erased = erase(crew, "T1/C1/7.0")
    assert (erased.candidates, erased.threads) == ([first, first + 1], ["T1/C1/7.0"])


def test_erasing_again_finds_nothing_and_a_part_of_an_id_is_no_key(crew: Team) -> None:
    furnished(crew)
    with pytest.raises(NotFound, match="Nothing is kept of UKAR"):
        erase(crew, "UKAR")
    erase(crew, f"T1/{CUSTOMER}")
    with pytest.raises(NotFound, match=f"Nothing is kept of {CUSTOMER}"):
        erase(crew)
    with pytest.raises(Invalid, match="Say whom"):
        erase(crew, " ")


def test_what_fails_half_way_erases_nothing(crew: Team) -> None:
    furnished(crew)
    before = everything(crew.store)

    def cut() -> None:
        with crew.store.write() as session:
            erasure.erase(session, crew.olga, NOON, CUSTOMER)
            raise RuntimeError("the power is cut")

    with pytest.raises(RuntimeError, match="the power is cut"):
        cut()
    assert everything(crew.store) == before


def test_looking_takes_nothing_and_both_take_an_owner(crew: Team) -> None:
    furnished(crew)
    before = everything(crew.store)
    with crew.store.read() as session:
        assert erasure.find(session, crew.olga, CUSTOMER).candidates == [1, 2]
        for actor in (crew.ana, crew.ben):
            with pytest.raises(NotAllowed, match="may not erase customers"):
                erasure.find(session, actor, CUSTOMER)
    assert everything(crew.store) == before


def test_somebody_with_a_role_keeps_their_name(crew: Team) -> None:
    candidate = crew.approve(WORDS, "Patch it.")
    speaks(crew, candidate, crew.ben.person_id)
    erase(crew, "UBEN")
    with crew.store.read() as session:
        assert people.name_of(session, crew.ben.person_id) == "Ben"
        assert RoleName.REVIEWER in people.roles(session, crew.ben.person_id)


def test_files_that_left_are_named_those_of_other_datasets_are_not(crew: Team, tmp_path: Path) -> None:
    crew.approve("Does the lamp come in blue?", "It does.")
    early = crew.freeze("v1")
    speaks(crew, crew.approve(WORDS, "Patch it."), f"T1/{CUSTOMER}")
    late = crew.freeze("v2")
    for version in (early, late, None):
        out = tmp_path / f"{version.name if version else 'all'}.jsonl"
        with crew.store.write() as session:
            name = version.name if version else None
            rows = handover.hand_over(session, crew.olga, NOON, target=Format.OPENAI, name=name).rows
            written = write(rows, Format.OPENAI, out)
            releases.record_export(session, crew.olga, NOON, out, target="openai", version=version, rows=written)
    assert erase(crew).exports == [str(tmp_path / "v2.jsonl"), str(tmp_path / "all.jsonl")]


def test_the_author_and_the_channel_are_owed_messages_in_which_the_words_are_gone(crew: Team) -> None:
    from bot.rendering import NOT_KEPT, render  # noqa: PLC0415

    furnished(crew)
    with crew.store.write() as session:
        for notice in session.exec(select(Notice).where(Notice.subject == "candidate:1")):
            notice.status, notice.message_ref = "delivered", "C1/1.2"
            session.add(notice)
    erased = erase(crew)
    with crew.store.read() as session:
        owed = list(session.exec(select(Notice).where(Notice.status == "queued", Notice.subject != "candidate:3")))
        said = {one.subject: render(session, one, NOON) for one in owed}
    assert set(said) == {"candidate:1", "queue:T1/C1"}
    assert said["candidate:1"].text == NOT_KEPT
    assert WORDS not in str(said)
    assert erased.messages == []


def test_sqlite_keeps_no_trace_in_its_file(tmp_path: Path) -> None:
    crew = new_team(tmp_path)
    furnished(crew)

    def with_traces() -> list[str]:
        return [file.name for file in tmp_path.glob("errata.db*") if b"zeppelin" in file.read_bytes().lower()]

    assert with_traces()
    erase(crew)
    erasure.clear_traces(crew.store)
    assert with_traces() == []
    crew.store.close()


# Retention: the candidates are of NOON.


def sweep(team: Team, days_later: int, *, days: int = 30, dry_run: bool = False) -> retention.Swept:
    with team.store.write() as session:
        return retention.sweep(session, WORKER, NOON + timedelta(days=days_later), days=days, dry_run=dry_run)


def aged(team: Team) -> None:
    """An approved candidate, a pending, a returned and a rejected one, and a capture without any."""
    team.approve(WORDS, "Patch it.")
    team.flag("two", "two")
    team.decide(team.flag("three", "three"), Verdict.RETURN, comment="why")
    team.decide(team.flag("four", "four"), Verdict.REJECT, comment="no")
    with team.store.write() as session:
        captures.keep(
            session, team.ana, NOON, assistant_id=team.assistant_id, source="T1/C1/9.1", thread="T1/C1/9.0", reply="x"
        )


def test_what_is_old_and_not_approved_goes_and_what_is_younger_stays(crew: Team) -> None:
    aged(crew)
    assert not sweep(crew, 30)
    counts = retention.Swept(candidates=3, captures=4, emptied=1)
    assert sweep(crew, 31, dry_run=True) == counts
    assert sweep(crew, 31) == counts
    assert not sweep(crew, 31)
    with crew.store.read() as session:
        assert [one.status for one in session.exec(select(Candidate))] == [CandidateStatus.APPROVED.value]
        (capture,) = session.exec(select(Capture))
        assert (capture.reply, capture.turns, capture.staff_reply) == ("", None, None)
        assert [one.messages[0]["content"] for one in session.exec(select(Example))] == [WORDS]
        assert [entry.details["candidates"] for entry in audit.search(session, action="retention")] == [3]


def test_after_retention_a_customer_can_still_be_erased(crew: Team) -> None:
    speaks(crew, crew.approve(WORDS, "Patch it."), f"T1/{CUSTOMER}")
    sweep(crew, 31)
    assert erase(crew).examples == [1]


def test_only_owners_and_the_worker_sweep_and_a_day_is_the_least(crew: Team) -> None:
    with crew.store.write() as session, pytest.raises(NotAllowed):
        retention.sweep(session, crew.ben, NOON, days=30)
    with pytest.raises(Invalid, match="from 1 on"):
        sweep(crew, 31, days=0)


def of_file(team: Team, *rows: tuple[str, str | None], origin: str = "import:x", **labels: str) -> None:
    """Attested rows of a file: what each asks, and its customer."""
    with team.store.write() as session:
        made = [
            Row(
                number,
                Conversation((Message(Role.USER, asked), Message(Role.ASSISTANT, "Yes."))),
                {"customer": name, **labels},
            )
            for number, (asked, name) in enumerate(rows, start=1)
        ]
        examples.attest(session, team.olga, NOON, made, origin=origin, reason="Reviewed")


def test_the_name_of_an_erased_customer_leaves_nowhere_although_nobody_knows_it_any_more(crew: Team) -> None:
    of_file(crew, ("Blue?", "Brunhilde Zwetschgenbaum"), ("For Brunhilde Zwetschgenbaum, please: red?", "C-2"))
    waiting = crew.flag("Is it for Brunhilde?", "Ask Frau Zwetschgenbaum or Kari.")
    with crew.store.read() as session:
        told = erasure.find(session, crew.olga, "Brunhilde Zwetschgenbaum")
    assert (told.examples, told.named) == ([1], ["example:2", f"candidate:{waiting}"])
    assert erase(crew, "Brunhilde Zwetschgenbaum").named == told.named
    crew.decide(waiting, Verdict.APPROVE)
    with crew.store.write() as session:
        personal.look(session, examples.approved(session), again=True)
        left = handover.hand_over(session, crew.olga, NOON, target=Format.OPENAI).rows
        decided = personal.listed(session, decided=True)
    said = " ".join(turn.content for row in left for turn in row.conversation.messages)
    assert "For [NAME], please: red?" in said
    assert "Is it for [NAME]? Ask Frau [NAME] or Kari." in said.replace("Answer briefly", "")
    assert {one.reason for one in decided} == {"The name of an erased customer."}


def test_what_somebody_decided_about_a_name_holds_after_its_customer_is_erased(crew: Team) -> None:
    of_file(crew, ("Blue?", "Bodil Zwetschgenbaum"), ("Is the Bodil in stock?", "C-2"))
    with crew.store.write() as session:
        personal.look(session, examples.approved(session))
        (found,) = (one for one in personal.listed(session) if one.value == "Bodil")
        personal.decide(
            session,
            crew.ben,
            NOON,
            which=found.id,
            decision=Decision.KEEP,
            reason="A lamp of ours",
            everywhere=False,
            key=b"k",
        )
    assert erase(crew, "Bodil Zwetschgenbaum").named == ["example:2"]
    with crew.store.read() as session:
        assert [(one.value, one.decision) for one in personal.listed(session, decided=True)] == [("Bodil", "keep")]


def test_a_name_that_somebody_else_bears_as_well_is_left_to_the_scan(crew: Team) -> None:
    of_file(crew, ("Blue?", "Zwetschgenbaum"), ("Is Zwetschgenbaum here?", "C-2"), origin="import:a")
    of_file(crew, ("Red?", "Zwetschgenbaum"), origin="import:b")
    with crew.store.read() as session:
        thread = session.get_one(Example, 1).thread
    assert erase(crew, thread).named == []


def test_a_customer_goes_in_whichever_way_the_name_is_spelled(crew: Team) -> None:
    with crew.store.write() as session:
        of_spellings = [("Blue?", "O'Neil-Müller"), ("Red?", "O’Neil-Mu\u0308ller"), ("Green?", "Oneil")]
        for number, (asked, name) in enumerate(of_spellings):
            people_row = {"customer": name, "thread": f"t{number}"}
            row = Row(1, Conversation((Message(Role.USER, asked), Message(Role.ASSISTANT, "Yes."))), people_row)
            examples.attest(session, crew.olga, NOON, [row], origin=f"import:{number}", reason="Reviewed")
        session.get_one(Example, 2).customer = "O’Neil-Mu\u0308ller"  # as it was kept before spellings were one
    crew.freeze("v1")
    assert erase(crew, "O’Neil-Müller").examples == [1, 2]
    assert "Neil-M" not in everything(crew.store)
    with crew.store.read() as session:
        assert not [key for key in session.exec(select(SplitKey.key)) if "Neil-" in key]


def test_no_topic_that_is_named_after_an_erased_customer_stays(crew: Team) -> None:
    of_file(crew, ("Blue?", "kari@x.no"), ("Green?", "ola@x.no"))
    with crew.store.write() as session:
        for key, topic in ((1, "of kari@x.no"), (2, "lamps")):
            session.get_one(Example, key).topic = topic
    dataset.freeze(crew.store, crew.olga, NOON, name="v1", options=dataset.Options(privacy=Terms(Policy.OFF)))
    assert "of kari@x.no" in everything(crew.store)
    erase(crew, "kari@x.no")
    assert "kari@x.no" not in everything(crew.store)
    with crew.store.read() as session:
        assert session.get_one(Example, 1).topic == "of [EMAIL]"
        assert dataset.find(session, "v1").manifest["topics"] == {"lamps": 1, "of [EMAIL]": 1}


def test_no_question_of_an_erased_customer_stays_among_the_keys_of_the_sides(crew: Team) -> None:
    of_file(crew, ("Does the zeppelin leak?", "kari"), ("Does the lamp come in blue?", "ola"), ("Is it on?", "kari"))
    of_file(crew, ("Is it on?", "per"), origin="import:y")
    crew.freeze("v1")
    erase(crew, "kari")
    with crew.store.read() as session:
        left = {key for key in session.exec(select(SplitKey.key)) if key.startswith("text:")}
    assert left == {f"text:{fingerprint(asked)}" for asked in ("Does the lamp come in blue?", "Is it on?")}


def test_what_was_decided_about_a_value_of_theirs_everywhere_is_forgotten_but_for_what_may_be_read(crew: Team) -> None:
    of_file(crew, ("I am at kari@x.no, call 22 33 44 55", "kari"), ("Is your hotline 22334455?", "ola"))
    with crew.store.write() as session:
        personal.look(session, examples.approved(session))
        for one in personal.listed(session):
            decision = Decision.KEEP if one.kind == "phone" else Decision.REDACT
            personal.decide(
                session,
                crew.ben,
                NOON,
                which=one.id,
                decision=decision,
                reason="So",
                everywhere=True,
                key=b"k",
            )
    erase(crew, "kari")
    with crew.store.read() as session:
        assert [(one.kind, one.decision) for one in session.exec(select(PrivacyValue))] == [("phone", "keep")]


@pytest.mark.parametrize("days", [36_501, 99_999_999_999])
def test_retention_takes_no_more_days_than_there_are(crew: Team, days: int) -> None:
    with crew.store.write() as session, pytest.raises(Invalid, match="to 36,500 at most"):
        retention.sweep(session, crew.olga, NOON, days=days)
