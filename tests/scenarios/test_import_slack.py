"""Slack's export archives: which replies become candidates, where they come from, and what is refused."""

from __future__ import annotations

import json
import os
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from builders import NOON, Team, new_team
from shell import Shell
from sqlmodel import select

from bot import archives
from curation import captures, proposals
from curation.errors import Conflict
from curation.privacy import erasure
from curation.store.engine import Store
from curation.store.tables import Candidate, Capture, Correction

Files = dict[str, Any]

USERS = [
    {"id": "UKARI", "team_id": "T1", "name": "kari", "profile": {"display_name": "Kari", "real_name": "Kari Nordmann"}},
    {"id": "UANA", "team_id": "T1", "name": "ana", "profile": {"display_name": "", "real_name": "Ana Ruiz"}},
]


def said(user: str, ts: str, text: str, *, thread: str | None = None, **more: Any) -> dict[str, Any]:
    message = {"type": "message", "user": user, "ts": ts, "text": text, **more}
    return message if thread is None else {**message, "thread_ts": thread}


QUESTION = "1767000000.000100"
REPLY = "1767090000.000200"


def workspace(**more: Any) -> Files:
    """An export as Slack writes it: a thread over two days in a public channel, one in a private one."""
    return {
        "users.json": USERS,
        "channels.json": [{"id": "C1", "name": "support", "members": []}, {"id": "C2", "name": "random"}],
        "groups.json": [{"id": "G1", "name": "vip"}],
        "dms.json": [{"id": "D1", "members": ["UKARI", "UBRIS"]}],
        "support/2025-12-29.json": [
            said("UKARI", "1766999999.000100", "<@UKARI> has joined", subtype="channel_join"),
            said("UKARI", QUESTION, "Is the <https://x.test|lamp> R&amp;D?", thread=QUESTION, reply_count=3),
            said("UBRIS", "1767000001.000200", "One moment.", thread=QUESTION, bot_id="BBRIS", subtype="bot_message"),
        ],
        "support/2025-12-30.json": [
            said(
                "UKARI", "1767089999.000100", "Well, <@UANA>?", thread=QUESTION, edited={"user": "UKARI", "ts": "1.1"}
            ),
            said("UBRIS", REPLY, "It is &lt;not&gt;.", thread=QUESTION, files=[{"id": "F1"}]),
            said("UANA", "1767090001.000100", "It is!", thread=QUESTION),
            said("UBRIS", "1767090002.000100", "Bris has set the topic", thread=QUESTION, subtype="channel_topic"),
            said("UANA", "1767090003.000100", "Lunch?"),
            said("UBRIS", "1767090004.000100", "Good morning!"),
        ],
        "vip/2025-12-30.json": [
            said("UKARI", "1767080000.000100", "Discount?"),
            said("UBRIS", "1767080001.000100", "Ten per cent.", thread="1767080000.000100"),
        ],
        "D1/2025-12-30.json": [said("UBRIS", "1767080001.000900", "Secret.")],
        "random/2025-12-30.json": [said("UANA", "1767080000.000300", "Cake!")],
        **more,
    }


def packed(file: Path, files: Files) -> Path:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content if isinstance(content, bytes) else json.dumps(content))
    return file


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    made = new_team(tmp_path / "home")
    yield made
    made.store.close()


@pytest.fixture
def errata(team: Team, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """On the team's database, as Ana or as whom it says."""
    monkeypatch.setenv("ERRATA_HOME", str(Path(str(team.store.engine.url.database)).parent))
    shell.acting = "T1/UANA"
    return shell


def everything(store: Store) -> list[Candidate]:
    with store.read() as session:
        return list(session.exec(select(Candidate).order_by(Candidate.source)).all())  # type: ignore[arg-type]


def test_the_last_reply_of_a_thread_becomes_a_candidate_as_a_capture_of_it_would(
    errata: Shell, team: Team, tmp_path: Path
) -> None:
    file = packed(tmp_path / "export.zip", workspace())
    code, out, err = errata("import-slack", str(file))
    assert (code, out) == (0, "2 candidates added from export.zip, 0 known already. Next: errata review\n")
    assert "#vip is private: whoever reviews can read 1 of its threads." in err
    assert "archive.thread (1)" in err  # the assistant's good morning answers nobody
    first, second = everything(team.store)
    assert first.source == f"T1/C1/{REPLY}"
    assert first.thread == f"T1/C1/{QUESTION}"
    assert [(turn["role"], turn["content"]) for turn in first.turns] == [
        ("user", "Is the lamp (https://x.test) R&D?"),
        ("assistant", "One moment."),
        ("user", "Well, @Ana Ruiz?"),
    ]
    assert first.reply == "It is <not>."
    assert (first.kind, first.status, first.assistant_id) == ("imported", "pending", team.assistant_id)
    assert first.note == "Staff wrote below it: It is!"
    assert second.source == "T1/G1/1767080001.000100"
    with team.store.read() as session:
        kept = session.get_one(Capture, first.capture_id)
        assert (kept.speakers, kept.staff_reply, kept.captured_by) == (["T1/UKARI"], "It is!", "T1/UANA")
        assert [one.text for one in session.exec(select(Correction))] == ["It is <not>.", "Ten per cent."]


def test_importing_again_adds_nothing_and_a_later_flag_finds_the_reply_known(
    errata: Shell, team: Team, tmp_path: Path
) -> None:
    file = packed(tmp_path / "export.zip", workspace())
    assert "2 candidates added" in errata("import-slack", str(file))[1]
    assert "0 candidates added from export.zip, 2 known" in errata("import-slack", str(file))[1]
    with team.store.read() as session, pytest.raises(Conflict, match="it is candidate 1 in the queue"):
        proposals.refuse_second(session, f"T1/C1/{REPLY}")


def test_what_was_flagged_before_is_known_to_the_import(errata: Shell, team: Team, tmp_path: Path) -> None:
    with team.store.write() as session:
        place = f"T1/C1/{REPLY}"
        kept = captures.keep(
            session, team.ben, NOON, assistant_id=team.assistant_id, source=place, thread=place, reply="It is not."
        )
        key = kept.key
    with team.store.write() as session:
        proposals.propose(
            session, team.ben, NOON, capture_id=key, correction="It is.", question="Is it?", review_in=None
        )
    file = packed(tmp_path / "export.zip", workspace())
    assert "1 candidates added from export.zip, 1 known" in errata("import-slack", str(file))[1]


def test_whoever_asked_in_an_imported_thread_can_have_it_erased(errata: Shell, team: Team, tmp_path: Path) -> None:
    errata("import-slack", str(packed(tmp_path / "export.zip", workspace())))
    with team.store.write() as session:
        assert len(erasure.erase(session, team.olga, NOON, "UKARI").candidates) == 2
    assert everything(team.store) == []


def test_a_dry_run_counts_and_writes_nothing(errata: Shell, team: Team, tmp_path: Path) -> None:
    file = packed(tmp_path / "export.zip", workspace())
    code, out, _ = errata("import-slack", str(file), "--dry-run", "--json")
    told = json.loads(out)
    assert (code, told["added"], told["known"]) == (0, 2, 0)
    assert (told["threads"], told["private"]) == ({"support": 1, "vip": 1}, ["vip"])
    assert everything(team.store) == []


def test_channels_and_days_narrow_an_import(errata: Shell, team: Team, tmp_path: Path) -> None:
    file = packed(tmp_path / "export.zip", workspace())
    assert errata("import-slack", str(file), "--channel", "sales")[0] == 2
    assert "no channel sales; it has random, support, vip" in errata("import-slack", str(file), "--channel", "sales")[2]
    assert "1 candidates added" in errata("import-slack", str(file), "--channel", "#support")[1]
    assert "0 candidates added" in errata("import-slack", str(file), "--since", "2026-01-01")[1]
    assert [one.source for one in everything(team.store)] == [f"T1/C1/{REPLY}"]


def test_a_damaged_day_stops_the_import_unless_the_rest_is_wanted(errata: Shell, team: Team, tmp_path: Path) -> None:
    broken = {"support/2025-12-31.json": b"[{", "support/2026-01-01.json": {"ok": False}}
    file = packed(tmp_path / "export.zip", workspace(**broken))
    code, out, err = errata("import-slack", str(file))
    assert (code, out) == (1, "")
    assert "support/2025-12-31.json cannot be read: it is not JSON." in err
    assert "support/2026-01-01.json is not a list of messages." in err
    assert everything(team.store) == []
    assert "2 candidates added" in errata("import-slack", str(file), "--skip-invalid")[1]


def with_day(file: Path, *day: Any) -> Path:
    """The usual workspace, with one more day in it."""
    return packed(file, workspace(**{"support/2026-01-03.json": list(day)}))


def test_half_a_character_in_a_message_never_reaches_the_queue(errata: Shell, team: Team, tmp_path: Path) -> None:
    question, reply = "1767400000.000100", "1767400001.000100"
    file = with_day(
        tmp_path / "export.zip",
        said("UKARI", question, "lone \ud83d half and nul \0."),
        said("UBRIS", reply, "ja \udc00\0", thread=question),
        said("UANA", "1767400002.000100", "nei \ud800", thread=question),
    )
    assert "3 candidates added" in errata("import-slack", str(file))[1]
    (taken,) = (one for one in everything(team.store) if one.source == f"T1/C1/{reply}")
    assert taken.turns == [{"role": "user", "content": "lone  half and nul ."}]
    assert (taken.reply, taken.note) == ("ja", "Staff wrote below it: nei")
    code, out, _ = errata("queue", acting="T1/UBEN")
    assert (code, "lone" in out) == (0, True)
    assert errata("queue", "--json", acting="T1/UBEN")[0] == 0
    for one in everything(team.store):
        assert errata("review", str(one.key), "--approve", acting="T1/UBEN")[0] == 0
    assert errata("export", "--format", "openai", "--out", "out.jsonl", acting="T1/UOLGA")[0] == 0
    assert "lone  half" in (tmp_path / "out.jsonl").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "strange",
    [
        said("UKARI", "1767400000.000100", "Hi", subtype=["a"]),
        said("UBRIS", "1767400000.000100", "Hi", thread="garbage"),
        said("UBRIS", "1767400000.000100", "Hi", thread={"a": 1}),  # type: ignore[arg-type]
        said("UBRIS", "garbage", "Hi"),
        "no message",
    ],
    ids=["subtype", "thread", "thread-object", "ts", "text"],
)
def test_an_entry_that_is_no_message_is_told_and_the_rest_can_be_taken(
    errata: Shell, team: Team, tmp_path: Path, strange: Any
) -> None:
    file = with_day(tmp_path / "export.zip", strange)
    code, _, err = errata("import-slack", str(file))
    assert code == 1
    assert "support/2026-01-03.json: 1 of its 1 entries are no messages as Slack writes them." in err
    assert everything(team.store) == []
    assert "2 candidates added" in errata("import-slack", str(file), "--skip-invalid")[1]


def test_a_person_who_is_no_person_speaks_for_nobody(errata: Shell, team: Team, tmp_path: Path) -> None:
    question = "1767400000.000100"
    odd = said("UKARI", question, "Hi?") | {"user": {"a": 1}}
    file = with_day(tmp_path / "export.zip", odd, said("UBRIS", "1767400001.000100", "Yes", thread=question))
    assert "3 candidates added" in errata("import-slack", str(file))[1]
    with team.store.read() as session:
        assert {tuple(kept.speakers or ()) for kept in session.exec(select(Capture))} == {("T1/UKARI",), ()}


@pytest.mark.parametrize("offset", [0, 4], ids=["content", "method"])
def test_a_day_whose_bytes_are_damaged_is_told_as_such(errata: Shell, tmp_path: Path, offset: int) -> None:
    name = "support/2026-01-03.json"
    file = with_day(tmp_path / "export.zip", *(said("UKARI", f"17674{n:05}.000100", f"q{n * n}") for n in range(300)))
    with zipfile.ZipFile(file) as archive:
        info = archive.getinfo(name)
    raw = bytearray(file.read_bytes())
    if offset:  # an unknown way of packing, in the entry and in the list of entries
        at = raw.rindex(name.encode()) - 46 + 10
        raw[at : at + 2] = raw[info.header_offset + 8 : info.header_offset + 10] = (99).to_bytes(2, "little")
    else:
        start = info.header_offset + 30 + len(name)
        raw[start + 20 : start + 60] = bytes(byte ^ 0x5A for byte in raw[start + 20 : start + 60])
    file.write_bytes(raw)
    code, _, err = errata("import-slack", str(file))
    assert (code, f"{name} cannot be read: it is damaged." in err) == (1, True)
    assert "2 candidates added" in errata("import-slack", str(file), "--skip-invalid")[1]


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"notes.txt": b"Hello"}, "is no export of a Slack workspace: it has no channels.json"),
        (workspace(**{"../../etc/passwd": b"x"}), "names a file outside of itself"),
        (workspace(**{"/etc/passwd": b"x"}), "names a file outside of itself"),
        (workspace(**{"..\\evil.json": b"x"}), "names a file outside of itself"),
        (workspace(**{"support/2026-01-02.json": b"[" + b" " * 5_000_000 + b"]"}), "unpacks to far more than Slack"),
        (workspace(**{"channels.json": b"[" * 100_000}), "channels.json in .* cannot be read"),
        (workspace(**{"users.json": [{"id": "U1", "team_id": "T2"}]}), "is of the workspace T2, and the assistant"),
    ],
)
def test_an_archive_that_is_none_or_means_harm_is_refused(
    errata: Shell, team: Team, tmp_path: Path, files: Files, sentence: str
) -> None:
    code, out, err = errata("import-slack", str(packed(tmp_path / "export.zip", files)))
    assert (code, out) == (2, "")
    assert re.search(sentence, err)
    assert err.count("\n") == 1
    assert everything(team.store) == []


def test_a_file_larger_than_it_says_is_not_read_to_its_end(
    errata: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MAX_FILE_BYTES", 300)
    code, _, err = errata("import-slack", str(packed(tmp_path / "export.zip", workspace())))
    assert code == 2
    assert "unpacks to far more than Slack ever writes" in err


def test_what_is_no_archive_is_told_so(errata: Shell, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "pipe is no file" in errata("import-slack", "pipe")[2]
    file = tmp_path / "export.zip"
    assert "No such file" in errata("import-slack", str(file))[2]
    file.write_text("no ZIP")
    assert "it is no ZIP" in errata("import-slack", str(file))[2]


def test_with_several_assistants_somebody_says_whose_replies(errata: Shell, tmp_path: Path) -> None:
    file = str(packed(tmp_path / "export.zip", workspace()))
    errata("assistants", "add", "Nova", "--bot", "UNOVA", "--team", "T1", acting="T1/UOLGA")
    assert "Say whose replies, with --assistant: there are Bris, Nova." in errata("import-slack", file)[2]
    assert "0 candidates added" in errata("import-slack", file, "--assistant", "Nova")[1]
    assert "2 candidates added" in errata("import-slack", file, "--assistant", "Bris")[1]
