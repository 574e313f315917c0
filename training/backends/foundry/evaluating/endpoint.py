"""A model's endpoint for as long as it is evaluated: brought up, and taken down again whatever happens in between.

Owns the mark that says that something may be hosted, written before the provider is asked for it and removed once
nothing is there any more. So whoever is killed leaves word behind, and whoever looks after it takes the endpoint down.
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

from curation.errors import ErrataError, Unavailable
from training.backends.base import Artefact, Backend, Endpoint
from training.backends.errors import Unreached
from training.backends.local import folder

ENDPOINT = "endpoint"
"""The endpoint's folder in the evaluation's."""

UP_SECONDS = 45 * 60.0
"""How long a model may take to come up; most take ten minutes."""

DOWN_SECONDS = 10 * 60.0
"""How long is waited for an endpoint to be gone; whoever polls goes on from there."""

LOOK_SECONDS = 5.0

_MARK = "hosted.json"
_MOST_MISSES = 20


def bring_up(
    backend: Backend,
    artefact: Artefact,
    directory: Path,
    model_name: str,
    *,
    up_seconds: float = UP_SECONDS,
    look_seconds: float = LOOK_SECONDS,
) -> Endpoint:
    """The endpoint, once it answers.

    Args:
        directory: of the evaluation.

    Raises:
        Unavailable: it does not come up, or not in time.
        ErrataError: the provider refuses.
    """
    folder.write_json(directory / _MARK, {"model": model_name})
    deadline, missed = time.monotonic() + up_seconds, 0
    while True:
        try:
            endpoint = backend.deploy(artefact, directory / ENDPOINT, model_name)
            missed = 0
        except Unreached:
            endpoint, missed = None, missed + 1
            if missed >= _MOST_MISSES:
                raise
        if endpoint is not None:
            return endpoint
        if time.monotonic() >= deadline:
            raise Unavailable(
                "The model {model} did not come up within {minutes:,.0f} minutes, so it was not evaluated, and its "
                "endpoint is taken down again. Resume the run to try once more.",
                model=artefact.registered or model_name,
                minutes=up_seconds / 60,
            )
        time.sleep(look_seconds)


def take_down(backend: Backend, directory: Path) -> bool:
    """Ask for the end of what may be hosted for this evaluation; whether nothing is any more. Else it is asked again.

    Raises:
        ErrataError: the provider refuses, or does not answer.
    """
    mark = folder.read_json(directory / _MARK)
    if mark is None:
        return True
    if not backend.undeploy(directory / ENDPOINT, mark["model"]):
        return False
    (directory / _MARK).unlink(missing_ok=True)
    return True


def see_down(
    backend: Backend, directory: Path, *, down_seconds: float = DOWN_SECONDS, look_seconds: float = LOOK_SECONDS
) -> None:
    """Take the endpoint down and wait for its end. What is left after that is left to whoever polls."""
    deadline = time.monotonic() + down_seconds
    while time.monotonic() < deadline:
        # A refusal must not hide why the evaluation failed: the mark stays, and ``evaluations.poll`` says it.
        with suppress(ErrataError):
            if take_down(backend, directory):
                return
        time.sleep(look_seconds)
