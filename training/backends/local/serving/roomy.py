"""The keys and values of replies that grow together, in tensors with room to grow.

Owns where a row's columns are: flush right, so that every row's next token has the same column, with zeros before a
shorter row, which its mask hides. transformers' own cache copies everything for every token and cannot take in a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicLayer

SPARE = 128
"""Columns added at a time."""


class RoomyLayer(DynamicLayer):  # type: ignore[misc]  # transformers publishes types that mypy is told to skip
    """One layer's keys and values, each (rows, heads, columns, width); it keeps all of them, windows are the mask's."""

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_args: Any, **_kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write new columns and give all of them."""
        if self.keys is None:
            self.dtype, self.device = key_states.dtype, key_states.device
            self.is_initialized = True
            self._hold(key_states, value_states)
            return self.keys, self.values
        used, new = self.keys.shape[-2], key_states.shape[-2]
        if used + new > self._all_keys.shape[-2]:
            self._hold(self.keys, self.values, more=new)
        self._all_keys[..., used : used + new, :] = key_states
        self._all_values[..., used : used + new, :] = value_states
        self._show(used + new)
        return self.keys, self.values

    def keep(self, rows: Sequence[int], first_column: int) -> None:
        """Keep these rows, from this column on."""
        index = torch.tensor(rows, device=self.keys.device)
        self._hold(*(one[..., first_column:, :].index_select(0, index) for one in (self.keys, self.values)))

    def join(self, other: RoomyLayer) -> None:
        """Take in the rows of another below one's own, both flush right."""
        width = max(self.keys.shape[-2], other.keys.shape[-2])
        self._hold(
            *(
                torch.cat([_widened(mine, width), _widened(theirs, width)])
                for mine, theirs in ((self.keys, other.keys), (self.values, other.values))
            )
        )

    def _hold(self, keys: torch.Tensor, values: torch.Tensor, *, more: int = 0) -> None:
        used = keys.shape[-2]
        self._all_keys, self._all_values = (
            one.new_empty(*one.shape[:-2], used + more + SPARE, one.shape[-1]) for one in (keys, values)
        )
        self._all_keys[..., :used, :] = keys
        self._all_values[..., :used, :] = values
        self._show(used)

    def _show(self, used: int) -> None:
        self.keys, self.values = self._all_keys[..., :used, :], self._all_values[..., :used, :]


class RoomyCache(Cache):  # type: ignore[misc]  # as above
    """Every layer's keys and values."""

    layers: list[RoomyLayer]

    def __init__(self) -> None:
        super().__init__(layer_class_to_replicate=RoomyLayer)

    def keep(self, rows: Sequence[int], first_column: int) -> None:
        """Keep these rows, from this column on."""
        for layer in self.layers:
            layer.keep(rows, first_column)

    def join(self, other: RoomyCache) -> None:
        """Take in the rows of another below one's own."""
        for mine, theirs in zip(self.layers, other.layers, strict=True):
            mine.join(theirs)


def _widened(states: torch.Tensor, width: int) -> torch.Tensor:
    """Zeros before the columns: what a mask hides is multiplied by nothing, which only a number survives."""
    return torch.nn.functional.pad(states, (0, 0, width - states.shape[-2], 0))
