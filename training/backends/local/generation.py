"""Greedy replies in batches.

Owns batching, padding and when a reply ends. Sampling and streaming belong to ``endpoint``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from training.backends.local.checkpoint import Loaded

_ROWS = 32


def greedy_replies(
    loaded: Loaded, prompts: Sequence[Sequence[int]], *, max_new_tokens: int, done: Callable[[int], None]
) -> list[str]:
    """The most probable reply to each prompt, in the order of the prompts.

    Args:
        loaded: the model.
        prompts: token ids up to where the reply begins; each shorter than the window.
        max_new_tokens: a reply is cut there, or where the window ends.
        done: called with the number of replies after each batch.
    """
    replies = [""] * len(prompts)
    # Prompts of similar length share a batch: less padding, and long ones do not hold up short ones.
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    for start in range(0, len(order), _ROWS):
        chosen = order[start : start + _ROWS]
        for index, reply in zip(chosen, _batch(loaded, [prompts[i] for i in chosen], max_new_tokens), strict=True):
            replies[index] = reply
        done(len(chosen))
    return replies


def _batch(loaded: Loaded, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> list[str]:
    width = max(len(prompt) for prompt in prompts)
    # Padding on the left, so that every row's next token is in the same column; the mask hides it.
    ids = torch.zeros(len(prompts), width, dtype=torch.long, device=loaded.device)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt, device=loaded.device)
        mask[row, width - len(prompt) :] = 1
    with torch.no_grad():
        output = loaded.model.generate(
            input_ids=ids,
            attention_mask=mask,
            do_sample=False,
            max_new_tokens=min(max_new_tokens, loaded.window - width),
            eos_token_id=loaded.stop_tokens,
            pad_token_id=loaded.stop_tokens[0],
        )
    return [decode(loaded, row) for row in output[:, width:].tolist()]


def decode(loaded: Loaded, ids: Sequence[int]) -> str:
    """The text of a reply, up to its stop token."""
    text: str = loaded.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return text
