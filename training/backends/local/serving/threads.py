"""How many cores one model's token is worth.

Owns the choice between one and all of them: a small model's layers take less time than waking a second core does, and
what one core does not need, the conversations with the askers do.
"""

from __future__ import annotations

import os
import time
from typing import Any

import torch

ROWS = 16
LOOKS = 5
WORTH = 1.3
"""All cores have to be so many times as fast as one."""


def choose(model: Any) -> int:
    """Let torch work with one thread, or with as many as there are cores, whichever suits the model; says how many.

    Args:
        model: a causal language model; nothing is looked at where it stands on a GPU, which needs one thread.
    """
    if model.device.type != "cpu":
        torch.set_num_threads(1)
        return 1
    every = os.cpu_count() or 1
    seconds = {threads: _step_seconds(model, threads) for threads in (every, 1)}
    threads = every if seconds[every] * WORTH < seconds[1] else 1
    torch.set_num_threads(threads)
    return threads


def _step_seconds(model: Any, threads: int) -> float:
    """The fastest of some steps of a batch."""
    torch.set_num_threads(threads)
    ids = torch.zeros(ROWS, 1, dtype=torch.long)
    fastest = float("inf")
    with torch.no_grad():
        for _ in range(LOOKS):
            began = time.perf_counter()
            model(input_ids=ids, use_cache=False)
            fastest = min(fastest, time.perf_counter() - began)
            if fastest > 1:
                break  # a large model, whose loading took far longer
    return fastest
