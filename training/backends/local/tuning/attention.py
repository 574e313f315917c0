"""Attention over packed rows: several conversations in one row, none of which sees another.

Owns the plug-in that transformers calls in each layer. On a GPU it is PyTorch's variable-length flash attention; on a
CPU, where that kernel does not exist, one product per conversation. No mask is ever made: at 8,192 tokens it would be
64 million entries. A sliding window is honoured, which Phi-3-mini has at 2,047 tokens.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import AttentionInterface

PACKED = "errata_packed"
"""The name under which a model's ``set_attn_implementation`` finds it."""

_SMALL = 512
"""Up to so many tokens a plain matrix product is faster on a CPU than the fused kernel and its backward."""


def packed_attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,  # noqa: ARG001 (transformers' signature; there is none)
    *,
    scaling: float,
    cu_seq_lens_q: torch.Tensor,
    max_length_q: int,
    sliding_window: int | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention within each conversation of a packed row.

    Args:
        module: the attention layer; unused beside its training state.
        query: ``(1, heads, tokens, width)``; rotary positions are in it already.
        key: ``(1, key heads, tokens, width)``; several query heads may share a key head.
        value: as ``key``.
        scaling: of the scores.
        cu_seq_lens_q: where each conversation begins, and where the last one ends, ``(conversations + 1,)``, int32.
        max_length_q: tokens of the longest conversation.
        sliding_window: most tokens, itself among them, that a token looks at; None for all before it.
        dropout: of the attention weights, of which no Phi has any.

    Returns:
        ``(1, tokens, heads, width)`` and no weights.

    Raises:
        ValueError: dropout is asked for.
    """
    if dropout and module.training:
        raise ValueError("attention dropout is not supported over packed rows")
    window = None if sliding_window is None or sliding_window >= max_length_q else sliding_window
    if query.is_cuda and query.dtype is not torch.float32:  # for which flash attention has no kernel
        from torch.nn.attention.varlen import varlen_attn  # noqa: PLC0415 (it exists for CUDA alone)

        mixed = varlen_attn(
            *(tensor[0].transpose(0, 1) for tensor in (query, key, value)),
            cu_seq_lens_q,
            cu_seq_lens_q,
            max_length_q,
            max_length_q,
            scale=scaling,
            window_size=(-1 if window is None else window - 1, 0),
            enable_gqa=query.shape[1] != key.shape[1],
        )
        return mixed[None], None
    lengths = cu_seq_lens_q.diff().tolist()
    # Split, not sliced: each slice's gradient would be a row of zeros as long as the whole.
    queries, keys, values = (tensor[0].split(lengths, dim=1) for tensor in (query, key, value))
    mixed = [_one(q, k, v, scaling, window) for q, k, v in zip(queries, keys, values, strict=True)]
    return torch.cat(mixed, dim=1).transpose(0, 1)[None], None


def _one(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float, window: int | None
) -> torch.Tensor:
    """One conversation, ``(heads, tokens, width)``, on a CPU."""
    shared = query.shape[0] // key.shape[0]
    length = query.shape[1]
    window = None if window is None or window >= length else window
    if length > _SMALL:
        mask = None if window is None else ~_hidden(length, window, query.device)
        mixed: torch.Tensor = nn.functional.scaled_dot_product_attention(
            query[None],
            key[None],
            value[None],
            attn_mask=mask,
            is_causal=mask is None,
            scale=scaling,
            enable_gqa=shared > 1,
        )[0]
        return mixed
    if shared > 1:
        key, value = key.repeat_interleave(shared, 0), value.repeat_interleave(shared, 0)
    scores = torch.bmm(query * scaling, key.transpose(1, 2))
    weights = torch.softmax(scores.masked_fill(_hidden(length, window, query.device), float("-inf")), -1)
    return torch.bmm(weights.to(value.dtype), value)


def _hidden(length: int, window: int | None, device: torch.device) -> torch.Tensor:
    """True where a token may not look: ahead of itself, and behind its window. ``(tokens, tokens)``."""
    seen = torch.ones(length, length, dtype=torch.bool, device=device).tril_()
    if window is not None:
        seen &= torch.ones_like(seen).triu_(1 - window)
    return ~seen


AttentionInterface.register(PACKED, packed_attention)
