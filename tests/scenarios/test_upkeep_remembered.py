"""A restore is remembered by what it restored; a migration waits for workers; the doctor walks the audit's chain."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from alembic import command
from builders import NOON, new_team
from postgres import Postgres
from shell import Shell
from sqlalchemy import text

from bot import backups, migrations, restored, upgrading
from curation import audit
from curation.errors import Conflict, Unavailable
from curation.store.engine import Store, open_engine
from training.leases import Lease


@pytest.fixture
def errata(shell: Shell, tmp_path: Path) -> Shell:
    """On a home with a team in it."""
    new_team(tmp_path / "home").store.close()
    return shell


def url_of(file: Path) -> str:
    return f"sqlite:///{file}"


def at_revision(url: str, revision: str) -> None:
    """A database as an earlier program would have left it."""
    engine = open_engine(url)
    with engine.connect() as connection:
        config = migrations._config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()


def test_a_restored_database_has_its_restoring_in_its_audit(errata: Shell, tmp_path: Path) -> None:
    assert errata("backup", "--out", str(tmp_path / "copy.db"))[0] == 0
    before = (tmp_path / "copy.db").read_bytes()
    assert errata("restore", str(tmp_path / "copy.db"))[0] == 0
    code, out, _ = errata("audit", "search", "--actor", "system/host", "--json")
    assert code == 0
    (entry,) = json.loads(out)
    assert (entry["action"], entry["subject"]) == ("database.restored", "database:errata")
    assert entry["details"] == {"backup": "copy.db", "revision": migrations.head()}
    assert errata("audit", "verify")[0] == 0
    assert (tmp_path / "copy.db").read_bytes() == before  # the backup is nobody's to write to
    assert [path.name for path in (tmp_path / "home").iterdir() if "part" in path.name] == []


@pytest.mark.parametrize("revision", ["0001", "0002"])
def test_a_restored_backup_of_an_earlier_program_remembers_as_well(tmp_path: Path, revision: str) -> None:
    copy, home = tmp_path / "copy.db", tmp_path / "home"
    at_revision(url_of(copy), revision)
    assert backups.restore(url_of(home / "errata.db"), home, NOON, copy) == (None, revision)
    assert upgrading.migrate(url_of(home / "errata.db"), home, NOON).before == revision
    store = Store(open_engine(url_of(home / "errata.db")))
    with store.read() as session:
        assert [(one.action, one.at) for one in audit.search(session)] == [(restored.ACTION, NOON)]
        assert (audit.verify(session).entries, audit.verify(session).broken) == (1, None)
    store.close()


def test_ids_that_were_given_since_the_backup_are_not_given_again(tmp_path: Path) -> None:
    """Buttons and messages in Slack still name them."""
    home, copy = tmp_path / "home", tmp_path / "copy.db"
    team = new_team(home)
    team.approve("How long?", "Six months.")
    backups.back_up(url_of(home / "errata.db"), home, NOON, out=copy)
    since = team.approve("Is it safe?", "Yes.")
    team.store.close()
    backups.restore(url_of(home / "errata.db"), home, NOON, copy)
    team = replace(team, store=Store(open_engine(url_of(home / "errata.db"))))
    assert team.approve("Where from?", "Norway.") > since
    team.store.close()


def test_a_restore_that_cannot_be_remembered_is_none(tmp_path: Path) -> None:
    home, copy = tmp_path / "home", tmp_path / "copy.db"
    new_team(home).store.close()
    at_revision(url_of(copy), "0002")
    with closing(sqlite3.connect(copy)) as connection:
        connection.execute("DROP TABLE audit_entries")
    with pytest.raises(Unavailable, match=r"cannot be replaced .*; it is as it was"):
        backups.restore(url_of(home / "errata.db"), home, NOON, copy)
    with closing(sqlite3.connect(home / "errata.db")) as connection:
        assert connection.execute("SELECT count(*) FROM people").fetchone() == (4,)
    assert [path.name for path in home.iterdir() if "part" in path.name or "replaced" in path.name] == []


def test_the_doctor_walks_the_chain_of_the_audit(errata: Shell, tmp_path: Path) -> None:
    def seen() -> dict[str, str]:
        checks = {check["id"]: check for check in json.loads(errata("doctor", "--json")[1])}
        return dict(checks["audit"])

    assert seen()["state"] == "ok"
    with closing(sqlite3.connect(tmp_path / "home" / "errata.db")) as connection, connection:
        connection.execute("UPDATE audit_entries SET actor = 'T1/USOMEBODY' WHERE id = 2")
    check = seen()
    assert check["state"] == "failed"
    assert check["evidence"].startswith("The chain is broken at entry 2: ")
    assert "errata restore FILE" in check["remedy"]


def test_the_doctor_says_that_no_reply_was_counted_and_what_to_do(errata: Shell) -> None:
    checks = {check["id"]: check for check in json.loads(errata("doctor", "--json")[1])}
    assert checks["replies"]["state"] == "warning"
    assert "/invite @Errata" in checks["replies"]["remedy"]


def test_a_shared_database_is_not_migrated_under_a_worker(tmp_path: Path, postgres: Postgres) -> None:
    name = f"errata_{os.getpid()}_{tmp_path.name[-8:]}".lower().replace("-", "_")
    postgres.execute(f'CREATE DATABASE "{name}"')
    url = postgres.url(name)
    at_revision(url, "0002")
    store = Store(open_engine(url))
    with Lease(store), pytest.raises(Conflict, match=r"Workers run on the database \(.+\): stop every errata serve"):
        upgrading.migrate(url, tmp_path, NOON)
    with store.write() as session:  # a command that does a worker's part has the lead, and is no worker
        session.connection().execute(
            text(
                "INSERT INTO worker_leases VALUES ('leader', 'x', 1, now() AT TIME ZONE 'UTC', "
                "(now() AT TIME ZONE 'UTC') + interval '1 minute')"
            )
        )
    with pytest.raises(Conflict, match="A command does a worker's part on it: stop"):
        upgrading.migrate(url, tmp_path, NOON)
    with store.write() as session:
        session.connection().execute(text("UPDATE worker_leases SET expires_at = now() AT TIME ZONE 'UTC'"))
    assert upgrading.migrate(url, tmp_path, NOON).after == migrations.head()
    with Lease(store):  # nothing is left to be done under it
        assert upgrading.migrate(url, tmp_path, NOON).before == migrations.head()
    store.close()


def test_a_shared_database_without_tables_is_made(tmp_path: Path, postgres: Postgres) -> None:
    name = f"empty_{os.getpid()}_{tmp_path.name[-8:]}".lower().replace("-", "_")
    postgres.execute(f'CREATE DATABASE "{name}"')
    assert upgrading.migrate(postgres.url(name), tmp_path, NOON).before is None
