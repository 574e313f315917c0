"""What a training of some objective consists of, and the one for replies.

Owns the way from a job's files to rows and an objective. Preferences and labels have modules of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from curation.errors import Invalid
from training.backends.base import Job
from training.backends.local.chat import ChatFormat, Corpus, encode_corpus, read_rows
from training.backends.local.tuning.loss import SupervisedLoss
from training.backends.local.tuning.objective import Objective
from training.hyperparameters import Recipe


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is trained on what.

    Attributes:
        objective: around the model.
        rows: the training side, of the objective's own kind; never empty.
        validation: the same; may be empty.
        notes: sentences about the data for people.
        counts: figures about each side for ``result.json``.
    """

    objective: Objective
    rows: Sequence[Any]
    validation: Sequence[Any]
    notes: tuple[str, ...]
    counts: dict[str, dict[str, int]]


def prepare(job: Job, chat: ChatFormat, model: Any) -> Prepared:
    """Conversations whose replies are learned.

    Args:
        job: whose files are read.
        chat: of the model's tokenizer.
        model: with its adapters.

    Raises:
        Invalid: a row cannot be taught, or none is left to train on.
    """
    recipe = job.recipe
    learned, left_out = _encoded(job, chat, train=True)
    held_out, _ = _encoded(job, chat, train=False)
    if left_out and not learned.rows:
        raise Invalid("Every row of {file} is of a kind that [mix] gives no weight; give one.", file=job.train.name)
    if not learned.rows:
        raise Invalid("{file} has no conversation to train on; add examples or raise max_length.", file=job.train.name)
    notes = learned.notes("training", recipe.max_length) + held_out.notes("validation", recipe.max_length)
    if left_out:
        notes.append(f"{left_out} of the training conversations are of a kind that [mix] gives no weight.")
    return Prepared(
        SupervisedLoss(model),
        learned.rows,
        held_out.rows,
        tuple(notes),
        {"training": _counts(learned), "validation": _counts(held_out)},
    )


def _encoded(job: Job, chat: ChatFormat, *, train: bool) -> tuple[Corpus, int]:
    """A side, and how many of its rows have no weight; the validation side is measured as it is, every row alike."""
    rows = read_rows(job.train if train else job.validation)
    weighed = [(row.conversation, _weight(job.recipe, row.kind) if train else 1.0) for row in rows]
    kept = [(conversation, weight) for conversation, weight in weighed if weight > 0]
    conversations, weights = [one for one, _ in kept], [weight for _, weight in kept]
    return encode_corpus(chat, conversations, job.recipe.max_length, weights=weights), len(weighed) - len(kept)


def _weight(recipe: Recipe, kind: str | None) -> float:
    return recipe.mix.weight(kind)


def _counts(corpus: Corpus) -> dict[str, int]:
    return {
        "conversations": len(corpus.rows),
        "tokens": sum(len(row) for row in corpus.rows),
        "supervised_tokens": sum(sum(row.supervised) for row in corpus.rows),
        "shortened": corpus.shortened,
        "left_out": corpus.left_out,
    }
