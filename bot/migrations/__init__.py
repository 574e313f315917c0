"""The one migration history of the house.

Owns bringing a database to the tables of this program. Refuses a database that a newer program has
written: reading it with old eyes loses what the newer one knows.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, Table, inspect
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.schema import DropTable

from curation.errors import Conflict

LOCK = "migrate.lock"
"""The file in the home folder that a program locks while it makes or changes the tables."""
PATIENCE_SECONDS = 60
"""How long another one waits for it."""

_HERE = Path(__file__).parent
_HALF = "_alembic_tmp_"


def upgrade(engine: Engine) -> str:
    """Bring the database to this program's head and return its revision.

    Raises:
        Conflict: the database is newer than this program.
    """
    present = current(engine)
    if present is not None:
        require_known(present)
    with engine.connect() as connection:
        _recover(connection)
        if present is not None and engine.dialect.name == "postgresql":
            # Just restored it has no statistics, and what fills an index from many rows then takes their square.
            connection.exec_driver_sql("ANALYZE")
            connection.commit()
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return head()


def head() -> str:
    """The revision of this program's tables."""
    newest = ScriptDirectory.from_config(_config()).get_current_head()
    if newest is None:
        raise Conflict("This installation has no migrations; install Errata again.")
    return newest


def require_known(revision: str, *, what: str = "The database") -> None:
    """Refuse what a newer program has written.

    Raises:
        Conflict: this program does not know the revision.
    """
    if revision not in _known():
        raise Conflict(f"{what} is at revision {revision}, which this program does not know: install a newer Errata.")


def is_older(revision: str) -> bool:
    """Whether a database at this revision waits for a migration of ours."""
    return revision in _known() and revision != head()


def current(engine: Engine) -> str | None:
    """The revision that the database is at; None where it is empty."""
    with engine.execution_options(errata_reads=True).connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def is_modelled(name: str | None, kind: str, _parents: object) -> bool:
    """Alembic's ``include_name``: whether a table is one of the models'. The search index is the database's own."""
    return kind != "table" or not str(name).startswith("candidate_search")


def _recover(connection: Connection) -> None:
    """Remove what an interrupted batch left behind: the new form of a table that still stands in its old one.

    Raises:
        Conflict: the old one is gone already; only a copy from before the migration helps.
    """
    tables = set(inspect(connection).get_table_names())
    for leftover in sorted(name for name in tables if name.startswith(_HALF)):
        if leftover.removeprefix(_HALF) not in tables:
            raise Conflict(
                f"A migration of {leftover.removeprefix(_HALF)} ended half way: restore the copy from before it with "
                "errata restore FILE, then run errata migrate again."
            )
        connection.execute(DropTable(Table(leftover, MetaData())))
    connection.commit()


def _known() -> set[str]:
    return {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_HERE))
    return config
