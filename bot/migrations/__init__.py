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
from sqlalchemy.engine import Engine

from curation.errors import Conflict

_HERE = Path(__file__).parent


def upgrade(engine: Engine) -> str:
    """Bring the database to this program's head and return its revision.

    Raises:
        Conflict: the database is newer than this program.
    """
    present = current(engine)
    if present is not None and present not in _known():
        raise Conflict(
            f"The database is at revision {present}, which this program does not know: install a newer Errata."
        )
    with engine.connect() as connection:
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


def current(engine: Engine) -> str | None:
    """The revision that the database is at; None where it is empty."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def _known() -> set[str]:
    return {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_HERE))
    return config
