"""Snapshots of a training: everything from which it goes on as if it had never stopped.

Owns what is kept and how: the weights that are trained and the optimiser's moments as safetensors, the rest as JSON,
never a pickle. A snapshot is a folder that appears whole: a crash or a full disk while it is written leaves the one
before it, and the training goes on.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from curation.errors import Unavailable

log = logging.getLogger("errata.snapshots")

FOLDER = "snapshots"
KEPT = 2
"""The newest ones: should the last be damaged, there is one before it."""
_WEIGHTS, _MOMENTS, _STATE = "weights.safetensors", "optimiser.safetensors", "state.json"
_PARTIAL = ".partial"


def save(directory: Path, module: nn.Module, optimiser: torch.optim.Optimizer, state: Mapping[str, Any]) -> bool:
    """Keep a snapshot in a job's directory; false where the disk would not take it, and the last good one stays.

    Args:
        directory: of the job.
        module: its trained weights are kept; frozen ones are the base model's.
        optimiser: of these weights.
        state: what JSON holds, with the ``step`` it was taken after.
    """
    folder = directory / FOLDER
    partial = folder / f"step-{state['step']:09d}{_PARTIAL}"
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        save_file(_trained(module), partial / _WEIGHTS)
        save_file(_moments(optimiser) | _chance(), partial / _MOMENTS)
        (partial / _STATE).write_text(json.dumps(dict(state)), encoding="utf-8")
        for file in partial.iterdir():
            _reach_the_disk(file)
        whole = partial.with_suffix("")
        shutil.rmtree(whole, ignore_errors=True)  # of an earlier attempt at the same step
        partial.rename(whole)
        _reach_the_disk(folder)
    except (OSError, SafetensorError) as error:
        log.warning("a snapshot could not be kept: error=%s", type(error).__name__)
        shutil.rmtree(partial, ignore_errors=True)
        return False
    for old in _kept(directory)[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return True


def restore(directory: Path, module: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Any] | None:
    """Put the newest whole snapshot back, chance included, and give its state; None where there is none.

    Raises:
        Unavailable: every snapshot is damaged, or is of other weights than the module's.
    """
    found = _kept(directory)
    for folder in reversed(found):
        try:
            weights, moments = load_file(folder / _WEIGHTS), load_file(folder / _MOMENTS)
            state: dict[str, Any] = json.loads((folder / _STATE).read_text(encoding="utf-8"))
        except (OSError, ValueError, SafetensorError) as error:
            log.warning("a snapshot is damaged: snapshot=%s error=%s", folder.name, type(error).__name__)
            continue
        own = {name: one for name, one in module.named_parameters() if one.requires_grad}
        if {name: one.shape for name, one in own.items()} != {name: one.shape for name, one in weights.items()}:
            raise Unavailable(
                "The snapshot {snapshot} is of another model or recipe: start a new run.", snapshot=folder.name
            )
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(weights[name])
        _put_back(optimiser, moments)
        return state
    if found:
        raise Unavailable("Every snapshot of this training is damaged: start a new run.")
    return None


def _kept(directory: Path) -> list[Path]:
    """Whole snapshots, oldest first."""
    return sorted(path for path in (directory / FOLDER).glob("step-*") if path.suffix != _PARTIAL)


def _trained(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: one.detach().contiguous() for name, one in module.named_parameters() if one.requires_grad}


def _moments(optimiser: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """``{"3.exp_avg": …}``: what the optimiser remembers of its third weight."""
    kept = optimiser.state_dict()["state"]
    return {f"{index}.{name}": value.contiguous() for index, held in kept.items() for name, value in held.items()}


def _chance() -> dict[str, torch.Tensor]:
    states = {"chance.cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states |= {f"chance.cuda.{number}": state for number, state in enumerate(torch.cuda.get_rng_state_all())}
    return states


def _put_back(optimiser: torch.optim.Optimizer, moments: dict[str, torch.Tensor]) -> None:
    torch.set_rng_state(moments.pop("chance.cpu"))
    on_gpus = sorted(name for name in moments if name.startswith("chance.cuda."))
    if on_gpus and torch.cuda.device_count() == len(on_gpus):
        torch.cuda.set_rng_state_all([moments[name] for name in on_gpus])
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in moments.items():
        if key not in on_gpus:
            index, _, name = key.partition(".")
            state.setdefault(int(index), {})[name] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def _reach_the_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
