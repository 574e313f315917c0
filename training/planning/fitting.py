"""Fitting: whether a training has room, and what to change so that it has.

Owns the order in which changes are tried: what costs nothing but time comes before what rounds weights. Pure; what a
machine has comes in as a ``Room``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from curation.wording import Phrase, phrase
from training.hyperparameters import AdapterStart, Recipe
from training.planning import memory
from training.planning.memory import Memory, Rows
from training.planning.shapes import Shape

_LEAST_PIECE = 1_024
"""Below so many tokens at a time a GPU waits more than it works: other changes are tried first."""


@dataclass(frozen=True, slots=True)
class Room:
    """Where a training would happen.

    Attributes:
        device: for people: ``NVIDIA L4``, or the machine.
        free: bytes that each process may take.
        gpu: whether that is a GPU's memory.
        processes: that train together.
    """

    device: str
    free: int
    gpu: bool
    processes: int = 1


@dataclass(frozen=True, slots=True)
class Fit:
    """Whether a training has room.

    Attributes:
        needed: its memory.
        room: what there is.
        change: what makes it fit; None where it fits, or where nothing does.
        other: a shipped recipe that fits where this one does not; None where there is none.
        least: bytes of the smallest way that was tried.
    """

    needed: Memory
    room: Room
    change: Phrase | None
    least: int
    other: str | None = None

    @property
    def fits(self) -> bool:
        """Whether it has room as it is."""
        return self.needed.total <= self.room.free


def fit(shape: Shape, recipe: Recipe, rows: Rows, room: Room, shipped: Sequence[Recipe] = ()) -> Fit:
    """Whether the training has room, and if not, what would make it fit.

    Args:
        shipped: other recipes for the same model, in the order in which they are to be named.
    """
    needed = _memory(shape, recipe, rows, room)
    if needed.total <= room.free:
        return Fit(needed, room, None, needed.total)
    least = needed.total
    key = other = None
    for changed in _changes(recipe, rows, room):
        total = _memory(shape, changed, rows, room).total
        least = min(least, total)
        if total <= room.free:
            key = changed
            break
    alike = [one for one in shipped if one.objective is recipe.objective and one.name != recipe.name]
    for one in _possible(alike, room):
        total = _memory(shape, one, rows, room).total
        least = min(least, total)
        if total <= room.free:
            other = one
            break
    return Fit(needed, room, _said(recipe, key, other), least, other.name if other is not None else None)


def _memory(shape: Shape, recipe: Recipe, rows: Rows, room: Room) -> Memory:
    return memory.of_training(shape, recipe, rows, gpu=room.gpu, processes=room.processes)


def _changes(recipe: Recipe, rows: Rows, room: Room) -> Iterator[Recipe]:
    """Smaller pieces; layers computed twice; both; and then the same with weights in 4 bits."""
    kinds = [recipe, replace(recipe, gradient_checkpointing=True)]
    lora = recipe.lora
    if room.gpu and lora is not None and not lora.four_bit and lora.start is AdapterStart.DEFAULT:
        rounded = replace(recipe, gradient_checkpointing=True, lora=replace(lora, four_bit=True))
        kinds.append(rounded)
    for kind in kinds:
        yield kind
        tokens = memory.piece(kind, rows)
        while tokens > max(_LEAST_PIECE, rows.longest):
            tokens = max(tokens // 2, _LEAST_PIECE)
            yield replace(kind, device_tokens=tokens)


def _possible(recipes: Iterable[Recipe], room: Room) -> list[Recipe]:
    return [one for one in recipes if room.gpu or one.lora is None or not one.lora.four_bit]


def _said(recipe: Recipe, key: Recipe | None, other: Recipe | None) -> Phrase | None:
    """What to do, such as ``Set device_tokens = 2048 in the recipe, or take the recipe phi-mini-24gb.``."""
    keys = []
    if key is not None:
        if key.device_tokens != recipe.device_tokens:
            keys.append(f"device_tokens = {key.device_tokens}")
        if key.gradient_checkpointing and not recipe.gradient_checkpointing:
            keys.append("gradient_checkpointing = true")
        if key.lora is not None and recipe.lora is not None and key.lora.four_bit and not recipe.lora.four_bit:
            keys.append("lora.four_bit = true")
    if keys and other is not None:
        return phrase("Set {keys:and} in the recipe, or take the recipe {other}.", keys=keys, other=other.name)
    if keys:
        return phrase("Set {keys:and} in the recipe.", keys=keys)
    if other is not None:
        return phrase("Take the recipe {other}.", other=other.name)
    return None
