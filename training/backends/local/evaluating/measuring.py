"""How well a model predicts single conversations, and which of two replies it finds the likelier.

Owns the figures of one loaded model, per row, so that two models can be compared row by row. Nothing is generated.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from curation.conversation import Conversation
from curation.errors import Invalid
from training.backends.local.chat import ChatFormat, Encoded, Row
from training.backends.local.tuning.cross_entropy import token_scores
from training.backends.local.tuning.data import group
from training.backends.local.tuning.loss import Fit, SupervisedLoss
from training.backends.local.tuning.pairs import Pair, read_pairs

BATCH_TOKENS = 8192


@dataclass(frozen=True, slots=True)
class RowScores:
    """Figures of some conversations, in their order.

    Attributes:
        nats: of each, the cross-entropies of its supervised tokens, summed.
        right: of each, the supervised tokens that were the most probable ones.
        tokens: of each, its supervised tokens.
    """

    nats: tuple[float, ...]
    right: tuple[int, ...]
    tokens: tuple[int, ...]

    @property
    def fit(self) -> Fit:
        """Of all tokens of all conversations together; there must be one."""
        tokens = sum(self.tokens)
        return Fit(sum(self.nats) / tokens, sum(self.right) / tokens, tokens)

    def means(self) -> list[float]:
        """Of each conversation, nats per supervised token."""
        return [nats / tokens for nats, tokens in zip(self.nats, self.tokens, strict=True)]


def row_scores(
    objective: SupervisedLoss, rows: Sequence[Encoded], *, device: torch.device, batch_tokens: int = BATCH_TOKENS
) -> RowScores:
    """How well the model predicts each of these conversations.

    Args:
        objective: the model, ready for packed rows.
        rows: each with at least one supervised token.
        device: where the model is.
        batch_tokens: most tokens at a time.
    """
    found: dict[int, tuple[float, int]] = {}
    objective.eval()
    head = objective.core.get_output_embeddings()
    for indices in group([len(row) for row in rows], batch_tokens, random.Random(0), apart=objective.apart):
        batch = objective.pack([rows[index] for index in indices]).to(device)
        with torch.no_grad():
            losses, right = token_scores(head, objective.hidden(batch)[batch.wanted], batch.targets)
        lengths = [rows[index].targets for index in indices]
        # Long sums of small numbers: 32 bits would lose what two models differ by.
        nats = torch.stack([one.sum() for one in losses.double().split(lengths)]).tolist()
        hits = torch.stack([one.sum() for one in right.split(lengths)]).tolist()
        found.update(zip(indices, zip(nats, hits, strict=True), strict=True))
    ordered = [found[index] for index in range(len(rows))]
    return RowScores(
        tuple(nats for nats, _ in ordered), tuple(hits for _, hits in ordered), tuple(row.targets for row in rows)
    )


def pair_of(chat: ChatFormat, case: Mapping[str, Any], window: int) -> Pair | None:
    """A case's corrected and its flagged reply after the same words.

    None for a case that has no flagged reply, for two replies of the same tokens, and where either does not fit.
    """
    if case["kind"] == "endorsement" or case.get("flagged") is None:
        return None
    conversation = Conversation.from_json(case["messages"]).answered(case["expected"])
    try:
        pairs = read_pairs(chat, [Row(conversation, example=0)], {0: case["flagged"]}, window)
    except Invalid:  # a flagged reply of no words, which no template renders as a turn
        return None
    return pairs.rows[0] if pairs.rows else None


def margins(
    objective: SupervisedLoss, pairs: Sequence[Pair | None], *, device: torch.device, batch_tokens: int = BATCH_TOKENS
) -> list[float | None]:
    """By how much the model finds each corrected reply likelier than the flagged one; above 0 is a win.

    The mean log-probability of the corrected reply's tokens minus that of the flagged one's, in nats per token, what
    ends the reply included. Means, not sums: a short reply is not the better one for being short.
    """
    measured = [pair for pair in pairs if pair is not None]
    means = row_scores(
        objective,
        [one for pair in measured for one in (pair.chosen, pair.rejected)],
        device=device,
        batch_tokens=batch_tokens,
    ).means()
    found = iter(flagged - corrected for corrected, flagged in zip(means[::2], means[1::2], strict=True))
    return [None if pair is None else next(found) for pair in pairs]
