"""What a tiny training is given: its recipe, from the hyperparameters that were asked for, and its files.

Owns the way from a provider's preference pairs to rows and particulars. Starts nothing.
"""

from __future__ import annotations

import codecs
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from curation.errors import ErrataError
from training.backends.base import Base, Job
from training.hyperparameters import Objective, Preference, Recipe
from training.recipe import parse_recipe
from training.sandbox.wire import Refusal

# About as long as a row of support chat is.
_ROW_TOKENS = 128
_HIGHEST_RATE = 0.01


@dataclass(frozen=True, slots=True)
class Wishes:
    """Hyperparameters that were asked for; None takes the toy recipe's own."""

    epochs: int | None = None
    learning_rate: float | None = None
    batch_rows: int | None = None
    seed: int | None = None
    beta: float | None = None
    base: Path | None = None


def recipe_of(plain: Recipe, wishes: Wishes, *, rate_factor: float, preferences: bool) -> Recipe:
    """The toy recipe with what was asked for.

    Raises:
        Refusal: a value that no recipe can say.
    """
    rate = None if wishes.learning_rate is None else min(wishes.learning_rate * rate_factor, _HIGHEST_RATE)
    changed = replace(
        plain,
        epochs=plain.epochs if wishes.epochs is None else wishes.epochs,
        learning_rate=plain.learning_rate if rate is None else rate,
        batch_tokens=plain.batch_tokens if wishes.batch_rows is None else wishes.batch_rows * _ROW_TOKENS,
        seed=plain.seed if wishes.seed is None else wishes.seed,
    )
    if preferences:
        # A random model cannot write the better reply yet: its own loss teaches it.
        liking = Preference(beta=0.1 if wishes.beta is None else wishes.beta, replies=1.0)
        changed = replace(changed, objective=Objective.PREFERENCES, preference=liking, stop_at_accuracy=None)
    try:
        return parse_recipe(changed.as_json(), name=plain.name)
    except ErrataError as error:
        raise Refusal(400, "UserError", f"Invalid hyperparameter: {error}") from None


def make_job(directory: Path, name: str, recipe: Recipe, sides: tuple[bytes, bytes], base: Path | None) -> Job:
    """A job of the local backend, its rows written down; ``base`` is a model that was tuned here before."""
    directory.mkdir(parents=True)
    about: list[dict[str, Any]] = []
    files = []
    for side, text in zip(("train", "validation"), sides, strict=True):
        rows = text.removeprefix(codecs.BOM_UTF8)
        files.append(directory / f"{side}.jsonl")
        pairs = recipe.objective is Objective.PREFERENCES
        files[-1].write_bytes(_rows_of_pairs(rows, side, about) if pairs else rows)
    particulars = directory / "particulars.jsonl" if about else None
    if particulars is not None:
        particulars.write_bytes(_lines(about))
    start = Base("rehearsal") if base is None else Base("checkpoint", base)
    return Job(name, start, recipe, files[0], files[1], directory / "job", particulars)


def _rows_of_pairs(text: bytes, side: str, about: list[dict[str, Any]]) -> bytes:
    rows = []
    for line in text.decode().splitlines():
        if not line.strip():
            continue
        pair, number = json.loads(line), len(about)
        messages = [*pair["input"]["messages"], *pair["preferred_output"]]
        rows.append({"messages": messages, "metadata": {"example": number}})
        nothing = dict.fromkeys(("topic", "language", "reason"))
        rejected = pair["non_preferred_output"][0]["content"]
        about.append({"example": number, "side": side, "kind": "correction", "rejected": rejected} | nothing)
    return _lines(rows)


def _lines(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
