"""Cross-entropy of a language model's head over many tokens, without ever holding all their logits.

Owns the one function that multiplies with the head. Logits are the largest thing in a training step: 8,000 tokens of a
vocabulary of 200,000 are 6.6 GB in 32 bits, and autograd would keep them twice. Here they live for one chunk: their
gradient is taken at once, while they are at hand, and only the gradient of the hidden states is kept. The idea is that
of Liger Kernel's fused linear cross-entropy (https://arxiv.org/abs/2410.10989), in plain PyTorch.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

CHUNK_LOGITS = 1 << 25
"""Most logits at a time: 128 MB in 32 bits."""


def head_loss(
    head: nn.Module, hidden: torch.Tensor, targets: torch.Tensor, *, chunk_logits: int = CHUNK_LOGITS
) -> tuple[torch.Tensor, torch.Tensor]:
    """The sum of cross-entropies, in nats, and how many targets were the most probable tokens; both scalars.

    Args:
        head: the model's output embedding; a linear layer, perhaps trained whole beside adapters.
        hidden: states that predict the targets, ``(supervised, width)``.
        targets: token ids, ``(supervised,)``.
        chunk_logits: most logits at a time.
    """
    weight = _weight(head)
    if weight is not None:
        loss, correct = _HeadLoss.apply(hidden, weight, targets, max(1, chunk_logits // len(weight)))
        return loss, correct
    logits = head(hidden).float()  # a head with adapters or a bias of its own: autograd knows best
    return nn.functional.cross_entropy(logits, targets, reduction="sum"), (logits.argmax(-1) == targets).sum()


def _weight(head: nn.Module) -> torch.Tensor | None:
    """The head's one matrix, ``(vocabulary, width)``; None for a head that is more than that."""
    trained = getattr(head, "modules_to_save", None)
    if trained is not None:
        head = trained[head.active_adapters[0]]
    plain = type(head) is nn.Linear and head.bias is None
    return head.weight if plain else None


class _HeadLoss(torch.autograd.Function):  # type: ignore[misc]  # torch publishes types that mypy is told to skip
    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, size: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        device = hidden.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype
        matrix = weight.to(dtype)
        wants_hidden, wants_weight = ctx.needs_input_grad[:2]
        hidden_gradient = torch.empty_like(hidden) if wants_hidden else None
        weight_gradient = torch.zeros_like(weight, dtype=torch.float32) if wants_weight else None
        loss = torch.zeros((), device=hidden.device)
        correct = torch.zeros((), dtype=torch.long, device=hidden.device)
        for start in range(0, len(targets), size):
            chunk, wanted = hidden[start : start + size].to(dtype), targets[start : start + size]
            logits = (chunk @ matrix.T).float()
            highest, best = logits.max(-1, keepdim=True)
            correct += (best[:, 0] == wanted).sum()
            at_target = logits.gather(1, wanted[:, None])
            shares = logits.sub_(highest).exp_()
            total = shares.sum(-1, keepdim=True)
            loss += (total.log() + highest - at_target).sum()
            if not (wants_hidden or wants_weight):
                continue
            gradient = shares.div_(total)
            gradient.scatter_add_(1, wanted[:, None], torch.full_like(total, -1.0))
            gradient = gradient.to(dtype)
            if hidden_gradient is not None:
                hidden_gradient[start : start + size] = gradient @ matrix
            if weight_gradient is not None:
                weight_gradient += gradient.T @ chunk
        ctx.save_for_backward(hidden_gradient, weight_gradient)
        ctx.mark_non_differentiable(correct)
        return loss, correct

    @staticmethod
    def backward(ctx: Any, loss: torch.Tensor, _correct: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        hidden_gradient, weight_gradient = ctx.saved_tensors
        return (
            None if hidden_gradient is None else hidden_gradient * loss,
            None if weight_gradient is None else (weight_gradient * loss),
            None,
            None,
        )
