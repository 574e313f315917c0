from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from builders import Office, Team, new_store, new_team, open_office
from shell import Shell, write_dialogues

from curation.store.engine import Store

if TYPE_CHECKING:
    from postgres import Postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real PostgreSQL server, for as long as this process runs tests."""
    from postgres import running  # noqa: PLC0415 (only some tests need it)

    with running() as server:
        yield server


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Torch on one thread, as long as a test lasts: tiny models gain nothing by more, and their bits may differ."""
    import torch  # noqa: PLC0415 (only some tests need it)

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with open_office(tmp_path) as opened:
        yield opened


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    made = new_team(tmp_path)
    yield made
    made.store.close()


@pytest.fixture(params=["sqlite", "postgres"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty store on SQLite, and once more on a real PostgreSQL."""
    made = new_store(tmp_path) if request.param == "sqlite" else request.getfixturevalue("postgres").new_store()
    yield made
    made.close()


@pytest.fixture
def crew(empty: Store, tmp_path: Path) -> Team:
    """A team on either database."""
    return new_team(tmp_path, empty)


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    """A shell in an empty folder, with Errata's home to be made under it."""
    for name in list(os.environ):
        if name.startswith(("ERRATA_", "SLACK_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("ERRATA_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return Shell(capsys)


@pytest.fixture
def errata(shell: Shell) -> Shell:
    """The command line of a new installation, as ana, its owner, or as whom a command says."""
    return shell.owned_by("ana")


@pytest.fixture
def frozen(errata: Shell, tmp_path: Path) -> Shell:
    """The same with sixty attested examples in the dataset v1."""
    file = write_dialogues(tmp_path / "dialogues.jsonl", 60)
    assert errata("import", str(file), "--approve-as", "ana", "--reason", "Checked by hand.")[0] == 0
    assert errata("dataset", "freeze", "v1")[0] == 0
    return errata
