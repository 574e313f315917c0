"""Personal data from the command line: scanned, decided, cleaned, erased and kept no longer than it should be."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from builders import NOON, Office, Team, new_team
from sqlmodel import select

from bot import cli
from bot.working import _Alone, _Sweeping
from curation import audit, examples
from curation.conversation import Conversation, Message, Role
from curation.formats.jsonl import Row
from curation.people import WORKER
from curation.privacy import erasure
from curation.privacy.pseudonyms import KEY_FILE
from curation.store.tables import Candidate, Capture
from training.forgetting import GONE, OTHER, forget
from training.store.tables import Deployment, Evaluation, Run
from training.workplace import Workplace

ASKED = "I am at kari@nordmann.no, is it broken?"


@pytest.fixture
def crew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Team]:
    """A team whose home is the working directory of the commands."""
    monkeypatch.chdir(tmp_path)
    for name in ("ERRATA_PRIVACY", "ERRATA_ACTOR", "ERRATA_RETENTION_DAYS"):
        monkeypatch.delenv(name, raising=False)
    made = new_team(tmp_path)
    yield made
    made.store.close()


def errata(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    capsys.readouterr()
    assert cli.run(["--home", ".", "--as", "Olga", *words]) == code, capsys.readouterr().err
    return capsys.readouterr().out


def given(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    return json.loads(errata(capsys, *words, "--json"))


def test_a_finding_goes_from_the_scan_to_its_decision_and_out(
    crew: Team, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    crew.approve(ASKED, "No.")
    assert errata(capsys, "privacy", "scan", "--examples") == (
        "1 new findings, 1 undecided. Next: errata privacy list\n"
    )
    (found,) = given(capsys, "privacy", "list")
    assert (found["value"], found["subject"], found["kind"]) == ("kari@nordmann.no", "example:1", "email")
    assert "kari@nordmann.no" in errata(capsys, "privacy", "list")
    shown = errata(capsys, "privacy", "decide", "1", "pseudonymise")
    assert shown == "1 decided: pseudonymise. 0 wait. Next: errata dataset freeze\n"
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600
    assert errata(capsys, "privacy", "list") == "Nothing waits for a decision.\n"
    assert [one["decision"] for one in given(capsys, "privacy", "list", "--decided")] == ["pseudonymise"]
    errata(capsys, "dataset", "freeze", "v1")
    errata(capsys, "export", "v1", "--format", "openai", "--out", "v1.jsonl")
    left = Path("v1.jsonl").read_text(encoding="utf-8")
    assert "@pseudonym.invalid" in left
    assert "kari" not in left
    errata(capsys, "export", "v1", "--format", "openai", "--out", "again.jsonl")
    assert Path("again.jsonl").read_text(encoding="utf-8") == left


def test_a_whole_kind_is_decided_at_once_so_that_no_model_learns_to_say_a_placeholder(
    crew: Team, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (11, 22):
        crew.approve(f"Where do I call about {number}?", f"Call +47 22 33 44 {number}, or write to help{number}@x.no.")
    taught = "2 replies are trained on with a placeholder such as [PHONE]: the model would say it to customers."
    assert cli.run(["--home", ".", "--as", "Olga", "dataset", "freeze", "v1"]) == 0
    assert taught in capsys.readouterr().err
    shown = errata(capsys, "privacy", "decide", "phone", "pseudonymise")
    assert shown == "2 decided: pseudonymise. 2 wait. Next: errata privacy list\n"
    assert [one["kind"] for one in given(capsys, "privacy", "list")] == ["email", "email"]
    capsys.readouterr()
    assert cli.run(["--home", ".", "--as", "Olga", "privacy", "decide", "phone", "redact"]) == 2
    assert "No telephone numbers wait for a decision" in capsys.readouterr().err
    assert cli.run(["--home", ".", "--as", "Olga", "privacy", "decide", "fax", "redact"]) == 2
    assert "fax is neither a finding's id nor a kind; the kinds are email, phone" in capsys.readouterr().err
    errata(capsys, "privacy", "decide", "email", "keep", "--everywhere", "--reason", "Our own addresses")
    assert cli.run(["--home", ".", "--as", "Olga", "dataset", "freeze", "v2"]) == 0
    assert "placeholder" not in capsys.readouterr().err
    errata(capsys, "export", "v2", "--format", "openai", "--out", "v2.jsonl")
    left = Path("v2.jsonl").read_text(encoding="utf-8")
    assert "help11@x.no" in left
    assert "22 33 44" not in left
    assert "[PHONE]" not in left


def test_with_the_setting_review_a_freeze_names_what_it_left_out(
    crew: Team, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ERRATA_PRIVACY", "review")
    crew.approve(ASKED, "No.")
    crew.approve("Is it blue?", "Yes.")
    assert cli.run(["--home", ".", "--as", "Olga", "dataset", "freeze"]) == 0
    printed = capsys.readouterr()
    assert (
        "Left out: 1 example holds personal data that nobody has decided about. See: errata privacy list" in printed.err
    )
    monkeypatch.setenv("ERRATA_PRIVACY", "perhaps")
    assert cli.run(["--home", ".", "--as", "Olga", "dataset", "list"]) == 2
    assert "ERRATA_PRIVACY is none of redact, review and off" in capsys.readouterr().err


def test_a_file_is_scanned_by_its_lines(crew: Team, capsys: pytest.CaptureFixture[str]) -> None:
    assert crew
    rows = [{"messages": [{"role": "user", "content": text}]} for text in ("Hello", ASKED)]
    Path("in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert given(capsys, "privacy", "scan", "in.jsonl") == {
        "findings": [{"line": 2, "kind": "email", "value": "kari@nordmann.no"}]
    }
    errata(capsys, "privacy", "scan", code=2)


def test_cleaning_shows_by_default_and_writes_where_it_is_told(crew: Team, capsys: pytest.CaptureFixture[str]) -> None:
    assert crew
    row = {"messages": [{"role": "user", "content": "it\u200b is"}, {"role": "assistant", "content": "ok"}]}
    Path("in.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    shown = errata(capsys, "clean", "in.jsonl")
    assert shown.splitlines() == [
        "line 1: clean.invisible",
        "  user: it[-<U+200B>-] is",
        "1 of 1 rows would change. Nothing is written. Next: errata clean in.jsonl --out FILE",
    ]
    errata(capsys, "clean", "in.jsonl", "--out", "out.jsonl", "--dry-run")
    assert not Path("out.jsonl").exists()
    assert errata(capsys, "clean", "in.jsonl", "--out", "out.jsonl") == (
        "1 of 1 rows are changed. They are in out.jsonl. Next: errata check out.jsonl --model MODEL\n"
    )
    assert json.loads(Path("out.jsonl").read_text(encoding="utf-8"))["messages"][0]["content"] == "it is"
    assert given(capsys, "clean", "out.jsonl") == {"rows": 1, "changed": 0, "unread": [], "marked": [], "changes": []}
    errata(capsys, "clean", "in.jsonl", "--out", "in.jsonl", code=2)


def imported(crew: Team) -> None:
    rows = [
        Row(number, Conversation((Message(Role.USER, asked), Message(Role.ASSISTANT, "Yes."))), {"customer": customer})
        for number, (asked, customer) in enumerate((("My zeppelin?", "C-7"), ("Is it blue?", "C-8")), start=1)
    ]
    with crew.store.write() as session:
        examples.attest(session, crew.olga, NOON, rows, origin="import:x", reason="Reviewed")


def test_erasing_asks_first_shows_what_goes_and_names_what_it_cannot_reach(
    crew: Team, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    imported(crew)
    errata(capsys, "dataset", "freeze", "v1")
    errata(capsys, "export", "v1", "--format", "openai", "--out", "v1.jsonl")
    errata(capsys, "backup")
    dry = given(capsys, "erase", "--customer", "C-7", "--dry-run")
    assert (dry["examples"], dry["datasets"], dry["exports"]) == ([1], ["v1"], [str(tmp_path / "v1.jsonl")])
    assert (dry["erased"], len(dry["backups"])) == (False, 1)
    errata(capsys, "erase", "--customer", "C-7", code=1)  # nobody answers the question
    shown = errata(capsys, "erase", "--customer", "C-7", "--yes")
    assert "Rows become tombstones in: v1" in shown
    assert str(tmp_path / "v1.jsonl") in shown
    assert shown.endswith("Erased. Next: errata audit verify\n")
    errata(capsys, "audit", "verify")
    assert "Erased since: 1" in errata(capsys, "dataset", "show", "v1")
    errata(capsys, "erase", "--customer", "C-7", "--yes", code=2)
    errata(capsys, "erase", "--customer", "C-8", "--yes")
    assert "From v1 to v1: neither has a row that is left.\n" in errata(capsys, "dataset", "diff", "v1", "v1")
    assert cli.run(["--home", ".", "--as", "Ben", "erase", "--customer", "C-8", "--yes"]) == 1


def test_retention_counts_first_and_needs_to_know_how_old(crew: Team, capsys: pytest.CaptureFixture[str]) -> None:
    candidate = crew.flag("Is it blue?", "Yes.")
    with crew.store.write() as session:
        session.get_one(Candidate, candidate).flagged_at = NOON - timedelta(days=4000)
    errata(capsys, "retention", code=2)
    assert given(capsys, "retention", "--days", "3000", "--dry-run")["candidates"] == 1
    assert "1 candidates and 0 captures are removed" in errata(capsys, "retention", "--days", "3000")
    assert given(capsys, "retention", "--days", "3000")["candidates"] == 0


def test_who_asked_in_slack_is_known_and_can_be_erased_and_the_channel_forgets_it(office: Office) -> None:
    _, reply = office.ask("My zeppelin is leaking", "Wait for it.", aside="Is this one of ours?")
    assert office.correct(office.ana, reply, "Patch it.") == {}
    assert "zeppelin" in str(office.cards())
    with office.store.read() as session:
        (capture,) = session.exec(select(Capture))
    assert capture.speakers == [office.actor("customer").person_id]
    with office.store.write() as session:
        erasure.erase(session, office.actor("olga"), NOON, office.customer.user_id)
    (message,) = office.wait().cards()
    assert "zeppelin" not in str(message)
    assert "Nothing waits for review." in message["text"]


def test_the_worker_sweeps_once_a_day_where_the_setting_is_on(crew: Team, tmp_path: Path) -> None:
    time = [NOON]
    place = Workplace(crew.store, {}, tmp_path, lambda: time[0])

    def waiting() -> int:
        with crew.store.read() as session:
            return len(session.exec(select(Candidate.id)).all())

    daily, never = (_Sweeping(place, _Alone(), days) for days in (30, None))
    daily()
    crew.flag("Is it blue?", "Yes.")
    with crew.store.write() as session:
        session.get_one(Candidate, 1).flagged_at = NOON - timedelta(days=31)
    never()
    time[0] += timedelta(hours=23)
    daily()
    assert waiting() == 1
    time[0] += timedelta(hours=1)
    daily()
    assert waiting() == 0
    with crew.store.read() as session:
        (entry,) = audit.search(session, action="retention")
    assert entry.actor == WORKER.person_id


def test_what_runs_keep_of_an_erased_example_goes_and_their_verdicts_stay(crew: Team, tmp_path: Path) -> None:
    imported(crew)
    version = crew.freeze("v1")
    words = {"expected": "Yes.", "before": " Yes. ", "after": "My zeppelin!", "flagged": None}
    figures = {"after_scores": {"chrf": 0.1}, "margins": {"before": 0.5, "after": -0.5, "base": 0.5}}
    turns = {"messages": [{"role": "user", "content": "My zeppelin?"}]}
    safety = {"id": "nb-insult", "before": "", "after": "My zeppelin!", "after_findings": ["said"]}
    report = {
        "run_id": "run-1",
        "cases": [{"id": "1", "kind": "correction", **words, **figures, **turns}, {"id": "2", **words}],
        "sets": {
            "golden": {"rows": 1, "cases": [{"id": "7", **words, **turns, "right_after": False}]},
            "safety": {"rows": 1, "cases": [{**safety, **turns}]},
            "general": {"rows": 1, "before": [4.5], "after": [5.5], "tokens": [3]},
        },
    }
    with crew.store.write() as session:
        session.add(
            Run(
                id="run-1",
                dataset_id=version.key,
                backend="local",
                model="rehearsal",
                recipe_name="r",
                recipe={},
                status="completed",
                progress={},
                destinations=[],
                requested_by="x",
                requested_at=NOON,
            )
        )
        session.flush()
        session.add(Evaluation(run_id="run-1", verdict="better", report=report, evaluated_at=NOON))
        session.add(
            Deployment(run_id="run-1", status="live", test_question="My zeppelin?", requested_by="x", requested_at=NOON)
        )
    run = tmp_path / "runs" / "run-1"
    (run / "data").mkdir(parents=True)
    (run / "evaluation").mkdir()
    (run / "evaluation" / "report.json").write_text(json.dumps(report))
    (run / "evaluation" / "replies.jsonl").write_text('{"of": "before", "digest": "d", "reply": "My zeppelin?"}\n')
    (run / "cases.jsonl").write_text('{"id": "1", "expected": "Yes."}\n{"id": "2", "expected": "Yes."}\n')
    (run / "data" / "train.jsonl").write_text("".join(f'{{"metadata": {{"example": {key}}}}}\n' for key in (1, 2)))
    assert forget(crew.store, tmp_path) == []
    with crew.store.write() as session:
        erasure.erase(session, crew.olga, NOON, "C-7")
    for _ in range(2):  # it can be repeated
        (sentence,) = forget(crew.store, tmp_path)
        assert sentence.startswith("run-1 was trained on 1 rows that are now erased; its model may repeat them.")
    assert (run / "cases.jsonl").read_text() == '{"id":"2","expected":"Yes."}\n'
    assert (run / "data" / "train.jsonl").read_text() == '{"metadata":{"example":2}}\n'
    marks = {"expected": GONE, "before": GONE, "after": OTHER, "flagged": None}
    silent = {
        "run_id": "run-1",
        "cases": [{"id": "1", "kind": "correction", **marks, **figures}, {"id": "2", **words}],
        "sets": {
            "golden": {"rows": 1, "cases": [{"id": "7", **marks, "right_after": False}]},
            "safety": {"rows": 1, "cases": [{**safety, "before": OTHER, "after": OTHER}]},
            "general": {"rows": 1, "before": [4.5], "after": [5.5], "tokens": [3]},
        },
    }
    assert json.loads((run / "evaluation" / "report.json").read_text()) == silent
    assert not (run / "evaluation" / "replies.jsonl").exists()
    with crew.store.read() as session:
        assert session.get_one(Evaluation, 1).report == silent
        assert session.get_one(Deployment, 1).test_question == GONE
