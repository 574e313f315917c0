"""What a model thought of each pair before its first step: the point that preference tuning measures from.

Owns that it is asked once and kept in the job's folder. A training that goes on after a stop reads it again and so
measures from the same point, to the last bit. What is damaged, or is of other pairs, is asked again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from training.backends.local.tuning.pairs import Pair

log = logging.getLogger("errata.reference")

FILE = "reference.safetensors"


def with_references(
    sides: Mapping[str, Sequence[Pair]], directory: Path, ask: Callable[[Sequence[Pair]], torch.Tensor]
) -> dict[str, list[Pair]]:
    """The same pairs with their reference.

    Args:
        sides: pairs by side, such as ``training``.
        directory: of the job.
        ask: gives the log-probabilities of some pairs' chosen and rejected replies, in nats, ``(pairs, 2)``.
    """
    digest = _digest(sides)
    kept = _read(directory / FILE, digest)
    if kept is None:
        kept = {side: ask(pairs) for side, pairs in sides.items() if pairs}
        _write(directory / FILE, kept, digest)
    return {
        side: [_with(*one) for one in zip(pairs, kept[side].tolist(), strict=True)] if pairs else []
        for side, pairs in sides.items()
    }


def _with(pair: Pair, reference: Sequence[float]) -> Pair:
    chosen, rejected = reference
    return replace(pair, reference=(chosen, rejected))


def _digest(sides: Mapping[str, Sequence[Pair]]) -> str:
    """Of every token and of which are compared."""
    tokens = {
        side: [(one.ids, one.supervised) for pair in pairs for one in (pair.chosen, pair.rejected)]
        for side, pairs in sides.items()
    }
    return hashlib.sha256(json.dumps(tokens, sort_keys=True).encode()).hexdigest()


def _read(path: Path, digest: str) -> dict[str, torch.Tensor] | None:
    try:
        with safe_open(path, framework="pt") as file:
            if (file.metadata() or {}).get("pairs") != digest:
                return None
            return {side: file.get_tensor(side) for side in file.keys()}  # noqa: SIM118 (it is no mapping)
    except FileNotFoundError:
        return None
    except (OSError, SafetensorError) as error:
        log.warning("the reference is damaged and asked for again: error=%s", type(error).__name__)
        return None


def _write(path: Path, kept: Mapping[str, torch.Tensor], digest: str) -> None:
    # Several processes may do so at once: each writes a file of its own, and the last to be renamed stays.
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        save_file(dict(kept), partial, metadata={"pairs": digest})
        partial.replace(path)
    except (OSError, SafetensorError) as error:
        # The training needs it in memory alone; only one that goes on would have to ask again.
        log.warning("the reference could not be kept: error=%s", type(error).__name__)
        partial.unlink(missing_ok=True)
