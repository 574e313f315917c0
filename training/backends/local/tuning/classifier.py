"""Classification: a head of its own on the backbone says what a conversation is about, or what is wrong with a reply.

Owns the head, its loss, and how both are kept: the backbone is a model like any other, which plain transformers loads,
with ``head.safetensors`` and ``labels.json`` beside it. What is read and what may be answered is ``labels``'s.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from curation.conversation import Conversation
from curation.errors import Invalid, Unavailable
from curation.wording import called
from training.backends.base import Job
from training.backends.local import checkpoint, folder, labels
from training.backends.local.chat import ChatFormat, Encoded, read_rows
from training.backends.local.labels import Labels
from training.backends.local.tuning.cross_entropy import head_loss
from training.backends.local.tuning.data import Batch, group, pack
from training.backends.local.tuning.objective import Objective, Scored
from training.backends.local.tuning.preparing import Prepared
from training.particulars import read_particulars

HEAD = "head.safetensors"

_BATCH_TOKENS = 8192
_SPREAD = 0.02
"""Of the head's first weights, as of a new layer of any Phi."""


class ClassifierLoss(Objective):
    """Cross-entropy of each conversation's label, read from the state of its last token."""

    def __init__(self, model: Any, about: Labels) -> None:
        super().__init__(model)
        self.about = about
        self.head = nn.Linear(self.core.config.hidden_size, len(about.names), bias=False)
        nn.init.normal_(self.head.weight, std=_SPREAD)
        # Nothing is predicted with the model's own head: what gets no gradient must not wait for one.
        read = {id(one) for one in self.core.get_input_embeddings().parameters()}
        for parameter in self.core.get_output_embeddings().parameters():
            if id(parameter) not in read:
                parameter.requires_grad_(False)

    def pack(self, rows: Sequence[Encoded]) -> Batch:
        """Conversations one behind the other; each one's last token predicts its label."""
        return pack(rows)

    def count(self, row: Encoded) -> float:
        """Its weight: a conversation has one label, however long it is."""
        return row.weight

    def forward(self, batch: Batch) -> Scored:
        """The batch's cross-entropy."""
        loss, correct = head_loss(self.head, self.hidden(batch)[batch.wanted], batch.targets, batch.weights)
        return Scored(loss, correct, batch.weights.sum())

    def probabilities(self, batch: Batch) -> torch.Tensor:
        """Of each answer, ``(conversations, labels)``."""
        states = self.hidden(batch)[batch.wanted]
        return torch.softmax(nn.functional.linear(states.float(), self.head.weight.float()), -1)

    def export(self, directory: Path, weights: Mapping[str, torch.Tensor]) -> None:
        """Write the head and what it answers beside the model, which lies there already."""
        model = directory / folder.MODEL
        save_file({"weight": weights["head.weight"].float().cpu().contiguous()}, model / HEAD)
        labels.write_labels(self.about, model)


class LoadedClassifier:
    """A classifier that answers. Not safe for two threads at a time."""

    def __init__(self, objective: ClassifierLoss, chat: ChatFormat, device: torch.device) -> None:
        self._objective, self._chat, self._device = objective.eval(), chat, device

    @property
    def about(self) -> Labels:
        """What it answers."""
        about: Labels = self._objective.about
        return about

    def classify(self, conversations: Sequence[Conversation]) -> list[list[tuple[str, float]]]:
        """Every answer with its probability, the most probable first; none where a conversation cannot be read.

        Args:
            conversations: up to and including the reply that is asked about.
        """
        answers: list[list[tuple[str, float]]] = [[] for _ in conversations]
        read = ((place, self._row(conversation)) for place, conversation in enumerate(conversations))
        rows = [(place, row) for place, row in read if row is not None]
        lengths = [len(row) for _, row in rows]
        for indices in group(lengths, _BATCH_TOKENS, random.Random(0), apart=self._objective.apart):
            batch = self._objective.pack([rows[index][1] for index in indices])
            with torch.no_grad():
                shares = self._objective.probabilities(batch.to(self._device)).tolist()
            for index, share in zip(indices, shares, strict=True):
                answers[rows[index][0]] = sorted(zip(self.about.names, share, strict=True), key=lambda one: -one[1])
        return answers

    def _row(self, conversation: Conversation) -> Encoded | None:
        try:
            found = labels.fitted(self.about, self._chat, conversation)
        except Invalid:  # it uses tools, or the template refuses it: nothing can be said about it
            return None
        return None if found is None else Encoded(found[0], [False] * len(found[0]), label=0)


def prepare(job: Job, chat: ChatFormat, model: Any) -> Prepared:
    """Conversations whose labels are learned; a head is made for them.

    Raises:
        Invalid: nothing is labelled, there is nothing to tell apart, or nothing to measure it by.
    """
    assert job.recipe.classification is not None  # noqa: S101 (a recipe of this objective has one)
    known = read_particulars(job.particulars) if job.particulars is not None else {}
    label = job.recipe.classification.label
    learned, held_out = (labels.samples(label, read_rows(path), known) for path in (job.train, job.validation))
    about = Labels(label, labels.names_of(label, learned), job.recipe.max_length)
    training, validation = (labels.encoded(about, chat, side) for side in (learned, held_out))
    if not training.rows or not validation.rows:
        raise Invalid(
            "No conversation of the validation side has a {label} that can be learned; add some and freeze again."
            if training.rows
            else "No conversation of the training side has a {label} that can be learned; add some and freeze again.",
            label=called(label),
        )
    return Prepared(
        ClassifierLoss(model, about),
        training.rows,
        validation.rows,
        (*training.notes("training", about), *validation.notes("validation", about)),
        {"training": training.counts(), "validation": validation.counts()},
    )


def load_classifier(path: Path, *, device: torch.device | None = None) -> LoadedClassifier:
    """The classifier in a model's directory.

    Args:
        path: with the backbone, ``head.safetensors`` and ``labels.json``.
        device: where it goes; None for the GPU where there is one.

    Raises:
        Unavailable: it is none, or does not fit together.
    """
    about = labels.read_labels(path)
    loaded = checkpoint.load(path, device=device)
    objective = ClassifierLoss(loaded.model, about)
    try:
        weight = load_file(path / HEAD)["weight"]
        with torch.no_grad():
            objective.head.weight.copy_(weight)
    except (OSError, KeyError, SafetensorError, RuntimeError) as error:
        raise Unavailable(
            "{path} holds no {file} that fits its {labels}; take the model's folder as the run has left it.",
            path=path,
            file=HEAD,
            labels=labels.FILE,
        ) from error
    return LoadedClassifier(objective.to(loaded.device), ChatFormat(loaded.tokenizer), loaded.device)
