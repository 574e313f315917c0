"""Curves from what the openai API gives: results.csv of a job that has ended, metrics in the events of one that runs.

Owns the columns' names. A line that cannot be read is passed over: a curve with a gap is better than none. Pure.
"""

from __future__ import annotations

import base64
import binascii
import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from training.backends.base import CurvePoint

_VALIDATION = ("full_valid_loss", "valid_loss", "full_validation_loss", "validation_loss")
"""The loss of the whole side is told at the ends of epochs, that of one batch in between."""


def curve_of(content: bytes) -> tuple[CurvePoint, ...]:
    r"""The loss curve in a results file, plain as Azure gives it or in base64 as OpenAI does.

    ``step,train_loss,valid_loss\n1,0.9,\n2,0.7,0.8`` → points of steps 1 and 2, the second with a validation loss.
    """
    return curve_of_metrics(_rows(_text(content)))


def curve_of_metrics(rows: Iterable[Mapping[str, Any]]) -> tuple[CurvePoint, ...]:
    """The same from the ``data`` of events, in whatever order they come; of two of one step the later one counts."""
    points: dict[int, CurvePoint] = {}
    for row in rows:
        step, loss = _number(row.get("step")), _number(row.get("train_loss"))
        if step is None or loss is None or step < 1:
            continue
        measured = next((one for name in _VALIDATION if (one := _number(row.get(name))) is not None), None)
        points[int(step)] = CurvePoint(int(step), loss, measured, 0.0)
    return tuple(points[step] for step in sorted(points))


def _rows(text: str) -> Iterator[Mapping[str, Any]]:
    reader = csv.DictReader(io.StringIO(text))
    while True:
        try:
            yield next(reader)
        except csv.Error:  # such as a field of a megabyte
            continue
        except StopIteration:
            return


def _text(content: bytes) -> str:
    plain = content.decode("utf-8-sig", errors="replace")
    if "," in plain.partition("\n")[0]:
        return plain
    try:
        return base64.b64decode(content, validate=False).decode("utf-8-sig", errors="replace")
    except (binascii.Error, ValueError):
        return ""


def _number(value: Any) -> float | None:
    """A finite number of zero or more; where nothing was measured there is an empty field, ``nan`` or ``-1``."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and number >= 0 else None
