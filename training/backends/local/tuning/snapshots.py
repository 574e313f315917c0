"""Snapshots of a training: everything from which it goes on as if it had never stopped, and its best weights.

Owns what is kept and how: the weights that are trained and the optimiser's moments as safetensors, the rest as JSON,
never a pickle. A snapshot is a folder that appears whole: a crash or a full disk while it is written leaves the one
before it, and the training goes on. Chance is not kept: each step's is drawn from the seed and its number.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from curation.errors import Unavailable
from training.backends.local.tuning.parallel import Ranks, put, whole

log = logging.getLogger("errata.snapshots")

FOLDER = "snapshots"
BEST = "best"
_WEIGHTS, _MOMENTS, _STATE = "weights.safetensors", "optimiser.safetensors", "state.json"
_PARTIAL = ".partial"


def save(
    directory: Path,
    module: nn.Module,
    optimiser: torch.optim.Optimizer,
    state: Mapping[str, Any],
    *,
    ranks: Ranks,
    most: int,
) -> bool:
    """Keep a snapshot in a job's directory; false where the disk would not take it, and the last good one stays.

    Args:
        directory: of the job.
        module: its trained weights are kept; frozen ones are the base model's.
        optimiser: of these weights.
        state: what JSON holds, with the ``step`` it was taken after.
        ranks: all of them call; the first one writes.
        most: how many are kept; older ones go.
    """
    weights, moments = trained(module), _moments(optimiser)
    folder = directory / FOLDER
    if not ranks.first:
        return True
    kept = _written(
        folder / f"step-{state['step']:09d}", {_WEIGHTS: weights, _MOMENTS: moments}, {_STATE: json.dumps(dict(state))}
    )
    if kept:
        for old in _kept(folder)[:-most]:
            shutil.rmtree(old, ignore_errors=True)
    return kept


def restore(directory: Path, module: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Any] | None:
    """Put the newest whole snapshot back and give its state; None where there is none.

    Raises:
        Unavailable: every snapshot is damaged, or is of other weights than the module's.
    """
    found = _kept(directory / FOLDER)
    for folder in reversed(found):
        try:
            weights, moments = load_file(folder / _WEIGHTS), load_file(folder / _MOMENTS)
            state: dict[str, Any] = json.loads((folder / _STATE).read_text(encoding="utf-8"))
        except (OSError, ValueError, SafetensorError) as error:
            log.warning("a snapshot is damaged: snapshot=%s error=%s", folder.name, type(error).__name__)
            continue
        _take(folder, module, weights)
        _put_back(optimiser, moments)
        return state
    if found:
        raise Unavailable("Every snapshot of this training is damaged: start a new run.")
    return None


def forget(directory: Path) -> None:
    """Remove every snapshot and the best weights: a completed training has its model, and nothing to go on from."""
    for name in (FOLDER, BEST):
        shutil.rmtree(directory / name, ignore_errors=True)


def keep_best(directory: Path, module: nn.Module, *, ranks: Ranks) -> None:
    """Keep the trained weights as the best so far.

    Raises:
        Unavailable: the disk would not take them; the best before them stay.
    """
    weights = trained(module)
    if ranks.first and not _written(directory / BEST, {_WEIGHTS: weights}, {}):
        raise Unavailable(
            "The best weights so far cannot be written to {folder}: make room on the disk, then resume the run.",
            folder=directory,
        )


def take_best(directory: Path, module: nn.Module) -> None:
    """Put the best weights back, where any were kept.

    Raises:
        Unavailable: they are damaged.
    """
    file = directory / BEST / _WEIGHTS
    if not file.is_file():
        return
    try:
        weights = load_file(file)
    except (OSError, SafetensorError) as error:
        raise Unavailable("The best weights of this training are damaged: start a new run.") from error
    _take(file.parent, module, weights)


def trained(module: nn.Module) -> dict[str, torch.Tensor]:
    """The trained weights by their names, whole; every process has to ask for them."""
    return {name: whole(one.detach()).contiguous() for name, one in _own(module)}


def _own(module: nn.Module) -> Iterable[tuple[str, nn.Parameter]]:
    return ((name, one) for name, one in module.named_parameters() if one.requires_grad)


def _take(folder: Path, module: nn.Module, weights: Mapping[str, torch.Tensor]) -> None:
    own = dict(_own(module))
    if {name: one.shape for name, one in own.items()} != {name: one.shape for name, one in weights.items()}:
        raise Unavailable("{snapshot} is of another model or recipe: start a new run.", snapshot=folder.name)
    for name, parameter in own.items():
        put(parameter, weights[name])


def _written(folder: Path, tensors: Mapping[str, dict[str, torch.Tensor]], texts: Mapping[str, str]) -> bool:
    """Write a folder that appears whole, or not at all."""
    partial = folder.with_name(folder.name + _PARTIAL)
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        for name, named in tensors.items():
            save_file(named, partial / name)
        for name, text in texts.items():
            (partial / name).write_text(text, encoding="utf-8")
        for file in partial.iterdir():
            _reach_the_disk(file)
        shutil.rmtree(folder, ignore_errors=True)  # the best before, or an earlier attempt at the same step
        partial.rename(folder)
        _reach_the_disk(folder.parent)
    except (OSError, SafetensorError) as error:
        log.warning("a snapshot could not be kept: error=%s", type(error).__name__)
        shutil.rmtree(partial, ignore_errors=True)
        return False
    return True


def _kept(folder: Path) -> list[Path]:
    """Whole snapshots, oldest first."""
    return sorted(path for path in folder.glob("step-*") if path.suffix != _PARTIAL)


def _moments(optimiser: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """``{"3.exp_avg": …}``: what the optimiser remembers of its third weight."""
    kept = optimiser.state_dict()["state"]
    return {
        f"{index}.{name}": whole(value).contiguous() for index, held in kept.items() for name, value in held.items()
    }


def _put_back(optimiser: torch.optim.Optimizer, moments: Mapping[str, torch.Tensor]) -> None:
    weights = [one for group in optimiser.param_groups for one in group["params"]]
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in moments.items():
        index, _, name = key.partition(".")
        like = weights[int(index)]
        if value.shape == like.shape and value.ndim:
            part = torch.empty_like(like, dtype=value.dtype)
            put(part, value)
            value = part.detach()  # noqa: PLW2901 (this process's part of it)
        state.setdefault(int(index), {})[name] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def _reach_the_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
