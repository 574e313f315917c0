"""Batches of encoded conversations that hold a budget of tokens, not a number of rows.

Owns how rows are grouped and padded. A row budget would pad every short conversation to the longest
one beside it; with a token budget, rows of similar length share a batch and little is wasted.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from training.backends.local.chat import Encoded


@dataclass(frozen=True, slots=True)
class Batch:
    """Padded rows.

    Attributes:
        ids: token ids, ``(batch, seq)``, padded on the right with 0.
        supervised: True at positions whose token is to be predicted, ``(batch, seq)``; never the first.
        tokens: tokens that are not padding.
    """

    ids: torch.Tensor
    supervised: torch.Tensor
    tokens: int

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        return Batch(self.ids.to(device), self.supervised.to(device), self.tokens)


def group(lengths: Sequence[int], batch_tokens: int, rng: random.Random) -> list[list[int]]:
    """Indices of rows by batch, in a random order of batches.

    ``[3, 9, 3, 9]`` with 18 tokens gives ``[[1, 3], [0, 2]]`` or ``[[0, 2], [1, 3]]``. A row longer than
    the budget gets a batch of its own.
    """
    order = list(range(len(lengths)))
    # Rows of equal length meet different neighbours in each epoch.
    rng.shuffle(order)
    order.sort(key=lambda index: lengths[index])
    batches: list[list[int]] = []
    for index in order:
        # Sorted, so this row is the longest of its batch and sets the padded width.
        if batches and (len(batches[-1]) + 1) * lengths[index] <= batch_tokens:
            batches[-1].append(index)
        else:
            batches.append([index])
    rng.shuffle(batches)
    return batches


def pad(rows: Sequence[Encoded]) -> Batch:
    """Rows as tensors, padded on the right.

    Under causal attention no token sees what comes after it, so padding on the right needs no mask.
    """
    width = max(len(row.ids) for row in rows)
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    supervised = torch.zeros(len(rows), width, dtype=torch.bool)
    for index, row in enumerate(rows):
        ids[index, : len(row.ids)] = torch.tensor(row.ids)
        supervised[index, : len(row.ids)] = torch.tensor(row.supervised)
    # Nothing precedes the first token, so nothing can predict it.
    supervised[:, 0] = False
    return Batch(ids, supervised, tokens=sum(len(row.ids) for row in rows))


def batches(rows: Sequence[Encoded], batch_tokens: int, rng: random.Random) -> list[Batch]:
    """All rows once, in batches of at most ``batch_tokens`` tokens, padding included."""
    lengths = [len(row.ids) for row in rows]
    return [pad([rows[index] for index in indices]) for indices in group(lengths, batch_tokens, rng)]
