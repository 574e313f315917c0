"""The training process: ``python -m training.backends.local.tuning.trainer DIRECTORY``, or several under torchrun.

Owns one training from its request to a merged model. Progress goes to ``progress.jsonl``, the end to
``result.json``. Nothing here knows a particular model; only a rehearsal's base is built instead of given.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from curation.errors import Invalid
from training.backends.base import CurvePoint, Job, JobStatus
from training.backends.local import checkpoint, folder, process
from training.backends.local.chat import ChatFormat, read_conversations
from training.backends.local.checkpoint import Loaded
from training.backends.local.tuning import classifier, parallel, preference, preparing, snapshots
from training.backends.local.tuning.adapters import save_adapters, with_adapters
from training.backends.local.tuning.curves import open_curves
from training.backends.local.tuning.loop import Hooks, Loop
from training.backends.local.tuning.parallel import Ranks
from training.backends.local.tuning.precision import wants_half
from training.backends.local.tuning.preparing import Prepared
from training.backends.local.tuning.rehearsal import build_base
from training.hyperparameters import Keep, Objective, Recipe, Sharding

PREPARE: dict[Objective, Callable[[Job, ChatFormat, Any], Prepared]] = {
    Objective.REPLIES: preparing.prepare,
    Objective.PREFERENCES: preference.prepare,
    Objective.LABELS: classifier.prepare,
}


def train(directory: Path) -> dict[str, Any]:
    """Carry out the job in the directory; returns what ``result.json`` says beside the status."""
    row = folder.read_json(directory / folder.REQUEST)
    if row is None:
        raise Invalid(
            "{folder} holds no {file}; start a training with `errata train`.", folder=directory, file=folder.REQUEST
        )
    job, ranks = Job.from_json(row), parallel.join()
    try:
        return _trained(job, ranks)
    finally:
        ranks.leave()


def _trained(job: Job, ranks: Ranks) -> dict[str, Any]:
    directory, recipe = job.directory, job.recipe
    base = _base(job, ranks)
    loaded = _loaded(base, recipe, ranks)
    model = with_adapters(loaded.model, recipe, directory, writes=ranks.first)
    if recipe.gradient_checkpointing:
        loaded.model.activation_checkpointing_enable()
    prepared = PREPARE[recipe.objective](job, ChatFormat(loaded.tokenizer), model)
    prepared.objective.to(ranks.device)
    # A resumed training has said them before.
    if ranks.first and not any("notes" in line for line in folder.read_progress(directory)):
        folder.append_progress(directory, {"notes": prepared.notes})

    keeper = Keeper(directory, recipe, ranks)

    def report(point: CurvePoint, eta_seconds: float) -> None:
        if ranks.first:
            _report(directory, loop, point, eta_seconds)
            show(point)

    loop = Loop(
        prepared.objective,
        recipe,
        rows=prepared.rows,
        validation=prepared.validation,
        hooks=Hooks(
            report=report,
            between=lambda: keeper.between(prepared.objective, loop),
            best=lambda: keeper.best(prepared.objective),
        ),
        ranks=ranks,
    )
    position = snapshots.restore(directory, prepared.objective, loop.optimiser)
    if position is not None:
        loop.go_on_from(position)
    if ranks.first:
        folder.forget_progress(directory, after_step=loop.step)
        show = open_curves(recipe, directory, loop.step)
    loop.run()
    keeper.ended(prepared.objective, loop)
    if recipe.keep is Keep.BEST:
        snapshots.take_best(directory, prepared.objective)
    _export(job, base, model, loaded, prepared, ranks)
    return {
        "base_model": str(base),
        "adapter": recipe.lora is not None,
        "steps": loop.step,
        "loss": loop.loss,
        "notes": prepared.notes,
        **prepared.counts,
    }


class Keeper:
    """Takes a snapshot every so many minutes, and a last one at the end or before the process ends on request."""

    def __init__(self, directory: Path, recipe: Recipe, ranks: Ranks) -> None:
        self._directory, self._recipe, self._ranks = directory, recipe, ranks
        self._asked = process.finish_steps()
        self._last, self._step = time.monotonic(), 0

    def between(self, objective: torch.nn.Module, loop: Loop) -> None:
        """After a step: keep what there is to keep; raises Stopped where the process was asked to end."""
        asked = self._asked() or (self._directory / folder.CANCEL).exists()
        due = time.monotonic() - self._last >= 60 * self._recipe.snapshot_minutes
        # Clocks and signals differ between processes, and all of them have to do the same.
        asked_of, due_for = self._ranks.total([float(asked), float(due and self._ranks.first)])
        if asked_of or due_for:
            self._keep(objective, loop)
        if asked_of:
            self._ranks.wait()
            raise process.Stopped

    def ended(self, objective: torch.nn.Module, loop: Loop) -> None:
        """After the last step: a disk that has no room for the model costs no step that was trained."""
        if self._step != loop.step:
            self._keep(objective, loop)

    def best(self, objective: torch.nn.Module) -> None:
        """At the lowest validation loss so far: keep the weights, where they are to become the model."""
        if self._recipe.keep is Keep.BEST:
            snapshots.keep_best(self._directory, objective, ranks=self._ranks)

    def _keep(self, objective: torch.nn.Module, loop: Loop) -> None:
        most = self._recipe.snapshots
        snapshots.save(self._directory, objective, loop.optimiser, loop.position(), ranks=self._ranks, most=most)
        self._last, self._step = time.monotonic(), loop.step


def _report(directory: Path, loop: Loop, point: CurvePoint, eta_seconds: float) -> None:
    validation = "" if point.validation_loss is None else f" validation_loss={point.validation_loss:.4f}"
    with suppress(OSError):  # a full disk costs a point of the curve, not the training
        folder.append_progress(directory, {**asdict(point), "steps": loop.steps, "eta_seconds": eta_seconds})
        print(  # noqa: T201 - this process's output is the run's log
            f"step={point.step}/{loop.steps} loss={point.loss:.4f}{validation} "
            f"tokens_per_second={point.tokens_per_second:.0f} memory_mb={(point.memory_bytes or 0) / 1e6:.0f} "
            f"seconds_left={eta_seconds:.0f}"
        )


def _loaded(base: Path, recipe: Recipe, ranks: Ranks) -> Loaded:
    """The base model; weights that are trained themselves would lose their small steps in half precision."""
    loaded = checkpoint.load(
        base,
        dtype=_dtype(recipe),
        device=ranks.device,
        four_bit=recipe.lora is not None and recipe.lora.four_bit,
    )
    if recipe.max_length > loaded.window:
        raise Invalid(
            "max_length is {max_length:,} tokens; the model's window is {window:,}. Lower max_length.",
            max_length=recipe.max_length,
            window=loaded.window,
        )
    # Adapters start random: from here on the seed decides.
    torch.manual_seed(recipe.seed)
    return loaded


def _dtype(recipe: Recipe) -> torch.dtype:
    return torch.bfloat16 if wants_half(recipe) and recipe.lora is not None else torch.float32


def _base(job: Job, ranks: Ranks) -> Path:
    """Where the base model is; a rehearsal's is built first, from the training side alone."""
    if job.base.path is not None:
        return job.base.path
    if job.recipe.rehearsal is None:
        raise Invalid(
            "The recipe {recipe} has no [rehearsal] table; add one or give a checkpoint.", recipe=job.recipe.name
        )
    directory = job.directory / folder.BASE
    # It is there already where this training was stopped before.
    if ranks.first and not ((directory / "config.json").is_file() and (directory / "tokenizer.json").is_file()):
        texts = (message.content for one in read_conversations(job.train) for message in one.messages)
        build_base(directory, texts, job.recipe.rehearsal, window=job.recipe.max_length, seed=job.recipe.seed)
    ranks.wait()
    return directory


def _export(job: Job, base: Path, model: Any, loaded: Loaded, prepared: Prepared, ranks: Ranks) -> None:
    """Write the adapter and the merged model, by one process for all."""
    recipe, directory = job.recipe, job.directory
    weights = snapshots.trained(prepared.objective)
    if not ranks.first:
        return
    rounded = recipe.lora is not None and recipe.lora.four_bit
    if rounded or (ranks.size > 1 and recipe.sharding is Sharding.FSDP):
        # No process holds the model as it is to be written, whole and unrounded: it is loaded once more, into the
        # machine's memory, and gets the weights that were trained.
        loaded = checkpoint.load(base, dtype=_dtype(recipe), device=torch.device("cpu"))
        model = with_adapters(loaded.model, recipe, directory)
        for name, parameter in model.named_parameters():
            if (learned := weights.get(f"model.{name}")) is not None:
                parallel.put(parameter, learned)
    if recipe.lora is not None:
        save_adapters(model, recipe, directory)
        model = model.merge_and_unload()
    checkpoint.save(model, loaded.tokenizer, directory / folder.MODEL)
    prepared.objective.export(directory, weights)  # beside the model, which takes the place of whatever lay there


def main(directory: Path) -> int:
    """Carry out the job and, once its result is written, let go of what it would have gone on from; the exit code."""
    code = process.carry_out(directory, train)
    result = folder.read_json(directory / folder.RESULT)
    if result is not None and result["status"] == JobStatus.COMPLETED:
        snapshots.forget(directory)
    return code


if __name__ == "__main__":
    sys.exit(main(process.directory_argument()))
