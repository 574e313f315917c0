"""Preference tuning: a corrected reply becomes more probable than the wrong one beside it.

Owns the loss of direct preference optimisation (DPO, Rafailov et al. 2023, https://arxiv.org/abs/2305.18290) on the
same core as every other training: both replies of a pair stand in one packed row, and only their tokens meet the head.
Which pairs there are is ``pairs``'s business, and so is what the model thought of them before it learned.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from curation.errors import Invalid
from training.backends.base import Job
from training.backends.local.chat import ChatFormat, read_rows
from training.backends.local.tuning.cross_entropy import token_losses
from training.backends.local.tuning.data import Batch, group, pack
from training.backends.local.tuning.objective import Objective, Scored
from training.backends.local.tuning.pairs import Pair, read_pairs
from training.backends.local.tuning.precision import precision
from training.backends.local.tuning.preparing import Prepared
from training.backends.local.tuning.reference import with_references
from training.hyperparameters import Preference, Recipe, Sharding
from training.particulars import read_particulars

_BETA = 0.1
"""Of the paper, for which the bounds of a divergence hold."""


@dataclass(frozen=True, slots=True)
class PairBatch:
    """Pairs packed into rows.

    Attributes:
        parts: rows of conversations; one, or two where longrope keeps long conversations apart from short ones.
        order: place of each conversation in the parts, chosen and rejected of each pair in turn, ``(2 * pairs,)``.
        lengths: for each part, supervised tokens of each of its conversations.
        reference: log-probability of each chosen and rejected reply before training, in nats, ``(pairs, 2)``.
        chosen: supervised tokens of each chosen reply, ``(pairs,)``.
    """

    parts: tuple[Batch, ...]
    order: torch.Tensor
    lengths: tuple[tuple[int, ...], ...]
    reference: torch.Tensor
    chosen: torch.Tensor

    @property
    def tokens(self) -> int:
        """Tokens in all conversations."""
        return sum(part.tokens for part in self.parts)

    def to(self, device: torch.device) -> PairBatch:
        """The same batch on another device."""
        parts = tuple(part.to(device) for part in self.parts)
        tensors = (self.order.to(device), self.lengths, self.reference.to(device), self.chosen.to(device))
        return PairBatch(parts, *tensors)


class PreferenceLoss(Objective):
    """A causal language model as a function from pairs to how little it prefers the chosen replies."""

    def __init__(self, model: Any, preference: Preference) -> None:
        super().__init__(model)
        self._preference = preference
        # A margin is the sum over a reply, times beta: 30 nats of it, at a beta of 0.1, are a rise of 3.
        self.scale = max(1.0, preference.beta / _BETA) + preference.replies
        # The loss compares two models on the same words: what dropout does to one of them would count as a preference.
        for module in self.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0

    @property
    def border(self) -> int | None:
        """Tokens above which a conversation shares no row with shorter ones; None where all may."""
        return super().apart

    @property
    def apart(self) -> int | None:
        """None: a batch keeps long and short conversations apart itself, for a pair may have one of each."""
        return None

    def pack(self, rows: Sequence[Pair]) -> PairBatch:
        """Pairs as packed rows, the two of a pair next to each other."""
        conversations = [one for row in rows for one in (row.chosen, row.rejected)]
        exceeds = [self.border is not None and len(one) > self.border for one in conversations]
        sides = [[place for place, long in enumerate(exceeds) if long is side] for side in (False, True)]
        parts = [side for side in sides if side]
        supervised = [sum(one.supervised) for one in conversations]
        return PairBatch(
            parts=tuple(pack([conversations[place] for place in part]) for part in parts),
            order=torch.tensor([place for part in parts for place in part]).argsort(),
            lengths=tuple(tuple(supervised[place] for place in part) for part in parts),
            reference=torch.tensor([row.reference for row in rows]),
            chosen=torch.tensor(supervised[::2]),
        )

    def count(self, row: Pair) -> float:  # noqa: ARG002 (each pair counts alike)
        """One."""
        return 1.0

    def log_probabilities(self, batch: PairBatch) -> torch.Tensor:
        """Of each chosen and rejected reply, its stop token included, in nats, ``(pairs, 2)``."""
        found = []
        for part, lengths in zip(batch.parts, batch.lengths, strict=True):
            hidden = self.hidden(part)[part.wanted]
            losses = token_losses(self.core.get_output_embeddings(), hidden, part.targets)
            # Split and summed: adding up by index is not repeatable to the last bit on a GPU.
            found += [-one.sum() for one in losses.split(lengths)]
        return torch.stack(found)[batch.order].view(-1, 2)

    def forward(self, batch: PairBatch) -> Scored:
        """Sum over the batch's pairs; right are those whose chosen reply has gained more than the rejected one."""
        scores = self.log_probabilities(batch)
        losses, margins = preference_losses(scores, batch.reference, beta=self._preference.beta)
        if self._preference.replies:
            losses = losses - self._preference.replies * scores[:, 0] / batch.chosen
        return Scored(losses.sum(), (margins > 0).sum(), torch.tensor(float(len(losses)), device=losses.device))


def preference_losses(
    scores: torch.Tensor, reference: torch.Tensor, *, beta: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Of each pair, its loss in nats and by how much its chosen reply has gained over the rejected one, in nats.

    The loss is ``-log sigmoid(beta * margin)``, equation 7 of the paper; log 2 where nothing has been learned yet.

    Args:
        scores: log-probabilities of chosen and rejected replies, ``(pairs, 2)``.
        reference: the same under the model before training.
        beta: how far the model may leave that one; smaller is further.
    """
    gained = scores - reference
    margins = gained[:, 0] - gained[:, 1]
    return -nn.functional.logsigmoid(beta * margins), margins.detach()


def prepare(job: Job, chat: ChatFormat, model: Any) -> Prepared:
    """Pairs of replies, of which the corrected one is preferred.

    Args:
        job: whose files are read.
        chat: of the model's tokenizer.
        model: with its adapters as they begin, after a resume as well: what it thinks of the pairs before its first
            step is what it is compared with while it learns.

    Raises:
        Invalid: no row of the training side gives a pair, a row cannot be taught, or its model cannot be split.
    """
    recipe = job.recipe
    facts = {} if job.particulars is None else read_particulars(job.particulars)
    rejected = {key: one.rejected for key, one in facts.items() if one.rejected}
    learned, held_out = (
        read_pairs(chat, read_rows(path), rejected, recipe.max_length) for path in (job.train, job.validation)
    )
    if not learned.rows:
        raise Invalid(
            "{file} has no row with a rejected reply that fits, so there is nothing to prefer; add corrections of "
            'flagged replies, or take a recipe whose objective is "replies".',
            file=job.train.name,
        )
    objective = PreferenceLoss(model, recipe.preference or Preference())
    border = objective.border
    pairs = (*learned.rows, *held_out.rows)
    # Processes that share a model's parts have to call it equally often, and such a batch needs two calls.
    if recipe.sharding is Sharding.FSDP and border is not None and max(map(_longest, pairs)) > border:
        raise Invalid(
            "Some pairs exceed {border:,} tokens, above which the model scales positions in another way, and that does "
            'not go with sharding = "fsdp" yet; lower max_length to {border:,}, or set sharding to "none".',
            border=border,
        )

    def ask(asked: Sequence[Pair]) -> torch.Tensor:
        return log_probabilities(objective, asked, recipe)

    sides = with_references({"training": learned.rows, "validation": held_out.rows}, job.directory, ask)
    notes = learned.notes("training", recipe.max_length) + held_out.notes("validation", recipe.max_length)
    if recipe.lora is not None and recipe.lora.dropout:
        notes.append("lora.dropout is not used: what it does to a reply would count as a preference.")
    counts = {"training": learned.counts(), "validation": held_out.counts()}
    return Prepared(objective, sides["training"], sides["validation"], tuple(notes), counts)


def log_probabilities(objective: PreferenceLoss, pairs: Sequence[Pair], recipe: Recipe) -> torch.Tensor:
    """Of each chosen and rejected reply under the model as it is, in nats, ``(pairs, 2)``."""
    training = objective.training
    objective.eval()
    device = next(objective.parameters()).device
    found = torch.empty(len(pairs), 2)
    for places in group([len(pair) for pair in pairs], recipe.piece_tokens, random.Random(0)):
        batch = objective.pack([pairs[place] for place in places]).to(device)
        with torch.no_grad(), precision(recipe, device):
            found[places] = objective.log_probabilities(batch).float().cpu()
    objective.train(training)
    return found


def _longest(pair: Pair) -> int:
    return max(len(pair.chosen), len(pair.rejected))
