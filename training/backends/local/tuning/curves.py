"""The loss curve for TensorBoard, where a recipe wants it: event files in the job's folder ``tensorboard``.

Owns what is written there and under which name. The curve that Errata itself reads is ``progress.jsonl``; this is a
copy for whoever has a TensorBoard open, so what the disk will not take of it is left out, and the training goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from training.backends.base import CurvePoint
from training.hyperparameters import Recipe

log = logging.getLogger("errata.curves")

FOLDER = "tensorboard"


def open_curves(recipe: Recipe, directory: Path, after_step: int = 0) -> Callable[[CurvePoint], None]:
    """A function that takes each point of the curve; it does nothing where the recipe does not ask for TensorBoard.

    Args:
        directory: the job's.
        after_step: the step that a resumed training goes on from: what was written about later ones is taken back.
    """
    if not recipe.tensorboard:
        return lambda _point: None
    from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 (an extra, and a second to import)

    # Seen by nobody else, the writer ends with this process; every point is flushed, so nothing waits for that.
    writer = SummaryWriter(directory / FOLDER, purge_step=after_step + 1 if after_step else None)
    last = after_step

    def take(point: CurvePoint) -> None:
        nonlocal last
        try:
            for name, value in _scalars(point, validation_only=point.step == last).items():
                writer.add_scalar(name, value, point.step)
            writer.flush()
        except OSError as error:
            log.warning("a point was not written for TensorBoard: error=%s", type(error).__name__)
        last = point.step

    return take


def _scalars(point: CurvePoint, *, validation_only: bool) -> dict[str, float]:
    """By TensorBoard's names. At the end of an epoch there is a second point for its last step, with the validation."""
    scalars: dict[str, float] = {}
    if point.validation_loss is not None:
        scalars["validation/loss"] = point.validation_loss
    if validation_only:
        return scalars
    scalars |= {"train/loss": point.loss, "speed/tokens_per_second": point.tokens_per_second}
    if point.memory_bytes is not None:
        scalars["memory/bytes"] = point.memory_bytes
    return scalars
