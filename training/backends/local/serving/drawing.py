"""The next token of each of several replies, as their askers wish.

Owns temperature, nucleus and chance. Every reply has its own chance: a seed repeats it whoever else is answered in the
same moment.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Wish:
    """How a reply is drawn.

    Attributes:
        temperature: 0 takes the most probable token each time; up to 2.
        top_p: sample among the most probable tokens that hold this share of probability, above 0 to 1.
        max_tokens: a reply is cut there; None lets it run to the end of the window.
        stop: strings that end a reply and are not part of it.
        seed: repeats a sampled reply; None draws anew each time.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None


def draw(logits: torch.Tensor, wishes: Sequence[Wish], chances: Sequence[random.Random]) -> list[int]:
    """One token id for each row.

    Args:
        logits: (rows, vocabulary).
        wishes: one for each row.
        chances: one for each row; only rows that are sampled take a number from theirs, one each.
    """
    tokens: list[int] = logits.argmax(dim=-1).tolist()
    sampled = [row for row, wish in enumerate(wishes) if wish.temperature > 0]
    if sampled:
        drawn = _sampled(logits[sampled], [wishes[row] for row in sampled], [chances[row].random() for row in sampled])
        for row, token in zip(sampled, drawn, strict=True):
            tokens[row] = token
    return tokens


def _sampled(logits: torch.Tensor, wishes: Sequence[Wish], numbers: Sequence[float]) -> list[int]:
    """The token at which each row's cumulative probability passes its number, the most probable ones first.

    The nucleus is the smallest set of most probable tokens that hold ``top_p`` (Holtzman et al. 2020,
    https://arxiv.org/abs/1904.09751).
    """
    # In 64 bits: summed over 200,000 tokens, 32 would lose the rare ones.
    column = {"device": logits.device, "dtype": torch.float64}
    temperature = torch.tensor([[wish.temperature] for wish in wishes], **column)
    share = torch.tensor([[wish.top_p] for wish in wishes], **column)
    number = torch.tensor([[one] for one in numbers], **column)
    likely, order = (logits.double() / temperature).softmax(dim=-1).sort(dim=-1, descending=True, stable=True)
    likely = likely.masked_fill(likely.cumsum(dim=-1) - likely >= share, 0.0)
    passed = likely.cumsum(dim=-1)
    # Between 0 and 1 lies the kept share; "right" never takes a token without any probability.
    place = torch.searchsorted(passed, number * passed[:, -1:], right=True)
    last = (likely > 0).sum(dim=-1, keepdim=True) - 1
    tokens: list[int] = order.gather(-1, place.minimum(last)).squeeze(-1).tolist()
    return tokens
