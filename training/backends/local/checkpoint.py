"""Load and save models: the same code for a rehearsal base, a user's checkpoint and a hub id.

Owns precision and placement. Refuses a path that holds no checkpoint, with a sentence instead of a stack.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from curation.errors import Unavailable


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model on its device, and its tokenizer."""

    model: Any
    tokenizer: Any
    device: torch.device

    @property
    def window(self) -> int:
        """Most tokens of prompt and reply together."""
        return int(self.model.config.max_position_embeddings)

    @property
    def stop_tokens(self) -> list[int]:
        """Ids that end a reply, as the checkpoint's own generation configuration has them."""
        ids = self.model.generation_config.eos_token_id
        return [ids] if isinstance(ids, int) else list(ids or [])


def load(path: Path, *, dtype: torch.dtype | None = None) -> Loaded:
    """A model and its tokenizer, on the GPU where there is one.

    Args:
        path: a checkpoint directory or a hub id.
        dtype: of the weights; None for what answers best here: bfloat16 on a GPU, 32 bits on a CPU, where half
            precision is slow without special instructions.

    Raises:
        Unavailable: nothing there can be loaded.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = dtype or (torch.bfloat16 if device.type == "cuda" else torch.float32)
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(path))
        model = AutoModelForCausalLM.from_pretrained(str(path), dtype=dtype)
    except (OSError, ValueError) as error:
        first = (str(error).strip().splitlines() or ["no message"])[0].rstrip(".")
        raise Unavailable(
            "No model can be loaded from {path}: {cause}. Give a checkpoint directory or a hub id that can be reached.",
            path=path,
            cause=first,
        ) from error
    return Loaded(model.to(device), tokenizer, device)


def save(model: Any, tokenizer: Any, directory: Path) -> None:
    """Write a checkpoint directory that plain ``from_pretrained`` loads: safetensors and tokenizer."""
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
