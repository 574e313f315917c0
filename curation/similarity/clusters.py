"""Rows joined pair by pair into clusters.

Owns the joining; which rows belong together is decided by whoever joins them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


class Clusters:
    """Rows joined into clusters; a cluster is known by its first row."""

    def __init__(self, rows: int) -> None:
        import numpy as np  # noqa: PLC0415 (a tenth of a second that --help need not wait for)

        self._first = np.arange(rows, dtype=np.int64)
        self._flat = True

    def root(self, row: int) -> int:
        """The first row of the cluster of ``row``."""
        first = self._first
        while first[row] != row:
            first[row] = first[first[row]]
            row = int(first[row])
        return row

    def join(self, one: int, other: int) -> None:
        """Make one cluster of two."""
        older, newer = sorted((self.root(one), self.root(other)))
        self._first[newer] = older
        self._flat = False

    def roots(self) -> Array:
        """The first row of the cluster of every row."""
        first = self._first
        while not self._flat:
            further = first[first]
            self._flat = bool((further == first).all())
            first[:] = further
        return first
