"""Statements are compiled once for all the databases of a process that runs tests, not for each one anew.

Every test has a database of its own, and SQLAlchemy keeps what it has compiled with the engine. To compile is a quarter
of what most scenarios take.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy
from sqlalchemy.engine import Engine

from curation.store import engine as engines


class _Compiled(dict[Any, Any]):
    """As SQLAlchemy looks in it, by dialect and statement; two dialects of one kind compile alike."""

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get((type(key[0]), *key[1:]), default)

    def __setitem__(self, key: Any, compiled: Any) -> None:
        super().__setitem__((type(key[0]), *key[1:]), compiled)


_COMPILED = _Compiled()


def _create_engine(*address: Any, **settings: Any) -> Engine:
    engine = sqlalchemy.create_engine(*address, **settings)
    engine.update_execution_options(compiled_cache=_COMPILED)
    return engine


def share() -> None:
    """From now on, in this process."""
    engines.create_engine = _create_engine
