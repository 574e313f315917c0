"""Backups, restores, migrations and bad days, as whoever keeps Errata running meets them."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread

import pytest
from builders import NOON, Team, new_team
from shell import Shell
from sqlalchemy import event, text

from bot import backups, database_files, migrations
from curation import audit, notices
from curation.errors import Conflict, Invalid, NotFound, StoreUnavailable, Unavailable
from curation.notices import NoticeKind
from curation.people import WORKER
from curation.store.engine import Store, open_engine
from training.foreground import sole_worker

ROOT = Path(__file__).parents[2]
FILLER = "The filter lasts six months; write it on the lid. " * 40


def url_of(file: Path) -> str:
    return f"sqlite:///{file}"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home folder whose database holds a team, three candidates and enough text to fill a hundred pages."""
    folder = tmp_path / "home"
    team = new_team(folder)
    for number in range(3):
        team.flag(f"Question {number}?", f"{number}: {FILLER * 20}")
    team.store.close()
    return folder


@contextmanager
def opened(home: Path) -> Iterator[Store]:
    store = Store(open_engine(url_of(home / "errata.db")))
    try:
        yield store
    finally:
        store.close()


def count(file: Path, table: str = "candidates") -> int:
    with closing(sqlite3.connect(file)) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 (names of ours)


def spoil(file: Path) -> None:
    """Overwrite a page in the middle of the file: the first of the corrections."""
    with closing(sqlite3.connect(file)) as connection:
        page = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'corrections'").fetchone()[0]
        connection.execute("PRAGMA journal_mode = DELETE")
    with file.open("r+b") as handle:
        handle.seek((page - 1) * 4096)
        handle.write(b"\xa5" * 4096)


def back_up(home: Path, out: Path | None = None) -> Path:
    return backups.back_up(url_of(home / "errata.db"), home, NOON, out=out)


def restore(home: Path, file: Path) -> tuple[Path | None, str]:
    return backups.restore(url_of(home / "errata.db"), home, NOON, file)


# Backing up.


def test_a_backup_is_one_private_file_with_everything_in_it(home: Path) -> None:
    copy = back_up(home)
    assert copy == home / "backups" / "errata-20261120T120000Z.db"
    assert sorted(path.name for path in copy.parent.iterdir()) == [copy.name]
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert count(copy) == 3
    assert database_files.damage(copy) is None


def test_a_backup_under_writers_holds_one_moment_of_the_database(home: Path, tmp_path: Path) -> None:
    stop = Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            with store.write() as session:  # two rows in one commit: a copy holds both or neither
                number += 1
                for table in ("one", "two"):
                    session.connection().execute(
                        text("INSERT INTO split_keys VALUES (:key, 'train')"), {"key": f"{table}-{number}"}
                    )

    with opened(home) as store:
        writer = Thread(target=write)
        writer.start()
        try:
            copies = [back_up(home, tmp_path / f"{number}.db") for number in range(5)]
        finally:
            stop.set()
            writer.join()
    for copy in copies:
        assert database_files.damage(copy) is None
        with closing(sqlite3.connect(copy)) as connection:
            keys = [key for (key,) in connection.execute("SELECT key FROM split_keys WHERE key LIKE '%-%'")]
        assert len([key for key in keys if key.startswith("one")]) == len(
            [key for key in keys if key.startswith("two")]
        )


def test_a_backup_never_replaces_a_file(home: Path, tmp_path: Path) -> None:
    (tmp_path / "kept.db").write_text("kept")
    with pytest.raises(Conflict, match=r"kept\.db exists already, and a backup is never overwritten"):
        back_up(home, tmp_path / "kept.db")
    with pytest.raises(Invalid, match="is a directory; name the file"):
        back_up(home, tmp_path)
    with pytest.raises(NotFound, match="nothing to back up"):
        back_up(tmp_path / "nowhere")


def test_postgresql_is_backed_up_with_its_own_tool_and_the_password_is_not_shown(home: Path) -> None:
    url = "postgresql+psycopg://errata:s3cret@db.example:5433/errata?sslmode=require"
    plain = "--dbname='postgresql://errata@db.example:5433/errata?sslmode=require'"
    with pytest.raises(Invalid) as refused:
        backups.back_up(url, home, NOON)
    assert f"pg_dump --format=custom --file=errata-20261120T120000Z.dump {plain}" in str(refused.value)
    with pytest.raises(Invalid) as refused:
        backups.restore(url, home, NOON, Path("errata.dump"))
    assert f"pg_restore --clean --if-exists --single-transaction {plain} errata.dump" in str(refused.value)
    assert "s3cret" not in str(refused.value)


# Restoring.


def test_a_restore_brings_back_what_was_and_keeps_what_it_replaced(home: Path) -> None:
    copy = back_up(home)
    with opened(home) as store, store.write() as session:
        audit.record(session, WORKER, NOON, "later", subject="x:1")
        session.connection().execute(text("DELETE FROM corrections"))
    kept, revision = restore(home, copy)
    assert (count(home / "errata.db", "corrections"), revision) == (3, migrations.head())
    assert kept is not None
    assert kept == home / "errata-replaced-20261120T120000Z.db"
    assert count(kept, "corrections") == 0
    assert restore(home, copy)[0] == home / "errata-replaced-20261120T120000Z-2.db"
    with opened(home) as store, store.read() as session:
        assert audit.verify(session).broken is None


def test_a_restore_into_an_empty_home_needs_nothing_to_replace(home: Path, tmp_path: Path) -> None:
    copy = back_up(home)
    assert restore(tmp_path / "new", copy) == (None, migrations.head())
    assert count(tmp_path / "new" / "errata.db") == 3


def test_nothing_is_replaced_while_a_worker_or_another_program_has_the_database(home: Path) -> None:
    copy = back_up(home)
    before = (home / "errata.db").stat().st_ino
    with sole_worker(home), pytest.raises(Conflict, match=r"A worker runs on .*: stop errata serve and errata work"):
        restore(home, copy)
    with opened(home) as store:
        with store.read() as session:
            audit.verify(session)
        with pytest.raises(Conflict, match=r"Another program has .*errata.db open: stop errata serve"):
            restore(home, copy)
    assert (home / "errata.db").stat().st_ino == before
    restore(home, copy)


def test_what_is_no_sound_backup_of_ours_is_refused_before_anything_is_replaced(home: Path, tmp_path: Path) -> None:
    before = (home / "errata.db").read_bytes()
    words, other, newer, spoilt = (tmp_path / name for name in ("words.db", "other.db", "newer.db", "spoilt.db"))
    words.write_text("no database at all " * 100)
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE things (name TEXT)")
    for file in (newer, spoilt):
        back_up(home, file)
    with closing(sqlite3.connect(newer)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    spoil(spoilt)
    for file, sentence in (
        (words, "words.db is no sound SQLite database .*; nothing was replaced"),
        (spoilt, "spoilt.db is no sound SQLite database .*; nothing was replaced"),
        (other, "other.db is not a database of Errata"),
        (newer, "newer.db is at revision 9999, which this program does not know: install a newer Errata"),
        (tmp_path / "missing.db", "There is no file .*missing.db; errata backup makes one"),
        (home / "errata.db", "is the database itself"),
    ):
        with pytest.raises((Invalid, Conflict, NotFound), match=sentence):
            restore(home, file)
    assert (home / "errata.db").read_bytes() == before
    assert [path.name for path in home.iterdir() if "part" in path.name or "replaced" in path.name] == []


def test_a_damaged_database_is_replaced_together_with_its_journal(home: Path) -> None:
    copy = back_up(home)
    with closing(sqlite3.connect(home / "errata.db")) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("UPDATE people SET display_name = 'Stale'")
        connection.commit()
        journal = (home / "errata.db-wal").read_bytes()
    (home / "errata.db").write_bytes(b"\xa5" * 8192)
    (home / "errata.db-wal").write_bytes(journal)  # as after a power cut
    kept, _ = restore(home, copy)
    assert kept is not None
    assert kept.with_name(kept.name + "-wal").read_bytes() == journal
    with closing(sqlite3.connect(home / "errata.db")) as connection:
        assert connection.execute("SELECT count(*) FROM people WHERE display_name = 'Stale'").fetchone() == (0,)


# Damage.


def test_a_damaged_page_is_seen_where_a_count_answers(home: Path, tmp_path: Path) -> None:
    spoil(home / "errata.db")
    assert count(home / "errata.db") == 3
    with pytest.raises(Unavailable, match=r"errata.db is damaged \(.+\). Stop Errata, .*: errata restore FILE"):
        database_files.require_sound(url_of(home / "errata.db"))
    with pytest.raises(Unavailable, match="is damaged"):
        back_up(home, tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()


@pytest.fixture
def errata(home: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """On this home."""
    monkeypatch.setenv("ERRATA_HOME", str(home))
    return shell


def test_neither_work_nor_serve_starts_on_a_damaged_database(
    errata: Shell, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(home / "errata.db")
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-1")
    monkeypatch.setenv("SLACK_SIGNING_SECRET", "secret")
    for words in (("work",), ("serve", "--http", "127.0.0.1:0")):
        code, _, err = errata(*words)
        assert (code, "is damaged" in err, "errata restore FILE" in err) == (3, True, True), err


# The commands.


def test_backup_restore_and_verify_as_commands(errata: Shell, tmp_path: Path) -> None:
    code, out, _ = errata("backup", "--out", str(tmp_path / "copy.db"))
    assert code == 0
    assert f"Restore it with: errata restore {tmp_path / 'copy.db'}" in out
    code, out, _ = errata("restore", str(tmp_path / "copy.db"))
    assert code == 0
    assert f"at revision {migrations.head()}" in out
    assert "What it replaced is in" in out
    assert errata("audit", "verify")[0] == 0
    assert errata("restore", str(tmp_path / "none.db"))[0] == 2


def test_an_anchor_outside_finds_a_chain_that_was_cut_or_written_anew(
    errata: Shell, home: Path, tmp_path: Path
) -> None:
    anchor = tmp_path / "errata.anchor"
    code, out, _ = errata("audit", "verify", "--anchor", str(anchor))
    assert code == 0
    assert f"{anchor} keeps it" in out
    head = json.loads(anchor.read_text())
    copy = back_up(home)
    with opened(home) as store, store.write() as session:
        audit.record(session, WORKER, NOON, "run.started", subject="run:1")
    assert errata("audit", "verify", "--anchor", str(anchor))[0] == 0
    assert json.loads(anchor.read_text())["entry"] == head["entry"] + 1
    restore(home, copy)
    code, out, _ = errata("audit", "verify", "--anchor", str(anchor))
    assert code == 1
    assert f"broken at entry {head['entry'] + 1}: it is another one than the anchor knows: an older backup" in out
    with opened(home) as store, store.write() as session:
        audit.record(session, WORKER, NOON, "another", subject="run:1")
    code, out, _ = errata("audit", "verify", "--anchor", str(anchor), "--json")
    assert (code, json.loads(out)["broken"]) == (1, head["entry"] + 1)
    assert json.loads(anchor.read_text())["entry"] == head["entry"] + 1  # a broken chain never moves the anchor on
    anchor.write_text("{}")
    assert errata("audit", "verify", "--anchor", str(anchor))[0] == 2


def test_search_shows_who_did_what(errata: Shell) -> None:
    code, out, _ = errata("audit", "search", "--actor", "Ana", "--json")
    assert code == 0
    assert {entry["action"] for entry in json.loads(out)} == {"candidate.proposed"}
    _, out, _ = errata("audit", "search", "--subject", "candidate:1")
    assert out.splitlines()[-1].split()[3:6] == ["Ana", "candidate.proposed", "candidate:1"]
    assert errata("audit", "search", "--since", "2030-01-01")[1] == "No entry matches.\n"
    assert errata("audit", "search", "--since", "yesterday")[0] == 2
    assert errata("audit", "search", "--actor", "nobody")[0] == 2


def test_verify_names_the_first_broken_entry(errata: Shell, home: Path) -> None:
    with opened(home) as store, store.engine.begin() as connection:
        connection.execute(text("UPDATE audit_entries SET actor = 'T1/UEVE' WHERE id = 4"))
    code, out, _ = errata("audit", "verify")
    assert code == 1
    assert out.startswith("The audit is broken at entry 4: its contents are not those that were sealed.")


# Bad days.


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A real file system of two megabytes, where this machine lets a test have one."""
    folder.mkdir()
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if mount is None or umount is None:
        pytest.skip("this machine has no mount")
    made = subprocess.run(  # noqa: S603 (found on the path, our own arguments)
        [mount, "-t", "tmpfs", "-o", "size=2m", "none", str(folder)], check=False, capture_output=True
    )
    if made.returncode:
        pytest.skip("only an administrator may mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run([umount, str(folder)], check=True)  # noqa: S603 (as above)


def fill(team: Team) -> None:
    for number in range(2_000):
        team.flag(f"Question {number}?", FILLER)


def test_on_a_full_disk_nothing_is_half_written_and_everything_before_can_be_read(tmp_path: Path) -> None:
    team = new_team(tmp_path / "home")

    @event.listens_for(team.store.engine, "connect")
    def limit(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA max_page_count = 120")  # SQLite then answers as for a full disk

    team.store.close()
    with pytest.raises(StoreUnavailable, match=r"The disk is full; nothing was written\. Free some space"):
        fill(team)
    with team.store.read() as session:
        assert audit.verify(session).broken is None
        proposed = audit.search(session, action="candidate.proposed")
    assert len(proposed) == count(tmp_path / "home" / "errata.db") > 0
    team.store.close()


def test_a_really_full_disk_stops_the_house_and_its_backups_with_a_sentence(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        team = new_team(disk / "home")
        with pytest.raises(StoreUnavailable, match="The disk is full; nothing was written"):
            fill(team)
        with team.store.read() as session:
            assert audit.verify(session).broken is None
        with pytest.raises(Unavailable, match=r"cannot be written .* nothing was changed. Free some space"):
            back_up(disk / "home")
        assert list((disk / "home").rglob("*.part*")) == []
        team.store.close()


def test_a_really_read_only_disk_is_said_so(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        team = new_team(disk / "home")
        team.flag("Question?", "Answer.")
        remount = [str(shutil.which("mount")), "-o", "remount,{}", str(disk)]
        team.store.close()
        subprocess.run([part.format("ro") for part in remount], check=True)  # noqa: S603 (as in small_disk)
        try:
            with pytest.raises((StoreUnavailable, Unavailable), match=r"read-only|cannot be opened"):
                team.flag("Question?", "Answer.")
            with pytest.raises(Unavailable, match=r"cannot be (written|read)"):
                back_up(disk / "home")
        finally:
            team.store.close()


def test_a_read_only_database_is_said_so(home: Path) -> None:
    engine = open_engine(f"sqlite:///file:{home / 'errata.db'}?mode=ro&uri=true")
    store = Store(engine)
    with (
        pytest.raises(StoreUnavailable, match="The database is read-only; nothing was written"),
        store.write() as session,
    ):
        audit.record(session, WORKER, NOON, "x", subject="x:1")
    store.close()


def test_a_clock_that_jumps_back_holds_up_no_notice_and_keeps_their_order(home: Path) -> None:
    with opened(home) as store:
        with store.write() as session:
            session.connection().execute(text("DELETE FROM notices"))
            for subject in ("candidate:1", "candidate:2"):
                notices.owe(session, NOON, NoticeKind.AUTHOR, subject=subject, destination="T1/C1")
        with store.write() as session:
            first, second = notices.due(session, NOON)
            notices.start(first, NOON)
            notices.put_off(first, NOON, trouble="ratelimited", retry_after=timedelta(minutes=1))
            wanted = [first.key, second.key]
        with store.read() as session:
            assert notices.due(session, NOON) == []  # the provider's minute
            assert [one.key for one in notices.due(session, NOON + timedelta(minutes=1))] == wanted
            assert [one.key for one in notices.due(session, NOON - timedelta(hours=2))] == wanted


def test_an_older_and_a_newer_program_both_say_what_to_do(errata: Shell, home: Path) -> None:
    with opened(home) as store, store.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for words in (("people", "list"), ("migrate",), ("work",)):
        code, _, err = errata(*words)
        assert code == 1
        assert "at revision 9999, which this program does not know: install a newer Errata" in err
    with opened(home) as store, store.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    code, _, err = errata("people", "list")
    assert code == 1
    assert f"is at revision 0001, and this program needs {migrations.head()}. Run: errata migrate" in err


def test_a_container_without_secrets_names_each_and_touches_nothing(tmp_path: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ERRATA_", "SLACK_"))}
    for words, names in (
        (["serve"], ["SLACK_BOT_TOKEN", "SLACK_APP_TOKEN"]),
        (["serve", "--http", "127.0.0.1:0"], ["SLACK_BOT_TOKEN", "SLACK_SIGNING_SECRET"]),
    ):
        done = subprocess.run(  # noqa: S603 (our own module, no shell)
            [sys.executable, "-m", "bot.cli", "--home", str(tmp_path / "none"), *words],
            env={**clean, "PYTHONPATH": str(ROOT)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert [name for name in names if f"{name} is missing" in done.stderr] == names
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "none").exists()
