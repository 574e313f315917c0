"""Greedy replies in batches.

Owns batching, padding and when a reply ends. Sampling and streaming belong to ``endpoint``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from training.backends.local.checkpoint import Loaded

_ROWS = 64
# Of prompts and replies together: the cache of a batch is then about 13 GB for Phi-3-mini, the largest for its size.
_TOKENS = 1 << 15


@dataclass(frozen=True, slots=True)
class Drawn:
    """One reply.

    Attributes:
        text: its words.
        ids: its tokens, without the stop token.
        stopped: whether the model ended it; otherwise it was cut.
    """

    text: str
    ids: tuple[int, ...]
    stopped: bool


def greedy_replies(
    loaded: Loaded, prompts: Sequence[Sequence[int]], *, max_new_tokens: int, done: Callable[[int], None]
) -> list[Drawn]:
    """The most probable reply to each prompt, in the order of the prompts.

    Args:
        loaded: the model, with the attention that it was loaded with.
        prompts: token ids up to where the reply begins; each shorter than the window.
        max_new_tokens: a reply is cut there, or where the window ends.
        done: called with the number of replies after each batch.
    """
    replies: dict[int, Drawn] = {}
    for chosen in _batches([len(prompt) for prompt in prompts], max_new_tokens):
        drawn = _batch(loaded, [prompts[index] for index in chosen], max_new_tokens)
        replies.update(zip(chosen, drawn, strict=True))
        done(len(chosen))
    return [replies[index] for index in range(len(prompts))]


def _batches(lengths: Sequence[int], max_new_tokens: int) -> Iterator[list[int]]:
    """Indices of prompts. Those of similar length share a batch: less padding, and long ones do not hold up short."""
    chosen: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda index: lengths[index]):
        # The longest one comes last, and all are padded to it.
        if chosen and (len(chosen) == _ROWS or (len(chosen) + 1) * (lengths[index] + max_new_tokens) > _TOKENS):
            yield chosen
            chosen = []
        chosen.append(index)
    if chosen:
        yield chosen


def _batch(loaded: Loaded, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> list[Drawn]:
    width = max(len(prompt) for prompt in prompts)
    # Padding on the left, so that every row's next token is in the same column; the mask hides it.
    ids = torch.zeros(len(prompts), width, dtype=torch.long, device=loaded.device)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt, device=loaded.device)
        mask[row, width - len(prompt) :] = 1
    rooms = [min(max_new_tokens, loaded.window - len(prompt)) for prompt in prompts]
    with torch.no_grad():
        output = loaded.model.generate(
            input_ids=ids,
            attention_mask=mask,
            do_sample=False,
            # A short prompt's reply is not cut because a long prompt stands beside it; what that one would say beyond
            # its own window is dropped.
            max_new_tokens=max(rooms),
            eos_token_id=loaded.stop_tokens,
            pad_token_id=loaded.stop_tokens[0],
        )
    return [_drawn(loaded, row[:room]) for row, room in zip(output[:, width:].tolist(), rooms, strict=True)]


def _drawn(loaded: Loaded, ids: Sequence[int]) -> Drawn:
    end = next((place for place, one in enumerate(ids) if one in loaded.stop_tokens), None)
    said = tuple(ids[:end])
    text: str = loaded.tokenizer.decode(said, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return Drawn(text, said, stopped=end is not None)
