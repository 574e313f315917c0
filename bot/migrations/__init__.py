"""The one migration history of the house.

Owns bringing a database to the tables of this program. Refuses a database that a newer program has
written: reading it with old eyes loses what the newer one knows. Alembic is loaded only where tables are changed: every
process asks which revision there is, and would keep 7 MB of it for that.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import MetaData, Table, inspect, text
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.schema import DropTable

from curation.errors import Conflict

if TYPE_CHECKING:
    from alembic.config import Config

LOCK = "migrate.lock"
"""The file in the home folder that a program locks while it makes or changes the tables."""
PATIENCE_SECONDS = 60
"""How long another one waits for it."""

_HERE = Path(__file__).parent
_HALF = "_alembic_tmp_"
_STEP = re.compile(r'^revision = "(?P<one>\w+)"\ndown_revision = (?:"(?P<before>\w+)"|None)$', re.MULTILINE)


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
        from alembic import command  # noqa: PLC0415 (as the module says)

        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return head()


def head() -> str:
    """The revision of this program's tables."""
    newest = _steps().keys() - _steps().values()
    if not newest:
        raise Conflict("This installation has no migrations; install Errata again.")
    return max(newest)


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
        return revision_of(connection)


def revision_of(connection: Connection) -> str | None:
    """The same, asked on a connection."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


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
    return set(_steps())


@cache
def _steps() -> dict[str, str | None]:
    """Each of our revisions with the one before it, as the files say."""
    texts = (file.read_text(encoding="utf-8") for file in (_HERE / "versions").glob("*.py"))
    return {found["one"]: found["before"] for one in texts if (found := _STEP.search(one)) is not None}


def _config() -> Config:
    from alembic.config import Config  # noqa: PLC0415 (as the module says)

    config = Config()
    config.set_main_option("script_location", str(_HERE))
    return config
