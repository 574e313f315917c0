"""A training or an evaluation in the test's own process, which saves the start of another: seconds of imports."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from training.backends.base import EvaluationRequest, Job
from training.backends.local import folder, process


def carry_out(request: Job | EvaluationRequest, work: Callable[[Path], dict[str, Any]]) -> int:
    """What a detached process does in the request's directory; returns its exit code."""
    request.directory.mkdir(parents=True, exist_ok=True)
    folder.write_json(request.directory / folder.REQUEST, request.as_json())
    threads, handler = torch.get_num_threads(), signal.getsignal(signal.SIGTERM)
    try:
        return process.carry_out(request.directory, work)
    finally:
        signal.signal(signal.SIGTERM, handler)
        torch.set_num_threads(threads)
