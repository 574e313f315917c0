"""The evaluation process: ``python -m training.backends.local.evaluating.evaluator DIRECTORY``.

Owns one evaluation from its request to ``report.json``: one model at a time, each loaded once. What is measured of a
model is ``appraisal``'s, what the figures mean is decided in ``training.evaluation.gate``.
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import Any

import torch

from curation.errors import Invalid
from training.backends.base import EvaluationRequest
from training.backends.local import folder, process
from training.backends.local.evaluating import classifying
from training.backends.local.evaluating.appraisal import Appraisal, appraise
from training.backends.local.evaluating.asked import Asked
from training.backends.local.evaluating.reporting import compose
from training.hyperparameters import Objective


def evaluate(directory: Path) -> dict[str, Any]:
    """Carry out the request in the directory and write ``report.json``."""
    row = folder.read_json(directory / folder.REQUEST)
    if row is None:
        raise Invalid(
            "{folder} holds no {file}; start an evaluation with `errata evaluate`.",
            folder=directory,
            file=folder.REQUEST,
        )
    request = EvaluationRequest.from_json(row)
    measured = _labels(request) if request.objective is Objective.LABELS else _replies(request)
    report = {"run_id": request.run_id, "objective": request.objective.value, **measured}
    folder.write_json(directory / folder.REPORT, report)
    return {}


class _Work:
    """Counts what is done, for whoever waits. A model's measuring counts as much as ten replies."""

    def __init__(self, directory: Path, *, replies: int, models: int) -> None:
        self._directory, self._done, self._all = directory, 0, replies + 10 * models

    def replied(self, count: int) -> None:
        self._done += count
        # The last hundredth is the report itself: only a result means done.
        folder.append_progress(self._directory, {"share": min(0.99, self._done / self._all)})

    def measured(self) -> None:
        self.replied(10)


def _labels(request: EvaluationRequest) -> dict[str, Any]:
    return {"labels": classifying.evaluate(request), "cases": []}


def _replies(request: EvaluationRequest) -> dict[str, Any]:
    asked = Asked.read(request)
    candidate, base = request.here
    before = request.baseline or base
    replying = {before, candidate}
    paths = dict.fromkeys((candidate, before, base))  # production may be the base itself
    work = _Work(request.directory, replies=len(replying) * asked.replies, models=len(paths))
    found: dict[Path, Appraisal] = {}
    for path in paths:
        found[path] = appraise(
            path,
            asked,
            replies=path in replying,
            yardsticks=path == candidate,
            done=work.replied,
            measured=work.measured,
        )
        # The memory of one model is all that there need be.
        gc.collect()
        torch.cuda.empty_cache()
    named = {"candidate": candidate, "baseline": request.baseline, "base": base}
    models = {name: found[path] for name, path in named.items() if path is not None}
    return compose(asked, models, found[before])


if __name__ == "__main__":
    sys.exit(process.carry_out(process.directory_argument(), evaluate))
