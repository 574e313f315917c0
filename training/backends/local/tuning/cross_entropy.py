"""Cross-entropy of a model's head over many tokens, without ever holding all their logits.

Owns the functions that multiply with the head. Logits are the largest thing in a training step: 8,000 tokens of a
vocabulary of 200,000 are 6.6 GB in 32 bits, and autograd would keep them twice. Here they live for one chunk: their
gradient is taken at once, while they are at hand, and only the gradient of the hidden states is kept. The idea is that
of Liger Kernel's fused linear cross-entropy (https://arxiv.org/abs/2410.10989), in plain PyTorch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

CHUNK_LOGITS = 1 << 25
"""Most logits at a time: 128 MB in 32 bits."""


def head_loss(
    head: nn.Module,
    hidden: torch.Tensor,
    targets: torch.Tensor,
    weights: torch.Tensor,
    *,
    chunk_logits: int = CHUNK_LOGITS,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The weighted sum of cross-entropies, in nats, and of targets that were the most probable; both scalars.

    Args:
        head: the model's output embedding or any other linear layer, perhaps trained whole beside adapters.
        hidden: states that predict the targets, ``(supervised, width)``.
        targets: token ids or labels, ``(supervised,)``.
        weights: of each target, ``(supervised,)``.
        chunk_logits: most logits at a time.
    """
    weight = _weight(head)
    if weight is not None:
        loss, correct = _HeadLoss.apply(hidden, weight, targets, weights, max(1, chunk_logits // len(weight)))
        return loss, correct
    logits = head(hidden).float()  # a head with adapters or a bias of its own: autograd knows best
    losses = nn.functional.cross_entropy(logits, targets, reduction="none")
    return (losses * weights).sum(), ((logits.argmax(-1) == targets) * weights).sum()


def token_losses(
    head: nn.Module, hidden: torch.Tensor, targets: torch.Tensor, *, chunk_logits: int = CHUNK_LOGITS
) -> torch.Tensor:
    """Each target's cross-entropy in nats, which is minus its log-probability, ``(supervised,)``; differentiable.

    Arguments as of ``head_loss``, which is cheaper where only a sum is wanted.
    """
    weight = _weight(head)
    if weight is None:
        return nn.functional.cross_entropy(head(hidden).float(), targets, reduction="none")
    losses: torch.Tensor = _TokenLosses.apply(hidden, weight, targets, max(1, chunk_logits // len(weight)))
    return losses


def token_scores(
    head: nn.Module, hidden: torch.Tensor, targets: torch.Tensor, *, chunk_logits: int = CHUNK_LOGITS
) -> tuple[torch.Tensor, torch.Tensor]:
    """Each target's cross-entropy in nats and whether it was the most probable, both ``(supervised,)``; no gradients.

    Arguments as of ``head_loss``; at least one target.
    """
    with torch.no_grad():
        weight = _weight(head)
        if weight is None:
            logits = head(hidden).float()
            return nn.functional.cross_entropy(logits, targets, reduction="none"), logits.argmax(-1) == targets
        chunks = _chunks(hidden, weight.to(_dtype(hidden)), targets, max(1, chunk_logits // len(weight)))
        losses, right = zip(*((losses, right) for _, _, losses, right, _ in chunks), strict=True)
        return torch.cat(losses), torch.cat(right)


def _weight(head: nn.Module) -> torch.Tensor | None:
    """The head's one matrix, ``(vocabulary, width)``; None for a head that is more than that."""
    trained = getattr(head, "modules_to_save", None)
    if trained is not None:
        head = trained[head.active_adapters[0]]
    plain = type(head) is nn.Linear and head.bias is None
    return head.weight if plain else None


def _dtype(hidden: torch.Tensor) -> torch.dtype:
    device = hidden.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype


def _chunks(
    hidden: torch.Tensor, matrix: torch.Tensor, targets: torch.Tensor, size: int
) -> Iterator[tuple[slice, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Chunk by chunk: where it is, its states, its losses, whether each was the most probable, its probabilities."""
    for start in range(0, len(targets), size):
        place = slice(start, start + size)
        states, wanted = hidden[place].to(matrix.dtype), targets[place]
        logits = (states @ matrix.T).float()
        highest, best = logits.max(-1, keepdim=True)
        at_target = logits.gather(1, wanted[:, None])
        shares = logits.sub_(highest).exp_()
        total = shares.sum(-1, keepdim=True)
        losses = (total.log() + highest - at_target)[:, 0]
        yield place, states, losses, best[:, 0] == wanted, shares.div_(total)


def _gradient(shares: torch.Tensor, wanted: torch.Tensor, factors: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Of the logits, from their probabilities, which are used up: (share - target) x factor."""
    shares.scatter_add_(1, wanted[:, None], shares.new_full((len(wanted), 1), -1.0))
    return shares.mul_(factors[:, None]).to(dtype)


class _HeadLoss(torch.autograd.Function):  # type: ignore[misc]  # torch publishes types that mypy is told to skip
    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor, size: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        matrix = weight.to(_dtype(hidden))
        wants_hidden, wants_weight = ctx.needs_input_grad[:2]
        ctx.hidden_gradient = torch.empty_like(hidden) if wants_hidden else None
        ctx.weight_gradient = torch.zeros_like(weight, dtype=torch.float32) if wants_weight else None
        loss = torch.zeros((), device=hidden.device)
        correct = torch.zeros((), device=hidden.device)
        for place, states, losses, right, shares in _chunks(hidden, matrix, targets, size):
            loss += (losses * weights[place]).sum()
            correct += (right * weights[place]).sum()
            if not (wants_hidden or wants_weight):
                continue
            gradient = _gradient(shares, targets[place], weights[place], matrix.dtype)
            if ctx.hidden_gradient is not None:
                ctx.hidden_gradient[place] = gradient @ matrix
            if ctx.weight_gradient is not None:
                ctx.weight_gradient += gradient.T @ states
        ctx.mark_non_differentiable(correct)
        return loss, correct

    @staticmethod
    def backward(ctx: Any, loss: torch.Tensor, _correct: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        # In place and once: a copy of either would be the largest tensor of the step.
        hidden_gradient, weight_gradient = ctx.hidden_gradient, ctx.weight_gradient
        ctx.hidden_gradient = ctx.weight_gradient = None
        for gradient in (hidden_gradient, weight_gradient):
            if gradient is not None:
                gradient.mul_(loss)
        return hidden_gradient, weight_gradient, None, None, None


class _TokenLosses(torch.autograd.Function):  # type: ignore[misc]  # torch publishes types that mypy is told to skip
    """As ``_HeadLoss``, but what each token's loss is multiplied with is only known on the way back.

    A token's loss depends on its own state alone, so that gradient is taken at once; the head's needs the logits anew.
    """

    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, size: int) -> torch.Tensor:
        matrix = weight.to(_dtype(hidden))
        wants_hidden, wants_weight = ctx.needs_input_grad[:2]
        hidden_gradient = torch.empty_like(hidden) if wants_hidden else None
        all_losses = torch.empty(len(targets), device=hidden.device)
        for place, _, losses, _, shares in _chunks(hidden, matrix, targets, size):
            all_losses[place] = losses
            if hidden_gradient is not None:
                ones = torch.ones_like(losses)
                hidden_gradient[place] = _gradient(shares, targets[place], ones, matrix.dtype) @ matrix
        ctx.save_for_backward(hidden_gradient, targets, *((hidden, weight) if wants_weight else ()))
        ctx.size, ctx.dtype = size, matrix.dtype
        return all_losses

    @staticmethod
    def backward(ctx: Any, factors: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        hidden_gradient, targets, *kept = ctx.saved_tensors
        weight_gradient = None
        if kept:
            hidden, weight = kept
            weight_gradient = torch.zeros_like(weight, dtype=torch.float32)
            for place, states, _, _, shares in _chunks(hidden, weight.to(ctx.dtype), targets, ctx.size):
                weight_gradient += _gradient(shares, targets[place], factors[place], ctx.dtype).T @ states
        if hidden_gradient is not None:
            hidden_gradient = hidden_gradient * factors[:, None].to(hidden_gradient.dtype)
        return hidden_gradient, weight_gradient, None, None
