"""Columns of numbers about very many rows, kept in a temporary file so that memory does not grow with the rows.

Owns the layout: blocks of up to a few thousand rows, in each the columns one after the other. One process
writes, and another that has the file open may read once the writer has told it where the blocks are.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from curation.errors import Unavailable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Block:
    """Where a block lies: of each array the offset in bytes, its type and its length."""

    places: Mapping[str, tuple[int, str, int]]


class Columns:
    """A temporary file of blocks; it has no name and is gone with the process."""

    def __init__(self) -> None:
        try:
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 (closed by close)
        except OSError as error:
            raise _refused(error) from error
        self.blocks: list[Block] = []

    def append(self, arrays: Mapping[str, Array]) -> None:
        """Write a block of arrays of one dimension each.

        Raises:
            Unavailable: the disk refuses.
        """
        offset = self._file.seek(0, os.SEEK_END)
        places = {}
        pieces = []
        for name, array in arrays.items():
            raw = array.tobytes()
            places[name] = (offset, array.dtype.str, len(array))
            pieces.append(raw)
            offset += len(raw)
        left = memoryview(b"".join(pieces))
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            raise _refused(error) from error
        self.blocks.append(Block(places))

    def read(self, name: str, *, start: int = 0, stop: int | None = None) -> Array:
        """One column over the blocks from ``start`` to ``stop``, in their order."""
        import numpy as np  # noqa: PLC0415 (a tenth of a second that --help need not wait for)

        found = [block.places[name] for block in self.blocks[start:stop]]
        column = np.empty(sum(length for _, _, length in found), found[0][1] if found else np.int64)
        done = 0
        for offset, _, length in found:
            self._fill(column[done : done + length], offset)
            done += length
        return column

    def slices(self, name: str, bounds: Sequence[Sequence[int]]) -> Array:
        """Of one column the entries from ``bounds[i][0]`` to ``bounds[i][1]`` of each block ``i``."""
        import numpy as np  # noqa: PLC0415

        places = [block.places[name] for block in self.blocks]
        column = np.empty(sum(stop - start for start, stop in bounds), places[0][1] if places else np.int64)
        done = 0
        for (offset, _, _), (start, stop) in zip(places, bounds, strict=True):
            self._fill(column[done : done + stop - start], offset + start * column.itemsize)
            done += stop - start
        return column

    def with_blocks(self, blocks: list[Block]) -> Self:
        """The same file with the blocks that a forked process wrote into it."""
        self.blocks = blocks
        return self

    def close(self) -> None:
        """Give the space back."""
        self._file.close()

    def piece(self, offset: int, length: int) -> bytes:
        """So many bytes from ``offset`` on."""
        return os.pread(self._file.fileno(), length, offset)

    def _fill(self, array: Array, offset: int) -> None:
        left = memoryview(array.view("u1").data)
        while left:
            read = os.preadv(self._file.fileno(), [left], offset)
            if not read:
                raise Unavailable("A temporary file was cut short; check the free space and run it again.")
            left, offset = left[read:], offset + read


def _refused(error: OSError) -> Unavailable:
    return Unavailable(
        "A temporary file could not be written in {folder} ({cause}); free space there, or name another folder with "
        "TMPDIR.",
        folder=tempfile.gettempdir(),
        cause=error.strerror,
    )
