"""Evaluations of models that only their provider has: the process that does one, seen from outside.

Owns its start, again where it was killed, and that nobody hears of an end before the endpoint is down that was paid for
it. Imports nothing of Azure. What the process does is ``evaluator``'s.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from curation.errors import Conflict, ErrataError, Invalid, Unavailable
from curation.wording import phrase
from training.backends import opening
from training.backends.base import Backend, EvaluationProgress, EvaluationRequest, JobStatus
from training.backends.errors import Unreached
from training.backends.foundry.evaluating import endpoint as evaluation_endpoint
from training.backends.foundry.place import AzurePlace
from training.backends.local import detached, folder, launcher
from training.backends.names import BackendName

MODULE = "training.backends.foundry.evaluating.evaluator"

STARTS = 3
"""How often the process of one evaluation is started: killed twice, it goes on where it was."""

STOP_SECONDS = 10.0

_STARTED = "started.json"


def start(request: EvaluationRequest, backend: BackendName, place: AzurePlace | None = None) -> None:
    """Start the evaluation, or let one go on whose process was killed; nothing happens to one that has ended.

    Args:
        request: what to evaluate.
        backend: which has the model.
        place: where in Azure; None: what this process's environment says.
    """
    directory = request.directory
    directory.mkdir(parents=True, exist_ok=True)
    if launcher.lives(directory) or not _may_go_on(directory):
        return
    for name in (folder.RESULT, folder.PROCESS):
        (directory / name).unlink(missing_ok=True)
    where = AzurePlace.read(os.environ) if place is None else place
    row = {"request": request.as_json(), "backend": backend.value, "place": _place_json(where)}
    detached.start(MODULE, directory, row)
    folder.write_json(directory / _STARTED, {"times": _starts(directory) + 1})


def poll(request: EvaluationRequest, backend: Backend | None = None) -> EvaluationProgress:
    """How far the evaluation has come. Its end is told once its endpoint is down.

    Args:
        request: as it was started.
        backend: which has the model; None: the one that ``start`` named.

    Raises:
        Unavailable: the endpoint cannot be taken down, and goes on costing money.
    """
    directory = request.directory
    alive = launcher.lives(directory)
    lines = folder.read_progress(directory)
    share = lines[-1]["share"] if lines else 0.0
    status, reason = detached.outcome(directory, alive=alive, lost=_lost)
    if not status.final or (not alive and _may_go_on(directory)):
        return EvaluationProgress(done=False, share=share)
    if not _is_down(request, backend):
        return EvaluationProgress(done=False, share=share)
    if status is JobStatus.COMPLETED:
        return EvaluationProgress(done=True, share=1.0, report=directory / folder.REPORT)
    return EvaluationProgress(done=True, share=share, reason=reason)


def forget(request: EvaluationRequest, backend: Backend | None = None) -> None:
    """Stop the process, take its endpoint down and remove what it has left, so that ``start`` starts another.

    Raises:
        Conflict: the endpoint is still going down.
        Unavailable: it cannot be taken down.
    """
    launcher.stop(request.directory, wait_seconds=STOP_SECONDS)
    if not _is_down(request, backend):
        raise Conflict(
            "The endpoint on which {run} was evaluated is still going down; try again in a minute.", run=request.run_id
        )
    shutil.rmtree(request.directory, ignore_errors=True)


def read(directory: Path) -> tuple[EvaluationRequest, BackendName, AzurePlace]:
    """What ``start`` wrote.

    Raises:
        Invalid: nobody has started anything here.
    """
    row = folder.read_json(directory / folder.REQUEST)
    if row is None:
        raise Invalid(
            "{folder} holds no {file}; start an evaluation with `errata evaluate`.",
            folder=directory,
            file=folder.REQUEST,
        )
    return EvaluationRequest.from_json(row["request"]), BackendName(row["backend"]), AzurePlace(**row["place"])


def _is_down(request: EvaluationRequest, backend: Backend | None) -> bool:
    """Whether nothing is hosted for this evaluation, once its end was asked for."""
    try:
        return evaluation_endpoint.take_down(backend or _opened(request.directory), request.directory)
    except Unreached:
        return False
    except ErrataError as error:
        raise Unavailable(
            "The endpoint on which {run} was evaluated cannot be taken down, and costs money until it is: {reason} "
            "Look with errata foundry costs, then resume the run.",
            run=request.run_id,
            reason=error.sentence,
        ) from error


def _opened(directory: Path) -> Backend:
    if not (directory / folder.REQUEST).exists():
        return opening.backends(AzurePlace())[BackendName.LOCAL]  # nothing was started, so nothing is hosted anywhere
    _, name, place = read(directory)
    return opening.backends(place)[name]


def _may_go_on(directory: Path) -> bool:
    """Whether it was not begun yet, or killed or stopped before its end and not too often."""
    result = folder.read_json(directory / folder.RESULT)
    stopped = result is None or result["status"] == JobStatus.CANCELLED
    return stopped and _starts(directory) < STARTS


def _starts(directory: Path) -> int:
    row = folder.read_json(directory / _STARTED)
    return 0 if row is None else int(row["times"])


def _place_json(place: AzurePlace) -> dict[str, Any]:
    """Without what screens examples: its key stays out of files."""
    return {name: value for name, value in asdict(place).items() if not name.startswith("safety_")}


def _lost(words: str) -> str:
    return phrase(
        "The evaluation's process was killed {times} times; the last line of its log was: {words} Resume the run to "
        "evaluate again.",
        times=STARTS,
        words=words,
    )
