"""What a training writes for TensorBoard, read back with TensorBoard's own reader."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from training.backends.base import Base, CurvePoint, Job
from training.backends.local.backend import LocalBackend
from training.backends.local.tuning.curves import FOLDER, open_curves
from training.hyperparameters import Recipe
from training.recipe import load_recipe

RECIPE = replace(load_recipe("rehearsal"), tensorboard=True)


def read(directory: Path) -> dict[str, list[Any]]:
    events = EventAccumulator(str(directory / FOLDER)).Reload()
    return {
        name: [(one.step, pytest.approx(one.value)) for one in events.Scalars(name)]
        for name in events.Tags()["scalars"]
    }


def test_every_figure_of_the_curve_is_there_once_a_step(tmp_path: Path) -> None:
    take = open_curves(RECIPE, tmp_path)
    take(CurvePoint(1, 6.0, None, 100.0, 2_000_000))
    take(CurvePoint(2, 5.0, None, 110.0))
    take(CurvePoint(2, 5.5, 5.25, 110.0))  # the epoch's own point
    assert read(tmp_path) == {
        "train/loss": [(1, 6.0), (2, 5.0)],
        "validation/loss": [(2, 5.25)],
        "speed/tokens_per_second": [(1, 100.0), (2, 110.0)],
        "memory/bytes": [(1, 2_000_000)],
    }


def test_a_resumed_training_takes_back_what_it_does_again(tmp_path: Path) -> None:
    take = open_curves(RECIPE, tmp_path)
    for step in (1, 2, 3, 4):
        take(CurvePoint(step, 10.0 - step, None, 100.0))
    take = open_curves(RECIPE, tmp_path, 2)
    for step in (3, 4, 5):
        take(CurvePoint(step, 1.0 * step, None, 100.0))
    assert read(tmp_path)["train/loss"] == [(1, 9.0), (2, 8.0), (3, 3.0), (4, 4.0), (5, 5.0)]


def test_a_machine_without_tensorboard_says_so_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(recipe: Recipe) -> list[str]:
        job = Job("run-1", Base("rehearsal"), recipe, tmp_path / "train", tmp_path / "validation", tmp_path / "job")
        return [str(one.sentence()) for one in LocalBackend().preflight(job) if one.rule == "local.tensorboard"]

    assert found(RECIPE) == []
    monkeypatch.setitem(sys.modules, "tensorboard", None)  # as where it is not installed
    assert found(replace(RECIPE, tensorboard=False)) == []
    (sentence,) = found(RECIPE)
    assert "The recipe wants TensorBoard, which is not installed." in sentence
    assert "Install the extra `tensorboard` of Errata, or leave tensorboard out of the recipe." in sentence


def test_without_the_recipes_word_nothing_is_written(tmp_path: Path) -> None:
    open_curves(replace(RECIPE, tensorboard=False), tmp_path)(CurvePoint(1, 6.0, None, 100.0))
    assert list(tmp_path.iterdir()) == []
