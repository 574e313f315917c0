from __future__ import annotations

import gc
import inspect
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import compiled_once
import hypothesis  # noqa: F401 (before anything is frozen, as it looks for who refers to its randomness)
import pytest
from builders import Office, Team, new_store, new_team, open_office
from shell import Shell, write_dialogues

from curation.store.engine import Store

if TYPE_CHECKING:
    from chatting import Chat
    from postgres import Postgres
    from worker_shop import WorkerShop

# What is imported for the tests stays, and would be looked through in vain, once torch is there for a second at a time.
gc.disable()

# azure-ai-ml looks for a function's name on the stack at every object that it makes. Reading the source of every frame
# on the way, as is the default, takes a tenth of a second each time where as much is loaded as here.
inspect.stack.__defaults__ = (0,)

compiled_once.share()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


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
def chat(tmp_path: Path) -> Iterator[Chat]:
    """An office whose Errata answers questions itself."""
    from chatting import opened  # noqa: PLC0415 (only some tests need it)

    with opened(tmp_path) as made:
        yield made


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    made = new_team(tmp_path)
    yield made
    made.store.close()


@pytest.fixture
def shop(team: Team, tmp_path: Path) -> WorkerShop:
    """The team with a frozen dataset and a worker."""
    from worker_shop import opened  # noqa: PLC0415 (only some tests need it)

    return opened(team, tmp_path / "home")


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


_DATABASES: dict[str, bytes] = {}
"""What commands wrote for the first test that wanted it; the next ones get a copy."""


@pytest.fixture
def errata(shell: Shell, tmp_path: Path) -> Shell:
    """The command line of a new installation, as ana, its owner, or as whom a command says."""
    file = tmp_path / "home" / "errata.db"
    if "new" in _DATABASES:
        file.parent.mkdir()
        file.write_bytes(_DATABASES["new"])
        shell.acting = "ana"
    else:
        shell.owned_by("ana")
        _DATABASES["new"] = file.read_bytes()
    return shell


@pytest.fixture
def frozen(errata: Shell, tmp_path: Path) -> Shell:
    """The same with sixty attested examples in the dataset v1."""
    database, file = tmp_path / "home" / "errata.db", write_dialogues(tmp_path / "dialogues.jsonl", 60)
    if "frozen" in _DATABASES:
        database.write_bytes(_DATABASES["frozen"])
    else:
        assert errata("import", str(file), "--approve-as", "ana", "--reason", "Checked by hand.")[0] == 0
        assert errata("dataset", "freeze", "v1")[0] == 0
        _DATABASES["frozen"] = database.read_bytes()
    return errata
