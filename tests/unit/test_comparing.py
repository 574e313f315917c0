"""Runs beside each other: what differs, what came of them, and what is not compared."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from builders import NOON
from shell import Shell
from sqlmodel import Session

from curation.store.engine import Store, open_engine
from training import runs
from training.recipe import load_recipe
from training.runs import RunStatus
from training.store.tables import Evaluation, Run

CURVES = {
    "run-slow": [[1, 6.0, None, 100.0], [10, 2.5, 2.75, 120.0]],  # of an Errata that knew no memory
    "run-fast": [[1, 6.0, None, 900.0, 2_000_000_000], [8, 2.0, 2.25, 1234.0, 3_200_000_000]],
}


def win(after: float) -> dict[str, object]:
    return {"kind": "correction", "margins": {"before": -1.0, "after": after, "base": -1.0}}


def opened(folder: Path) -> Store:
    return Store(open_engine(f"sqlite:///{folder / 'home' / 'errata.db'}"))


@pytest.fixture
def compared(frozen: Shell, tmp_path: Path) -> Shell:
    """Two runs that have ended, of recipes that differ in two values."""
    store = opened(tmp_path)
    with store.write() as session:
        for number, (name, curve) in enumerate(CURVES.items()):
            _ended(session, name, curve, number)
    store.close()
    return frozen


def _ended(session: Session, name: str, curve: list[list[float | None]], number: int) -> None:
    recipe = load_recipe("rehearsal")
    recipe = replace(recipe, seed=recipe.seed + number, learning_rate=recipe.learning_rate / (1 + number))
    session.add(
        Run(
            id=name,
            dataset_id=1,
            backend="local",
            model="rehearsal",
            recipe_name=f"mine-{number}",
            recipe=recipe.as_json(),
            status=RunStatus.COMPLETED.value,
            progress={"step": curve[-1][0], "steps": 10, "curve": curve},
            destinations=[],
            requested_by="cli/ana",
            requested_at=NOON,
            started_at=NOON,
            ended_at=NOON + timedelta(minutes=number + 1),
        )
    )
    session.flush()
    report = {
        "sentence": "Better.",
        "scores": {"fixed": 3 + number, "corrections": 4, "kept": 2, "endorsements": 2},
        "validation": {"candidate": {"perplexity": 9.5 - number}},
        "cases": [win(1.0), win(-0.5 + number), {"kind": "endorsement", "margins": None}],
    }
    session.add(Evaluation(run_id=name, verdict="better", report=report, evaluated_at=NOON))


def lines(out: str) -> dict[str, list[str]]:
    """``{"seed": ["1", "2"]}``: a table's rows by what they are called."""
    cells = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in out.splitlines()]
    return {row[0]: row[1:] for row in cells if row}


def test_what_differs_stands_beside_what_came_of_it_and_nothing_else_does(compared: Shell) -> None:
    code, out, _ = compared("runs", "run-slow", "run-fast")
    assert code == 0
    shown = lines(out)
    assert shown["Made of"] == shown["Came to"] == ["run-slow", "run-fast"]
    first = load_recipe("rehearsal")
    assert shown["seed"] == [str(first.seed), str(first.seed + 1)]
    assert shown["learning_rate"] == [str(first.learning_rate), str(first.learning_rate / 2)]
    assert shown["recipe"] == ["mine-0", "mine-1"]
    assert not {"dataset", "epochs", "backend"} & set(shown)
    assert shown["training loss, last"] == ["2.500", "2.000"]
    assert shown["validation loss, last"] == ["2.750", "2.250"]
    assert shown["tokens per second"] == ["120", "1,234"]
    assert shown["memory, at most"] == ["3.2 GB"]
    assert shown["from start to end"] == ["1 min 0 s", "2 min 0 s"]
    assert shown["corrections fixed"] == ["75%", "100%"]
    assert shown["good replies kept"] == ["100%", "100%"]
    assert shown["corrected reply preferred"] == ["50%", "100%"]
    assert "label accuracy" not in shown


def test_as_json_both_are_whole_and_the_picture_is_described(compared: Shell, tmp_path: Path) -> None:
    picture = tmp_path / "losses.png"
    code, out, err = compared("runs", "run-fast", "run-slow", "--plot", str(picture), "--json")
    fast, slow = json.loads(out)
    assert code == 0
    assert (fast["run"], slow["run"]) == ("run-fast", "run-slow")
    assert fast["made_of"]["dataset"].startswith("v1 (")
    assert fast["made_of"]["epochs"] == slow["made_of"]["epochs"]
    assert fast["figures"]["memory_bytes"] == 3_200_000_000
    assert slow["figures"]["memory_bytes"] is None
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "run-fast: training loss from 6.00 at step 1 to 2.00 at step 8" in err
    assert "run-slow: training loss from 6.00 at step 1 to 2.50 at step 10" in err


REFUSED = [
    (["run-slow"], "Name 2 to 4 different runs to compare."),
    (["run-slow", "run-slow"], "Name 2 to 4 different runs to compare."),
    (["run-slow", "run-none"], "There is no run run-none"),
    (["run-", "run-slow"], "run- could be any of"),
    (["run-slow", "run-fast", "--plot", "nowhere/losses.png"], "a file in a folder that exists"),
    (["--plot", "losses.png"], "Name 2 to 4 different runs to compare."),
]


def test_what_cannot_be_compared_is_refused_with_a_sentence_and_equal_runs_say_so(
    compared: Shell, tmp_path: Path
) -> None:
    for words, said in REFUSED:
        code, _, err = compared("runs", *words)
        assert (code, said in err) == (2, True), err
    store = opened(tmp_path)
    with store.write() as session:
        first, second = (runs.find(session, name) for name in CURVES)
        second.recipe, second.recipe_name = first.recipe, first.recipe_name
    store.close()
    assert "They are made of the same" in compared("runs", "run-slow", "run-fast")[1]
