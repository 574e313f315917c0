"""``errata erase`` killed once the words were gone: the same command says and clears what the first did not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import NOON, Team, new_team

from bot import cli
from curation.errors import NotFound
from curation.privacy import erasure
from training import orders

WORDS = "My zeppelin leaks"


@pytest.fixture
def crew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Team]:
    """A team whose home is the working directory of the commands; its store stays open, as a worker's does."""
    monkeypatch.chdir(tmp_path)
    for name in ("ERRATA_PRIVACY", "ERRATA_ACTOR"):
        monkeypatch.delenv(name, raising=False)
    made = new_team(tmp_path)
    yield made
    made.store.close()


def test_the_same_command_again_clears_the_journal_and_names_the_model_that_has_learned(
    crew: Team, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    crew.approve(f"{WORDS}, what now?", "Patch it.", thread="T1/C1/7.0001")
    for number in range(12):
        crew.approve(f"How long does filter {number} last?", f"Six months, {number}.")
    crew.freeze("v1")
    with crew.store.write() as session:
        run_id = orders.request(session, crew.olga, NOON, dataset_name="v1", model=orders.REHEARSAL).id
    with crew.store.write() as session:  # all that a command has done which is killed here
        erasure.erase(session, crew.olga, NOON, "T1/C1/7.0001")
    assert WORDS.encode() in (tmp_path / "errata.db-wal").read_bytes()
    assert (
        cli.run(["--home", ".", "--as", "Olga", "erase", "--customer", "T1/C1/7.0001", "--yes"]) == NotFound.exit_code
    )
    said = capsys.readouterr()
    assert f"{run_id} was trained on 1 rows that are now erased; its model may repeat them." in said.out
    assert "Nothing is kept of T1/C1/7.0001." in said.err
    assert WORDS.encode() not in (tmp_path / "errata.db-wal").read_bytes()
    assert WORDS.encode() not in (tmp_path / "errata.db").read_bytes()
