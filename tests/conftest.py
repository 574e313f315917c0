from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import Office, Team, new_team, open_office


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with open_office(tmp_path) as opened:
        yield opened


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    made = new_team(tmp_path)
    yield made
    made.store.close()
