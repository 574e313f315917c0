"""Batches that hold a budget of tokens, not a number of rows.

Owns how conversations are put into batches: one behind the other in a single row, so that nothing is padded. None
sees another, which is ``attention``'s business; each has positions of its own from 0.
"""

from __future__ import annotations

import random
from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import accumulate

import torch

from training.backends.local.chat import Encoded


@dataclass(frozen=True, slots=True)
class Batch:
    """Conversations packed into one row.

    Attributes:
        ids: token ids, ``(1, tokens)``.
        positions: of each token within its conversation, from 0, ``(1, tokens)``.
        wanted: indices of the tokens from whose state something is predicted, ``(supervised,)``.
        targets: what: the token that follows, or the conversation's label, ``(supervised,)``.
        weights: of each of them in the loss, ``(supervised,)``.
        bounds: where each conversation begins, and where the last one ends, ``(conversations + 1,)``, int32.
        longest: tokens of the longest conversation.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    wanted: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor
    bounds: torch.Tensor
    longest: int

    @property
    def tokens(self) -> int:
        """Tokens in all conversations."""
        return int(self.ids.shape[1])

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return Batch(**{name: one.to(device) if name != "longest" else one for name, one in values.items()})


def group(
    lengths: Sequence[int], batch_tokens: int, rng: random.Random, *, apart: int | None = None
) -> list[list[int]]:
    """Indices of rows by batch, in a random order of batches, each of at most ``batch_tokens`` tokens.

    ``[3, 9, 3, 9]`` with 12 tokens gives ``[[0, 1], [3, 2]]`` or another such pairing. A row longer than the budget
    gets a batch of its own. Every row goes where it fits best among the batches begun before it (best fit of shuffled
    lengths, longest first), which leaves next to no room unused.

    Args:
        apart: those longer than this never share a batch with the others: longrope scales the positions of a whole row
            by its longest conversation.
    """
    order = list(range(len(lengths)))
    rng.shuffle(order)  # rows of equal length meet different neighbours in each epoch
    order.sort(key=lambda index: -lengths[index])
    kinds = [[index for index in order if apart is None or lengths[index] <= apart]]
    if apart is not None:
        kinds.append([index for index in order if lengths[index] > apart])
    found = [batch for kind in kinds for batch in _fitted(kind, lengths, batch_tokens)]
    rng.shuffle(found)
    return found


def pack(rows: Sequence[Encoded]) -> Batch:
    """Conversations as one row, one behind the other; a labelled one predicts its label from its last token."""
    lengths = [len(row) for row in rows]
    starts = [0, *accumulate(lengths)]
    ids = torch.tensor([one for row in rows for one in row.ids])
    positions = torch.cat([torch.arange(length) for length in lengths])
    bounds = torch.tensor(starts, dtype=torch.int32)
    weights = torch.tensor([row.weight for row in rows])
    if rows[0].label is not None:
        labels = torch.tensor([row.label for row in rows])
        return Batch(ids[None], positions[None], bounds[1:].long() - 1, labels, weights, bounds, max(lengths))
    supervised = torch.tensor([one for row in rows for one in row.supervised])
    supervised[positions == 0] = False  # nothing precedes the first token, so nothing can predict it
    targets = supervised.nonzero()[:, 0]
    per_token = weights.repeat_interleave(torch.tensor([row.targets for row in rows]))
    return Batch(ids[None], positions[None], targets - 1, ids[targets], per_token, bounds, max(lengths))


def _fitted(order: Sequence[int], lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Best fit: each goes into the fullest batch that still has room for it."""
    found: list[list[int]] = []
    with_room: dict[int, list[int]] = {}  # batches by the tokens that they still take
    rooms: list[int] = []
    for index in order:
        length = lengths[index]
        place = bisect_left(rooms, length)
        if place < len(rooms):
            room = rooms[place]
            batch = with_room[room].pop()
            if not with_room[room]:
                del with_room[room], rooms[place]
            found[batch].append(index)
        else:
            room, batch = max(batch_tokens, length), len(found)
            found.append([index])
        left = room - length
        if left not in with_room:
            insort(rooms, left)
            with_room[left] = []
        with_room[left].append(batch)
    return found
