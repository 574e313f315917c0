"""Fit: whether a training has what it needs on this machine, said before it starts.

Owns the findings about GPU, memory, disk and packages. Refuses a run that would die hours later, and says which change
makes it fit. How much a training takes is ``planning.memory``'s, what helps ``planning.fitting``'s. Loads no torch.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path

from curation.findings import Finding, Severity
from curation.formats.jsonl import Row, open_jsonl
from curation.wording import phrase
from training.backends.base import Base, Job
from training.backends.local.devices import Machine
from training.hyperparameters import Method, Recipe
from training.planning import fitting, memory, pace, subjects
from training.planning.fitting import Fit, Room
from training.planning.memory import Rows
from training.planning.shapes import Shape
from training.planning.subjects import Subject
from training.recipe import load_recipe

_GB = 1e9
_LEAST_FREE_BYTES = 1_000_000_000  # on the disk: logs, reports and some slack
_LOADING_BYTES = 2_000_000_000  # of the machine's memory, beside the weights on their way to the GPU
_LONG_SECONDS = 86_400.0
_ENDS = ("embed_tokens", "lm_head")  # every model has them, and they may have adapters too
_MOMENTS = 12  # bytes of a snapshot for each weight that is trained: the weight and AdamW's two moments


def findings(job: Job, machine: Machine) -> list[Finding]:
    """What this machine lacks for the job; those of severity error stand in the way."""
    rows = rows_of(job.train) if job.train.is_file() else None
    subject = subject_of(job.base, job.recipe)
    return [*packages(job.recipe), *of_machine(subject, job.recipe, rows, machine), *_disk(job, subject.shape)]


def of_machine(subject: Subject, recipe: Recipe, rows: Rows | None, machine: Machine) -> list[Finding]:
    """What a machine lacks to train the subject: a GPU, memory, or time.

    Args:
        rows: what it trains on; None where that is not known.
    """
    found = [*_gpu(recipe, machine), *_targets(subject, recipe)]
    if subject.shape is not None and rows is not None:
        found += [*_memory(subject, recipe, rows, machine), *_time(subject.shape, recipe, rows, machine)]
    return found


def subject_of(base: Base, recipe: Recipe) -> Subject:
    """What is known of the model that a job starts from."""
    if base.path is not None:
        return subjects.named(str(base.path))
    if recipe.rehearsal is None:
        return Subject(
            "rehearsal", None, None, None, phrase("The recipe {recipe} has no [rehearsal] table.", recipe=recipe.name)
        )
    return subjects.rehearsed(recipe.rehearsal, recipe.max_length)


def rows_of(path: Path) -> Rows:
    """The rows of a file, whose tokens are guessed from their bytes."""
    return memory.guessed_rows(row.conversation for row in open_jsonl(path) if isinstance(row, Row))


def processes_of(recipe: Recipe, machine: Machine) -> int:
    """How many train together: as many as the recipe says, or one for each GPU, and one where there is none."""
    return recipe.processes or max(1, len(machine.gpus))


def room_of(recipe: Recipe, machine: Machine) -> Room | None:
    """Where the recipe would be trained; None where nobody knows how much memory there is."""
    gpus = machine.gpus
    if gpus:
        used = gpus[: recipe.processes or len(gpus)]
        smallest = min(used, key=lambda gpu: gpu.free)
        return Room(smallest.name, smallest.free, gpu=True, processes=len(used))
    if machine.memory is None:
        return None
    processes = processes_of(recipe, machine)
    return Room("this machine", machine.memory // processes, gpu=False, processes=processes)


def packages(recipe: Recipe) -> Iterator[Finding]:
    """What is not installed."""
    missing = [name for name in ("torch", "transformers", "peft") if importlib.util.find_spec(name) is None]
    if missing:
        yield _error(
            "local.packages",
            phrase("Not installed: {packages}.", packages=missing),
            phrase("Install the extra `train` of Errata."),
        )
    if _four_bit(recipe) and importlib.util.find_spec("bitsandbytes") is None:
        yield _error(
            "local.packages",
            phrase("Not installed: {packages}.", packages=["bitsandbytes"]),
            phrase("Install the extra `qlora` of Errata, or choose a recipe without lora.four_bit."),
        )


def _memory(subject: Subject, recipe: Recipe, rows: Rows, machine: Machine) -> Iterator[Finding]:
    """Whether there is memory enough, on the GPU and on the way to it; the shape of the subject is known."""
    room, shape = room_of(recipe, machine), subject.shape
    if room is None or shape is None:
        return
    fit = fit_of(subject, recipe, rows, room)
    if fit is not None and not fit.fits:
        told = {"needed": fit.needed.total / _GB, "free": room.free / _GB}
        message = (
            phrase(
                "Training needs about {needed:.1f} GB on {device}, where {free:.1f} GB are free.",
                device=room.device,
                **told,
            )
            if room.gpu
            else phrase(
                "Training needs about {needed:.1f} GB of memory, and this machine has {free:.1f} GB free.", **told
            )
        )
        yield _error("local.memory", message, fit.change or _nothing_fits(fit.least))
    loading = _weights_bytes(shape, recipe, half=memory.in_half(recipe, gpu=room.gpu)) + _LOADING_BYTES
    if room.gpu and not _four_bit(recipe) and machine.memory is not None and loading * room.processes > machine.memory:
        yield _error(
            "local.memory",
            phrase(
                "Loading the model takes about {needed:.1f} GB of the machine's memory, where {free:.1f} GB are free.",
                needed=loading * room.processes / _GB,
                free=machine.memory / _GB,
            ),
            phrase("Make room, or choose a smaller model."),
        )


def fit_of(subject: Subject, recipe: Recipe, rows: Rows, room: Room) -> Fit | None:
    """Whether the training has room, and what makes it fit; None where the model's shape is not known."""
    if subject.shape is None:
        return None
    shipped = [load_recipe(name) for name in subject.listed.recipes] if subject.listed is not None else []
    return fitting.fit(subject.shape, recipe, rows, room, shipped)


def _nothing_fits(least: int) -> str:
    return phrase(
        "No change of the recipe makes it fit: it takes {least:.1f} GB at least. Choose a smaller model, or a machine "
        "with that much.",
        least=least / _GB,
    )


def _gpu(recipe: Recipe, machine: Machine) -> Iterator[Finding]:
    if 0 < len(machine.gpus) < recipe.processes:
        yield _error(
            "local.gpu",
            phrase(
                "The recipe {recipe} wants {wanted:,} GPUs, of which this machine has {found:,}.",
                recipe=recipe.name,
                wanted=recipe.processes,
                found=len(machine.gpus),
            ),
            phrase("Set processes to 0, which is one for each GPU that there is."),
        )
    if machine.gpus:
        return
    if machine.idle_gpus:
        yield Finding(
            "local.gpu",
            Severity.WARNING,
            phrase("The PyTorch that is installed cannot use {gpu}.", gpu=machine.idle_gpus[0]),
            phrase("Install PyTorch with CUDA, as https://pytorch.org/get-started/locally shows."),
        )
    if _four_bit(recipe):
        yield _error(
            "local.gpu",
            phrase("The recipe {recipe} has weights in 4 bits, which takes an NVIDIA GPU.", recipe=recipe.name),
            phrase("Choose a recipe without lora.four_bit, or a machine with such a GPU."),
        )


def _targets(subject: Subject, recipe: Recipe) -> Iterator[Finding]:
    """Peft passes over names that it does not find, so that a part of the model would go without adapters, unsaid."""
    targets = subject.lora_targets
    wrong = [name for name in recipe.lora.targets if name not in {*targets, *_ENDS}] if targets and recipe.lora else []
    if targets is None or not wrong:
        return
    yield _error(
        "local.targets",
        phrase(
            "The recipe {recipe} has adapters for {wrong:and}, and {model} has no such layers.",
            recipe=recipe.name,
            wrong=wrong,
            model=subject.name,
        ),
        phrase("Set lora.targets to {targets:and}.", targets=list(targets)),
    )


def _time(shape: Shape, recipe: Recipe, rows: Rows, machine: Machine) -> Iterator[Finding]:
    """A training on a CPU that takes longer than a day was hardly meant."""
    if machine.gpus:
        return
    seconds = pace.seconds(shape, recipe, rows, pace.of_cores(machine.cores))
    if seconds >= _LONG_SECONDS:
        yield Finding(
            "local.slow",
            Severity.WARNING,
            phrase("Without a GPU this takes about {days:,.0f} days.", days=seconds / 86_400),
            phrase("Train on a machine with an NVIDIA GPU, or rehearse with --model rehearsal."),
        )


def disk_bytes(shape: Shape | None, recipe: Recipe) -> int:
    """What a training writes at most: snapshots, one of them still growing, the adapter, the model."""
    if shape is None:
        return _LEAST_FREE_BYTES
    trained = memory.trained_weights(shape, recipe)
    snapshots = (recipe.snapshots + 1) * _MOMENTS * trained
    best = 4 * trained
    adapter = 4 * trained if recipe.lora is not None else 0
    model = (2 if recipe.lora is not None else 4) * shape.parameters
    return _LEAST_FREE_BYTES + snapshots + best + adapter + model


def _disk(job: Job, shape: Shape | None) -> Iterator[Finding]:
    nearest = next(parent for parent in (job.directory, *job.directory.absolute().parents) if parent.exists())
    free, needed = shutil.disk_usage(nearest).free, disk_bytes(shape, job.recipe)
    if free < needed:
        yield _error(
            "local.disk",
            phrase("{folder} has {free:.1f} GB free.", folder=nearest, free=free / _GB),
            phrase("Make room for at least {needed:.0f} GB.", needed=needed / _GB),
        )


def _weights_bytes(shape: Shape, recipe: Recipe, *, half: bool) -> int:
    return (2 if half and recipe.method is Method.LORA else 4) * shape.parameters


def _four_bit(recipe: Recipe) -> bool:
    return recipe.lora is not None and recipe.lora.four_bit


def _error(rule: str, message: str, fix: str) -> Finding:
    return Finding(rule, Severity.ERROR, message, fix)
