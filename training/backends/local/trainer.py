"""The training process: ``python -m training.backends.local.trainer DIRECTORY``.

Owns one training from its request to a merged model. Progress goes to ``progress.jsonl``, the end to
``result.json``. Nothing here knows a particular model; only a rehearsal's base is built instead of given.
"""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model

from curation.errors import Invalid
from training.backends.base import CurvePoint, Job
from training.backends.local import checkpoint, folder, process, snapshots
from training.backends.local.chat import ChatFormat, Corpus, encode_corpus, read_conversations
from training.backends.local.loop import Loop, wants_half
from training.backends.local.loss import SupervisedLoss
from training.backends.local.rehearsal import build_base
from training.hyperparameters import Recipe


def train(directory: Path) -> dict[str, Any]:
    """Carry out the job in the directory; returns what ``result.json`` says beside the status."""
    row = folder.read_json(directory / folder.REQUEST)
    if row is None:
        raise Invalid(
            "{folder} holds no {file}; start a training with `errata train`.", folder=directory, file=folder.REQUEST
        )
    job = Job.from_json(row)
    recipe = job.recipe
    base = _base(job)
    half = wants_half(recipe)
    # Weights that are trained themselves would lose their small steps in half precision.
    loaded = checkpoint.load(base, dtype=torch.bfloat16 if half and recipe.lora is not None else torch.float32)
    if recipe.max_length > loaded.window:
        raise Invalid(
            "max_length is {max_length:,} tokens; the model's window is {window:,}. Lower max_length.",
            max_length=recipe.max_length,
            window=loaded.window,
        )
    chat = ChatFormat(loaded.tokenizer)
    learned, held_out = (
        encode_corpus(chat, read_conversations(path), recipe.max_length) for path in (job.train, job.validation)
    )
    if not learned.rows:
        raise Invalid("{file} has no conversation to train on; add examples or raise max_length.", file=job.train.name)
    notes = learned.notes("training", recipe.max_length) + held_out.notes("validation", recipe.max_length)
    folder.append_progress(directory, {"notes": notes})

    # Adapters start random, dropout is random: from here on the seed decides.
    torch.manual_seed(recipe.seed)
    model = with_adapters(loaded.model, recipe)

    module = SupervisedLoss(model)
    keeper = Keeper(directory, recipe.snapshot_minutes)

    def report(point: CurvePoint, eta_seconds: float) -> None:
        folder.append_progress(directory, {**asdict(point), "steps": loop.steps, "eta_seconds": eta_seconds})

    loop = Loop(
        module,
        recipe,
        rows=learned.rows,
        validation=held_out.rows,
        device=loaded.device,
        report=report,
        between=lambda: keeper.between(module, loop),
    )
    position = snapshots.restore(directory, module, loop.optimiser)
    if position is not None:
        loop.go_on_from(position)
        folder.forget_progress(directory, after_step=loop.step)
    loop.run()

    if recipe.lora is not None:
        # Rows are never added to the embedding, so peft need not ask the hub whether they were.
        model.save_pretrained(directory / folder.ADAPTER, save_embedding_layers=False)
        model = model.merge_and_unload()
    checkpoint.save(model, loaded.tokenizer, directory / folder.MODEL)
    return {
        "base_model": str(base),
        "adapter": recipe.lora is not None,
        "steps": loop.step,
        "loss": loop.loss,
        "notes": notes,
        "training": _counts(learned),
        "validation": _counts(held_out),
    }


class Keeper:
    """Takes a snapshot every so many minutes, and a last one before the process ends on request."""

    def __init__(self, directory: Path, minutes: float) -> None:
        self._directory, self._seconds = directory, 60 * minutes
        self._asked = process.finish_steps()
        self._last = time.monotonic()

    def between(self, module: SupervisedLoss, loop: Loop) -> None:
        """After a step: keep what there is to keep; raises Stopped where the process was asked to end."""
        asked = self._asked() or (self._directory / folder.CANCEL).exists()
        if asked or time.monotonic() - self._last >= self._seconds:
            snapshots.save(self._directory, module, loop.optimiser, loop.position())
            self._last = time.monotonic()
        if asked:
            raise process.Stopped


def _base(job: Job) -> Path:
    """Where the base model is; a rehearsal's is built first, from the training side alone."""
    if job.base.path is not None:
        return job.base.path
    if job.recipe.rehearsal is None:
        raise Invalid(
            "The recipe {recipe} has no [rehearsal] table; add one or give a checkpoint.", recipe=job.recipe.name
        )
    directory = job.directory / folder.BASE
    if (directory / "config.json").is_file() and (directory / "tokenizer.json").is_file():
        return directory  # of this training, before it was stopped
    texts = (message.content for conversation in read_conversations(job.train) for message in conversation.messages)
    build_base(directory, texts, job.recipe.rehearsal, window=job.recipe.max_length, seed=job.recipe.seed)
    return directory


def with_adapters(model: Any, recipe: Recipe) -> Any:
    """The model wrapped in adapters, whose own weights have 32 bits; for full training the model itself."""
    if recipe.lora is None:
        return model
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=recipe.lora.rank,
        lora_alpha=recipe.lora.alpha,
        lora_dropout=recipe.lora.dropout,
        target_modules=list(recipe.lora.targets),
        modules_to_save=list(recipe.lora.modules_to_save) or None,
    )
    wrapped = get_peft_model(model, config)
    for parameter in wrapped.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return wrapped


def _counts(corpus: Corpus) -> dict[str, int]:
    return {
        "conversations": len(corpus.rows),
        "tokens": sum(len(row.ids) for row in corpus.rows),
        "supervised_tokens": sum(sum(row.supervised) for row in corpus.rows),
        "shortened": corpus.shortened,
        "left_out": corpus.left_out,
    }


if __name__ == "__main__":
    sys.exit(process.carry_out(process.directory_argument(), train))
