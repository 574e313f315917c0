"""The loss curve of a job, from the metrics that its training logs to the project's MLflow server.

Owns which metrics are read and how a step becomes a point. Azure ML answers MLflow's REST API at the workspace's
tracking address with the ordinary bearer token, so three plain GETs do what the packages mlflow and azureml-mlflow,
some 200 MB with their dependencies, would do. Refuses to invent a figure: what was not logged is unknown, and points
have no speed, as nobody logs it.

https://mlflow.org/docs/latest/rest-api.html (runs/get, metrics/get-history)
https://learn.microsoft.com/azure/machine-learning/how-to-use-mlflow-configure-tracking
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from curation.wording import phrase
from training.backends.base import CurvePoint
from training.backends.errors import Missing, Refused, Unreached
from training.backends.foundry.access import plain
from training.backends.foundry.access.credentials import ARM_SCOPE, fetch_token

TRAINING = ("train_loss", "loss", "training_loss")
VALIDATION = ("eval_loss", "validation_loss", "valid_loss", "val_loss")
EPOCH = ("epoch", "train_epoch")
TOKENS = ("num_input_tokens_seen", "train_tokens", "num_tokens")
"""What trainers call it; the first that a run has logged is read."""

_PAGE = 1_000
_MOST_PAGES = 50


@dataclass(frozen=True, slots=True)
class Measured:
    """What a job has logged so far.

    Attributes:
        curve: oldest first; ``tokens_per_second`` is 0, as it is not logged.
        steps: optimiser steps planned; 0 while unknown.
        eta_seconds: by the time that the steps took so far; None while unknown.
        trained_tokens: all epochs together; None where it is not logged.
    """

    curve: tuple[CurvePoint, ...] = ()
    steps: int = 0
    eta_seconds: float | None = None
    trained_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class _Value:
    step: int
    value: float
    at_seconds: float


MOST_POINTS = 400
"""Of a curve that is brought here, and the newest one."""


def measured(tracking: str, name: str, epochs: int) -> Measured:
    """What the job has logged.

    Args:
        tracking: the workspace's address for MLflow, ``azureml://eastus2.api.azureml.ms/mlflow/v1.0/subscriptions/…``.
        name: of the job, which is the id of its MLflow run.
        epochs: how many it trains.

    Raises:
        Refused, Unreached: the server says no, or nothing.
    """
    root = f"https://{tracking.removeprefix('azureml://').removeprefix('https://').rstrip('/')}/api/2.0/mlflow"
    token = fetch_token(ARM_SCOPE)
    try:
        latest = _latest(_got(token, f"{root}/runs/get", {"run_id": name}))
    except Missing:
        return Measured()  # nothing logged yet
    training = _history(token, root, name, _first(TRAINING, latest))
    validation = {one.step: one.value for one in _history(token, root, name, _first(VALIDATION, latest))}
    epoch, tokens = _first(EPOCH, latest), _first(TOKENS, latest)
    at_epoch = latest[epoch] if epoch is not None else None
    steps = round(at_epoch.step * epochs / at_epoch.value) if at_epoch is not None and at_epoch.value > 0 else 0
    return Measured(
        _curve(training, validation),
        max(steps, training[-1].step) if steps and training else 0,
        _eta_seconds(training, steps),
        round(latest[tokens].value) if tokens is not None else None,
    )


def _curve(training: list[_Value], validation: Mapping[int, float]) -> tuple[CurvePoint, ...]:
    """A point for each step with a training loss; a validation loss between two belongs to the one before it.

    Of a long training not every step has one: a worker that watches a hundred of them keeps all their curves in memory.
    """
    kept = training[:: max(1, -(-len(training) // MOST_POINTS))]
    kept += training[-1:] if training[-1:] != kept[-1:] else []
    steps = [one.step for one in kept]
    between: dict[int, float] = {}
    for step, value in sorted(validation.items()):
        if steps:
            between[steps[max(0, bisect_right(steps, step) - 1)]] = value
    return tuple(CurvePoint(one.step, one.value, between.get(one.step), 0.0) for one in kept)


def _eta_seconds(training: list[_Value], steps: int) -> float | None:
    if len(training) < len("ab") or steps <= training[-1].step:
        return None
    first, last = training[0], training[-1]
    if last.step <= first.step or last.at_seconds <= first.at_seconds:
        return None
    return (steps - last.step) * (last.at_seconds - first.at_seconds) / (last.step - first.step)


def _first(names: tuple[str, ...], latest: Mapping[str, _Value]) -> str | None:
    return next((name for name in names if name in latest), None)


def _latest(answer: Mapping[str, Any]) -> dict[str, _Value]:
    rows = ((answer.get("run") or {}).get("data") or {}).get("metrics") or []
    return {str(row["key"]): value for row in rows for value in _values([row])}


def _history(token: str, root: str, name: str, key: str | None) -> list[_Value]:
    """Every value of a metric, one for a step, by step."""
    if key is None:
        return []
    found: dict[int, _Value] = {}
    query: dict[str, str | int] = {"run_id": name, "metric_key": key, "max_results": _PAGE}
    for _ in range(_MOST_PAGES):
        page = _got(token, f"{root}/metrics/get-history", query)
        found |= {value.step: value for value in _values(page.get("metrics") or [])}
        following = page.get("next_page_token")
        if not following:
            break
        query |= {"page_token": str(following)}
    return [found[step] for step in sorted(found)]


def _values(rows: list[Mapping[str, Any]]) -> Iterator[_Value]:
    """Those that can be read: a loss of a training that fell apart is told as ``NaN``."""
    for row in rows:
        try:
            value = _Value(int(row.get("step") or 0), float(row["value"]), float(row.get("timestamp") or 0) / 1000)
        except (KeyError, TypeError, ValueError):
            continue
        if value.value - value.value == 0:
            yield value


def _got(token: str, address: str, query: Mapping[str, str | int]) -> dict[str, Any]:
    try:
        headers = {"authorization": f"Bearer {token}"}
        response = plain.client().get(address, params=dict(query), headers=headers)
        if response.is_success:
            found = response.json()
            return found if isinstance(found, dict) else {}
    except (httpx.HTTPError, ValueError):
        raise Unreached(phrase("The metrics of the job cannot be read at the moment.")) from None
    if response.status_code == httpx.codes.NOT_FOUND:
        raise Missing(phrase("The job has logged no metrics."))
    if response.status_code == httpx.codes.TOO_MANY_REQUESTS or response.is_server_error:
        raise Unreached(phrase("The metrics of the job cannot be read at the moment."))
    raise Refused(phrase("Azure does not show the metrics of the job ({status}).", status=response.status_code))
