"""What a pass over very many rows has found: a column at a time, by row in the order of the file.

Owns the joining of what several processes found, and the search for what repeats among their rows.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from curation.checking import processes
from curation.checking.columns import Columns
from curation.checking.processes import Progress
from curation.findings import Finding
from curation.measures.diversity import SAMPLE, Sample
from curation.similarity.clusters import Clusters
from curation.similarity.shingles import PARTS, ROW_BITS, WORDS, parts_together
from curation.similarity.similar import joints

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

LABELS = ("topic", "language", "kind")
_SEED = 0
_SHARED_ROWS = 20_000


@dataclass(slots=True)
class Seen:
    """What one process found, but for the columns.

    Attributes:
        findings: with lines as the process counted them.
        labels: by name, in the order of their codes, the first of which is 1.
        sample: of the dialogues' words.
        rows: valid ones.
        lines: that the range has, if it is one of several.
        shift: to be added to the process's line numbers, before those of the ranges before it.
    """

    findings: list[Finding]
    labels: dict[str, list[str]]
    sample: Sample
    rows: int = 0
    lines: int = 0
    shift: int = 0


class Scan:
    """The findings, labels and columns of a pass; a context, since it holds a temporary file.

    Columns: ``line``; ``lower``, ``upper`` and ``learned`` tokens; ``turns`` other than the system's, and whether there
    is a ``system`` turn; ``topic``, ``language`` and ``kind`` as positions in ``labels``, from 1; hashes of ``thread``
    and ``customer``, 0 where there is none. Where repeats were asked for, hashes of the ``dialogue`` without its system
    turn, of the ``prompt`` (all turns but the last reply), of that ``reply``, and of what the user ``said``: they are
    of normalised words, and hold within one run.
    """

    def __init__(self, parts: Sequence[tuple[Seen, Columns]]) -> None:
        self._columns = [columns for _, columns in parts]
        self._begins = [0, *accumulate(seen.rows for seen, _ in parts)]
        self.rows = self._begins[-1]
        lines = [0, *accumulate(seen.lines for seen, _ in parts)]
        self._shifts = [before + seen.shift for before, (seen, _) in zip(lines, parts, strict=False)]
        self.findings = [
            _moved(finding, shift)
            for shift, (seen, _) in zip(self._shifts, parts, strict=True)
            for finding in seen.findings
        ]
        self.labels: dict[str, list[str]] = {}
        self._codes: list[dict[str, list[int]]] = [{} for _ in parts]
        for name in LABELS:
            codes: dict[str, int] = {}
            for (seen, _), merged in zip(parts, self._codes, strict=True):
                merged[name] = [0, *(codes.setdefault(label, len(codes) + 1) for label in seen.labels[name])]
            self.labels[name] = list(codes)
        self.sample = _merged([seen.sample for seen, _ in parts])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for columns in self._columns:
            columns.close()

    def column(self, name: str) -> Array:
        """One column, by row."""
        import numpy as np  # noqa: PLC0415 (a tenth of a second that --help need not wait for)

        pieces = [self._piece(name, part) for part in range(len(self._columns))]
        return np.concatenate(pieces) if len(pieces) != 1 else pieces[0]

    def pieces(self, names: Sequence[str]) -> Iterator[list[Array]]:
        """Columns, some thousand rows at a time."""
        for part, columns in enumerate(self._columns):
            for number in range(len(columns.blocks)):
                yield [self._piece(name, part, number, number + 1) for name in names]

    def clusters(self) -> Array:
        """For each row the first one whose user says, or nearly says, the same.

        Of very many rows the search is shared among processes, as ``curation.checking.processes`` allows.

        Raises:
            Unavailable: a process died.
        """
        first = first_of(self.column("said"))
        said = _Said(self._columns, self._begins, first)
        shares = processes.available() if self.rows >= _SHARED_ROWS else 1
        works = [
            partial(_joints, said, self.rows, range(PARTS * share // shares, PARTS * (share + 1) // shares))
            for share in range(shares)
        ]
        joined = Clusters(self.rows)
        for found in processes.each(works, lambda _: None):
            for one, other in found:
                joined.join(one, other)
        roots: Array = joined.roots()[first]
        return roots

    def _piece(self, name: str, part: int, start: int = 0, stop: int | None = None) -> Array:
        import numpy as np  # noqa: PLC0415

        piece = self._columns[part].read(name, start=start, stop=stop)
        if name == "line":
            return piece.astype(np.int64) + self._shifts[part]
        return np.array(self._codes[part][name], piece.dtype)[piece] if name in LABELS else piece


def _joints(said: _Said, rows: int, parts: range, progress: Progress) -> list[tuple[int, int]]:
    found = joints(said, rows, parts)
    progress(len(parts))
    return found


def first_of(keys: Array) -> Array:
    """For each row the first that has the same key: ``[7, 9, 7]`` gives ``[0, 1, 0]``."""
    import numpy as np  # noqa: PLC0415

    first = np.arange(len(keys))
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    again = (ordered[1:] == ordered[:-1]).nonzero()[0] + 1
    if len(again):
        begins = np.r_[True, again[1:] != again[:-1] + 1]
        first[order[again]] = order[(again[begins] - 1)[np.cumsum(begins) - 1]]
    return first


class _Said:
    """What users said, of each different text the first, as ``curation.similarity.similar`` wants it."""

    def __init__(self, columns: Sequence[Columns], begins: Sequence[int], first: Array) -> None:
        import numpy as np  # noqa: PLC0415

        self._columns = columns
        self._begins = begins
        self._is_first = first == np.arange(len(first))
        self._rows_of = [[0, *accumulate(block.places["line"][2] for block in one.blocks)] for one in columns]
        self._ends_of: dict[tuple[int, int], Array] = {}

    def sizes(self) -> Array:
        return self._joined([columns.read("sizes") for columns in self._columns])

    def bins(self, word: int) -> Array:
        pieces = []
        for columns in self._columns:
            rows = [block.places["bins"][2] // WORDS for block in columns.blocks]
            pieces.append(columns.slices("bins", [(word * count, (word + 1) * count) for count in rows]))
        return self._joined(pieces)

    def postings(self, parts: range) -> Iterator[Array]:
        import numpy as np  # noqa: PLC0415

        bounds = [columns.read("parts").reshape(-1, PARTS + 1) for columns in self._columns]
        for start, stop in parts_together([block for blocks in bounds for block in blocks], parts):
            pieces = []
            for columns, begin, ends in zip(self._columns, self._begins, bounds, strict=False):
                piece = columns.slices("postings", ends[:, [start, stop]].tolist())
                pieces.append(piece + np.uint64(begin) if len(piece) else piece.astype(np.uint64))
            postings = self._joined(pieces)
            rows = (postings & np.uint64((1 << ROW_BITS) - 1)).view(np.int64)
            yield postings[self._is_first[rows]]

    def text(self, row: int) -> str:
        part = bisect_right(self._begins, row) - 1
        row -= self._begins[part]
        number = bisect_right(self._rows_of[part], row) - 1
        row -= self._rows_of[part][number]
        columns = self._columns[part]
        if (ends := self._ends_of.get((part, number))) is None:
            ends = self._ends_of[part, number] = columns.read("length", start=number, stop=number + 1)
            ends.cumsum(out=ends)
        end = int(ends[row])
        begin = int(ends[row - 1]) if row else 0
        offset = columns.blocks[number].places["said_bytes"][0]
        return columns.piece(offset + begin, end - begin).decode("utf-8", "surrogatepass")

    def _joined(self, pieces: Sequence[Array]) -> Array:
        import numpy as np  # noqa: PLC0415

        return np.concatenate(pieces) if len(pieces) != 1 else pieces[0]


def _moved(finding: Finding, lines: int) -> Finding:
    return replace(finding, line=finding.line + lines) if finding.line is not None and lines else finding


def _merged(samples: Sequence[Sample]) -> Sample:
    """A sample of the streams together, as if one had taken them all: from each as many as chance gives it."""
    rng = random.Random(_SEED)
    whole = Sample(rng)
    whole.seen = sum(sample.seen for sample in samples)
    if not whole.seen:
        return whole
    owners = rng.sample(range(len(samples)), k=min(SAMPLE, whole.seen), counts=[one.seen for one in samples])
    for number, sample in enumerate(samples):
        whole.texts += rng.sample(sample.texts, owners.count(number))
    return whole
