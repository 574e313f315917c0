"""Pairs of texts whose sets of shingles have a Jaccard similarity of at least 4/5, among very many.

Owns the search. It is exact: prefix filtering names every pair that can be similar, a look at their bins
drops those that are far from it, and the sets of the rest are compared. Sources: Chaudhuri, Ganti, Kaushik,
"A Primitive Operator for Similarity Joins", 2006; Li, Owen, Zhang, "One Permutation Hashing", 2012 (the bins).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import combinations
from typing import TYPE_CHECKING, Any, Protocol

from curation.similarity.shingles import PARTS, PLACE_BITS, ROW_BITS, WORDS, prefix_lengths, shingles

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

# 5.6 standard errors below 4/5 with every bin in use; with fewer shingles than bins the error is smaller.
_LEAST_AGREEMENT = 0.6
# After the first bins a pair that agrees in fewer than three tenths is out, if it uses enough of them to tell: six
# standard errors below 4/5.
_FIRST_WORDS, _LEAST_USED, _LEAST_AT_FIRST = 4, 24, 0.3
_PAIRS_AT_A_TIME = 1 << 19
_KEPT_SETS = 2_000


class Texts(Protocol):
    """Normalised texts, no two of them equal, and what is kept of them (``curation.similarity.shingles.Sketches``)."""

    def sizes(self) -> Array:
        """Different shingles of each text, by row."""

    def bins(self, word: int) -> Array:
        """One of the ``WORDS`` of eight bins of each text, by row."""

    def postings(self, parts: range) -> Iterator[Array]:
        """All postings of some of the ``PARTS``, each part in ascending order."""

    def text(self, row: int) -> str:
        """The text of one row."""


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


def similar_of_few(texts: Sequence[str]) -> list[tuple[int, int]]:
    """The pairs that ``similar_pairs`` finds, by comparing each text with each: plain, and quick for a few dozen."""
    sets = [shingles(text) for text in texts]
    return [pair for pair in combinations(range(len(texts)), 2) if _similar(*(sets[row] for row in pair))]


def similar_pairs(texts: Texts) -> list[tuple[int, int]]:
    """Every pair of similar texts, the earlier row first, in ascending order."""
    alike = _Comparison(texts)
    return sorted({pair for chunk in _candidates(texts, range(PARTS), None) for pair in chunk if alike(pair)})


def joints(texts: Texts, rows: int, parts: range = range(PARTS)) -> list[tuple[int, int]]:
    """Pairs of similar texts that hold all clusters together; from some ``parts``, as far as those tell.

    What is in one cluster already is not compared again, so that ten thousand of a kind take no longer than others.
    """
    alike = _Comparison(texts)
    clusters = Clusters(rows)
    found = []
    for chunk in _candidates(texts, parts, clusters):
        for one, other in chunk:
            if clusters.root(one) != clusters.root(other) and alike((one, other)):
                clusters.join(one, other)
                found.append((one, other))
    return found


class _Comparison:
    """Whether two texts are similar; the sets of the last few thousand are kept."""

    def __init__(self, texts: Texts) -> None:
        self._set = lru_cache(maxsize=_KEPT_SETS)(lambda row: shingles(texts.text(row)))

    def __call__(self, pair: tuple[int, int]) -> bool:
        return _similar(*map(self._set, pair))


def _similar(one: set[str], other: set[str]) -> bool:
    # 4/5 in integers: 5 * |x ∩ y| >= 4 * |x ∪ y|, which is 9 * |x ∩ y| >= 4 * (|x| + |y|).
    return 9 * len(one & other) >= 4 * (len(one) + len(other))


def _candidates(texts: Texts, parts: range, clusters: Clusters | None) -> Iterator[list[tuple[int, int]]]:
    """Pairs that may be similar, some more than once; with ``clusters`` none that is in one."""
    import numpy as np  # noqa: PLC0415

    sizes = texts.sizes()
    waiting: list[Array] = []
    count = 0

    def judged() -> list[tuple[int, int]]:
        codes = np.concatenate(waiting)
        waiting.clear()
        codes.sort()  # np.unique hashes, a hundred times as slow on such numbers
        codes = codes[np.r_[True, codes[1:] != codes[:-1]]]
        pairs = np.stack([codes >> np.uint64(32), codes & np.uint64(0xFFFFFFFF)], axis=1).astype(np.int64)
        if clusters is not None:
            roots = clusters.roots()
            pairs = pairs[roots[pairs[:, 0]] != roots[pairs[:, 1]]]
        return [(one, other) for one, other in _likely(texts, pairs).tolist()]

    for part in texts.postings(parts):
        for one, other in _sharing(part, sizes):
            if clusters is not None:
                roots = clusters.roots()
                apart = roots[one] != roots[other]
                one, other = one[apart], other[apart]  # noqa: PLW2901 (fewer of the same)
            if not len(one):
                continue
            waiting.append(np.minimum(one, other) << np.uint64(32) | np.maximum(one, other))
            count += len(waiting[-1])
            if count >= _PAIRS_AT_A_TIME:
                count = 0
                yield judged()
    if waiting:
        yield judged()


def _sharing(postings: Array, sizes: Array) -> Iterator[tuple[Array, Array]]:
    """Pairs of rows that share a shingle of their prefixes, as far as the rest of the two may be shared at all.

    A pair may be dropped here and come again with another shingle: what counts is the first that the two share.
    Source: Xiao, Wang, Lin, Yu, "Efficient Similarity Joins for Near Duplicate Detection", 2008 (positional filtering).
    """
    import numpy as np  # noqa: PLC0415

    hashes = postings >> np.uint64(PLACE_BITS + ROW_BITS)
    rows = postings & np.uint64((1 << ROW_BITS) - 1)
    sizes = sizes[rows.astype(np.int64)].astype(np.int32)
    # At most so many shingles stand at or after the place, the place being rounded down.
    places = ((postings >> np.uint64(ROW_BITS)) & np.uint64((1 << PLACE_BITS) - 1)).astype(np.int64)
    left = (sizes - (places * prefix_lengths(sizes) >> PLACE_BITS)).astype(np.int32)
    # Each posting is paired with those after it that have its hash.
    ends = np.searchsorted(hashes, hashes, side="right")
    following = ends - np.arange(len(postings)) - 1
    # They follow by place: where the first of two is late, so is the other, and too little is left of both.
    paired = ((following > 0) & (9 * places < (5 << PLACE_BITS) + 9)).nonzero()[0]
    totals = np.cumsum(following[paired])
    start = 0
    while start < len(paired):
        before = int(totals[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(totals, before + _PAIRS_AT_A_TIME, side="right")))
        chosen = paired[start:stop]
        counts = following[chosen]
        one = np.repeat(chosen, counts)
        other = one + np.arange(1, len(one) + 1) - np.repeat(totals[start:stop] - counts - before, counts)
        start = stop
        fits = 9 * np.minimum(left[one], left[other]) >= 4 * (sizes[one] + sizes[other])
        yield rows[one[fits]], rows[other[fits]]


def _likely(texts: Texts, pairs: Array) -> Array:
    """Those of ``pairs`` that agree in most of the bins that either uses."""
    import numpy as np  # noqa: PLC0415

    agreeing = np.zeros(len(pairs), np.int32)
    used = np.zeros(len(pairs), np.int32)
    for word in range(WORDS):
        if not len(pairs):
            break
        column = texts.bins(word)
        one, other = column[pairs[:, 0]], column[pairs[:, 1]]
        in_use = _bytes_in_use(one | other)
        agreeing += in_use - _bytes_in_use(one ^ other)
        used += in_use
        if word == _FIRST_WORDS - 1:
            kept = (used < _LEAST_USED) | (agreeing >= _LEAST_AT_FIRST * used)
            pairs, agreeing, used = pairs[kept], agreeing[kept], used[kept]
    return pairs[agreeing >= _LEAST_AGREEMENT * used]


def _bytes_in_use(words: Array) -> Array:
    """How many of the eight bytes of each word are not 0. Source: Warren, "Hacker's Delight", section 6-1."""
    import numpy as np  # noqa: PLC0415

    low, high = np.uint64(0x7F7F7F7F7F7F7F7F), np.uint64(0x8080808080808080)
    count: Array = np.bitwise_count((((words & low) + low) | words) & high).astype(np.int32)
    return count
