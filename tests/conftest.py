from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from builders import Office, Team, new_team, open_office

if TYPE_CHECKING:
    from postgres import Postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real PostgreSQL server, for as long as this process runs tests."""
    from postgres import running  # noqa: PLC0415 (only some tests need it)

    with running() as server:
        yield server


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with open_office(tmp_path) as opened:
        yield opened


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    made = new_team(tmp_path)
    yield made
    made.store.close()
