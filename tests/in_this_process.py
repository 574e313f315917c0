"""A training or an evaluation in the test's own process, which saves the start of another: seconds of imports."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from training.backends.base import EvaluationRequest, Job
from training.backends.foundry.evaluating import evaluator as remote
from training.backends.foundry.looks import Looks
from training.backends.local import folder, launcher, process
from training.backends.local.evaluating import evaluator
from training.backends.local.tuning import snapshots, trainer

_WORK = {
    trainer.__name__: trainer.train,
    evaluator.__name__: evaluator.evaluate,
    remote.__name__: remote.carry_out,
}


def carry_out(request: Job | EvaluationRequest, work: Callable[[Path], dict[str, Any]]) -> int:
    """What a detached process does in the request's directory; returns its exit code."""
    request.directory.mkdir(parents=True, exist_ok=True)
    folder.write_json(request.directory / folder.REQUEST, request.as_json())
    with _as_before():
        return process.carry_out(request.directory, work)


@contextmanager
def starting() -> Iterator[None]:
    """What the local backend starts is done before it returns, except for endpoints: they have their processes.

    For tests of what comes of it. That processes are detached, found and stopped is ``test_local_backend``'s.
    """
    launch = launcher.launch

    def carried_out(module: str, directory: Path, **how: Any) -> bool:
        if module not in _WORK:
            return launch(module, directory, **how)
        with _as_before(), (directory / folder.LOG).open("a", encoding="utf-8") as log, redirect_stdout(log):
            if process.carry_out(directory, _WORK[module]) == 0:
                snapshots.forget(directory)
        return True

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launcher, "launch", carried_out)
        yield


@contextmanager
def looking_often() -> Iterator[None]:
    """What a remote evaluation that is done here waits for at its provider is looked at without long pauses."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(remote, "Waits", partial(remote.Waits, look_seconds=0.05))
        patch.setattr("training.backends.foundry.managed.backend.Looks", Looks.always)
        yield


@contextmanager
def _as_before() -> Iterator[None]:
    """A process that ends need not put back what it changes; this one goes on."""
    threads, handler = torch.get_num_threads(), signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)
        torch.set_num_threads(threads)
