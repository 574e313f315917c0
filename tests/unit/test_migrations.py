"""Migrations on the real engine: they give the tables of the code, twice is once, and newer ones are refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text
from sqlalchemy.engine import Engine
from sqlmodel import SQLModel

import training.store.tables  # noqa: F401 (registers its tables, and curation's)
from bot import migrations
from curation.errors import Conflict
from curation.store.engine import open_engine


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    opened = open_engine(f"sqlite:///{tmp_path / 'errata.db'}")
    yield opened
    opened.dispose()


def test_a_fresh_database_has_exactly_the_tables_of_the_code(engine: Engine) -> None:
    migrations.upgrade(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True, "render_as_batch": True}
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
