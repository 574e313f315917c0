"""Migrations on the real engine: they give the tables of the code, twice is once, and newer ones are refused."""

# ruff: noqa: S608 (rows of a test's own)

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from builders import Team
from sqlalchemy import Table, inspect, text
from sqlalchemy.engine import Engine
from sqlmodel import SQLModel, select

import training.store.tables  # noqa: F401 (registers its tables, and curation's)
from bot import backups, migrations, upgrading
from curation import audit, people
from curation.errors import Conflict, Unavailable
from curation.people import WORKER
from curation.policies import RoleName
from curation.privacy import erasure, personal
from curation.store.engine import Store, open_engine
from curation.store.tables import Notice, PrivacyValue
from training import runs


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    opened = open_engine(f"sqlite:///{tmp_path / 'errata.db'}")
    yield opened
    opened.dispose()


def test_a_fresh_database_has_exactly_the_tables_of_the_code(engine: Engine) -> None:
    migrations.upgrade(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                "compare_server_default": True,
                "render_as_batch": True,
                "include_name": migrations.is_modelled,
            },
        )
        assert compare_metadata(context, SQLModel.metadata) == []


def test_upgrading_twice_changes_nothing(engine: Engine) -> None:
    assert migrations.current(engine) is None
    assert migrations.upgrade(engine) == migrations.head()
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO split_keys (key, side) VALUES ('thread:1', 'train')"))
    assert migrations.upgrade(engine) == migrations.head() == migrations.current(engine)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT side FROM split_keys")).scalar_one() == "train"


def test_a_database_of_a_newer_program_is_refused_and_left_alone(engine: Engine) -> None:
    migrations.upgrade(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Conflict, match="at revision 9999, which this program does not know: install a newer Errata"):
        migrations.upgrade(engine)
    assert migrations.current(engine) == "9999"


def test_an_upgrade_that_fails_half_way_leaves_nothing_and_can_be_tried_again(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE runs (id TEXT)"))  # in the way of a later table
    with pytest.raises(Exception, match="runs already exists"):
        migrations.upgrade(engine)
    with engine.begin() as connection:
        assert set(inspect(connection).get_table_names()) <= {"runs", "alembic_version"}
        connection.execute(text("DROP TABLE runs"))
    assert migrations.upgrade(engine) == migrations.head()


# Upgrading what somebody has filled: each earlier revision, with rows written as its program wrote them.

AT = "2026-11-01 09:30:00.000000"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)

FILLED = {
    "0001": f"""
        INSERT INTO people VALUES ('T1/UANA', 'Ana', '{AT}'), ('T1/UOLGA', 'Olga', '{AT}');
        INSERT INTO role_grants VALUES ('T1/UOLGA', 'owner', 'T1/UOLGA', '{AT}');
        INSERT INTO assistants VALUES (1, 'Bris', 'T1', '{AT}');
        INSERT INTO speaker_rules VALUES (1, 1, 'UBRIS', 'assistant');
        INSERT INTO system_prompts VALUES (1, 1, 1, 'You are Bris.', '{AT}', 'T1/UOLGA');
        INSERT INTO captures VALUES (1, 1, 'T1/C1/1.1', 'T1/C1/1.0', 'T1/UANA', '{AT}', 'No idea.', NULL, '[]', NULL);
        INSERT INTO candidates (id, kind, status, source, thread, capture_id, assistant_id, turns, reply, flagged_by,
            flagged_at, version) VALUES
            (1, 'correction', 'approved', 'T1/C1/1.1', 'T1/C1/1.0', 1, 1, '[]', 'No idea.', 'T1/UANA', '{AT}', 1);
        INSERT INTO corrections VALUES (1, 1, 'Zażółć gęślą jaźń.', 'T1/UANA', '{AT}');
        INSERT INTO reviews VALUES (1, 1, 'T1/UOLGA', 'approve', NULL, 0, '{AT}');
        INSERT INTO examples (id, kind, candidate_id, assistant_id, messages, digest, source, thread, authors,
            approved_by, approved_at, self_approved) VALUES
            (1, 'correction', 1, 1, '[]', 'd1', 'T1/C1/1.1', 'T1/C1/1.0', '["T1/UANA"]', 'T1/UOLGA', '{AT}', 0);
        INSERT INTO dataset_versions VALUES (1, 'v1', 'd', '{{"rows": 1}}', 'T1/UOLGA', '{AT}');
        INSERT INTO dataset_rows VALUES (1, 0, 1, 'train', 1);
        INSERT INTO split_keys VALUES ('thread:T1/C1/1.0', 'train');
        INSERT INTO runs (id, dataset_id, backend, model, recipe_name, recipe, status, progress, destinations,
            requested_by, requested_at, version) VALUES
            ('run-1', 1, 'local', 'rehearsal', 'rehearsal', '{{}}', 'completed', '{{}}', '[]', 'T1/UOLGA', '{AT}', 3);
        INSERT INTO evaluations VALUES (1, 'run-1', 'better', '{{}}', '{AT}');
        INSERT INTO deployments (id, run_id, status, requested_by, requested_at) VALUES
            (1, 'run-1', 'requested', 'T1/UOLGA', '{AT}');
        INSERT INTO notices VALUES
            (1, 'candidate.card', 'candidate:1', 'T1/C1', 'c', 'delivered', 1, '{AT}', '{AT}', 'C1/1.2', NULL),
            (2, 'run.status', 'run:run-1', 'T1/C1', 'run:run-1', 'queued', 0, '{AT}', '{AT}', NULL, NULL);
        INSERT INTO handled_requests VALUES ('k', 200, 'text/plain', x'6f6b', '{AT}');
        INSERT INTO audit_entries VALUES
            (1, '{AT}', 'T1/UOLGA', 'role.granted', 'person:T1/UOLGA', '{{"role": "owner"}}'),
            (2, '2026-11-01 09:29:59.999999', 'T1/UANA', 'candidate.proposed', 'candidate:1', '{{}}'),
            (7, '{AT}', 'T1/UOLGA', 'candidates.imported', 'import:Łódź.jsonl', '{{"b": true, "added": 3}}');
    """,
    "0002": f"""
        INSERT INTO worker_leases VALUES ('w1', 'host', 7, '{AT}', '{AT}');
    """,
    "0003": f"""
        INSERT INTO replies VALUES ('T1/C1/1.1', 1, NULL, '{AT}', 0);
        INSERT INTO reply_flags VALUES ('T1/C1/1.1', 'T1/UANA', 1, '{AT}');
        INSERT INTO revocations VALUES ('T9', 'app_uninstalled', '{AT}');
    """,
    "0004": f"""
        INSERT INTO privacy_findings VALUES
            (1, 1, NULL, 0, 'email', 3, 19, 'keep', 0, NULL, 'Our own address.', 'T1/UOLGA', '{AT}');
        INSERT INTO exports VALUES (1, 'v1.jsonl', 'openai', 1, 1, 'd', 'T1/UOLGA', '{AT}');
    """,
    "0005": f"""
        INSERT INTO expiries VALUES (1, 1, '{AT}', 'The tariff ends.', 'T1/UOLGA', '{AT}', NULL);
        INSERT INTO dataset_notes VALUES (1, 1, 'The first one.', 'T1/UOLGA', '{AT}');
    """,
    "0006": f"""
        INSERT INTO screened_prompts VALUES (1, 1, NULL, 1, 'T1/UANA', 'f', '{AT}');
        INSERT INTO prompt_bands VALUES (12, 1);
        INSERT INTO candidate_findings VALUES (1, 1, 'screen.alike', 'warning', 'Barely differs.', 'Look.', '{AT}');
    """,
    "0007": f"""
        INSERT INTO corrections VALUES (2, 1, 'Six months.', 'T1/UOLGA', '{AT}');
    """,
    "0008": f"""
        INSERT INTO chat_tasks (id, kind, source, thread, asked_by, asked_at, status, attempts, not_before) VALUES
            (1, 'answer', 'T1/C1/1.3', 'T1/C1/1.0', 'T1/UANA', '{AT}', 'done', 1, '{AT}');
    """,
    "0009": f"""
        INSERT INTO candidates (id, kind, status, source, thread, turns, reply, flagged_by, flagged_at, version) VALUES
            (2, 'correction', 'pending', 'T1/C1/2.1', 'T1/C1/2.0', '[{{"role": "user", "content": "I am at k@x.no"}}]',
             'Call 22 33 44 55.', 'T1/UANA', '{AT}', 1);
        INSERT INTO corrections VALUES (3, 2, 'Call 22334455 now.', 'T1/UANA', '{AT}');
        INSERT INTO privacy_findings VALUES
            (2, NULL, 2, 0, 'email', 8, 14, 'redact', 0, NULL, NULL, 'T1/UOLGA', '{AT}'),
            (3, NULL, 2, -1, 'phone', 5, 16, 'keep', 1, NULL, 'Our hotline', 'T1/UOLGA', '{AT}'),
            (4, NULL, 2, 1, 'phone', 5, 13, NULL, 0, NULL, NULL, NULL, NULL);
        INSERT INTO chat_tasks (id, kind, source, thread, asked_by, asked_at, status, attempts, not_before) VALUES
            (2, 'answer', 'T1/C1/1.4', 'T1/C1/1.0', 'T1/UANA', '{AT}', 'done', 1, '{AT}');
    """,
    "0010": f"""
        INSERT INTO privacy_values VALUES ('email', 'm', 'redact', NULL, NULL, 'T1/UOLGA', '{AT}');
    """,
    "0011": f"""
        INSERT INTO freeze_requests (id, options, place, asked_by, asked_at, status, version) VALUES
            (1, '{{"validation_share": 0.1}}', 'T1/C1', 'T1/UOLGA', '{AT}', 'requested', 1);
    """,
    "0012": """
        UPDATE captures SET context = '["Returns are free within 30 days."]' WHERE id = 1;
    """,
    "0013": """
        UPDATE people SET language = 'nb', locale = 'en-US' WHERE id = 'T1/UANA';
    """,
    "0014": f"""
        UPDATE candidates SET place = 'T1/C1', urgency = 1 WHERE id = 2;
        UPDATE reviews SET correction_id = 1 WHERE id = 1;
        INSERT INTO claims VALUES (2, 'T1/UOLGA', '{AT}', '{AT}');
        INSERT INTO queue_messages VALUES ('T1/C1', 1, '{AT}');
    """,
    "0015": """
        UPDATE captures SET choices = '{"turns": [], "replies": []}' WHERE id = 1;
    """,
    "0016": f"""
        UPDATE people SET standing = 'member', standing_at = '{AT}' WHERE id = 'T1/UANA';
        INSERT INTO group_roles VALUES ('T1/UANA', 'reviewer', 'S0123ABCD', '{AT}');
        INSERT INTO installations VALUES
            ('T2', 'Lumen', NULL, 'B2', 'UERRATA2', 'xoxb-2', 'commands,chat:write', 'T2/UZOE', '{AT}');
        INSERT INTO install_states VALUES ('d', '{AT}');
    """,
    "0017": f"""
        INSERT INTO flag_dismissals VALUES ('T1/C1/1.1', 'T1/UOLGA', '{AT}');
        INSERT INTO reply_samples VALUES (1, '2026-W44', 1, 7, '{AT}');
        INSERT INTO sampled_replies VALUES (1, 'T1/C1/1.1', 'T1/C1');
        INSERT INTO digest_orders VALUES ('T1/C1', 'T1/UOLGA', '{AT}');
        INSERT INTO weekly_digests VALUES ('2026-W44', 'T1/C1', '{AT}');
    """,
    "0018": f"""
        INSERT INTO confirmations VALUES
            (1, 1, 'phi-4', NULL, 'local', 'T1/C1', '{{"train": 9}}', 'T1/UOLGA', '{AT}', '{AT}', 'run-1', 1);
    """,
    "0019": f"""
        INSERT INTO suggestions VALUES (1, 1, 'topic', 'billing', 0.9, 'run-1', '{AT}');
    """,
    "0020": f"""
        UPDATE runs SET cost = '{{"unknown": []}}' WHERE id = 'run-1';
        INSERT INTO consents VALUES (1, 'eastus2', 'us', 'T1/UOLGA', '{AT}');
        INSERT INTO filter_decisions VALUES (1, 'run-1', 0, 'Our own words only.', 'T1/UOLGA', '{AT}');
    """,
}  # fmt: skip


_AT_REVISION: dict[str, bytes] = {}
"""The databases of earlier revisions, for the next test that wants one of them or builds on it."""


def at_revision(engine: Engine, revision: str) -> None:
    """Build an earlier revision step by step, and fill what each step added as its program would have."""
    file, order = Path(str(engine.url.database)), list(FILLED)
    steps = order[: order.index(revision) + 1]
    built = [step for step in steps if step in _AT_REVISION]
    if built:
        file.write_bytes(_AT_REVISION[built[-1]])
    for step in steps[len(built) :]:
        with engine.connect() as connection:
            config = migrations._config()  # as ``upgrade`` calls it, which knows the newest revision only
            config.attributes["connection"] = connection
            command.upgrade(config, step)
        with engine.begin() as connection:
            for statement in FILLED[step].split(";\n"):
                if statement.strip():
                    connection.exec_driver_sql(statement)
        engine.dispose()  # the last connection to close brings the journal into the file
        _AT_REVISION[step] = file.read_bytes()


def counts(engine: Engine) -> dict[str, int]:
    with engine.connect() as connection:
        names = set(inspect(connection).get_table_names()) - {"alembic_version"}
        return {name: connection.execute(text(f"SELECT count(*) FROM {name}")).scalar_one() for name in names}


def migrate(engine: Engine) -> upgrading.Migrated:
    file = Path(str(engine.url.database))
    engine.dispose()
    return upgrading.migrate(f"sqlite:///{file}", file.parent, NOON)


def test_every_earlier_revision_is_filled_here() -> None:
    assert set(FILLED) == migrations._known() - {migrations.head()}


@pytest.mark.parametrize("revision", FILLED)
def test_an_earlier_database_is_brought_up_with_everything_in_it(engine: Engine, revision: str) -> None:
    at_revision(engine, revision)
    before = counts(engine)
    assert all(before.values())  # no table is left out of the try
    migrations.upgrade(engine)
    assert {name: count for name, count in counts(engine).items() if name in before} == before
    store = Store(engine)
    with store.write() as session:
        found = audit.verify(session)
        assert (found.entries, found.broken) == (3, None)
        audit.record(session, WORKER, NOON, "run.started", subject="run:run-1")
    with store.read() as session:
        assert audit.verify(session).entries == 4
        assert [entry.details for entry in audit.about(session, "import:Łódź.jsonl")] == [{"b": True, "added": 3}]
        assert runs.find(session, "run-1").version == 3
        assert people.name_of(session, "T1/UANA") == "Ana"
        assert [notice.delivered_at for notice in session.exec(select(Notice))] == [None, None]
    with engine.connect() as connection:
        options = {"compare_type": True, "render_as_batch": True, "include_name": migrations.is_modelled}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, SQLModel.metadata) == []
        assert connection.execute(text("PRAGMA foreign_key_check")).all() == []


def test_decisions_about_personal_data_are_about_their_values_from_then_on(engine: Engine) -> None:
    at_revision(engine, "0009")
    migrations.upgrade(engine)
    store = Store(engine)
    with store.write() as session:
        assert {one.value: one.decision for one in personal.listed(session, decided=True)} == {
            "k@x.no": "redact",
            "22 33 44 55": "keep",
        }
        assert [one.value for one in personal.listed(session)] == ["22334455"]
        (everywhere,) = session.exec(select(PrivacyValue))
        assert (everywhere.kind, everywhere.decision, everywhere.reason) == ("phone", "keep", "Our hotline")
        personal.look_at_queue(session)
    with store.write() as session:
        session.execute(text("DELETE FROM privacy_findings WHERE candidate_id = 2"))
        assert personal.look_at_queue(session) == 3
        assert [one.value for one in personal.listed(session)] == ["k@x.no"]  # the hotline is kept wherever it stands


def test_the_copy_made_first_is_the_database_as_it_was(engine: Engine) -> None:
    at_revision(engine, "0001")
    done = migrate(engine)
    file = Path(str(engine.url.database))
    assert done == upgrading.Migrated("0001", migrations.head(), file.with_name("errata-0001-20261120T120000Z.db"))
    assert done.copy is not None
    with closing(sqlite3.connect(done.copy)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == ("0001",)
        assert connection.execute("SELECT count(*) FROM audit_entries").fetchone() == (3,)
    again = migrate(engine)
    assert (again.before, again.copy) == (migrations.head(), None)
    kept, revision = backups.restore(f"sqlite:///{file}", file.parent, NOON, done.copy)
    assert (kept is not None, revision) == (True, "0001")
    assert migrate(engine).copy == file.with_name("errata-0001-20261120T120000Z-2.db")


@pytest.mark.parametrize(
    "trouble",
    [
        "op.execute('INSERT INTO nowhere VALUES (1)')",
        "op.execute('DELETE FROM candidates')  # of which a review is left",
        "raise RuntimeError('a surprise')",
    ],
)
def test_a_migration_that_fails_leaves_the_old_tables_and_says_where_the_copy_is(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    at_revision(engine, "0001")
    with engine.connect() as connection:
        before = list(connection.connection.driver_connection.iterdump())  # type: ignore[union-attr]  # it is open
    history = tmp_path / "migrations"
    shutil.copytree(migrations._HERE, history, ignore=shutil.ignore_patterns("__pycache__"))
    head = migrations.head()
    (history / "versions" / "9000_fails.py").write_text(
        f"from alembic import op\nrevision, down_revision = '9000', '{head}'\n\n\n"
        "def upgrade():\n    with op.batch_alter_table('runs') as batch_op:\n"
        f"        batch_op.alter_column('model', new_column_name='other')\n    {trouble}\n"
    )
    monkeypatch.setattr(migrations, "_HERE", history)
    with pytest.raises(Unavailable, match=r"The migration from 0001 failed \(.*\); the tables are as they were.*copy"):
        migrate(engine)
    with engine.connect() as connection:
        assert list(connection.connection.driver_connection.iterdump()) == before  # type: ignore[union-attr]
    monkeypatch.undo()
    assert migrate(engine).after == head


def test_what_half_a_migration_left_behind_is_cleared_away(engine: Engine) -> None:
    at_revision(engine, "0001")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE _alembic_tmp_audit_entries (id INTEGER)"))
    migrations.upgrade(engine)
    with engine.connect() as connection:
        assert [name for name in inspect(connection).get_table_names() if name.startswith("_")] == []


def test_half_a_migration_that_took_the_old_table_along_asks_for_the_copy(engine: Engine) -> None:
    at_revision(engine, "0001")
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE notices RENAME TO _alembic_tmp_notices"))
    with pytest.raises(Conflict, match="A migration of notices ended half way: restore the copy from before it"):
        migrations.upgrade(engine)
    with engine.connect() as connection:
        assert "_alembic_tmp_notices" in inspect(connection).get_table_names()


def test_nothing_is_migrated_under_a_program_that_works(engine: Engine) -> None:
    at_revision(engine, "0001")
    file = Path(str(engine.url.database))
    engine.dispose()
    with closing(sqlite3.connect(file)) as other:
        other.execute("SELECT count(*) FROM people").fetchone()
        with pytest.raises(Conflict, match=r"Another program has .* open: stop errata serve and errata work"):
            upgrading.migrate(f"sqlite:///{file}", file.parent, NOON)
    assert migrations.current(engine) == "0001"


def test_what_was_erased_before_gives_its_ids_to_nobody(engine: Engine) -> None:
    """Written by the program of before, whose tables had given the newest row's id to the next one."""
    team, thread = team_of_before(engine), "T1/C1/9.0"
    for question in ("How long?", "How long, please?"):
        team.approve(question, "Six months.", thread=thread)
    before = {table: newest(engine, table) for table in ("captures", "candidates", "reviews")}
    with team.store.write() as session:
        erasure.erase(session, team.olga, NOON, thread)
    kept = {table: newest(engine, table) for table in before}
    assert all(before[table] - kept[table] == 2 for table in before)
    migrations.upgrade(engine)
    assert {table: newest(engine, table) for table in before} == kept
    team.approve("Is it safe?", "Yes.", thread="T1/C1/10.0")
    assert all(newest(engine, table) > before[table] for table in before)


def test_words_in_a_table_that_was_written_anew_can_still_be_erased(engine: Engine) -> None:
    """The old table's pages are free ones then, which no erasure overwrites."""
    team, thread = team_of_before(engine), "T1/C1/9.0"
    for number in range(20):
        team.approve(f"My zeppelin {number} leaks. {'Mend it, please. ' * 40}", "Patch it.", thread=thread)
    engine.dispose()
    migrations.upgrade(engine)
    with team.store.write() as session:
        erasure.erase(session, team.olga, NOON, thread)
    erasure.clear_traces(team.store)
    engine.dispose()
    assert b"zeppelin" not in Path(str(engine.url.database)).read_bytes()


def team_of_before(engine: Engine) -> Team:
    """Who works on a database of revision 0020."""
    at_revision(engine, "0020")
    team = Team(Store(engine), assistant_id=1)
    with team.store.write() as session:
        people.grant(session, team.olga, NOON, person=team.ben.person_id, role=RoleName.REVIEWER)
        people.grant(session, team.olga, NOON, person=team.ana.person_id, role=RoleName.AGENT)
    return team


def newest(engine: Engine, table: str) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text(f"SELECT max(id) FROM {table}")).scalar_one())


def test_the_tables_that_give_an_id_once_are_those_of_the_code_and_keep_the_rest_of_their_form(engine: Engine) -> None:
    at_revision(engine, "0020")
    before = form(engine)
    migrations.upgrade(engine)
    after = form(engine)
    once = {name for name, words in after.items() if "AUTOINCREMENT" in words}
    assert {f"table {table.name}" for table in SQLModel.metadata.tables.values() if once_in_code(table)} == once
    assert before.keys() == after.keys() - {"table sqlite_sequence"}
    assert {name for name, words in before.items() if after[name] != words} == once  # no index, no trigger


def once_in_code(table: Table) -> bool:
    return bool(table.dialect_options["sqlite"]["autoincrement"])


def form(engine: Engine) -> dict[str, str]:
    """How every table, index and trigger was made."""
    with engine.connect() as connection:
        made = connection.execute(text("SELECT type, name, coalesce(sql, '') AS words FROM sqlite_master"))
        return {f"{row.type} {row.name}": row.words for row in made}
